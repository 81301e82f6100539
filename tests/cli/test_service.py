"""`nous-ledger service`: the unit it writes, and what it asks of systemd.

No init system runs where tests do. `systemd-analyze` reads the unit where it is installed;
the calls of systemctl are shown with a stand-in for it, a script that notes what it is asked.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from nous_ledger.cli.service_unit import Unit
from nous_ledger.protocol.errors import InputError
from tests.cli.harness import ROOT, Call

UNIT = ".config/systemd/user/nous-ledger.service"
ASKED = "--user --no-pager"
SECRET = "correct horse battery staple"

# Answers as systemd's own does, as far as it is asked here; $STATE says how the service stands.
STAND_IN = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
*--property=Version*) echo Version=252 ;;
*--property=LoadState*)
    cat {state} ;;
*fail*) echo "Failed: no such thing" >&2; exit 5 ;;
esac
{last}
"""
RUNNING = (
    "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\n"
    "MainPID=4711\nResult=success\n"
)
FAILED = (
    "LoadState=loaded\nUnitFileState=enabled\nActiveState=failed\nSubState=failed\n"
    "MainPID=0\nResult=exit-code\n"
)
NOWHERE = (
    "LoadState=not-found\nUnitFileState=\nActiveState=inactive\nSubState=dead\n"
    "MainPID=0\nResult=success\n"
)

Log = Callable[[], list[str]]


@pytest.fixture
def ledger(nous: Call, home: Path) -> Path:
    folder = home / "my ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    return folder


def stand_in(folder: Path, *, last: str = "exit 0") -> Path:
    program = folder / "systemctl"
    text = STAND_IN.format(log=folder / "log", state=folder / "state", last=last)
    program.write_text(text)
    program.chmod(0o755)
    return program


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """A stand-in for the absent systemctl; returns what it was asked, but for the first look."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "state").write_text(RUNNING)
    stand_in(folder)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def asked() -> list[str]:
        lines = (folder / "log").read_text().splitlines()
        (folder / "log").unlink()
        assert lines[0] == f"{ASKED} show --property=Version"
        return [line.removeprefix(f"{ASKED} ") for line in lines[1:]]

    return asked


def settings(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)


def words(value: str) -> list[str]:
    """Undo the quoting of a unit file, specifiers and variables included."""
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]


def test_the_life_of_a_service(nous: Call, home: Path, ledger: Path, manager: Log) -> None:
    found = nous("service", "install", "--ledger", ledger, "--port", 9000).good()
    assert manager() == ["daemon-reload", "enable nous-ledger.service"]
    path = home / UNIT
    assert f"unit      {path}" in found.out
    assert words(settings(path.read_text())["ExecStart"]) == [
        *(sys.executable, "-P", "-m", "nous_ledger.cli.main", "gateway"),
        *("--ledger", str(ledger), "--port", "9000"),
    ]
    assert "active (running), enabled" in nous("service", "start").good().out
    assert manager()[0] == "start nous-ledger.service"
    shown = nous("service", "status", "--json").good().json
    assert (shown["running"], shown["enabled"], shown["pid"]) == (True, True, 4711)
    manager()
    nous("service", "stop").good()
    assert manager() == ["stop nous-ledger.service"]
    nous("service", "uninstall").good()
    assert manager() == ["disable --now nous-ledger.service", "daemon-reload"]
    assert not path.exists()
    assert (ledger / "ledger.db").exists()


def test_the_unit_is_hardened(nous: Call, home: Path, ledger: Path, manager: Log) -> None:
    nous("service", "install", "--ledger", ledger).good()
    found = settings((home / UNIT).read_text())
    for name, value in {
        "NoNewPrivileges": "yes",
        "PrivateTmp": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "read-only",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "UMask": "0077",
        "WantedBy": "default.target",
    }.items():
        assert found[name] == value
    # Only what the gateway writes: the ledger, and the list of keys in use.
    state = home / ".local/state/nous-ledger"
    assert words(found["ReadWritePaths"]) == [f"-{ledger}", f"-{state}"]
    # The gateway listens on 127.0.0.1 unless told otherwise, and refuses all but loopback.
    assert "--host" not in found["ExecStart"]


def test_a_passphrase_stands_nowhere(nous: Call, home: Path, tmp_path: Path, manager: Log) -> None:
    secret = tmp_path / "pass phrase 100%"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    ledger = home / "ledger"
    options = ("--ledger", ledger, "--passphrase-file", secret)
    nous("init", *options, "--no-rotation").good()
    install = ("service", "install", "--ledger", ledger)
    nous(*install).failed(2, "the keys of this ledger are encrypted", "--passphrase-file")
    assert not (home / UNIT).exists()
    nous(*install, "--passphrase-file", secret).good()
    text = (home / UNIT).read_text()
    assert SECRET not in text
    assert f"LoadCredential=passphrase:{str(secret).replace('%', '%%')}\n" in text
    assert settings(text)["ExecStart"].endswith("--passphrase-file %d/passphrase")
    secret.write_text("wrong\n")
    nous(*install, "--passphrase-file", secret).failed(3)
    secret.chmod(0o644)
    nous(*install, "--passphrase-file", secret).failed(3, "others than its owner can reach it")
    nous(*install, "--passphrase-file", "/dev/null").failed(2, "is no file")


def test_options_for_the_gateway(nous: Call, home: Path, ledger: Path, manager: Log) -> None:
    """They are those of the gateway, checked when the service is installed."""
    install = ("service", "install", "--ledger", ledger, "--")
    nous(*install, "--allow-host", "tunnel.example.com", "--host", "::1").good()
    text = (home / UNIT).read_text()
    assert words(settings(text)["ExecStart"])[-4:] == [
        *("--allow-host", "tunnel.example.com", "--host", "::1")
    ]
    nous(*install, "--no-such-option").failed(2, "No such option")
    nous(*install, "--port", "1").failed(2, "--port is not for the service")
    nous(*install, "--ledger", "/x").failed(2, "--ledger is not for the service")
    nous(*install, "--witnesses", "witnesses.policy").failed(2, "needs a full path")
    assert (home / UNIT).read_text() == text


def test_a_ledger_that_is_not_there(nous: Call, home: Path, manager: Log) -> None:
    nous("service", "install", "--ledger", home / "missing").failed(2, "there is no ledger")
    assert not (home / UNIT).exists()


def test_files_of_others_stay(nous: Call, home: Path, ledger: Path, manager: Log) -> None:
    path = home / UNIT
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")
    nous("service", "install", "--ledger", ledger).failed(2, "was not written by this command")
    nous("service", "uninstall").failed(2, "was not written by this command")
    assert path.read_text() == "[Service]\nExecStart=/bin/true\n"


def test_what_is_not_installed(nous: Call, tmp_path: Path, manager: Log) -> None:
    (tmp_path / "bin/state").write_text(NOWHERE)
    for name in ("start", "stop", "uninstall"):
        nous("service", name).failed(2, "the service is not installed")
    found = nous("service", "status")
    assert found.code == 3
    assert "inactive (dead), not installed" in found.out
    shown = nous("service", "status", "--json")
    assert (shown.code, shown.json["installed"], shown.json["pid"]) == (3, False, None)


def test_a_service_that_fails(
    nous: Call, home: Path, tmp_path: Path, ledger: Path, manager: Log
) -> None:
    nous("service", "install", "--ledger", ledger).good()
    (tmp_path / "bin/state").write_text(FAILED)
    found = nous("service", "start")
    assert found.code == 3
    assert "failed (failed), enabled" in found.out
    assert "result    exit-code" in found.out
    last = 'case "$*" in *stop*) echo "Job failed." >&2; exit 1 ;; esac'
    stand_in(tmp_path / "bin", last=last)
    nous("service", "stop").failed(3, "systemctl --user stop failed: Job failed.")


@pytest.mark.parametrize("name", ["install", "uninstall", "start", "stop", "status"])
def test_without_systemd(
    nous: Call, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Said, with a hint, before anything is written."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("NOUS_LEDGER_DIR", str(ledger))
    hint = "hint: start `nous-ledger gateway`"
    nous("service", name).failed(3, "systemctl is not there", hint)
    # As in a container: systemctl is there, and nothing answers it.
    stand_in(folder, last='echo "Failed to connect to bus" >&2; exit 1')
    nous("service", name).failed(3, "no systemd user manager answers", hint)
    assert not (ledger.parent / ".config").exists()


ODD = ("a b", "q\"u'o", "100%h", "$HOME", "back\\slash", "é")


@pytest.mark.parametrize("name", ODD)
def test_odd_paths_are_quoted(name: str) -> None:
    unit = Unit(
        program=("/usr/bin/python", "-P"),
        arguments=("--ledger", f"/{name}"),
        passphrase_file=Path(f"/{name}/secret"),
        writable=(Path(f"/{name}"), Path("/b")),
        environment=(("XDG_STATE_HOME", f"/{name}"),),
    )
    found = settings(unit.text())
    start = words(found["ExecStart"])
    assert start[:5] == ["/usr/bin/python", "-P", "gateway", "--ledger", f"/{name}"]
    assert words(found["ReadWritePaths"]) == [f"-/{name}", "-/b"]
    assert words(found["Environment"]) == [f"XDG_STATE_HOME=/{name}"]
    assert found["LoadCredential"].replace("%%", "%") == f"passphrase:/{name}/secret"


@pytest.mark.parametrize("name", ["a\nExecStart=/bin/sh", "tab\t", "\x7f", "nul\0", "\udcff"])
def test_paths_that_cannot_stand_in_a_unit(name: str) -> None:
    for changes in (
        {"program": (f"/{name}",)},
        {"arguments": (f"/{name}",)},
        {"writable": (Path(f"/{name}"),)},
        {"passphrase_file": Path(f"/{name}")},
    ):
        plain: dict[str, object] = {"program": ("/p",), "arguments": (), "writable": ()}
        unit = Unit(**({"passphrase_file": None} | plain | changes))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="cannot stand in a unit file"):
            unit.text()


@pytest.mark.parametrize("mark", ['"', "'", "\\"])
def test_programs_that_systemd_does_not_take(mark: str) -> None:
    unit = Unit(program=(f"/{mark}/python",), arguments=(), passphrase_file=None, writable=())
    with pytest.raises(InputError, match="cannot stand in a unit file"):
        unit.text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["plain", *ODD])
def test_systemd_reads_the_unit(tmp_path: Path, name: str) -> None:
    """It finds no fault in it: no unknown setting, no path that it does not understand."""
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "python"
    program.symlink_to(sys.executable)
    if any(mark in name for mark in '"\\'):  # systemd takes no program by such a name
        program = Path(sys.executable)
    unit = Unit(
        program=(str(program), "-P", "-m", "nous_ledger.cli.main"),
        arguments=("--ledger", str(folder), "--port", "9000"),
        passphrase_file=folder / "secret",
        writable=(folder,),
        environment=(("XDG_STATE_HOME", str(folder)),),
    )
    (tmp_path / "nous-ledger.service").write_text(unit.text(), "utf-8")

    def faults() -> str:
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", tmp_path / "nous-ledger.service"],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "LANG": "C.UTF-8"},
        )  # fmt: skip
        return done.stdout + done.stderr

    assert not faults()
    if name == "plain":  # and it would have said so
        text = unit.text().replace("NoNewPrivileges", "NoNewPrivilege").replace("/python", "/none")
        (tmp_path / "nous-ledger.service").write_text(text, "utf-8")
        found = faults()
        assert "Unknown key" in found
        assert "is not executable" in found


def test_what_the_unit_starts(nous: Call, home: Path, ledger: Path, manager: Log) -> None:
    """The very words of ExecStart run a gateway, in another folder and a bare environment."""
    nous("service", "install", "--ledger", ledger, "--port", 9000).good()
    command = words(settings((home / UNIT).read_text())["ExecStart"])
    command[command.index("9000")] = "0"
    environment = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=home, env=environment,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["ledger"] == str(ledger)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=30)
    assert child.returncode == 0
    assert "every call has its receipt" in err


def test_the_group_alone_shows_its_help(nous: Call) -> None:
    found = nous("service")
    assert found.code == click.UsageError.exit_code
    assert "install" in found.err
