"""A long export is imported in bounded memory: 2 GB in the long run, some MB in each."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.harness import call_process

SIZE = 3_000_000
SIZE_FULL = 2_000_000_000
MOST_MIB = 160
MEASURED = (sys.executable, "-m", "tests.cli.memory")
RESULT = {
    "object": "organization.usage.completions.result",
    "input_tokens": 141,
    "output_tokens": 201,
    "input_cached_tokens": 20,
    "input_audio_tokens": 0,
    "output_audio_tokens": 0,
    "num_model_requests": 3,
    "user_id": None,
    "api_key_id": None,
    "batch": None,
    "model": "gpt-4o-mini-2024-07-18",
}


def one_document() -> Iterator[bytes]:
    """Yield an OpenAI usage report that is a single page, without its end."""
    yield b'{"object": "page", "data": ['
    comma = ""
    for hour in range(10**9):
        results = [RESULT | {"project_id": f"proj_{hour}_{number}"} for number in range(50)]
        start = 1_600_000_000 + 3_600 * (hour % 100_000)
        bucket = {"start_time": start, "end_time": start + 3_600, "results": results}
        yield f"{comma}{json.dumps(bucket)}".encode()
        comma = ",\n"


def spend_logs() -> Iterator[bytes]:
    """Yield LiteLLM's spend logs."""
    row = {"call_type": "acompletion", "model": "gpt-4o", "custom_llm_provider": "openai"}
    row |= {"metadata": "x" * 500, "startTime": "2026-09-21T14:13:20Z", "spend": "0.00002"}
    for number in range(10**9):
        ids = {"request_id": f"chatcmpl-{number}", "prompt_tokens": 12, "completion_tokens": 5}
        yield json.dumps(row | ids).encode() + b"\n"


def table() -> Iterator[bytes]:
    """Yield an Azure cost table."""
    yield b"date,meterName,note,costInBillingCurrency,billingCurrency\n"
    for number in range(10**9):
        yield b'09/21/2026,"gpt 4o, tokens %d","%b",3.25,USD\n' % (number, b"note " * 100)


MADE = {"openai": one_document, "litellm": spend_logs, "azure": table}


def write(path: Path, name: str, size: int) -> int:
    """Write an export of about so many bytes, which breaks off; return its pieces."""
    count = 0
    with path.open("wb") as file:
        for piece in MADE[name]():
            file.write(piece)
            count += 1
            if file.tell() >= size:
                break
        file.write(b',{"half a row": "')
    return count


@pytest.mark.sampled(len(MADE))
@pytest.mark.parametrize("name", MADE)
def test_a_long_export_is_imported_in_bounded_memory(
    tmp_path: Path, name: str, full: bool, unmeasured: None
) -> None:
    path = tmp_path / "export"
    pieces = write(path, name, SIZE_FULL if full else SIZE)
    imported = call_process(
        *("reconcile", "import", path, "--format", name, "--json"),
        *("--imports", tmp_path / "imports.sqlite"),
        program=MEASURED,
        timeout=1_800,
    )
    path.unlink()
    (tmp_path / "imports.sqlite").unlink()
    rows = {"openai": (pieces - 1) * 50, "azure": pieces - 1}.get(name, pieces)
    assert (imported.code, imported.json["added"]) == (1, rows)
    assert imported.json["fault_count"] == 1
    (mib,) = re.findall(r"^peak (\d+)$", imported.err, re.MULTILINE)
    assert int(mib) < MOST_MIB
