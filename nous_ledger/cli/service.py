"""`nous-ledger service`: the gateway as a systemd user service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE
from nous_ledger.cli.files import read_passphrase, write_new
from nous_ledger.cli.options import (
    PATH,
    FilePath,
    json_option,
    ledger_folder,
    ledger_option,
    show_help_of_group,
)
from nous_ledger.cli.service_unit import MARK, Unit
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.errors import InputError, UnavailableError

SERVICE: Final = "nous-ledger.service"
TIMEOUT_S: Final = 90
"""Longest wait for systemctl; a stop waits for receipts of calls in flight."""

_OURS: Final = frozenset({"named", "port", "passphrase_file", "as_json"})
_PROPERTIES: Final = ("LoadState", "UnitFileState", "ActiveState", "SubState", "MainPID", "Result")


@click.group(
    "service",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger service install\n"
        "  nous-ledger service start\n"
        "  nous-ledger service status --json\n"
        "\n"
        "Where no systemd user manager answers, every command ends with exit code 3."
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Run the gateway in the background, from login on (systemd user service)."""
    show_help_of_group(context)


@command.command(
    "install",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger service install\n"
        "  nous-ledger service install --port 9000 --passphrase-file ~/.config/nous-ledger.pass\n"
        "  nous-ledger service install -- --witnesses /etc/nous-ledger/witnesses.policy\n"
        "\n"
        "Let it run without you being logged in: loginctl enable-linger"
    ),
)
@ledger_option
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=8787,
    show_default=True,
    help="Port of this machine to listen on.",
)
@click.option(
    "--passphrase-file",
    type=PATH,
    help="File with the passphrase of the keys, readable by you alone; systemd hands a copy of "
    "it to the service.",
)
@click.argument("gateway_options", nargs=-1, type=click.UNPROCESSED)
@json_option
def install(
    *,
    named: Path | None,
    port: int,
    passphrase_file: Path | None,
    gateway_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the unit of a gateway over a ledger, and let it start at login.

    Options after -- go to `nous-ledger gateway`. The service can write to the ledger
    and to nothing else of yours, and gets no further privileges. Its passphrase stands
    neither in the unit nor in the list of processes.
    """
    folder = ledger_folder(named).absolute()
    check_gateway_options(gateway_options)
    manager = Manager.find()
    writable = _check_ledger(folder, passphrase_file)
    unit = Unit(
        program=(sys.executable, "-P", "-m", "nous_ledger.cli.main"),
        arguments=("--ledger", str(folder), "--port", str(port), *gateway_options),
        passphrase_file=None if passphrase_file is None else passphrase_file.absolute(),
        writable=writable,
        environment=[
            (name, value) for name in ("XDG_STATE_HOME",) if (value := os.environ.get(name))
        ],
    )
    path = unit_path()
    _check_ours(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new(path, unit.text().encode(), force=True)
    manager.run("daemon-reload")
    manager.run("enable", SERVICE)
    if as_json:
        say(json.dumps({"unit": str(path), "ledger": str(folder), "port": port}))
        return
    say(f"unit      {printable(path)}")
    say(f"ledger    {printable(folder)}")
    say("It starts at your next login. Start it now with: nous-ledger service start")


@command.command("uninstall", epilog="\b\nExamples:\n  nous-ledger service uninstall\n")
def uninstall() -> None:
    """Stop the service and remove its unit; the ledger stays."""
    manager, path = Manager.find(), unit_path()
    _check_there(path)
    _check_ours(path)
    manager.run("disable", "--now", SERVICE)
    path.unlink()
    manager.run("daemon-reload")
    say(f"removed   {printable(path)}")


@command.command("start", epilog="\b\nExamples:\n  nous-ledger service start\n")
def start() -> int:
    """Start the service, and say how it stands."""
    manager = Manager.find()
    _check_there(unit_path())
    manager.run("start", SERVICE)
    return _show(manager, as_json=False)


@command.command("stop", epilog="\b\nExamples:\n  nous-ledger service stop\n")
def stop() -> None:
    """Stop the service; calls in flight get their receipts first."""
    manager = Manager.find()
    _check_there(unit_path())
    manager.run("stop", SERVICE)
    say("stopped")


@command.command(
    "status",
    epilog=(
        "\b\nExamples:\n  nous-ledger service status\n\n"
        "Exit code 0: it runs. 3: it does not.  Its log: journalctl --user -u nous-ledger"
    ),
)
@json_option
def status(*, as_json: bool) -> int:
    """Say whether the service is installed and running."""
    return _show(Manager.find(), as_json=as_json)


class Manager:
    """The user's systemd manager."""

    def __init__(self, program: str) -> None:
        """Use a systemctl."""
        self._program = program

    @classmethod
    def find(cls) -> Manager:
        """Return the manager, if one answers.

        Raises:
            UnavailableError: unreachable.
        """
        program = shutil.which("systemctl")
        if program is None:
            raise _no_manager("systemctl is not there")
        manager = cls(program)
        answer = manager._call("show", "--property=Version")
        if answer.returncode != 0 or "=" not in answer.stdout:
            raise _no_manager("no systemd user manager answers")
        return manager

    def run(self, *words: str) -> str:
        """Return what a command of systemctl prints.

        Raises:
            UnavailableError: unreachable, if it fails.
        """
        answer = self._call(*words)
        if answer.returncode != 0:
            reason = (answer.stderr.strip().splitlines() or ["it did not say why"])[0]
            raise UnavailableError(
                "unreachable",
                f"systemctl --user {words[0]} failed: {reason}",
                hint="look at: journalctl --user -u nous-ledger",
            )
        return answer.stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 - systemctl, with words of ours
                [self._program, "--user", "--no-pager", *words],
                capture_output=True,
                text=True,
                errors="backslashreplace",
                stdin=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError("unreachable", "systemctl does not come back") from error


def unit_path() -> Path:
    """Return where the unit lies.

    Raises:
        InputError: the environment names no home.
    """
    for variable, below in (("XDG_CONFIG_HOME", ""), ("HOME", ".config")):
        base = Path(os.environ.get(variable, ""))
        if base.is_absolute():  # a relative one is to be ignored
            return base / below / "systemd" / "user" / SERVICE
    raise InputError("input", "HOME is not set", hint="set HOME")


def check_gateway_options(words: tuple[str, ...]) -> None:
    """Refuse options that `nous-ledger gateway` would refuse, or that lead elsewhere there.

    Raises:
        InputError: a path is relative, or the option is one of this command.
        click.UsageError: as the gateway says.
    """
    from nous_ledger.cli.gateway import command as gateway

    root = click.get_current_context().find_root()
    context = gateway.make_context("gateway", list(words), parent=root)
    for parameter in gateway.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        if name in _OURS:
            hint = "give --ledger, --port and --passphrase-file before the --"
            raise InputError("input", f"{parameter.opts[0]} is not for the service", hint=hint)
        value = context.params[name]
        if isinstance(parameter.type, FilePath) and not Path(value).is_absolute():
            hint = "the service runs in another folder: name it from / on"
            raise InputError("input", f"{parameter.opts[0]} needs a full path", hint=hint)


def _check_ledger(folder: Path, passphrase_file: Path | None) -> tuple[Path, ...]:
    """Open the ledger as the service will; return the folders that it is written to.

    Raises:
        InputError: its keys need a passphrase that is not there.
        LedgerError: it cannot be opened.
    """
    from nous_ledger.ledger import Ledger
    from nous_ledger.ledger.guard import read_settings
    from nous_ledger.ledger.keyuse import default_path

    if passphrase_file is not None and not passphrase_file.is_file():
        raise InputError("input", f"{passphrase_file} is no file that can be read again and again")
    try:
        Ledger.open(folder, passphrase=read_passphrase(passphrase_file, ask=False)).close()
    except UnavailableError as error:
        if error.code != "key-passphrase" or passphrase_file is not None:
            raise
        raise InputError(
            "input",
            "the keys of this ledger are encrypted, and nobody is there to ask at login",
            hint="write the passphrase into a file of your own, and name it: --passphrase-file",
        ) from error
    place = read_settings(folder).high_water
    elsewhere = () if place is None else (place.parent,)
    return (folder, default_path(os.environ).parent, *elsewhere)


def _check_ours(path: Path) -> None:
    """Refuse to touch a unit that is not ours.

    Raises:
        InputError: it was written by somebody else.
    """
    if path.exists() and MARK not in path.read_text("utf-8", "replace"):
        raise InputError(
            "input",
            f"{path} was not written by this command",
            hint="move it away first",
        )


def _check_there(path: Path) -> None:
    if not path.exists():
        raise InputError(
            "input", "the service is not installed", hint="run: nous-ledger service install"
        )


def _no_manager(reason: str) -> UnavailableError:
    return UnavailableError(
        "unreachable",
        f"{reason}, so there is nothing to run a service",
        hint="start `nous-ledger gateway` with what starts programs here; a systemd user manager "
        "needs a login session, or `loginctl enable-linger`",
    )


def _show(manager: Manager, *, as_json: bool) -> int:
    names = ",".join(_PROPERTIES)
    shown = manager.run("show", SERVICE, f"--property={names}")
    found = dict(line.partition("=")[::2] for line in shown.splitlines() if "=" in line)
    runs = found.get("ActiveState") == "active"
    if as_json:
        say(json.dumps(_to_json(found, runs=runs)))
    else:
        state, sub = found.get("ActiveState") or "unknown", found.get("SubState") or "unknown"
        say(f"service   {state} ({sub}), {_enabled(found)}")
        say(f"unit      {printable(unit_path())}")
        if runs:
            say(f"process   {found.get('MainPID')}")
        elif found.get("Result") not in (None, "", "success"):
            say(f"result    {printable(found['Result'])}: journalctl --user -u nous-ledger")
    return EXIT_GOOD if runs else EXIT_UNAVAILABLE


def _enabled(found: dict[str, str]) -> str:
    if found.get("LoadState") == "not-found":
        return "not installed"
    return found.get("UnitFileState") or "not installed"


def _to_json(found: dict[str, str], *, runs: bool) -> dict[str, Any]:
    pid = found.get("MainPID", "")
    return {
        "installed": unit_path().exists(),
        "running": runs,
        "enabled": found.get("UnitFileState") == "enabled",
        "active_state": found.get("ActiveState"),
        "sub_state": found.get("SubState"),
        "pid": int(pid) if pid.isdecimal() and int(pid) else None,
        "unit": str(unit_path()),
    }
