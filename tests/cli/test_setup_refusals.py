"""Where `nous-ledger setup` changes nothing: what it says instead, and that the rest goes on."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from nous_ledger.cli.setup_json import parse_settings
from tests.cli.harness import Call
from tests.cli.homes import (
    CLAUDE,
    CODEX,
    FILES,
    FISH,
    GATEWAY,
    OPENCLAW,
    fill,
    states,
    tree,
)

pytestmark = pytest.mark.usefixtures("nowhere")


def damage_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("missing"))


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.chmod(0o400), "it is read-only"),
        (lambda path: path.write_text("{"), "line 1 is not JSON"),
        (lambda path: path.write_bytes(b'{"a": "\xff"}'), "it is not UTF-8"),
        (lambda path: path.write_text(json.dumps({"env": "text"})), "env is no object"),
        (lambda path: path.write_bytes(b" " * (1024 * 1024 + 1)), "more than 1048576 bytes"),
        (damage_link, "a link to a file that is not there"),
        (damage_folder, "cannot be read"),
    ],
)
def test_files_that_are_left_alone(
    nous: Call, home: Path, damage: Callable[[Path], object], reason: str
) -> None:
    """The others are set up all the same, and the exit code says that one was not."""
    fill(home, {CLAUDE: "{}", CODEX: "", ".codex/auth.json": FILES[".codex/auth.json"]})
    damage(home / CLAUDE)
    before = tree(home)
    found = nous("setup", "--yes")
    assert found.code == 3
    assert "left alone: " in found.out
    assert reason in found.out
    after = tree(home)
    assert after[CLAUDE] == before[CLAUDE]
    assert tomllib.loads((home / CODEX).read_text()) == {"openai_base_url": f"{GATEWAY}/openai/v1"}
    nous("setup", "--undo", "--yes").good()
    assert tree(home) == before


def test_a_file_that_becomes_read_only_is_not_taken_back(nous: Call, home: Path) -> None:
    fill(home, {CLAUDE: "{}"})
    nous("setup", "--yes").good()
    (home / CLAUDE).chmod(0o400)
    held = (home / CLAUDE).read_bytes()
    found = nous("setup", "--undo", "--yes")
    assert (found.code, (home / CLAUDE).read_bytes()) == (3, held)
    assert "it is read-only" in found.err


MANUAL = {
    "codex with ChatGPT": (
        {CODEX: "", ".codex/auth.json": '{"auth_mode": "chatgpt", "OPENAI_API_KEY": "x"}'},
        "a ChatGPT login calls another service",
    ),
    "codex without a login": ({CODEX: ""}, "no API key in its auth.json"),
    "codex with another provider": (
        {CODEX: 'model_provider = "azure"\n', ".codex/auth.json": FILES[".codex/auth.json"]},
        "it uses the provider 'azure'",
    ),
    "codex with a base URL": ({CODEX: 'openai_base_url = "http://x.example"\n'}, "set already"),
    "claude behind a proxy": (
        {CLAUDE: '{"env": {"ANTHROPIC_BASE_URL": "https://proxy.example.com"}}'},
        "ANTHROPIC_BASE_URL is set already, to another address",
    ),
    "claude on Bedrock": (
        {CLAUDE: '{"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}'},
        "CLAUDE_CODE_USE_BEDROCK is set",
    ),
    "gemini with Google": (
        {".gemini/settings.json": '{"selectedAuthType": "oauth-personal"}'},
        "a Google login calls another service",
    ),
    "gemini with the .env of the home": (
        {".gemini/settings.json": FILES[".gemini/settings.json"], ".env": "GEMINI_API_KEY=x\n"},
        "set it in that",
    ),
    "openclaw without providers": ({OPENCLAW: "{}"}, "no provider there has a base URL"),
    "a profile that says it all": (
        {
            ".profile": "".join(
                f"export {name}=x\n"
                for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GROQ_BASE_URL")
            )
            + "GOOGLE_GEMINI_BASE_URL=x CO_API_URL=y\n"
        },
        "itself; that stays",
    ),
}


@pytest.mark.parametrize(("files", "reason"), MANUAL.values(), ids=MANUAL.keys())
def test_steps_for_the_user(nous: Call, home: Path, files: dict[str, str], reason: str) -> None:
    """Where the right change is not certain nothing is changed, and the step is named."""
    fill(home, files)
    if not any("profile" in name for name in files):
        fill(home, {".profile": "x\n"})
    before = tree(home)
    only = ("--only", next(iter(files)).split("/")[0].strip(".").replace("claude", "claude-code")
            .replace("gemini", "gemini-cli").replace("profile", "python"))  # fmt: skip
    found = nous("setup", "--yes", *only).good()
    assert "by hand" in found.out
    assert reason in found.out
    assert tree(home) == before


@pytest.mark.parametrize("settings", ["{}", "not json"])
def test_gemini_cli_must_still_start(nous: Call, home: Path, settings: str) -> None:
    """Until it is told how to sign in it does not start where its base URL is set."""
    fill(home, {".gemini/settings.json": settings, ".bashrc": "", ".config/fish/x": ""})
    found = nous("setup", "--yes", "--only", "python").good()
    assert "without GOOGLE_GEMINI_BASE_URL" in found.out
    for name in (".bashrc", FISH):
        assert "GOOGLE_GEMINI_BASE_URL" not in (home / name).read_text()
        assert "OPENAI_BASE_URL" in (home / name).read_text()
    again = nous("setup", "--yes", "--only", "python", "--json").good().json
    assert {entry["state"] for entry in again["tools"]} == {"already-set"}


def test_the_address_of_a_provider_gives_way(nous: Call, home: Path) -> None:
    """A base URL that is the provider's own is what setup means to replace."""
    text = '{"env": {"ANTHROPIC_BASE_URL": "https://api.anthropic.com"}} // mine\n'
    fill(home, {CLAUDE: text})
    nous("setup", "--yes", "--only", "claude-code").good()
    root = parse_settings((home / CLAUDE).read_text())
    assert root.value == {"env": {"ANTHROPIC_BASE_URL": f"{GATEWAY}/anthropic"}}
    nous("setup", "--undo", "--yes").good()
    assert (home / CLAUDE).read_text() == text


def test_another_gateway_needs_the_first_undone(nous: Call, home: Path) -> None:
    fill(home, {".bashrc": "", CLAUDE: "{}"})
    nous("setup", "--yes").good()
    found = nous("setup", "--yes", "--url", "http://127.0.0.1:9000", "--json")
    assert found.code == 3
    assert states(found.json) == {
        "claude-code": "manual",
        **dict.fromkeys(("codex", "cursor", "gemini-cli", "openclaw"), "not-found"),
        "python": "blocked",
    }
