"""Which tools are on this machine, and how each is told where the gateway is.

Only what a tool documents is changed, and only where the change does what it should.
Where that is not certain the manual step is named instead. The facts, and where each
is documented:

    Claude Code   settings.json in $CLAUDE_CONFIG_DIR or ~/.claude; its member env sets
                  variables, ANTHROPIC_BASE_URL among them, over those of the shell
                  (Claude Code docs, "Environment variables" and "Settings")
    Codex         config.toml in $CODEX_HOME or ~/.codex; openai_base_url is the base URL
                  of the built-in provider `openai`, whose table cannot be overridden
                  (Codex docs, "Configuration reference"; openai/codex issue 11698). Signed
                  in with ChatGPT it talks to another service, whose tokens the OpenAI API
                  does not take (auth.json: auth_mode, OPENAI_API_KEY)
    Gemini CLI    GOOGLE_GEMINI_BASE_URL, read from .gemini/.env in $GEMINI_CLI_HOME or
                  home; one .env file is read, the nearest (Gemini CLI docs, "Configuration",
                  section on .env files; contentGenerator.ts). A Google login does not use it
                  (settings.json: security.auth.selectedType)
    OpenClaw      $OPENCLAW_CONFIG_PATH, openclaw.json in $OPENCLAW_STATE_DIR or ~/.openclaw,
                  JSON5; models.providers.NAME.baseUrl. An unknown or incomplete entry keeps
                  it from starting, so none is made (OpenClaw docs, "Custom providers and
                  base URLs"; zacdcook/openclaw-billing-proxy issue 30)
    Cursor        keeps its base URL in an internal database, and calls to it come from
                  Cursor's servers, which a loopback address does not reach (Cursor forum,
                  topic 160995)
    Python SDKs   the variables of `base_urls`, from the shell's profile
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from nous_ledger.cli.base_urls import served_urls
from nous_ledger.cli.setup_edits import (
    BLOCK_START,
    Edit,
    add_block,
    add_json,
    add_toml,
    read_toml,
    replace_json,
)
from nous_ledger.cli.setup_files import (
    Change,
    check_changeable,
    decode_settings,
    hash_of,
    read_settings,
)
from nous_ledger.cli.setup_json import Node, parse_settings
from nous_ledger.protocol.errors import InputError, LedgerError

_ANTHROPIC: Final = "https://api.anthropic.com"
_OPENAI: Final = "https://api.openai.com"
_ELSEWHERE: Final = "start the gateway with that address as the upstream, then set it by hand to"


class State(StrEnum):
    """How a tool stands."""

    CHANGE = "change"
    SET = "already-set"
    MANUAL = "manual"
    BLOCKED = "blocked"
    ABSENT = "not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is to be said of one tool, or of one of its files.

    Attributes:
        tool: short name.
        state: how it stands.
        path: the file that is meant, if one is.
        detail: what to know, or to do by hand.
        change: what would be changed.
        text: the file's text after the change.
    """

    tool: str
    state: State
    path: Path | None = None
    detail: str = ""
    change: Change | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a user's settings lie."""

    home: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Places:
        """Return the places that an environment names.

        Raises:
            InputError: it names no home.
        """
        home = Path(environment.get("HOME", ""))
        if not home.is_absolute():
            raise InputError("input", "HOME is not set", hint="set HOME")
        return cls(home=home, environment=environment)

    def named(self, variable: str, default: str) -> Path:
        """Return the folder that a variable names, or the default below the home."""
        named = self.environment.get(variable, "")
        return Path(named) if Path(named).is_absolute() else self.home / default

    def has(self, program: str) -> bool:
        """Return whether a program is on the path."""
        return shutil.which(program, path=self.environment.get("PATH", "")) is not None


def find_tools(places: Places, gateway: str, only: tuple[str, ...] = ()) -> list[Finding]:
    """Return what is to be said of each tool; nothing is changed.

    Args:
        places: where the user's settings lie.
        gateway: base URL of the gateway.
        only: names of the tools to look at; empty for all.
    """
    found: list[Finding] = []
    for name, look in TOOLS.items():
        if not only or name in only:
            found += look(places, gateway)
    return found


def _claude_code(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("CLAUDE_CONFIG_DIR", ".claude")
    if not folder.is_dir() and not places.has("claude"):
        yield Finding(tool="claude-code", state=State.ABSENT)
        return
    yield _look("claude-code", folder / "settings.json", _claude_settings, gateway)


def _claude_settings(text: str, gateway: str) -> _Verdict:
    url, path = f"{gateway}/anthropic", ("env", "ANTHROPIC_BASE_URL")
    root = parse_settings(text) if text.strip() else None
    for name in ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"):
        if _value(root, "env", name) not in (None, "", "0", "false"):
            return _Verdict(state=State.MANUAL, detail=f"{name} is set: it calls another service")
    return _set_json(text, path, None if root is None else root.find(*path), url, own=_ANTHROPIC)


def _codex(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("CODEX_HOME", ".codex")
    if not folder.is_dir() and not places.has("codex"):
        yield Finding(tool="codex", state=State.ABSENT)
        return

    def settings(text: str, url: str) -> _Verdict:
        return _codex_settings(text, url, has_key=_codex_key(folder / "auth.json"))

    yield _look("codex", folder / "config.toml", settings, gateway)


def _codex_key(path: Path) -> bool:
    """Return whether Codex is known to sign in with an API key."""
    try:
        data = read_settings(path)
        auth = parse_settings(decode_settings(data)).value if data else None
    except LedgerError:
        return False
    if not isinstance(auth, dict):
        return False
    mode = auth.get("auth_mode")
    return bool(auth.get("OPENAI_API_KEY")) and mode in (None, "apikey", "ApiKey", "api_key")


def _codex_settings(text: str, gateway: str, *, has_key: bool) -> _Verdict:
    url, key = f"{gateway}/openai/v1", "openai_base_url"
    values = read_toml(text)
    by_hand = f'{key} = "{url}"'
    if values.get(key) == url:
        return _Verdict(state=State.SET)
    if key in values:
        return _Verdict(state=State.MANUAL, detail=f"{key} is set already; {_ELSEWHERE} {url}")
    if (provider := values.get("model_provider", "openai")) != "openai":
        detail = f"it uses the provider {provider!r}: set base_url in that provider's table"
        return _Verdict(state=State.MANUAL, detail=detail)
    if not has_key or values.get("forced_login_method") == "chatgpt":
        return _Verdict(
            state=State.MANUAL,
            detail="no API key in its auth.json: a ChatGPT login calls another service, with"
            f" tokens that the OpenAI API refuses. With an API key, add: {by_hand}",
        )
    changed, edit = add_toml(text, key, url)
    if read_toml(changed) != {**values, key: url}:
        return _Verdict(state=State.MANUAL, detail=f"add at the top level: {by_hand}")
    return _Verdict(state=State.CHANGE, text=changed, edits=(edit,))


def _gemini(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("GEMINI_CLI_HOME", "") / ".gemini"
    if not folder.is_dir() and not places.has("gemini"):
        yield Finding(tool="gemini-cli", state=State.ABSENT)
        return
    path = folder / ".env"
    detail = _gemini_obstacle(folder, path, places)
    if detail:
        yield Finding(tool="gemini-cli", state=State.MANUAL, path=path, detail=detail)
        return
    yield _look("gemini-cli", path, _gemini_settings, gateway)


def _gemini_obstacle(folder: Path, path: Path, places: Places) -> str:
    if not any(url.route == "gemini" for url in served_urls()):
        return "this gateway does not serve Gemini"
    try:
        data = read_settings(folder / "settings.json")
        root = parse_settings(decode_settings(data)) if data else None
    except LedgerError:
        return "its settings.json cannot be read, so how it signs in is not known"
    kind = _value(root, "security", "auth", "selectedType") or _value(root, "selectedAuthType")
    if kind != "gemini-api-key":
        return "it is not set to sign in with an API key; a Google login calls another service"
    if not path.exists() and (places.home / ".env").exists():
        return f"it reads {places.home / '.env'} as long as {path} is not there: set it in that"
    return ""


def _gemini_settings(text: str, gateway: str) -> _Verdict:
    return _set_lines(text, gateway, "{}={}", ("GOOGLE_GEMINI_BASE_URL",))


def _openclaw(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("OPENCLAW_STATE_DIR", ".openclaw")
    if not folder.is_dir() and not places.has("openclaw"):
        yield Finding(tool="openclaw", state=State.ABSENT)
        return
    named = places.environment.get("OPENCLAW_CONFIG_PATH", "")
    path = Path(named) if Path(named).is_absolute() else folder / "openclaw.json"
    yield _look("openclaw", path, _openclaw_settings, gateway)


def _openclaw_settings(text: str, gateway: str) -> _Verdict:
    root = parse_settings(text) if text.strip() else None
    edits: list[Edit] = []
    found = False
    for route, host in (("anthropic", _ANTHROPIC), ("openai", _OPENAI)):
        path = ("models", "providers", route, "baseUrl")
        value = _value(root, *path)
        if isinstance(value, str) and _is_under(value, host):
            text, edit = replace_json(text, path, f"{gateway}/{route}{value[len(host) :]}")
            edits.append(edit)
        found |= isinstance(value, str) and _is_under(value, f"{gateway}/{route}")
    if edits:
        return _Verdict(state=State.CHANGE, text=text, edits=tuple(edits))
    if found:
        return _Verdict(state=State.SET)
    return _Verdict(
        state=State.MANUAL,
        detail="no provider there has a base URL of Anthropic or OpenAI; which other members an"
        " entry needs depends on the release. In models.providers set"
        f" anthropic.baseUrl to {gateway}/anthropic, openai.baseUrl to {gateway}/openai/v1",
    )


def _cursor(places: Places, gateway: str) -> Iterator[Finding]:
    config = places.named("XDG_CONFIG_HOME", ".config") / "Cursor"
    mac = places.home / "Library" / "Application Support" / "Cursor"
    folders = (config, mac, places.home / ".cursor")
    if not any(folder.is_dir() for folder in folders) and not places.has("cursor"):
        yield Finding(tool="cursor", state=State.ABSENT)
        return
    yield Finding(
        tool="cursor",
        state=State.MANUAL,
        detail="its base URL is in an internal database, and Cursor's own servers make the calls:"
        f" {urlsplit(gateway).netloc} would have to be reachable for them. In Settings, Models,"
        " API Keys: Override OpenAI Base URL, ending in /openai/v1",
    )


def _python(places: Places, gateway: str) -> Iterator[Finding]:
    zsh, config = places.named("ZDOTDIR", ""), places.named("XDG_CONFIG_HOME", ".config")
    shell = Path(places.environment.get("SHELL", "")).name
    profiles = [
        path
        for name, path in (("bash", places.home / ".bashrc"), ("zsh", zsh / ".zshrc"))
        if path.exists() or path.is_symlink() or shell == name
    ]
    for path in profiles:
        yield _look("python", path, _profile, gateway)
    fish = config / "fish"
    if fish.is_dir() or shell == "fish":
        yield _look("python", fish / "conf.d" / "nous-ledger.fish", _fish_profile, gateway)
    elif not profiles:
        yield _look("python", places.home / ".profile", _profile, gateway)


def _profile(text: str, gateway: str) -> _Verdict:
    return _set_lines(text, gateway, 'export {}="{}"', _exported())


def _fish_profile(text: str, gateway: str) -> _Verdict:
    return _set_lines(text, gateway, 'set -gx {} "{}"', _exported())


def _exported() -> tuple[str, ...]:
    return tuple(url.variable for url in served_urls() if not url.listens)


TOOLS: Final[dict[str, Callable[[Places, str], Iterator[Finding]]]] = {
    "claude-code": _claude_code,
    "codex": _codex,
    "cursor": _cursor,
    "gemini-cli": _gemini,
    "openclaw": _openclaw,
    "python": _python,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    state: State
    detail: str = ""
    text: str = ""
    edits: tuple[Edit, ...] = ()


def _look(tool: str, path: Path, decide: Callable[[str, str], _Verdict], gateway: str) -> Finding:
    """Return what a file's content decides; a file that cannot be changed is left alone."""
    try:
        before = read_settings(path)
        verdict = decide(decode_settings(before), gateway)
        if verdict.state is State.CHANGE:
            check_changeable(path)
    except LedgerError as error:
        detail = f"left alone: {error.message}"
        return Finding(tool=tool, state=State.BLOCKED, path=path, detail=detail)
    change = None
    if verdict.edits:
        after = hash_of(verdict.text.encode())
        change = Change(tool=tool, path=path, before=before, after=after, edits=verdict.edits)
    return Finding(
        tool=tool,
        state=verdict.state,
        path=path,
        detail=verdict.detail,
        change=change,
        text=verdict.text,
    )


def _value(root: Node | None, *path: str) -> Any:  # noqa: ANN401 - settings hold anything
    node = None if root is None else root.find(*path)
    return None if node is None else node.value


def _is_under(url: str, base: str) -> bool:
    return url == base or url.startswith(f"{base}/")


def _set_json(
    text: str, path: tuple[str, ...], node: Node | None, url: str, *, own: str
) -> _Verdict:
    if node is None:
        changed, edit = add_json(text, path, url)
    elif node.value == url:
        return _Verdict(state=State.SET)
    elif isinstance(node.value, str) and _is_under(node.value, own):
        changed, edit = replace_json(text, path, url)
    else:
        detail = f"{path[-1]} is set already, to another address; {_ELSEWHERE} {url}"
        return _Verdict(state=State.MANUAL, detail=detail)
    if _value(parse_settings(changed), *path) != url:
        return _Verdict(state=State.MANUAL, detail=f"set {'.'.join(path)} to {url}")
    return _Verdict(state=State.CHANGE, text=changed, edits=(edit,))


def _set_lines(text: str, gateway: str, form: str, variables: tuple[str, ...]) -> _Verdict:
    """Add marked lines that set variables; those that the file sets itself are left out."""
    urls = [url for url in served_urls() if url.variable in variables]
    lines = {url.variable: form.format(url.variable, url.at(gateway)) for url in urls}
    if BLOCK_START in text:
        if all(line in text for line in lines.values()):
            return _Verdict(state=State.SET)
        detail = "lines of an earlier setup are there: run `nous-ledger setup --undo` first"
        return _Verdict(state=State.BLOCKED, detail=detail)
    own = [name for name in lines if re.search(rf"^[^#\n]*\b{name}\b[= ]", text, re.MULTILINE)]
    detail = f"it sets {', '.join(own)} itself; that stays" if own else ""
    left = tuple(line for name, line in lines.items() if name not in own)
    if not left:
        return _Verdict(state=State.MANUAL, detail=detail)
    changed, edit = add_block(text, left)
    return _Verdict(state=State.CHANGE, text=changed, edits=(edit,), detail=detail)
