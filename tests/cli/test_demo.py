"""The demo end to end, as a process that may reach nothing but this machine."""

import json
import os
import resource
import shutil
import stat
import sys
import types
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.harness import Call, Outcome, call_process, minimal_environment

# Runs the program and ends it at the first connection or look-up that leaves this machine.
LOCAL_ONLY = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "127.0.0.1", "::1", "localhost"):
        os.write(2, f"the demo asked for {host}".encode())
        os._exit(99)

sys.addaudithook(watch)
from nous_ledger.cli.main import main
main()
"""
MAX_SECONDS = 30
WAITING = 6
"""What the demo sleeps through: slow streams, and calls that end after their client."""
CALLS = 8
# What a developer's shell may hold; none of it may change the demo or leave this machine.
SHELL = {
    "http_proxy": "http://192.0.2.1:3128",
    "HTTPS_PROXY": "http://192.0.2.1:3128",
    "ALL_PROXY": "socks5://192.0.2.1:1080",
    "OPENAI_BASE_URL": "http://192.0.2.1/v1",
    "OPENAI_ORG_ID": "org-secret-of-mine",
    "ANTHROPIC_BASE_URL": "http://192.0.2.1",
    "ANTHROPIC_AUTH_TOKEN": "token-secret-of-mine",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """One run of the demo, and the folder that it left."""
    base = tmp_path_factory.mktemp("demo")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = call_process(
        *("demo", "--keep", base / "DIR"),
        program=(sys.executable, "-c", LOCAL_ONLY),
        env=minimal_environment(HOME=str(base / "home"), **SHELL),
        timeout=180,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert busy + WAITING < MAX_SECONDS
    return base / "DIR", found


def test_the_demo_ends_well(kept: tuple[Path, Outcome]) -> None:
    folder, found = kept
    assert found.code == 0, found
    assert "The honest receipt verified; the edited one was caught." in found.out
    assert f"{CALLS} calls, 2 unmetered, 0 withheld" in found.out
    for status in ("complete", "upstream_error", "upstream_reset", "client_aborted"):
        assert f"  {status} " in found.out
    for label in ("BOUNDED", "UNVERIFIABLE"):
        assert label in found.out
    assert "body-hash: the body does not hash" in found.out
    assert "the labels were counted again here and agree" in found.out
    assert set(found.err.splitlines()) == {
        f"wrote {folder}/receipt.tlog-proof",
        f"wrote {folder}/edited.tlog-proof",
    }


def test_what_the_demo_leaves(kept: tuple[Path, Outcome]) -> None:
    folder, _ = kept
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret = ("next.key", "opening.hex", "request.json", "response.json")
    assert {modes[name] for name in secret} == {0o600}
    assert modes["ledger"] == 0o700
    public = {"trust.policy", "receipt.tlog-proof", "edited.tlog-proof"}
    assert set(modes) == {*secret, *public, "ledger"}
    assert {path.name for path in (folder / "ledger").iterdir()} >= {"ledger.db", "keys.json"}


def test_what_it_leaves_can_be_verified(nous: Call, kept: tuple[Path, Outcome]) -> None:
    folder, _ = kept
    check = ("verify", folder / "receipt.tlog-proof", "--policy", folder / "trust.policy")
    content = (
        *("--opening", f"@{folder / 'opening.hex'}", "--request", folder / "request.json"),
        *("--response", folder / "response.json"),
    )
    nous(*check).good()
    nous(*check, *content, "--recount", "--require-accuracy").good()
    edited = ("verify", folder / "edited.tlog-proof", "--policy", folder / "trust.policy")
    assert nous(*edited).code == 1
    policy = nous("policy", "export", "--ledger", folder / "ledger").good().out
    assert policy == (folder / "trust.policy").read_text("utf-8")


def test_one_edited_byte_is_wrong(
    nous: Call, kept: tuple[Path, Outcome], tmp_path: Path, full: bool
) -> None:
    folder, _ = kept
    data = (folder / "receipt.tlog-proof").read_bytes()
    edited = tmp_path / "edited"
    note = data.index(b"\n\n") + 2
    unsure = {*range(40), *range(note, data.index(b"\n", note))}
    for at in range(0, len(data), 1 if full else 37):
        edited.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        code = nous("verify", edited, "--policy", folder / "trust.policy").code
        # A damaged version cannot be told from a newer one, and a damaged name is one that the
        # policy does not list.
        assert code in ((1, 3) if at in unsure else (1,)), at


def test_a_byte_of_the_ledger(nous: Call, kept: tuple[Path, Outcome], tmp_path: Path) -> None:
    """The demo's own trick, by hand: the edited ledger proves nothing any more."""
    folder, _ = kept
    copy = tmp_path / "ledger"
    shutil.copytree(folder / "ledger", copy)
    data = (copy / "ledger.db").read_bytes()
    assert data.count(b"gpt-demo-busy") == 1
    (copy / "ledger.db").write_bytes(data.replace(b"gpt-demo-busy", b"gpt-demo-buzy"))
    listed = nous("receipts", "list", "--ledger", copy, "--json").good().json["receipts"]
    (index,) = (r["index"] for r in listed if r["body"].get("model_requested") == "gpt-demo-buzy")
    proof = tmp_path / "proof"
    nous("prove", index, "--ledger", copy, "-o", proof).good()
    found = nous("verify", proof, "--policy", folder / "trust.policy", "--json")
    assert (found.code, found.json["attribution"]["code"]) == (1, "body-hash")


def test_nothing_of_the_shell_is_in_the_receipts(kept: tuple[Path, Outcome]) -> None:
    folder, found = kept
    everything = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    for text in ("org-secret-of-mine", "token-secret-of-mine", "sk-demo-key", "192.0.2.1"):
        assert text not in found.out + found.err
        assert text.encode() not in everything


def test_the_kept_ledger_is_in_the_list_of_keys(kept: tuple[Path, Outcome]) -> None:
    """It may be used further on, so no other log may get its keys (KEY-2)."""
    folder, _ = kept
    path = folder.parent / "home" / ".local" / "state" / "nous-ledger" / "keys.json"
    uses = json.loads(path.read_text("ascii"))["keys"].values()
    assert {use["folder"] for use in uses} == {str(folder / "ledger")}


def test_a_folder_that_is_there_is_not_touched(nous: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        nous("demo", "--keep", place).failed(2, "exists already", "hint: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@dataclass(frozen=True)
class OtherContent:
    """What a caller keeps who mixes up its calls."""

    receipt_id: str

    def write(self, folder: Path) -> None:
        (folder / "opening.hex").write_text("00" * 32, "ascii")
        (folder / "request.json").write_bytes(b"{}")
        (folder / "response.json").write_bytes(b"{}")


def replace_calls(patch: pytest.MonkeyPatch, make_calls: object) -> None:
    """Let the demo make other calls than its own, without the SDKs."""
    calls = types.ModuleType("nous_ledger.cli.demo_calls")
    patch.setattr(calls, "make_calls", make_calls, raising=False)
    patch.setitem(sys.modules, calls.__name__, calls)
    patch.setattr("nous_ledger.cli.demo_calls", calls, raising=False)


def test_a_demo_that_goes_wrong_says_so(nous: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit code rests on what `verify` found, not on having come to the end."""

    def make_calls(gateway: str, *, say: object) -> OtherContent:
        body = b'{"model": "gpt-demo", "messages": []}'
        headers = {"authorization": "Bearer x", "content-type": "application/json"}
        url = f"{gateway}/openai/v1/chat/completions"
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - ours
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - ours
            return OtherContent(answer.headers["nous-receipt-id"])

    replace_calls(monkeypatch, make_calls)
    found = nous("demo")
    assert found.code == 1
    assert "Unexpected: exit codes 1 and 1." in found.out
    assert "commitment-mismatch" in found.out


def test_nothing_stays_of_a_demo_that_was_interrupted(
    nous: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while calls are made: no file, no note in the list of keys, no server."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[str] = []

    def make_calls(gateway: str, *, say: object) -> None:
        with urllib.request.urlopen(f"{gateway}/checkpoint") as answer:  # noqa: S310 - ours
            seen.append(answer.read().decode())
        raise KeyboardInterrupt

    replace_calls(monkeypatch, make_calls)
    before = dict(os.environ)
    found = nous("demo")
    assert found.code == 130
    assert found.err.endswith("nous-ledger: error: interrupted\n")
    assert seen[0].startswith("nous.invalid/")
    assert list(tmp_path.iterdir()) == list(home.iterdir()) == []
    assert dict(os.environ) == before
