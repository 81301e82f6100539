"""`nous-sentinel` as it is called: exit codes, what it prints, what it refuses."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from sentinel import cli
from sentinel.cli import COMMANDS
from sentinel.errors import SENTINEL_ERROR_CODES
from tests.architecture.repository import ROOT, text_of
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.sentinel.command_rig import Call, refused, spoil

DOCUMENT = ROOT / "docs" / "sentinel.md"


def test_one_look_at_a_folder(call: Call, log: PublishedLog) -> None:
    found = call(log.target, "--policy", "policy")
    assert (found.code, found.err) == (0, "")
    for line in (
        "log         ledger.example.com/main",
        f"log id      {log.ledger.log_id.hex()}",
        f"read from   {log.target}",
        "audited     20 records, 19 receipts",
        "good",
    ):
        assert line in found.out.splitlines()
    found = call("audit", log.target, "--policy", "policy", "--json")
    *findings, last = found.lines
    assert found.code == 0
    assert [finding["code"] for finding in findings] == ["not-witnessed"]
    assert (last["type"], last["outcome"], last["audited"]) == ("round", "good", 20)
    assert call("status").code == 0
    (status,) = call("status", "--json").lines
    assert (status["origin"], status["outcome"]) == (last["origin"], "good")
    (state,) = (log.base / "states" / "nous-sentinel").glob("*.sqlite")
    assert status["state"] == str(state)


def test_what_is_wrong_stays_wrong_until_acknowledged(call: Call, log: PublishedLog) -> None:
    audit = (log.target, "--policy", "policy", "--state", "memory")
    good = (log.target / "tile" / "entries" / "000.p" / "20").read_bytes()
    spoil(log)
    found = call(*audit)
    assert found.code == 1
    assert "tree/root-mismatch" in found.out
    assert found.out.endswith("wrong: 1 finding not acknowledged\n")
    (log.target / "tile" / "entries" / "000.p" / "20").write_bytes(good)
    assert call(*audit).code == 1
    assert call("status", "--state", "memory").code == 1
    (open_one,) = call("history", "--state", "memory", "--open", "--json").lines
    assert (open_one["code"], open_one["severity"]) == ("root-mismatch", "fault")
    number = open_one["id"]
    done = call(
        "acknowledge", number, "--by", "ana", "--reason", "a bad disk \x1b[2J", "--state", "memory"
    )
    assert done.code == 0
    assert r"acknowledged by ana" in done.out
    assert "\x1b[2J" not in done.out
    assert call("status", "--state", "memory").code == 0
    assert call(*audit).code == 0
    assert call("history", "--state", "memory", "--open").out.endswith("nothing was found\n")
    (kept,) = call("history", "--state", "memory", "--json").lines
    assert kept["acknowledged"]["by"] == "ana"  # type: ignore[index]


def test_a_log_that_cannot_be_read(call: Call, log: PublishedLog) -> None:
    (log.target / "checkpoint").rename(log.target / "gone")
    found = call(log.target, "--policy", "policy")
    assert found.code == 3
    assert found.out.endswith("could not check: unreachable\n")
    assert call("status").code == 3
    (log.target / "gone").rename(log.target / "checkpoint")
    assert call(log.target, "--policy", "policy").code == 0


def test_no_evidence(call: Call, log: PublishedLog) -> None:
    spoil(log)
    assert call(log.target, "--policy", "policy").code == 1
    assert call("evidence", "list").out == "there is no evidence of anything\n"
    refused(call("evidence", "show", 2), 2, "no evidence")
    refused(call("evidence", "export", 99, "-o", "x"), 2, "there is no finding 99")
    Path("file").write_text("{}")
    refused(call("evidence", "verify", "file", "--policy", "policy"), 1, "evidence-format")
    refused(call("evidence", "verify", "none", "--policy", "policy"), 2, "does not exist")


def test_names_of_commands_win_over_folders(call: Call, log: PublishedLog) -> None:
    shutil.copytree(log.target, "status")
    assert call("status").out == "no log is remembered yet\n"
    assert call("./status", "--policy", "policy").code == 0
    shutil.copytree(log.target, "statu")
    assert call("statu", "--policy", "policy").code == 0
    refused(call("statsu", "--policy", "policy"), 2, "Did you mean 'status'?")


def test_options_before_the_address(call: Call, same: PublishedLog) -> None:
    assert call("--policy", same.base / "policy", same.target).code == 0
    assert (
        call("--policy", same.base / "policy", "--json", same.target).lines[-1]["outcome"] == "good"
    )


@pytest.mark.parametrize(
    "case",
    [
        (["{log}"], 2, "Missing option '--policy'"),
        (["{log}", "--policy", "none"], 2, "none does not exist"),
        (["{log}", "--policy", "{log}"], 2, "is a folder"),
        (["{log}", "--policy", ""], 2, "a path cannot be empty"),
        (["{log}", "--policy", "garbage"], 2, "policy-format"),
        (["{log}", "--policy", "other"], 3, "unpinned"),
        (["{log}", "--policy", "policy", "--origin", "x"], 3, "unknown-log"),
        (["{log}", "--policy", "several"], 2, "--origin"),
        (["nowhere", "--policy", "policy"], 2, "is no folder"),
        (["http://u:secret@log.example", "--policy", "policy"], 2, "without credentials"),
        (["{log}", "--policy", "policy", "--interval", "0"], 2, "0.1"),
        (["{log}", "--policy", "policy", "--bodies", "some"], 2, "expected"),
        (["{log}", "--policy", "policy", "--metrics", "127.0.0.1:0"], 2, "--watch"),
        (["{log}", "--policy", "policy", "--webhook", "https://x"], 2, "go together"),
        (["{log}", "--policy", "policy", "--auditor-token-file", "open"], 2, "chmod 600"),
        (["{log}", "--policy", "policy", "--auditor-token-file", "empty"], 2, "holds no secret"),
        (["{log}", "--policy", "policy", "--auditor-token-file", "token"], 2, "no auditor token"),
        (["{log}", "--policy", "policy", "--state", "garbage"], 3, "state-foreign"),
        (["{log}", "--policy", "policy", "--peer", "ftp://x"], 2, "http"),
        (["status", "--state", "none"], 2, "none does not exist"),
        (["status", "--origin", "x"], 2, "no-such-log"),
        (["acknowledge", "1", "--by", "ana", "--reason", "x"], 2, "no-such-log"),
        (["acknowledge", "1", "--by", " ", "--reason", "x"], 2, "--by"),
        (["acknowledge", "x", "--by", "ana", "--reason", "x"], 2, "integer"),
        (["evidence", "show", "1"], 2, "no-such-log"),
        (["frobnicate"], 2, "Missing option '--policy'"),
    ],
)
def test_refusals(
    call: Call, same: PublishedLog, case: tuple[list[str], int, str], tmp_path: Path
) -> None:
    words, code, what = case
    shutil.copy(same.base / "policy", tmp_path)
    policy = (tmp_path / "policy").read_bytes().splitlines()
    (tmp_path / "garbage").write_bytes(b"something that is neither policy nor database\n" * 9)
    (tmp_path / "other").write_bytes(b"\n".join([policy[0], policy[-1], b""]))
    renamed = policy[0].replace(b"ledger.example.com", b"ledger.example.org")
    (tmp_path / "several").write_bytes(b"\n".join([policy[1], b"quorum none", b""]))
    if words[-1] == "several":
        (tmp_path / "several").write_bytes(b"quorum none\n")
    assert renamed != policy[0]
    for name, text in (("open", "x"), ("empty", ""), ("token", "secret-token")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    called = call(*(word.format(log=same.target) for word in words))
    refused(called, code, what)
    assert "u:secret" not in called.err
    assert "secret-token" not in called.err


def test_two_logs_of_one_machine(call: Call, log: PublishedLog, tmp_path: Path) -> None:
    """Each has its own memory; what is meant for one of them has to name it."""
    with published_log(tmp_path / "second") as other:
        other.publish()
        policy = other.ledger.policy_text()
        renamed = tmp_path / "second.policy"
        renamed.write_bytes(policy)
        call(log.target, "--policy", "policy")
        call(other.target, "--policy", renamed, "--state", "states/nous-sentinel/x.sqlite")
    assert len(call("status", "--json").lines) == 2
    refused(call("acknowledge", 1, "--by", "a", "--reason", "b"), 2, "several logs")


def test_help_and_version(call: Call) -> None:
    assert call("--version").out == f"nous-sentinel, version {version('nous-ledger')}\n"
    shown = call("--help").out
    assert all(name in shown for name in COMMANDS)
    nothing = call()
    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.startswith("Usage: nous-sentinel")
    for name in COMMANDS:
        shown = call(name, "--help").out
        assert "Example" in shown
        assert f"nous-sentinel {name}" in shown or name == "audit"
    for name in ("evidence", "witness"):
        assert call(name).code == 2


def test_no_error_shows_a_traceback(
    call: Call, same: PublishedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a \x1b[2J fault")

    monkeypatch.setattr("sentinel.cli_options.parse_policy", fail)
    monkeypatch.delenv("NOUS_LEDGER_DEBUG", raising=False)
    found = call(same.target, "--policy", same.base / "policy")
    refused(found, 3, r"internal error: RuntimeError: a \x1b[2J fault")
    assert "Traceback" not in found.err
    monkeypatch.setenv("NOUS_LEDGER_DEBUG", "1")
    assert "Traceback" in call(same.target, "--policy", same.base / "policy").err


def test_every_error_code_says_what_to_do() -> None:
    for info in SENTINEL_ERROR_CODES.values():
        assert info.meaning
        assert info.hint


def documented_calls() -> list[list[str]]:
    text = text_of(DOCUMENT)
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = [*blocks.splitlines(), *re.findall(r"`(nous-sentinel [^`\n]+)`", text)]
    lines += re.findall(r"^ExecStart=\S+/(nous-sentinel .*)$", text, re.MULTILINE)
    lines += [
        line
        for group in _helps()
        for line in re.findall(r"^  (nous-sentinel .*)$", group, re.MULTILINE)
    ]
    return [words[1:] for line in lines if (words := shlex.split(line))[0] == "nous-sentinel"]


def _helps() -> list[str]:
    context = click.Context(cli.cli)
    found = [cli.cli.epilog or ""]
    for name in COMMANDS:
        command = cli.cli.get_command(context, name)
        assert command is not None
        found.append(command.epilog or "")
    return found


def test_documented_calls_exist() -> None:
    calls = documented_calls()
    assert len(calls) > 20
    for words in calls:
        command: click.Command | None = cli.cli
        rest = words if words[0] in COMMANDS or words[0].startswith("--h") else ["audit", *words]
        context = click.Context(cli.cli)
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command, rest = command.get_command(context, rest[0]), rest[1:]
        assert command is not None, words
        known = {option for param in command.get_params(context) for option in param.opts}
        options = [word for word in rest if word.startswith("-")]
        assert set(options) <= known | {"--help"}, words


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    """It finds no fault in it, and would say so."""
    (text,) = re.findall(r"^```ini\n(.*?)^```$", text_of(DOCUMENT), re.MULTILINE | re.DOTALL)
    program = tmp_path / "nous-sentinel"
    program.symlink_to(sys.executable)
    text = text.replace("/usr/local/bin/nous-sentinel", str(program))

    def faults(unit: str) -> str:
        file = tmp_path / "nous-sentinel.service"
        file.write_text(unit)
        done = subprocess.run(
            ["systemd-analyze", "verify", file],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "LANG": "C.UTF-8"},
        )
        return "\n".join(
            line
            for line in (done.stdout + done.stderr).splitlines()
            if "nous-sentinel.service" in line
        )

    assert faults(text) == ""
    found = faults(text.replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "Unknown key" in found
