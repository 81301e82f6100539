"""Commands that are run through a gateway, for the tests of `run` and of `verify DIR`."""

import json
import stat
import sys
from pathlib import Path
from typing import Final

KEY: Final = "sk-test-key-of-nobody"

# Calls named by path and model: `openai/v1/chat/completions gpt-demo`; `+` streams, `-` hangs
# up after the first piece of the answer.
CLIENT: Final = f"""
import http.client, json, os, sys
from urllib.parse import urlsplit

for argument in sys.argv[1:]:
    kind, path, model = argument.split(",")
    variable, suffix = {{
        "chat": ("OPENAI_BASE_URL", "/chat/completions"),
        "messages": ("ANTHROPIC_BASE_URL", "/v1/messages"),
    }}[path]
    url = urlsplit(os.environ[variable])
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    body = {{"model": model, "messages": [{{"role": "user", "content": "What is a log?"}}]}}
    body |= {{"max_tokens": 100}} | ({{"stream": True}} if kind != "=" else {{}})
    headers = {{"authorization": "Bearer {KEY}", "content-type": "application/json"}}
    connection.request("POST", url.path + suffix, json.dumps(body), headers)
    response = connection.getresponse()
    if kind == "-":
        response.read1(10)
        connection.close()
    else:
        print(response.status, len(response.read()))
"""


def client(*calls: str) -> tuple[str, ...]:
    """Return a command that makes calls."""
    return (sys.executable, "-c", CLIENT, *calls)


def calls_of(folder: Path) -> list[Path]:
    """Return the folders of the calls that were kept."""
    return sorted((folder / "calls").iterdir())


def modes(folder: Path) -> set[tuple[bool, int]]:
    """Return whether it is a folder and its permissions, of everything below a folder."""
    below = [folder, *folder.rglob("*")]
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in below}


def request_of(call: Path) -> dict[str, object]:
    """Return the request that was kept of a call."""
    found = json.loads((call / "request.body").read_bytes())
    assert isinstance(found, dict)
    return found
