"""`nous-ledger verify DIR`: every call that `run --save` kept, with its content."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.cli.main import run
from nous_ledger.cli.run_folder import PROOF_NAME
from tests.cli.harness import Call, Files
from tests.cli.saved import calls_of, client

CALLS = ("=,chat,gpt-demo", "+,chat,gpt-demo", "=,chat,gpt-demo-busy")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run kept; no test changes it."""
    base = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch, DemoUpstream() as upstream:
        patch.setenv("HOME", str(base))
        patch.delenv("XDG_STATE_HOME", raising=False)
        options = ("--save", str(base / "saved"), "--upstream", f"openai={upstream.url}")
        assert run(["run", *options, "-o", str(base / "summary"), "--", *client(*CALLS)]) == 0
    return base / "saved"


@pytest.fixture
def saved(session: Path, tmp_path: Path) -> Path:
    """A copy of it, free to be altered."""
    return Path(shutil.copytree(session, tmp_path / "saved"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_all_calls(nous: Call, session: Path) -> None:
    found = nous("verify", session).good()
    head, *rows = found.out.splitlines()[:4]
    assert head.split()[:3] == ["call", "model", "status"]
    assert [row.split()[0] for row in rows] == [call.name for call in calls_of(session)]
    assert all(row.split()[3:6] == ["established", "established", "not-asked"] for row in rows)
    assert "3 calls: 3 good, 0 wrong, 0 that could not be checked" in found.out
    shown = nous("verify", session, "--json").good().json
    assert shown["exit_code"] == 0
    assert [call["content"] for call in shown["calls"]] == [
        ["request", "response"],
        ["request", "forwarded", "response"],
        ["request", "response"],
    ]


def test_a_recount_needs_no_further_file(nous: Call, session: Path) -> None:
    """The labels of the two answers are established; an error has none to count."""
    found = nous("verify", session, "--recount", "--require-accuracy", "--json")
    assert found.code == 3
    assert [call["exit_code"] for call in found.json["calls"]] == [0, 0, 3]
    text = nous("verify", session, "--recount", "--require-accuracy").out
    assert "2 good, 0 wrong, 1 that could not be checked" in text
    assert "accuracy: not-recounted" in text


def test_a_policy_from_elsewhere(nous: Call, session: Path, files: Files, tmp_path: Path) -> None:
    """Who wants more than the folder's own word brings the policy."""
    policy = tmp_path / "mine.policy"
    policy.write_bytes((session / "trust.policy").read_bytes())
    found = nous("verify", session, "--policy", policy).good()
    assert not found.err
    other = nous("verify", session, "--policy", files.policy)
    assert other.code == 3
    assert "unknown-log" in other.out


@pytest.mark.parametrize("name", ["request.body", "forwarded.body", "response.body", "opening.hex"])
def test_altered_content_is_wrong(nous: Call, saved: Path, name: str) -> None:
    """COMM-4: one call is wrong, and the others are told apart from it."""
    call = calls_of(saved)[1]
    if name == "opening.hex":
        (call / name).write_text("00" * 32)
    else:
        flip(call / name)
    found = nous("verify", saved, "--json")
    assert found.code == 1
    assert [entry["exit_code"] for entry in found.json["calls"]] == [0, 1, 0]
    assert found.json["calls"][1]["content"] == []
    text = nous("verify", saved).out
    assert f"{call.name}: accuracy: commitment-mismatch" in text
    assert "2 good, 1 wrong" in text


def altered_proof(call: Path, _: Path) -> None:
    flip(call / PROOF_NAME)


def exchanged_proofs(call: Path, other: Path) -> None:
    """Each of them holds, but not for this call."""
    proof = (call / PROOF_NAME).read_bytes()
    (call / PROOF_NAME).write_bytes((other / PROOF_NAME).read_bytes())
    (other / PROOF_NAME).write_bytes(proof)


def exchanged_calls(call: Path, other: Path) -> None:
    call.rename(call.with_name("aside"))
    other.rename(call)
    call.with_name("aside").rename(other)


@pytest.mark.parametrize(
    ("alter", "wrong"), [(altered_proof, 1), (exchanged_proofs, 2), (exchanged_calls, 2)]
)
def test_proofs_of_other_calls_are_wrong(
    nous: Call, saved: Path, alter: Callable[[Path, Path], None], wrong: int
) -> None:
    call, _, other = calls_of(saved)
    alter(call, other)
    found = nous("verify", saved, "--json")
    assert found.code == 1
    assert [entry["exit_code"] for entry in found.json["calls"]].count(1) == wrong
    assert f"{wrong} wrong" in nous("verify", saved).out


@pytest.mark.parametrize(
    ("name", "reason"),
    [(PROOF_NAME, "no proof of its receipt"), ("opening.hex", "does not exist")],
)
def test_what_is_missing_could_not_be_checked(
    nous: Call, saved: Path, name: str, reason: str
) -> None:
    call = calls_of(saved)[0]
    (call / name).unlink()
    found = nous("verify", saved)
    assert found.code == 3
    assert f"{call.name}: " in found.out
    assert reason in found.out
    assert "2 good, 0 wrong, 1 that could not be checked" in found.out
    # What is wrong weighs more than what could not be checked.
    flip(calls_of(saved)[1] / "request.body")
    assert nous("verify", saved).code == 1


def test_content_may_be_left_out(nous: Call, saved: Path) -> None:
    for path in calls_of(saved)[0].glob("*.body"):
        path.unlink()
    (first, *_) = nous("verify", saved, "--json").good().json["calls"]
    assert first["content"] == []


def test_the_age_of_the_heads(nous: Call, session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (call, *_) = nous("verify", session, "--json").good().json["calls"]
    monkeypatch.setattr("time.time", lambda: float(call["report"]["head_time"] + 3600))
    found = nous("verify", session, "--max-age", 60)
    assert found.code == 3
    assert "too-old" in found.out
    nous("verify", session, "--max-age", 3600).good()


def test_folders_that_hold_no_calls(nous: Call, saved: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    nous("verify", empty).failed(2, "there is no trust.policy", "hint: name one with --policy")
    policy = ("--policy", saved / "trust.policy")
    nous("verify", empty, *policy).failed(2, "holds no calls")
    (empty / "notes").mkdir()
    nous("verify", empty, *policy).failed(2, "holds no calls")
    # The folders of calls alone will do.
    assert "3 good" in nous("verify", saved / "calls", *policy).good().out


def test_a_folder_brings_its_own_content(nous: Call, session: Path, files: Files) -> None:
    for option in (("--opening", "00" * 32), ("--response", files.response)):
        nous("verify", session, *option).failed(2, "a folder holds opening and content")
    nous("verify", files.proof).failed(2, "Missing option '--policy'")


def test_the_summary_is_beside_it(session: Path) -> None:
    text = (session.parent / "summary").read_text()
    assert "3 calls, 1 unmetered" in text
    assert f"nous-ledger verify {session}" in text
    assert not json.dumps(text).count("sk-test")
