"""Nothing from outside steers the reader's terminal."""

import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nous_ledger.cli.listing import COLUMNS
from nous_ledger.cli.render import format_row, format_table, format_time, render_report, widths_of
from nous_ledger.cli.terminal import printable, write_result
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Answer, Outcome
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.protocol.vkey import cosigner_vkey, ed25519_vkey, format_vkey
from tests.cli.harness import PROGRAM, ROOT, Call, Files

NASTY = "a\x1b[2J\x9b31m\r\n\x07\u202eb\u2066\u200b\u2028\ufeff\x7f"


def test_printable() -> None:
    assert printable("gpt-4o") == "gpt-4o"
    assert printable("Zürich 東京 ✓") == "Zürich 東京 ✓"
    spelled = printable(NASTY)
    assert spelled.isprintable()
    assert spelled == (r"a\x1b[2J\x9b31m\r\n\x07\u202eb\u2066\u200b\u2028\ufeff\x7f")
    assert printable("\udcff") == r"\udcff"
    assert printable(Path("/a\nb")) == r"/a\nb"


def hostile_policy(path: Path) -> None:
    """Write a policy whose names hold what a policy may hold and a terminal must not get."""
    log = ed25519_vkey("evil\x9b2J\u202e", Ed25519Key(b"\x01" * 32).public_key)
    witness = cosigner_vkey("w\x9b\u2066", Ed25519Key(b"\x02" * 32).public_key)
    lines = (
        f"log {format_vkey(log)} https://x/\x9b",
        f"witness \x9bname {format_vkey(witness)}",
        "group \u202egroup 1 \x9bname",
        "quorum \u202egroup",
    )
    path.write_bytes("".join(f"{line}\n" for line in lines).encode().replace(b"name", b"n\xff"))


def test_names_in_policies(nous: Call, files: Files) -> None:
    hostile_policy(files.policy)
    shown = nous("policy", "show", files.policy).good().out
    assert shown.replace("\n", "").isprintable()
    assert r"evil\x9b2J\u202e" in shown
    assert r"\x9bn\xff" in shown.replace("\\\\", "\\")
    data = nous("policy", "show", files.policy, "--json").good()
    assert data.out.isascii()
    assert data.json["quorum"] == "\u202egroup"


def test_names_in_reports(files: Files) -> None:
    report = verify_bundle(files.proof.read_bytes(), parse_policy(files.policy.read_bytes()))
    answer = Answer(outcome=Outcome.WRONG, code="mismatch", detail=f"the line of {NASTY}")
    shown = render_report(replace(report, log_view=answer, notes=(NASTY,), origin=NASTY))
    rest = shown.replace("\x1b[0m", "").replace("\x1b[1m", "")
    for colour in ("31", "32", "33", "36"):
        rest = rest.replace(f"\x1b[{colour}m", "").replace(f"\x1b[{colour}m\x1b[1m", "")
    assert rest.replace("\n", "").isprintable()


def test_cells_of_tables() -> None:
    row = tuple(NASTY for _ in COLUMNS)
    assert format_row(row, widths_of([COLUMNS, row])).isprintable()
    table = format_table(("a", "b"), [("1", NASTY), ("22", "x")], right="rl")
    assert table.replace("\n", "").isprintable()
    assert table.splitlines()[2] == "22  x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "1970-01-01T00:00:00Z"),
        (1_790_000_000, "2026-09-21T14:13:20Z"),
        (2**53 - 1, "9007199254740991 s"),
    ],
)
def test_times(seconds: int | None, text: str) -> None:
    assert format_time(seconds) == text


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_files_on_stdout_are_exact_in_a_pipe_only(monkeypatch: pytest.MonkeyPatch) -> None:
    data = f"log {NASTY}\n".encode() + b"\xff\n"
    for kind in (io.TextIOWrapper, Terminal):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", kind(raw, encoding="utf-8"))
        write_result(data)
        if kind is Terminal:
            assert raw.getvalue().decode().replace("\n", "").isprintable()
            assert rb"\xff" in raw.getvalue()
        else:
            assert raw.getvalue() == data


def on_a_terminal(*arguments: object, **variables: str) -> bytes:
    """Return what the program prints on a terminal."""
    controller, terminal = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment | variables,
    ):
        os.close(terminal)
        printed = b""
        try:
            while piece := os.read(controller, 4096):
                printed += piece
        except OSError:  # so Linux says that the last writer is gone
            pass
    os.close(controller)
    return printed


def test_colours_where_they_are_wanted(files: Files, nous: Call) -> None:
    assert b"\x1b[32m" in on_a_terminal(*files.check, TERM="xterm")
    assert b"\x1b" not in on_a_terminal(*files.check, TERM="xterm", NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(*files.check, TERM="dumb")
    assert "\x1b" not in nous(*files.check).out
