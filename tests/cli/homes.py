"""Fabricated homes, for the tests of `nous-ledger setup`."""

import json
import stat
from pathlib import Path

GATEWAY = "http://127.0.0.1:8787"
SECRET = "sk-ant-api03-0123456789abcdef"
TREE = dict[str, tuple[int, bytes | str | None]]

CLAUDE = ".claude/settings.json"
CODEX = ".codex/config.toml"
GEMINI = ".gemini/.env"
OPENCLAW = ".openclaw/openclaw.json"
FISH = ".config/fish/conf.d/nous-ledger.fish"

FILES = {
    CLAUDE: f'{{\n  "env": {{\n    "ANTHROPIC_API_KEY": "{SECRET}"\n  }},\n  "model": "opus"\n}}',
    CODEX: '# mine\nmodel = "gpt-5"\n\n[features]\nx = true\n',
    ".codex/auth.json": json.dumps({"OPENAI_API_KEY": SECRET, "tokens": None}),
    ".gemini/settings.json": '{"security": {"auth": {"selectedType": "gemini-api-key"}}}',
    OPENCLAW: "{\n  // mine\n  models: { providers: {\n"
    "    anthropic: { baseUrl: 'https://api.anthropic.com', models: [] },\n"
    '    openai: { baseUrl: "https://api.openai.com/v1", models: [], },\n  } },\n}\n',
    ".cursor/mcp.json": "{}",
    ".bashrc": "PS1='$ '",
    ".zshrc": "# zsh\r\nsetopt autocd\r\n",
    ".config/fish/config.fish": "set fish_greeting\n",
}


def fill(home: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def tree(home: Path) -> TREE:
    """Everything below a home but our own state: permissions, content, targets of links."""
    found: TREE = {}
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if name.startswith(".local"):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        content = str(path.readlink()) if path.is_symlink() else None
        found[name] = (mode, path.read_bytes() if path.is_file() and not content else content)
    return found


def journal(home: Path) -> Path:
    return home / ".local/state/nous-ledger/setup.json"


def states(found: object) -> dict[str, str]:
    assert isinstance(found, dict)
    return {entry["tool"]: entry["state"] for entry in found["tools"]}
