"""Reading and writing what the user names."""

import os
import stat
import sys
import threading
from functools import partial
from pathlib import Path

import click
import pytest

from nous_ledger.cli import files as files_module
from nous_ledger.cli.files import (
    PRIVATE,
    open_ledger,
    read_bounded,
    read_opening,
    read_passphrase,
    read_secret,
    write_new,
)
from nous_ledger.cli.lookup import parse_target
from nous_ledger.cli.options import Moment
from nous_ledger.ledger import KeyFileError, Ledger, keys
from nous_ledger.protocol.errors import FormatError, InputError, LedgerError, UnavailableError
from tests.cli.harness import call_process
from tests.refusals import code_of


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_new(path, b"one")
    assert (path.read_bytes(), mode_of(path) & 0o133) == (b"one", 0)
    write_new(tmp_path / "secret", b"two", mode=PRIVATE)
    assert mode_of(tmp_path / "secret") == 0o600


def test_nothing_is_replaced_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"precious")
    with pytest.raises(InputError) as caught:
        write_new(path, b"new")
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"precious"
    write_new(path, b"new", force=True)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_link_is_not_written_through_unless_forced(tmp_path: Path) -> None:
    """A link set by somebody else leads nowhere without --force; with it, the link stays."""
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    assert code_of(write_new, link, b"x") == "input"
    assert not target.exists()
    write_new(link, b"x", force=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("force", [False, True])
def test_places_that_cannot_be_written(tmp_path: Path, force: bool) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing" / "file", tmp_path / "file" / "below", tmp_path):
        assert code_of(partial(write_new, force=force), path, b"x") == "input"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"precious")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnavailableError, match="No space left"):
        write_new(path, b"new", force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"precious"


def test_a_cut_write_leaves_nothing(tmp_path: Path) -> None:
    """The disk is full after some bytes: no part of a file stays."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from nous_ledger.cli.files import write_new\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_new(Path(sys.argv[1]), bytes(2000))\n"
    )
    path = tmp_path / "file"
    found = call_process(path, program=(sys.executable, "-c", code))
    assert "cannot be written: File too large" in found.err
    assert not path.exists()


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    for force in (False, True):
        write_new(Path(os.devnull), b"x", force=force)
        assert Path(os.devnull).is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_new(pipe, b"through", force=True)
    reader.join()
    assert read == [b"through"]


@pytest.mark.parametrize(
    ("code", "error"),
    [("not-a-bundle", FormatError), ("input", InputError), ("unreachable", UnavailableError)],
)
def test_limits_are_inclusive(tmp_path: Path, code: str, error: type[LedgerError]) -> None:
    """LIM-2, and the class of the error says what a longer file means."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bounded(path, 10, code) == b"x" * 10
    with pytest.raises(error) as caught:
        read_bounded(path, 9, code)
    assert caught.value.code == code


def test_secrets_of_files_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"hunter2\n")
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(UnavailableError) as caught:
            read_secret(path)
        assert caught.value.code == "key-permissions"
        assert caught.value.hint == f"run: chmod 600 {path}"
    path.chmod(0o600)
    assert read_secret(path) == b"hunter2\n"
    path.chmod(0o400)
    assert read_passphrase(path, ask=False) == "hunter2"
    path.chmod(0o600)
    path.write_bytes(b"x" * (files_module.MAX_SECRET_BYTES + 1))
    assert code_of(read_secret, path) == "input"
    path.write_bytes(b"\r\n")
    assert code_of(lambda: read_passphrase(path, ask=False)) == "input"


def test_a_passphrase_is_asked_for_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def prompt(_text: str, **options: object) -> str:
        asked.append(options)
        return "typed"

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert read_passphrase(None, ask=False) is None
    with pytest.raises(InputError, match="no terminal"):
        read_passphrase(None, ask=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert read_passphrase(None, ask=True, confirm=True) == "typed"
    # It is not echoed, and the question does not stand among the results.
    assert asked == [{"hide_input": True, "confirmation_prompt": True, "err": True}]


def test_passphrases_that_are_no_text_stay_apart(tmp_path: Path) -> None:
    found = set()
    for data in (b"\xff", b"\xfe", b"\xef\xbf\xbd"):
        path = tmp_path / "secret"
        path.touch(0o600)
        path.write_bytes(data)
        found.add(read_passphrase(path, ask=False))
    assert len(found) == 3


def test_openings(tmp_path: Path) -> None:
    path = tmp_path / "opening.hex"
    path.write_text(f"  {'ab' * 32}\r\n", "ascii")
    assert read_opening(f"@{path}") == read_opening("AB" * 32) == b"\xab" * 32


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5", "9007199254740992", "9" * 5000, "0x11", "¹", "٣", "latest"]
)
def test_what_names_no_receipt(text: str) -> None:
    assert code_of(parse_target, text) == "input"


def test_what_names_a_receipt() -> None:
    assert parse_target("0") == 0
    assert parse_target("9007199254740991") == 2**53 - 1
    # 32 decimal digits are an id without hyphens, not an index.
    assert str(parse_target("01990000000070008000000000000001")).startswith("01990000-0000-7000")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00", 1_769_860_800_000),
        ("2026-01-31T12:00:00+02:00", 1_769_853_600_000),
        ("2026-01-31T12:00:00.250Z", 1_769_860_800_250),
    ],
)
def test_times(text: str, milliseconds: int) -> None:
    assert Moment().convert(text, None, None) == milliseconds


def test_ages() -> None:
    moments = [Moment().convert(text, None, None) for text in ("2d", "36h", "90m", "30s", "0s")]
    assert moments == sorted(moments)
    assert round((moments[-1] - moments[0]) / 86_400_000, 3) == 2


@pytest.mark.parametrize("text", ["", "d", "7", "7w", "-7d", "²d", "9" * 5000 + "d", "1e3d", "now"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Moment().convert(text, None, None)


def test_sealed_keys_are_asked_for_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "SCRYPT_N", 1 << 10)
    Ledger.create(tmp_path / "ledger", next_key_out=None, passphrase="typed").close()
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "typed")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with open_ledger(tmp_path / "ledger") as ledger:
        assert ledger.leaf_count() == 1
    monkeypatch.setattr(click, "prompt", lambda *_, **__: "mistyped")
    with pytest.raises(KeyFileError, match="wrong passphrase"):
        open_ledger(tmp_path / "ledger")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(KeyFileError, match="needs its passphrase"):
        open_ledger(tmp_path / "ledger")
