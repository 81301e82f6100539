"""`nous-ledger run`: a command through a gateway of its own, with its signals and exit code."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.cli.base_urls import BASE_URLS
from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.cli.run_child import child_environment, find_ways
from nous_ledger.gateway.recording import ContentFolder
from nous_ledger.gateway.server import only_gateway
from nous_ledger.protocol.errors import InputError
from tests.cli.harness import PROGRAM, ROOT, Call, Outcome, call_process
from tests.cli.saved import KEY, calls_of, client, modes, request_of

SDKS = """
import anthropic, json, openai
chat = openai.OpenAI(api_key="sk-test-key-of-nobody", max_retries=0).chat.completions
messages = [{"role": "user", "content": "What is a log?"}]
usage = chat.create(model="gpt-demo", messages=messages).usage
list(chat.create(model="gpt-demo", messages=messages, stream=True))
claude = anthropic.Anthropic(api_key="sk-test-key-of-nobody", max_retries=0).messages
other = claude.create(model="claude-demo", max_tokens=100, messages=messages).usage
print(json.dumps([usage.prompt_tokens, usage.completion_tokens,
                  other.input_tokens, other.output_tokens]))
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with DemoUpstream() as running:
        yield running.url


@pytest.fixture
def options(upstream: str) -> tuple[str, ...]:
    return ("--upstream", f"openai={upstream}", "--upstream", f"anthropic={upstream}")


def run(*arguments: object, **more: str) -> Outcome:
    """Run in a process of its own, so that signals and the command's output are real."""
    return call_process("run", *arguments, env={**os.environ, **more})


def test_the_sdks_find_the_gateway(nous: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Unchanged clients; the summary says what the SDKs say; the content is kept and fits."""
    saved = tmp_path / "session"
    found = run("--save", saved, "--json", *options, "--", sys.executable, "-c", SDKS).good()
    first, last = found.out.splitlines()
    prompt, completion, into, out = json.loads(first)
    summary = json.loads(last)
    assert (summary["exit_code"], summary["calls"], summary["unmetered"]) == (0, 3, 0)
    sums = {
        model["model"]: {kind["kind"]: int(kind["reported"]) for kind in model["kinds"]}
        for model in summary["models"]
    }
    assert sums["gpt-demo-2026-11-01"]["input_uncached"] == 2 * prompt
    assert sums["gpt-demo-2026-11-01"]["output_visible"] == 2 * completion
    assert sums["claude-demo-2026-11-01"]["input_uncached"] == into
    assert sums["claude-demo-2026-11-01"]["output_unsplit"] == out
    assert summary["ledger"] == str(saved / "ledger")

    assert modes(saved) == {(True, 0o700), (False, 0o600)}
    kept = calls_of(saved)
    assert [request_of(call)["model"] for call in kept] == ["gpt-demo", "gpt-demo", "claude-demo"]
    assert [(call / "forwarded.body").exists() for call in kept] == [False, True, False]
    assert KEY.encode() not in b"".join(p.read_bytes() for p in saved.rglob("*") if p.is_file())

    checked = nous("verify", saved).good()
    assert "3 calls: 3 good, 0 wrong" in checked.out
    assert "request, forwarded, response" in checked.out
    assert f"trusting {saved}/trust.policy" in checked.err
    listed = nous("receipts", "list", "--ledger", saved / "ledger", "--json").good().json
    assert [row["body"]["id"] for row in listed["receipts"]] == [call.name for call in kept]


def test_a_ledger_that_goes_with_the_command(
    home: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Nothing is left, not even in the list of keys in use; the command's code is passed on."""
    command = ("sh", "-c", '"$@"; exit 7', "sh", *client("=,chat,gpt-demo", "+,chat,gpt-demo-busy"))
    found = run(*options, "--", *command, TMPDIR=str(tmp_path))
    assert found.code == 7
    assert [line.split()[0] for line in found.out.splitlines()] == ["200", "429"]
    assert "2 calls, 1 unmetered" in found.err
    assert "1 upstream_error" in found.err
    assert "--save DIR or --ledger DIR keeps them" in found.err
    assert "output_visible  BOUNDED" in found.err
    assert list(tmp_path.iterdir()) == []
    assert list(home.rglob("*.json")) == []


def test_a_ledger_that_is_named(nous: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    summary = tmp_path / "summary.json"
    arguments = ("--ledger", folder, *options, "--json", "-o", summary)
    for count in (1, 2):  # calls of an earlier run are not counted again
        nous("run", *arguments, "--", *client("=,messages,claude-demo")).good()
        assert json.loads(summary.read_text())["calls"] == 1
        listed = nous("receipts", "list", "--ledger", folder, "--json").good().json
        assert listed["totals"]["calls"] == count
    with only_gateway(folder):
        nous("run", *arguments, "--", "true").failed(3, "another gateway serves the ledger")


def test_a_folder_may_be_used_again(nous: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    saved, other = tmp_path / "session", tmp_path / "other"
    for _ in range(2):
        nous("run", "--save", saved, *options, "--", *client("=,chat,gpt-demo")).good()
    assert "2 calls: 2 good" in nous("verify", saved).good().out
    nous("init", "--ledger", other, "--no-rotation").good()
    arguments = ("run", "--save", saved, "--ledger", other)
    nous(*arguments, "true").failed(2, "holds calls of another log")
    (saved / "ledger").rename(tmp_path / "moved")
    nous("run", "--save", saved, "true").failed(2, "a log that is elsewhere")


def test_folders_that_are_not_for_this(nous: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nous("run", "--save", tmp_path, "true").failed(2, "holds other files")
    open_folder = tmp_path / "open"
    (open_folder / "ledger").mkdir(parents=True)
    (open_folder / "trust.policy").touch()
    open_folder.chmod(0o755)
    nous("run", "--save", open_folder, "true").failed(2, "others than you can enter")
    nous("run", "--save", tmp_path / "file", "true").failed(3)


def test_a_client_that_hangs_up(nous: Call, tmp_path: Path, options: tuple[str, ...]) -> None:
    """What it had of the answer is kept; nothing commits to that, so it is not checked."""
    saved = tmp_path / "session"
    command = client("-,messages,claude-demo-slow")
    found = nous("run", "--save", saved, "--json", *options, "--", *command).good()
    assert found.json["models"][0]["statuses"] == {"client_aborted": 1}
    (call,) = nous("verify", saved, "--json").good().json["calls"]
    assert call["content"] == ["request"]
    assert "the receipt holds no commitment to the response" in call["report"]["notes"]


def test_calls_that_the_environment_sends_elsewhere(
    nous: Call, tmp_path: Path, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the variable is where the gateway forwards to; no proxy comes between."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{upstream}/v1/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    code = "import os, urllib.request as u; print(u.proxy_bypass_environment('127.0.0.1'))"
    proxies = tmp_path / "proxies"
    script = f'{sys.executable} -c "{code}" > {proxies} && exec "$@"'
    command = ("sh", "-c", script, "sh", *client("=,chat,gpt-demo"))
    found = nous("run", "--json", "--", *command).good()
    assert proxies.read_text() in ("True\n", "1\n")
    (model,) = found.json["models"]
    assert (model["provider"], model["statuses"]) == ("custom", {"complete": 1})


def test_the_variables() -> None:
    gateway = "http://127.0.0.1:5000"
    environment = {
        "PATH": "/bin",
        "GROQ_BASE_URL": "https://proxy.example.com/groq/",
        "OLLAMA_HOST": "0.0.0.0:11434",
        "no_proxy": "example.com",
    }
    ways = find_ways(BASE_URLS, environment, {"openai": "http://127.0.0.1:1"})
    assert {way.url.route: way.upstream for way in ways if way.upstream} == {
        "openai": "http://127.0.0.1:1",
        "groq": "https://proxy.example.com/groq",
        "ollama": "http://127.0.0.1:11434",
    }
    assert child_environment(environment, ways, gateway) == {
        "PATH": "/bin",
        "OPENAI_BASE_URL": f"{gateway}/openai/v1",
        "ANTHROPIC_BASE_URL": f"{gateway}/anthropic",
        "GROQ_BASE_URL": f"{gateway}/groq",
        "GOOGLE_GEMINI_BASE_URL": f"{gateway}/gemini",
        "CO_API_URL": f"{gateway}/cohere",
        "OLLAMA_HOST": f"{gateway}/ollama",
        "NO_PROXY": "example.com,127.0.0.1",
        "no_proxy": "example.com,127.0.0.1",
    }
    with pytest.raises(InputError, match="no variable leads to 'unknown'"):
        find_ways(BASE_URLS, {}, {"unknown": "http://127.0.0.1:1"})


@pytest.mark.parametrize("value", ["https://user:secret@example.com/v1", "ftp://x/", "http://"])
def test_variables_that_lead_nowhere(
    nous: Call, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", value)
    found = nous("run", "true").failed(2, "OPENAI_BASE_URL holds no address", "hint: unset it")
    assert value not in found.err


def test_content_that_could_not_be_kept_is_said(
    nous: Call, tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call goes on; the command ended well, and the exit code tells of the copy."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nous_ledger.gateway.recording._SavedCall._create", full)
    saved = tmp_path / "session"
    found = nous("run", "--save", saved, *options, "--", *client("=,chat,gpt-demo"))
    assert found.code == 3
    assert "1 complete" in found.err
    assert "missing   content of 1 call: see the warnings" in found.err
    assert "warning: the content of a call is not kept: No space left on device" in found.err
    assert nous("verify", saved).code == 3


@pytest.mark.parametrize("text", ["openai", "openai=", "=http://127.0.0.1"])
def test_upstreams_that_are_none(nous: Call, text: str) -> None:
    nous("run", "--upstream", text, "true").failed(2)


def test_commands_that_cannot_be_run(nous: Call, tmp_path: Path) -> None:
    """As shells have it; no gateway is started, and no folder made."""
    saved = tmp_path / "session"
    nous("run", "--save", saved, "no-such-program").failed(127, "no-such-program is not there")
    (tmp_path / "data").write_text("text")
    nous("run", "--save", saved, tmp_path / "data").failed(126, "cannot be run")
    nous("run").failed(2, "Missing argument")
    assert not saved.exists()


CODES = [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]


@pytest.mark.parametrize(("script", "code"), CODES)
def test_the_exit_code(nous: Call, script: str, code: int) -> None:
    found = nous("run", "--", "sh", "-c", script)
    assert found.code == code
    assert "0 calls" in found.err
    assert "settings file?" in found.err


# A signal may come while `print` is at work, which does not bear being entered twice.
TRAPS = """
import os, signal, sys, time
def note(number, frame):
    os.write(1, b"got %d\\n" % number)
    if number == signal.SIGTERM:
        sys.exit(40)
for number in (1, 2, 10, 15):
    signal.signal(number, note)
os.write(1, b"ready\\n")
while True:
    time.sleep(30)
"""
COMMAND = [*PROGRAM, "run", "--", sys.executable, "-c", TRAPS]
# What makes the terminal on its standard input the one that it is controlled by.
AT_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_signals_are_forwarded() -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            child.send_signal(number)
            assert child.stdout.readline() == f"got {number.value}\n"
        out, _ = child.communicate(timeout=30)
    assert (out, child.returncode) == ("", 40)


def test_keys_reach_the_command_once() -> None:
    """At a terminal the command gets Ctrl-C by itself; sent on, it would be there twice."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, *COMMAND]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.write(ours, b"\x03")
        assert child.stdout.readline() == "got 2\n"
        child.terminate()
        out, _ = child.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert (out, child.returncode) == ("got 15\n", 40)


def test_content_that_cannot_be_kept(tmp_path: Path) -> None:
    """A full disk costs the copy, and neither the call nor what the other calls keep."""
    folder = ContentFolder(tmp_path / "calls")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full, later = bytes(16), bytes(15) + b"\1"
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        recording = folder.begin(full, bytes(32), b"request", None)
        for _ in range(3):
            recording.response(bytes(40_000))
        recording.end()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert folder.failures == 1
    (call,) = (tmp_path / "calls").iterdir()
    assert sorted(path.name for path in call.iterdir()) == ["opening.hex", "request.body"]
    folder.begin(full, bytes(32), None, None).response(b"is there already")
    assert folder.failures == 2
    recording = folder.begin(later, bytes(32), None, b"altered")
    recording.response(b"whole")
    recording.end()
    recording.end()
    assert folder.failures == 2
    assert (tmp_path / f"calls/{'0' * 8}-0000-0000-0000-{'0' * 11}1/response.body").read_bytes()
