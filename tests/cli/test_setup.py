"""`nous-ledger setup` on fabricated homes: what it changes, and that it takes it back exactly."""

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.harness import PROGRAM, ROOT, Call, call_process, minimal_environment
from tests.cli.homes import (
    CLAUDE,
    CODEX,
    FILES,
    FISH,
    GATEWAY,
    GEMINI,
    OPENCLAW,
    SECRET,
    fill,
    journal,
    states,
    tree,
)

pytestmark = pytest.mark.usefixtures("nowhere")


def test_a_whole_home(nous: Call, home: Path) -> None:
    """Every tool: shown, done, done once, and taken back byte for byte."""
    fill(home, FILES)
    (home / CLAUDE).chmod(0o600)
    before = tree(home)
    shown = nous("setup", "--dry-run").good()
    assert tree(home) == before
    assert not journal(home).exists()
    for line in (
        f'+    "ANTHROPIC_BASE_URL": "{GATEWAY}/anthropic",',
        f'+openai_base_url = "{GATEWAY}/openai/v1"',
        f"+GOOGLE_GEMINI_BASE_URL={GATEWAY}/gemini",
        "-    anthropic: { baseUrl: 'https://api.anthropic.com', models: [] },",
        f'+    anthropic: {{ baseUrl: "{GATEWAY}/anthropic", models: [] }},',
        f'+export OPENAI_BASE_URL="{GATEWAY}/openai/v1"',
        f'+set -gx ANTHROPIC_BASE_URL "{GATEWAY}/anthropic"',
        f"cursor      {'by hand':<15}".rstrip(),
    ):
        assert line in shown.out.splitlines(), line
    assert SECRET not in shown.out

    found = nous("setup", "--yes").good()
    assert f"changed     {home / CODEX}" in found.out
    assert (home / CODEX).read_text() == f'openai_base_url = "{GATEWAY}/openai/v1"\n{FILES[CODEX]}'
    assert json.loads((home / CLAUDE).read_text())["env"]["ANTHROPIC_API_KEY"] == SECRET
    assert stat.S_IMODE((home / CLAUDE).stat().st_mode) == 0o600
    assert stat.S_IMODE(journal(home).stat().st_mode) == 0o600
    changed = tree(home)
    again = nous("setup", "--yes", "--json").good().json
    assert set(states(again).values()) == {"already-set", "manual"}
    assert again["changed"] is False
    assert tree(home) == changed

    planned = nous("setup", "--undo", "--dry-run").good()
    assert f'-openai_base_url = "{GATEWAY}/openai/v1"' in planned.out.splitlines()
    assert SECRET not in planned.out
    assert tree(home) == changed
    undone = nous("setup", "--undo", "--yes", "--json").good().json
    assert {entry["outcome"] for entry in undone["files"]} == {"exact"}
    assert tree(home) == before
    assert not journal(home).exists()
    assert "nothing to take back" in nous("setup", "--undo", "--yes").good().out


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_a_shell_reads_what_was_written(nous: Call, home: Path) -> None:
    bash = "/bin/bash" if Path("/bin/bash").exists() else "/usr/bin/bash"
    fill(home, {".bashrc": "X=1"})
    nous("setup", "--yes", "--url", "http://[::1]:9000/", "--only", "python").good()
    script = f'. {home / ".bashrc"}; printf "%s " "$X" "$OPENAI_BASE_URL" "$ANTHROPIC_BASE_URL"'
    done = subprocess.run(
        [bash, "--norc", "-c", script], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout.split() == [
        "1",
        "http://[::1]:9000/openai/v1",
        "http://[::1]:9000/anthropic",
    ]
    # It would tell `ollama serve` where to listen.
    assert "OLLAMA_HOST" not in (home / ".bashrc").read_text()


EDITS: tuple[tuple[str, Callable[[str], str]], ...] = (
    (CLAUDE, lambda text: text.replace('"opus"', '"sonnet"').replace("{\n", "{\n\n", 1)),
    (CODEX, lambda text: f"# before\n{text}# after\n[more]\n"),
    (OPENCLAW, lambda text: text.replace("// mine", "// mine too").replace("models: []", "x: 1")),
    (".bashrc", lambda text: f"# first\n{text}alias ll='ls -l'\n"),
    (".zshrc", lambda text: text.replace("autocd", "noautocd")),
)


def test_what_the_user_changed_meanwhile_stays(nous: Call, home: Path) -> None:
    """The result is the user's edit of the old file, byte for byte."""
    fill(home, FILES)
    before = {name: (home / name).read_bytes().decode() for name, _ in EDITS}
    nous("setup", "--yes").good()
    for name, edit in EDITS:
        path = home / name
        path.write_bytes(edit(path.read_bytes().decode()).encode())
    (home / GEMINI).write_bytes((home / GEMINI).read_bytes() + b"GEMINI_MODEL=x\n")
    undone = nous("setup", "--undo", "--yes", "--json").good().json
    outcomes = {entry["file"]: entry["outcome"] for entry in undone["files"]}
    assert all(outcomes[str(home / name)] == "ours" for name, _ in EDITS)
    for name, edit in EDITS:
        expected = edit(before[name])
        if name == ".bashrc":  # its last line had no end, and now has another after it
            expected = "# first\nPS1='$ '\nalias ll='ls -l'\n"
        assert (home / name).read_bytes().decode() == expected, name
    assert (home / GEMINI).read_bytes() == b"GEMINI_MODEL=x\n"
    assert not (home / FISH).exists()


def test_a_file_that_its_program_wrote_anew(nous: Call, home: Path) -> None:
    fill(home, {CLAUDE: "{}"})
    nous("setup", "--yes").good()
    settings = json.loads((home / CLAUDE).read_text())
    settings = {"theme": "dark", **settings}
    settings["env"]["DISABLE_TELEMETRY"] = "1"
    (home / CLAUDE).write_text(json.dumps(settings, indent=4))
    nous("setup", "--undo", "--yes").good()
    assert json.loads((home / CLAUDE).read_text()) == {
        "theme": "dark",
        "env": {"DISABLE_TELEMETRY": "1"},
    }


def test_what_cannot_be_taken_back_is_left_alone(nous: Call, home: Path) -> None:
    fill(home, {CLAUDE: "{}", ".bashrc": "a\n", ".zshrc": "b\n"})
    nous("setup", "--yes").good()
    (home / CLAUDE).write_text("{ not json")
    inside = (home / ".bashrc").read_text().replace("OPENAI_BASE_URL", "OPENAI_BASE")
    (home / ".bashrc").write_text(inside)
    found = nous("setup", "--undo", "--yes")
    assert found.code == 3
    assert "line 1 is not JSON" in found.err
    assert "between its marks was changed" in found.err
    assert (home / CLAUDE).read_text() == "{ not json"
    assert (home / ".bashrc").read_text() == inside
    assert (home / ".zshrc").read_text() == "b\n"
    # Mended, the rest goes too: the journal still knows.
    (home / CLAUDE).write_text("{}")
    (home / ".bashrc").write_text("a\n")
    assert "nothing of ours was left" in nous("setup", "--undo", "--yes").good().out
    assert not journal(home).exists()


def test_a_value_that_is_the_users_by_now(nous: Call, home: Path) -> None:
    fill(home, {CLAUDE: "{}"})
    nous("setup", "--yes").good()
    theirs = (home / CLAUDE).read_text().replace(GATEWAY, "https://proxy.example.com")
    (home / CLAUDE).write_text(theirs)
    assert "nothing of ours was left" in nous("setup", "--undo", "--yes").good().out
    assert (home / CLAUDE).read_text() == theirs


def test_links_lead_to_the_file(nous: Call, home: Path) -> None:
    fill(home, {"dotfiles/claude.json": "{}\n", ".claude/keep": ""})
    (home / CLAUDE).symlink_to(home / "dotfiles/claude.json")
    before = tree(home)
    nous("setup", "--yes").good()
    assert (home / CLAUDE).is_symlink()
    assert "ANTHROPIC_BASE_URL" in (home / "dotfiles/claude.json").read_text()
    nous("setup", "--undo", "--yes").good()
    assert tree(home) == before


def test_a_variable_that_a_profile_sets_itself(nous: Call, home: Path) -> None:
    fill(home, {".bashrc": "export OPENAI_BASE_URL=https://proxy.example.com # mine\n"})
    found = nous("setup", "--yes", "--only", "python").good()
    assert "it sets OPENAI_BASE_URL itself; that stays" in found.out
    text = (home / ".bashrc").read_text()
    assert text.count("OPENAI_BASE_URL") == 1
    assert "ANTHROPIC_BASE_URL" in text
    assert "set already" in nous("setup", "--yes", "--only", "python").good().out
    assert (home / ".bashrc").read_text() == text


def test_one_tool_only(nous: Call, home: Path) -> None:
    fill(home, FILES)
    before = tree(home)
    nous("setup", "--yes", "--only", "codex", "--only", "openclaw").good()
    changed = {name for name, entry in tree(home).items() if before.get(name) != entry}
    assert changed == {CODEX, OPENCLAW}
    nous("setup", "--undo", "--yes", "--only", "openclaw").good()
    assert tree(home)[OPENCLAW] == before[OPENCLAW]
    assert tree(home)[CODEX] != before[CODEX]
    nous("setup", "--undo", "--yes").good()
    assert tree(home) == before


def test_programs_without_settings_yet(
    nous: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that is installed gets its file, in folders that go again."""
    programs = home / "bin"
    programs.mkdir()
    (programs / "claude").write_text("#!/bin/sh\n")
    (programs / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    before = tree(home)
    nous("setup", "--yes").good()
    assert json.loads((home / CLAUDE).read_text()) == {
        "env": {"ANTHROPIC_BASE_URL": f"{GATEWAY}/anthropic"}
    }
    assert (home / FISH).exists()
    nous("setup", "--undo", "--yes").good()
    assert tree(home) == before


def test_folders_that_variables_name(
    nous: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "OPENCLAW_STATE_DIR", "ZDOTDIR"):
        folder = tmp_path / variable
        monkeypatch.setenv(variable, str(folder))
        folder.mkdir()
    (tmp_path / "ZDOTDIR/.zshrc").touch()
    (tmp_path / "OPENCLAW_STATE_DIR/openclaw.json").write_text(FILES[OPENCLAW])
    found = nous("setup", "--yes", "--json").good().json
    paths = {entry["tool"]: entry["file"] for entry in found["tools"] if entry["file"]}
    assert paths == {
        "claude-code": str(tmp_path / "CLAUDE_CONFIG_DIR/settings.json"),
        "codex": str(tmp_path / "CODEX_HOME/config.toml"),
        "openclaw": str(tmp_path / "OPENCLAW_STATE_DIR/openclaw.json"),
        "python": str(tmp_path / "ZDOTDIR/.zshrc"),
    }
    assert set(tree(home)) == set()


def test_consent_is_asked_for(nous: Call, home: Path) -> None:
    """Without a terminal and without --yes nothing happens."""
    fill(home, {CLAUDE: "{}"})
    before = tree(home)
    environment = minimal_environment(HOME=str(home))
    found = call_process("setup", env=environment, stdin=subprocess.DEVNULL)
    assert found.code == 2
    found.errors("there is no terminal to ask at", "--yes")
    nous("setup", "--json").failed(2, "--json asks nothing")
    nous("setup", "--yes", "--dry-run").failed(2, "exclude each other")
    assert tree(home) == before


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 130), (b"y\n", 0)])
def test_the_answer_at_a_terminal_decides(home: Path, answer: bytes, code: int) -> None:
    fill(home, {CLAUDE: "{}"})
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "setup", "--only", "claude-code"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=minimal_environment(HOME=str(home)),
        cwd=ROOT,
    ) as child:
        os.write(ours, answer)
        out, err = child.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert child.returncode == code, (out, err)
    assert b"Change 1 file?" in err
    assert ((home / CLAUDE).read_text() == "{}") == (code != 0)


def test_a_file_that_changes_while_it_is_asked(
    nous: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, {CLAUDE: "{}"})

    def changes(path: Path) -> tuple[Path, ...]:
        path.write_text('{"new": 1}')
        return ()

    monkeypatch.setattr("nous_ledger.cli.setup.make_folders", changes)
    found = nous("setup", "--yes", "--only", "claude-code")
    assert found.code == 3
    assert "it was changed meanwhile" in found.out
    assert (home / CLAUDE).read_text() == '{"new": 1}'
    assert not journal(home).exists()


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8787", "ftp://127.0.0.1", "http://", "http://u:p@127.0.0.1", "http://a b"),
        *('http://a"b', "http://a/$(x)", "http://a/`x`", "http://a/?q", "http://a/#f", "http://é"),
    ],
)
def test_addresses_that_are_none(nous: Call, url: str) -> None:
    nous("setup", "--dry-run", "--url", url).failed(2, "the gateway's address")


def test_a_journal_that_cannot_be_read(nous: Call, home: Path) -> None:
    fill(home, {".local/state/nous-ledger/setup.json": "{}", CLAUDE: "{}"})
    journal(home).chmod(0o600)
    before = tree(home)
    for mode, text, reason in (
        (0o600, "{}", "cannot be read"),
        (0o600, '{"version": 2, "changes": []}', "of another version"),
        (0o644, '{"version": 1, "changes": []}', "others than its owner can reach it"),
    ):
        journal(home).write_text(text)
        journal(home).chmod(mode)
        nous("setup", "--yes").failed(3, reason)
    assert tree(home) == before


def test_without_a_home(nous: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    nous("setup", "--dry-run").failed(2, "HOME is not set")


def test_it_needs_no_gateway_installed(home: Path) -> None:
    """The table of routes is data; no server library is loaded for it."""
    code = (
        "import sys; from nous_ledger.cli.main import run; run(['setup', '--dry-run']);"
        "print([m for m in ('aiohttp', 'uvicorn', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=minimal_environment(HOME=str(home)),
    )
    assert done.stdout.endswith("[]\n")
