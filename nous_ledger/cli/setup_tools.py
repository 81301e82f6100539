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
                  (settings.json: security.auth.selectedType); where none is chosen there,
                  release 0.61 does not start with that variable
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

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.cli.base_urls import served_urls
from nous_ledger.cli.setup_edits import Edit, add_toml, read_toml, replace_json
from nous_ledger.cli.setup_files import decode_settings, read_settings
from nous_ledger.cli.setup_finding import (
    ELSEWHERE,
    Finding,
    Places,
    State,
    Verdict,
    is_under,
    look_at,
    set_json,
    set_lines,
    value_of,
)
from nous_ledger.cli.setup_json import parse_settings
from nous_ledger.protocol.errors import LedgerError

_ANTHROPIC: Final = "https://api.anthropic.com"
_OPENAI: Final = "https://api.openai.com"


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
    yield look_at("claude-code", folder / "settings.json", _claude_settings, gateway)


def _claude_settings(text: str, gateway: str) -> Verdict:
    url, path = f"{gateway}/anthropic", ("env", "ANTHROPIC_BASE_URL")
    root = parse_settings(text) if text.strip() else None
    for name in ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"):
        if value_of(root, "env", name) not in (None, "", "0", "false"):
            return Verdict(state=State.MANUAL, detail=f"{name} is set: it calls another service")
    return set_json(text, path, None if root is None else root.find(*path), url, own=_ANTHROPIC)


def _codex(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("CODEX_HOME", ".codex")
    if not folder.is_dir() and not places.has("codex"):
        yield Finding(tool="codex", state=State.ABSENT)
        return

    def settings(text: str, url: str) -> Verdict:
        return _codex_settings(text, url, has_key=_codex_key(folder / "auth.json"))

    yield look_at("codex", folder / "config.toml", settings, gateway)


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


def _codex_settings(text: str, gateway: str, *, has_key: bool) -> Verdict:
    url, key = f"{gateway}/openai/v1", "openai_base_url"
    values = read_toml(text)
    by_hand = f'{key} = "{url}"'
    if values.get(key) == url:
        return Verdict(state=State.SET)
    if key in values:
        return Verdict(state=State.MANUAL, detail=f"{key} is set already; {ELSEWHERE} {url}")
    if (provider := values.get("model_provider", "openai")) != "openai":
        detail = f"it uses the provider {provider!r}: set base_url in that provider's table"
        return Verdict(state=State.MANUAL, detail=detail)
    if not has_key or values.get("forced_login_method") == "chatgpt":
        return Verdict(
            state=State.MANUAL,
            detail="no API key in its auth.json: a ChatGPT login calls another service, with"
            f" tokens that the OpenAI API refuses. With an API key, add: {by_hand}",
        )
    changed, edit = add_toml(text, key, url)
    if read_toml(changed) != {**values, key: url}:
        return Verdict(state=State.MANUAL, detail=f"add at the top level: {by_hand}")
    return Verdict(state=State.CHANGE, text=changed, edits=(edit,))


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
    yield look_at("gemini-cli", path, _gemini_settings, gateway)


def _gemini_obstacle(folder: Path, path: Path, places: Places) -> str:
    if not any(url.route == "gemini" for url in served_urls()):
        return "this gateway does not serve Gemini"
    try:
        kind = _gemini_sign_in(folder)
    except LedgerError:
        return "its settings.json cannot be read, so how it signs in is not known"
    if kind != "gemini-api-key":
        return "it is not set to sign in with an API key; a Google login calls another service"
    if not path.exists() and (places.home / ".env").exists():
        return f"it reads {places.home / '.env'} as long as {path} is not there: set it in that"
    return ""


def _gemini_sign_in(folder: Path) -> object:
    """Return how Gemini CLI is told to sign in, None if it is not told.

    Raises:
        LedgerError: its settings cannot be read.
    """
    data = read_settings(folder / "settings.json")
    root = parse_settings(decode_settings(data)) if data else None
    return value_of(root, "security", "auth", "selectedType") or value_of(root, "selectedAuthType")


def _gemini_would_stop(places: Places) -> bool:
    """Return whether Gemini CLI would not start if the shell named its base URL."""
    folder = places.named("GEMINI_CLI_HOME", "") / ".gemini"
    try:
        here = folder.is_dir() or places.has("gemini")
        return here and not _gemini_sign_in(folder)
    except LedgerError:
        return True


def _gemini_settings(text: str, gateway: str) -> Verdict:
    return set_lines(text, gateway, "{}={}", ("GOOGLE_GEMINI_BASE_URL",))


def _openclaw(places: Places, gateway: str) -> Iterator[Finding]:
    folder = places.named("OPENCLAW_STATE_DIR", ".openclaw")
    if not folder.is_dir() and not places.has("openclaw"):
        yield Finding(tool="openclaw", state=State.ABSENT)
        return
    named = places.environment.get("OPENCLAW_CONFIG_PATH", "")
    path = Path(named) if Path(named).is_absolute() else folder / "openclaw.json"
    yield look_at("openclaw", path, _openclaw_settings, gateway)


def _openclaw_settings(text: str, gateway: str) -> Verdict:
    root = parse_settings(text) if text.strip() else None
    edits: list[Edit] = []
    found = False
    for route, host in (("anthropic", _ANTHROPIC), ("openai", _OPENAI)):
        path = ("models", "providers", route, "baseUrl")
        value = value_of(root, *path)
        if isinstance(value, str) and is_under(value, host):
            text, edit = replace_json(text, path, f"{gateway}/{route}{value[len(host) :]}")
            edits.append(edit)
        found |= isinstance(value, str) and is_under(value, f"{gateway}/{route}")
    if edits:
        return Verdict(state=State.CHANGE, text=text, edits=tuple(edits))
    if found:
        return Verdict(state=State.SET)
    return Verdict(
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
    left_out = "GOOGLE_GEMINI_BASE_URL" if _gemini_would_stop(places) else ""
    for path in profiles:
        yield look_at("python", path, _profile('export {}="{}"', left_out), gateway)
    fish = config / "fish"
    if fish.is_dir() or shell == "fish":
        path = fish / "conf.d" / "nous-ledger.fish"
        yield look_at("python", path, _profile('set -gx {} "{}"', left_out), gateway)
    elif not profiles:
        path = places.home / ".profile"
        yield look_at("python", path, _profile('export {}="{}"', left_out), gateway)


def _profile(form: str, left_out: str) -> Callable[[str, str], Verdict]:
    names = [url.variable for url in served_urls() if not url.listens]

    def decide(text: str, gateway: str) -> Verdict:
        variables = tuple(name for name in names if name != left_out)
        verdict = set_lines(text, gateway, form, variables)
        if verdict.state is not State.CHANGE or not left_out:
            return verdict
        why = (
            f"without {left_out}: Gemini CLI does not start with it until it is told how to sign in"
        )
        return replace(verdict, detail="; ".join(filter(None, (verdict.detail, why))))

    return decide


TOOLS: Final[dict[str, Callable[[Places, str], Iterator[Finding]]]] = {
    "claude-code": _claude_code,
    "codex": _codex,
    "cursor": _cursor,
    "gemini-cli": _gemini,
    "openclaw": _openclaw,
    "python": _python,
}
