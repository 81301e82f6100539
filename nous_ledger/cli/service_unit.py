"""The systemd user unit of a gateway: what it starts, and what it may reach.

Each setting is described in systemd.service, systemd.exec and systemd.unit. In a user
unit the file system is protected by a user namespace of its own (systemd.exec,
"Sandboxing"); settings that would drop capabilities need privileges that no user's
manager has, so they are left out: with them the service would not start.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nous_ledger.protocol.errors import InputError

MARK: Final = "# Written by `nous-ledger service install`."
CREDENTIAL: Final = "passphrase"

_STOP_S: Final = 60
"""Seconds that the gateway has for the receipts of calls in flight; it takes up to 30."""

# systemd takes no program by such a name, however it is quoted.
_NOT_OF_A_PROGRAM: Final = frozenset("\"'\\")

_HARDENING: Final = """\
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectControlGroups=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A gateway as a service.

    Attributes:
        program: words that start `nous-ledger`, the first an absolute path.
        arguments: words after `gateway`.
        passphrase_file: file with the passphrase of the keys; None if they have none.
        writable: folders that the gateway writes to.
        environment: variables that it needs.
    """

    program: Sequence[str]
    arguments: Sequence[str]
    passphrase_file: Path | None
    writable: Sequence[Path]
    environment: Sequence[tuple[str, str]] = ()

    def text(self) -> str:
        """Return the unit file.

        Raises:
            InputError: a path cannot stand in one.
        """
        if _NOT_OF_A_PROGRAM.intersection(self.program[0]):
            raise _unfit(self.program[0])
        words = [*map(quote_word, self.program[1:]), "gateway", *map(quote_word, self.arguments)]
        lines = []
        if self.passphrase_file is not None:
            # The copy that systemd makes is for this service alone, and in memory.
            lines.append(f"LoadCredential={CREDENTIAL}:{plain_path(self.passphrase_file)}")
            words += ["--passphrase-file", f"%d/{CREDENTIAL}"]
        lines += [f"Environment={quote(f'{name}={value}')}" for name, value in self.environment]
        # What is not there yet does not keep the service from starting.
        folders = " ".join(quote(f"-{folder}") for folder in self.writable)
        return (
            f"{MARK}\n"
            "# Changes belong in a drop-in: systemctl --user edit nous-ledger\n"
            "\n"
            "[Unit]\n"
            "Description=nous-ledger, a metering gateway for LLM calls\n"
            "StartLimitIntervalSec=60\n"
            "StartLimitBurst=5\n"
            "\n"
            "[Service]\n"
            "Type=exec\n"
            f"ExecStart={quote(self.program[0])} {' '.join(words)}\n"
            "Restart=on-failure\n"
            "RestartSec=2\n"
            f"TimeoutStopSec={_STOP_S}\n"
            + "".join(f"{line}\n" for line in lines)
            + f"ReadWritePaths={folders}\n"
            + _HARDENING
            + "\n[Install]\nWantedBy=default.target\n"
        )


def quote(text: str) -> str:
    r"""Return text as one word of a unit file.

    >>> print(quote('a "b" 100%'))
    "a \"b\" 100%%"

    Raises:
        InputError: it holds control characters.
    """
    if _is_unfit(text):
        raise _unfit(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def quote_word(text: str) -> str:
    """Return text as an argument of ExecStart, where variables are expanded too.

    >>> quote_word("$HOME")
    '"$$HOME"'

    Raises:
        InputError: it holds control characters.
    """
    return quote(text.replace("$", "$$"))


def plain_path(path: Path) -> str:
    """Return a path for the end of a line, where quotes are part of it.

    Raises:
        InputError: it holds control characters, or ends as no line can.
    """
    text = str(path)
    if _is_unfit(text) or text != text.strip() or text.endswith("\\"):
        raise _unfit(text)
    return text.replace("%", "%%")


def _is_unfit(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a name that is no text
        return True
    return any(unicodedata.category(character) == "Cc" for character in text)


def _unfit(text: str) -> InputError:
    return InputError(
        "input",
        f"{text!r} cannot stand in a unit file",
        hint="use a path of plain letters",
    )
