"""What a gateway can be told, in one table: the file, the environment and the options share it.

    file          TOML: [SECTION] and KEY = VALUE; paths are relative to the file
    environment   NOUS_LEDGER_SECTION_KEY; several values are separated by commas

An option of the command line comes before the environment, that before the file, and
that before the default. What is not known is an error, with the nearest name that is.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from nous_ledger.gateway.logs import FORMATS
from nous_ledger.protocol.errors import InputError

MAX_FILE_BYTES: Final = 256 * 1024
UPSTREAMS: Final = "upstreams"
PREFIX: Final = "NOUS_LEDGER_"

TEXT: Final = "text"
TEXTS: Final = "list of text"
PATH: Final = "path"
FLAG: Final = "true or false"
WHOLE: Final = "whole number"
SECONDS: Final = "seconds"

_DAYS: Final = (1, 36_500)
_DAY_S: Final = (0, 86_400)
_YES: Final = ("true", "1", "yes", "on")
_NO: Final = ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set.

    Attributes:
        name: section and key, as `listen.port`.
        kind: what its value is.
        default: value unless set; None for none.
        meaning: what it does.
        bounds: least and greatest value of a number.
        choices: what a text may be; empty for anything.
        secret: its value is not shown.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    bounds: tuple[int, int] | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        """Name of its environment variable."""
        return PREFIX + self.name.replace(".", "_").upper()


def _setting(name: str, kind: str, default: object, meaning: str, **more: Any) -> Setting:  # noqa: ANN401 - fields of Setting
    return Setting(name=name, kind=kind, default=default, meaning=meaning, **more)


def _flag(name: str, meaning: str) -> Setting:
    return Setting(name=name, kind=FLAG, default=False, meaning=meaning)


SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        row.name: row
        for row in (
            _setting("ledger.folder", PATH, None, "folder of the ledger"),
            _setting("ledger.passphrase_file", PATH, None, "passphrase of its keys"),
            _flag("ledger.fail_open", "forward calls that cannot be logged"),
            _setting(
                "ledger.retain_bodies_days", WHOLE, None, "erase bodies after that", bounds=_DAYS
            ),
            _setting(
                "ledger.retain_usage_days", WHOLE, None, "erase raw usage after that", bounds=_DAYS
            ),
            _flag("ledger.publish_usage", "show everyone what each pseudonym used"),
            _setting(
                "calls.unmetered",
                TEXT,
                "pass",
                "calls that are not metered",
                choices=("pass", "refuse"),
            ),
            _setting("calls.recount", TEXT, "on", "count answers again", choices=("on", "off")),
            _setting("calls.decode_ceilings", TEXTS, (), "ROUTE=most tokens a second, declared"),
            _setting("calls.tokenizers_file", PATH, None, "further models and vocabulary files"),
            _setting("listen.host", TEXT, "127.0.0.1", "address; others than loopback with tokens"),
            _setting("listen.port", WHOLE, 8787, "port; 0 for any free one", bounds=(0, 65_535)),
            _setting("listen.tls_cert", PATH, None, "certificate chain, PEM"),
            _setting("listen.tls_key", PATH, None, "its private key, PEM, mode 600"),
            _setting("listen.allow_hosts", TEXTS, (), "names to answer under"),
            _setting("listen.allow_origins", TEXTS, (), "web pages that may make calls"),
            _setting("tokens.client_file", PATH, None, "tokens of which callers show one"),
            _setting("tokens.operator_file", PATH, None, "tokens for /metrics and /readyz"),
            _setting("tokens.auditor_file", PATH, None, "tokens that may read every body"),
            _setting("named_upstreams.allow", TEXTS, (), "upstreams that callers may name"),
            _setting("named_upstreams.networks", TEXTS, (), "where they may lie, beside public"),
            _setting("egress.proxy", TEXT, None, "proxy to upstreams", secret=True),
            _setting("egress.ca_file", PATH, None, "further authorities, PEM"),
            _setting("witnesses.policy_file", PATH, None, "who is asked to cosign heads"),
            _flag("witnesses.insecure", "ask them over plain http too"),
            _setting(
                "limits.max_request_bytes",
                WHOLE,
                64 * 1024 * 1024,
                "longest request body",
                bounds=(1024, 1 << 31),
            ),
            _setting(
                "limits.body_silence_s", SECONDS, 60.0, "silence within a request", bounds=_DAY_S
            ),
            _setting(
                "limits.head_s", SECONDS, 30.0, "time for the head of a request", bounds=_DAY_S
            ),
            _setting(
                "limits.max_peer_connections",
                WHOLE,
                1_024,
                "connections of one address",
                bounds=(1, 1 << 20),
            ),
            _setting("limits.connect_s", SECONDS, 10.0, "time to connect", bounds=_DAY_S),
            _setting("limits.silence_s", SECONDS, 600.0, "silence of an upstream", bounds=_DAY_S),
            _setting("limits.drain_s", SECONDS, 300.0, "reading on after a hang-up", bounds=_DAY_S),
            _setting("limits.max_drains", WHOLE, 256, "calls read on at once", bounds=(0, 65_536)),
            _setting(
                "limits.shutdown_s", WHOLE, 30, "time for calls in flight at the end", bounds=_DAY_S
            ),
            _setting("log.format", TEXT, "text", "form of log lines", choices=FORMATS),
        )
    }
)
SECTIONS: Final = (*dict.fromkeys(name.partition(".")[0] for name in SETTINGS), UPSTREAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was set.

    Attributes:
        values: value of every setting, by its name.
        sources: `default`, `file`, `environment` or `option`, by the setting's name.
        upstreams: base URL by the name of its route.
    """

    values: Mapping[str, Any] = field(repr=False)
    sources: Mapping[str, str]
    upstreams: Mapping[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - as its setting says
        """Return the value of a setting."""
        return self.values[name]


def read_settings(
    *,
    text: str = "",
    folder: Path = Path(),
    environment: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, object] = MappingProxyType({}),
    upstreams: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Return what file, environment and options set.

    Args:
        text: the file, TOML.
        folder: what paths in the file are relative to.
        environment: variables; those that are not ours are passed over.
        options: values by the name of their setting; None and empty ones set nothing.
        upstreams: base URLs by the name of their route, from options.

    Raises:
        InputError: not TOML, or a name is not known, or a value is of a wrong form.
    """
    values = {name: setting.default for name, setting in SETTINGS.items()}
    sources = dict.fromkeys(SETTINGS, "default")
    urls: dict[str, str] = {}
    given: dict[str, Any] = {name: value for name, value in options.items() if _is_given(value)}
    given |= {f"{UPSTREAMS}.{name}": url for name, url in upstreams.items() if url}
    for source, found in (
        ("file", _of_file(text, folder)),
        ("environment", _of_environment(environment)),
        ("option", given),
    ):
        for name, value in found.items():
            sources[name] = source
            section, _, key = name.partition(".")
            if section == UPSTREAMS:
                urls[key] = value
            else:
                values[name] = value
    return Settings(values=values, sources=sources, upstreams=urls)


def _is_given(value: object) -> bool:
    """Return whether an option was given; 0 is a value."""
    return not (value is None or value is False or value == ())


def _of_file(text: str, folder: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("input", f"the configuration is not TOML: {error}") from error
    found: dict[str, Any] = {}
    for section, members in table.items():
        if section not in SECTIONS:
            raise _unknown(section, SECTIONS)
        if not isinstance(members, dict):
            raise _wrong(section, "a section")
        for key, value in members.items():
            name = f"{section}.{key}"
            if section == UPSTREAMS:
                found[name] = _text(name, value)
                continue
            if name not in SETTINGS:
                raise _unknown(name, SETTINGS)
            found[name] = _of_toml(SETTINGS[name], value)
            if SETTINGS[name].kind == PATH:
                found[name] = folder / found[name]
    return found


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    sections = tuple(f"{PREFIX}{section.upper()}_" for section in SECTIONS)
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if variable in by_variable:
            setting = by_variable[variable]
            found[setting.name] = _of_text(setting, text)
        elif variable.startswith(f"{PREFIX}UPSTREAMS_"):
            route = variable.removeprefix(f"{PREFIX}UPSTREAMS_").lower().replace("_", "-")
            found[f"{UPSTREAMS}.{route}"] = text
        elif variable.startswith(sections):
            raise _unknown(variable, by_variable)
    return found


def _of_toml(setting: Setting, value: object) -> Any:  # noqa: ANN401 - as its setting says
    name = setting.name
    if setting.kind == TEXTS:
        if not isinstance(value, list):
            raise _wrong(name, setting.kind)
        return tuple(_text(name, item) for item in value)
    if setting.kind == PATH:
        return Path(_text(name, value))
    if setting.kind == TEXT:
        return _chosen(setting, _text(name, value))
    if setting.kind == FLAG:
        if not isinstance(value, bool):
            raise _wrong(name, setting.kind)
        return value
    numbers = (int,) if setting.kind == WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, numbers):
        raise _wrong(name, setting.kind)
    return _bounded(setting, value)


def _of_text(setting: Setting, text: str) -> Any:  # noqa: ANN401 - as its setting says
    """Return the value that a variable of the environment gives."""
    if setting.kind == TEXTS:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    if setting.kind == FLAG:
        if text.lower() in (*_YES, *_NO):
            return text.lower() in _YES
        raise _wrong(setting.variable, setting.kind)
    if setting.kind in (WHOLE, SECONDS):
        convert: Callable[[str], int | float] = int if setting.kind == WHOLE else float
        try:
            return _bounded(setting, convert(text))
        except ValueError as error:
            raise _wrong(setting.variable, setting.kind) from error
    return _of_toml(setting, text)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong(name, "text that is not empty")
    return value


def _chosen(setting: Setting, value: str) -> str:
    if setting.choices and value not in setting.choices:
        raise _wrong(setting.name, " or ".join(setting.choices))
    return value


def _bounded(setting: Setting, value: float) -> float:
    least, greatest = setting.bounds or (-math.inf, math.inf)
    if not least <= value <= greatest:
        raise _wrong(setting.name, f"{setting.kind} from {least} to {greatest}")
    return float(value) if setting.kind == SECONDS else value


def _unknown(name: str, known: Iterable[str]) -> InputError:
    names = list(known)
    meant = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {meant[0]}?" if meant else f"known are: {', '.join(names)}"
    return InputError("input", f"the configuration knows no {name!r}", hint=hint)


def _wrong(name: str, kind: str) -> InputError:
    # The value is not repeated: it may be a secret.
    return InputError("input", f"{name} in the configuration is {kind}")


def format_settings(settings: Settings) -> str:
    """Return what is set as TOML, with where it comes from; secrets are left out."""
    lines: list[str] = []
    for section in SECTIONS:
        rows = [s for s in SETTINGS.values() if s.name.startswith(f"{section}.")]
        shown = [
            f"{row.name.partition('.')[2]} = {_toml(row, settings[row.name])}"
            f"  # {settings.sources[row.name]}"
            for row in rows
            if settings[row.name] is not None
        ]
        if section == UPSTREAMS:
            shown = [
                f"{name} = {_quoted(url)}  # {settings.sources[f'{UPSTREAMS}.{name}']}"
                for name, url in sorted(settings.upstreams.items())
            ]
        if shown:
            lines += [f"[{section}]", *shown, ""]
    return "\n".join(lines)


def shown_settings(settings: Settings) -> dict[str, object]:
    """Return what is set, for JSON; secrets are left out."""
    shown: dict[str, object] = {}
    for name, setting in SETTINGS.items():
        value = settings[name]
        if value is not None:
            text = _without_password(value) if setting.secret else value
            shown[name] = str(text) if isinstance(text, Path) else text
    return {**shown, UPSTREAMS: dict(settings.upstreams)}


def _toml(setting: Setting, value: object) -> str:
    if setting.secret:
        return _quoted(_without_password(str(value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_quoted(item) for item in value)}]"
    return (
        f"{value:g}"
        if isinstance(value, float)
        else (str(value) if isinstance(value, int) else _quoted(str(value)))
    )


def _quoted(text: str) -> str:
    safe = "".join(
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in str(text)
    )
    return f'"{safe}"'


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    own, at, rest = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{'***' if own else ''}{at}{rest}"
