"""What `verify` does with files that are no bundle, no policy, or no file at all (VER-24)."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.policy import MAX_POLICY_BYTES
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, format_vkey, head_vkey
from tests.cli.harness import Call, Files, Outcome, call_process
from tests.cli.sample import OPENING, ORIGIN, Sample
from tests.conformance.test_vectors_bundles import QUESTIONS

MAX_MIB = 150
GIB = 1 << 30


def test_every_cut_is_refused(nous: Call, files: Files, sample: Sample, full: bool) -> None:
    """No part of a proof is good, and none is called newer or could-not-check."""
    cuts = range(0, len(sample.proof), 1 if full else 13)
    for cut in (*cuts, len(sample.proof) - 1):
        files.proof.write_bytes(sample.proof[:cut])
        found = nous(*files.check)
        assert found.code == 1, cut
        if not found.out:  # else the rest is a head that lost a signature
            found.failed(1, "not a receipt bundle", "hint: a bundle is a .tlog-proof file")


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\x00" * 4096, b"%PDF-1.7\n", b"<html></html>", "c2sp…".encode(), b"\xff\xfe"],
    ids=["empty", "newline", "zeros", "pdf", "html", "utf-8", "bom"],
)
def test_other_files_are_no_bundle(nous: Call, files: Files, data: bytes) -> None:
    files.proof.write_bytes(data)
    nous(*files.check).failed(1, "not a receipt bundle", "[not-a-bundle]", "hint: ")


def test_a_policy_is_no_bundle_and_a_bundle_no_policy(nous: Call, files: Files) -> None:
    nous("verify", files.policy, "--policy", files.policy).failed(1, "[not-a-bundle]")
    nous("verify", files.proof, "--policy", files.proof).failed(2, "[policy-format]", "line 1")


def newer_first_line(data: bytes) -> bytes:
    return data.replace(b"tlog-proof@v1", b"tlog-proof@v2", 1)


def newer_extra(data: bytes) -> bytes:
    return data.replace(b"extra lAHEeAE", b"extra lALEeAE", 1)


def newer_record(data: bytes) -> bytes:
    return data.replace(b"extra lAHEeAE", b"extra lAHEeAI", 1)


@pytest.mark.parametrize("newer", [newer_first_line, newer_extra, newer_record])
def test_a_newer_version_cannot_be_checked(
    nous: Call, files: Files, sample: Sample, newer: Callable[[bytes], bytes]
) -> None:
    data = newer(sample.proof)
    assert data != sample.proof
    files.proof.write_bytes(data)
    nous(*files.check).failed(3, "[newer-version]", "cannot tell", "update the verifier")


def test_a_version_zero_is_no_bundle(nous: Call, files: Files, sample: Sample) -> None:
    files.proof.write_bytes(sample.proof.replace(b"extra lAHEeAE", b"extra lAHEeAA", 1))
    nous(*files.check).failed(1, "[not-a-bundle]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "newline"),
        ("quorum none", "newline"),
        ("quorum none\nquorum none\n", "line 2"),
        ("log nonsense\nquorum none\n", "line 1"),
        ("frob\nquorum none\n", "line 1"),
        ("# nothing but a comment\n", "no quorum line"),
        ("log a+b\x1b[31m\nquorum none\n", "control character"),
        ("quorum " + "x" * 100_000 + "\n", f"more than {MAX_POLICY_BYTES}"),
    ],
)
def test_an_unparsable_policy_is_wrong_use(
    nous: Call, files: Files, text: str, message: str
) -> None:
    files.policy.write_text(text, "utf-8")
    nous(*files.check).failed(2, "[policy-format]", message, "hint: ")


def policy_of(*keys: VerifierKey) -> str:
    return "".join(f"log {format_vkey(key)}\n" for key in keys) + "quorum none\n"


OTHER_TEXT_KEY = ed25519_vkey(ORIGIN, Ed25519Key(b"\x0e" * 32).public_key)
OTHER_NAME = ed25519_vkey("example.com/other", Ed25519Key(b"\x0e" * 32).public_key)
OTHER_LOG = head_vkey(ORIGIN, LogId(b"\x0d" * 32))


@pytest.mark.parametrize("keys", [(), (OTHER_NAME,)], ids=["no log", "another log"])
def test_a_policy_without_the_log_leaves_everything_unchecked(
    nous: Call, files: Files, keys: tuple[VerifierKey, ...]
) -> None:
    """VER-2: nothing is believed of a log that the policy does not name."""
    files.policy.write_text(policy_of(*keys), "utf-8")
    found = nous(*files.check, "--json")
    assert found.code == 3
    assert {found.json[name]["code"] for name in QUESTIONS} == {"unknown-log"}
    assert found.json["body"] is None
    shown = nous(*files.check)
    assert shown.code == 3
    assert "the answers above do not bear it out" in shown.out


def test_a_policy_with_other_keys_of_the_name(nous: Call, files: Files, sample: Sample) -> None:
    """VER-12 and HEAD-17: which key differs decides between wrong and could not check."""
    text_key, log = (line.split()[1] for line in sample.policy.decode().splitlines()[:2])
    own = f"log {text_key}\n", f"log {log}\n", "quorum none\n"
    other_text, other_log = policy_of(OTHER_TEXT_KEY), policy_of(OTHER_LOG)
    for text, code, answer, reason in (
        (own[0] + own[2], 3, "attribution", "unpinned"),
        (own[1] + own[2], 0, "attribution", ""),
        (own[0] + other_log, 1, "attribution", "log-id"),
        (own[1] + other_text, 3, "log_view", "policy-outdated"),
    ):
        files.policy.write_text(text, "utf-8")
        found = nous(*files.check, "--json")
        assert (found.code, found.json[answer]["code"]) == (code, reason), text


def test_paths_that_are_no_files(nous: Call, files: Files, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for arguments in (
        ("verify", missing, "--policy", files.policy),
        ("verify", files.proof, "--policy", missing),
        ("verify", files.proof / "below", "--policy", files.policy),
        ("verify", tmp_path / ("x" * 300), "--policy", files.policy),
        (*files.check, "--opening", f"@{missing}", "--request", files.request),
        (*files.check, "--opening", OPENING.hex(), "--request", missing),
    ):
        nous(*arguments).failed(2, "does not exist", "hint: check the spelling")
    nous("verify", tmp_path, "--policy", files.policy).failed(2, "is a directory")
    nous("verify", files.proof, "--policy", tmp_path).failed(2, "is a directory")
    nous("verify", "", "--policy", files.policy).failed(2, "cannot be empty")
    nous("verify", "a\0b", "--policy", files.policy).failed(2, "cannot be empty")


def unreadable(folder: Path) -> Path:
    """Return a file that is there and cannot be read, whoever runs the tests."""
    if os.geteuid() != 0:
        closed = folder / "closed"
        closed.touch(0o000)
        return closed
    memory = Path("/proc/self/mem")  # its first page is never there, for root either
    if not memory.exists():
        pytest.skip("root can read every file here")
    return memory


def test_an_unreadable_file_cannot_be_checked(nous: Call, files: Files, tmp_path: Path) -> None:
    path = unreadable(tmp_path)
    nous("verify", path, "--policy", files.policy).failed(3, "[unreachable]", "cannot be read")
    nous("verify", files.proof, "--policy", path).failed(3, "[unreachable]", "cannot be read")


def test_standard_input(files: Files, sample: Sample) -> None:
    run = call_process("verify", "-", "--policy", files.policy, text=False, input=sample.proof)
    assert run.code == 0
    run = call_process("verify", files.proof, "--policy", "-", input=sample.policy.decode())
    assert run.code == 0
    empty = call_process("verify", "-", "--policy", files.policy, input="")
    empty.failed(1, "[not-a-bundle]")


def test_only_one_file_is_standard_input(nous: Call, files: Files) -> None:
    nous("verify", "-", "--policy", "-").failed(2, "only one of the files")
    nous(
        *("verify", "-", "--policy", files.policy),
        *("--opening", "@-", "--request", files.request),
    ).failed(2, "only one of the files")


def test_a_pipe_with_a_name(nous: Call, files: Files, sample: Sample, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(sample.proof,))
    writer.start()
    assert nous("verify", pipe, "--policy", files.policy).code == 0
    writer.join()


def test_exactly_at_the_limit_is_read(nous: Call, files: Files, sample: Sample) -> None:
    """Limits are inclusive (LIM-2): the policy still parses at its last byte."""
    comment = b"#" * (MAX_POLICY_BYTES - len(sample.policy) - 1) + b"\n"
    files.policy.write_bytes(comment + sample.policy)
    assert nous(*files.check).code == 0
    files.policy.write_bytes(b"#" + comment + sample.policy)
    nous(*files.check).failed(2, "[policy-format]")
    files.proof.write_bytes(b"x" * (MAX_BUNDLE_BYTES + 1))
    nous("verify", files.proof, "--policy", files.proof).failed(2, "[policy-format]")


def measured(*arguments: object) -> Outcome:
    """Run the program in a process whose memory is measured."""
    found = call_process(*arguments, program=(sys.executable, "-m", "tests.cli.memory"))
    rest, _, peak = found.err.rpartition("\npeak ")
    assert float(peak) < MAX_MIB, found
    return Outcome(code=found.code, out=found.out, err=rest)


def sparse(path: Path, start: bytes = b"") -> Path:
    """Make a file of 1 GiB that takes no room."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(GIB)
    return path


def test_a_huge_bundle_takes_little_memory(files: Files, sample: Sample) -> None:
    sparse(files.proof, sample.proof)
    measured(*files.check).failed(1, "[not-a-bundle]", f"more than {MAX_BUNDLE_BYTES} bytes")


def test_a_huge_policy_takes_little_memory(files: Files, sample: Sample) -> None:
    sparse(files.policy, sample.policy)
    measured(*files.check).failed(2, "[policy-format]", f"more than {MAX_POLICY_BYTES} bytes")


def test_huge_content_takes_little_memory(files: Files) -> None:
    """Longer than anything a gateway takes: could not check, which is not "wrong"."""
    sparse(files.response)
    measured(*files.check, *files.content).failed(3, "[unreachable]", "has more than")


def test_a_huge_opening_takes_little_memory(files: Files) -> None:
    sparse(files.opening)
    measured(*files.check, *files.content).failed(2, "[input]", "has more than")


def test_an_endless_file_ends(files: Files) -> None:
    measured("verify", "/dev/zero", "--policy", files.policy).failed(1, "[not-a-bundle]")
