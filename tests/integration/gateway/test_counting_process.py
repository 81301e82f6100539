"""Counting in a process of its own: it may be late or die, the calls go on."""

import asyncio
import base64
import contextlib
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.gateway import app, exact
from nous_ledger.gateway import counting as beside
from nous_ledger.gateway.counting import ProcessCounter
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.label import BOUNDED, EXACT, Bucket
from nous_ledger.reconcile import counting, counting_child
from nous_ledger.reconcile.counting import count_each
from nous_ledger.reconcile.counting_child import GREETING, serve, write_encoding, write_request
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.estimate import claude_range
from nous_ledger.reconcile.tokenizers import (
    Encoding,
    TokenizerTable,
    builtin_table,
    extended_table,
)
from nous_ledger.reconcile.vocabularies import hash_file
from tests.integration.gateway.rig import (
    CHAT,
    STREAM_END,
    STREAM_HEAD,
    RawUpstream,
    Rig,
    Seen,
    answer,
    chunk,
    running_gateway,
)
from tests.processes import is_alive, until

BUILTIN = builtin_table()
ENCODING = BUILTIN.encodings["o200k_base"]
TEXTS = ["", "The Loire", "a\ud800b", "收据 🧾 " * 9, "x" * 40_000, "word, " * 9_000]
ASKS = {"messages": [{"role": "user", "content": "Tell me of the Loire"}]}
WHOLE = json.dumps(
    {
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "It flows."}}
            | {"finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        | {"completion_tokens_details": {"reasoning_tokens": 0}},
    }
).encode()
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
PACED, EVERY_S = 150, 0.01


@pytest.fixture
async def counter() -> AsyncIterator[ProcessCounter]:
    made = ProcessCounter()
    yield made
    await made.close()


@pytest.fixture
def tiny(tmp_path: Path) -> Encoding:
    """An operator's vocabulary: bytes, and one word."""
    ranks = [b"%b %d" % (base64.b64encode(bytes([byte])), byte) for byte in range(256)]
    (tmp_path / "own.ranks").write_bytes(b"\n".join([*ranks, b"dGg= 256", b"dGhl 257"]))
    _, found = hash_file(tmp_path / "own.ranks")
    document = f"""
        [encodings.tiny]
        vocabulary = "{found.hex()}"
        engine = "tiktoken"
        form = "ranks"
        path = "own.ranks"
        pattern = '\\S+|\\s'
    """
    return extended_table(document.encode(), tmp_path).encodings["tiny"]


async def code_of(counter: ProcessCounter, encoding: Encoding = ENCODING) -> str:
    """Why a text is not counted."""
    with pytest.raises(RecountError) as caught:
        await counter.count(encoding, ["a text"])
    return caught.value.code


async def stopped(counter: ProcessCounter, tiny: Encoding) -> int:
    """Have the process stand still."""
    assert await counter.count(tiny, ["the end", "the"]) == 6
    assert counter.pid is not None
    os.kill(counter.pid, signal.SIGSTOP)
    return counter.pid


async def test_it_counts_as_this_process_does(counter: ProcessCounter, tiny: Encoding) -> None:
    """LBL-4; texts arrive as they are, whatever is in them."""
    for encoding in (ENCODING, tiny):
        found = await asyncio.gather(*(counter.count(encoding, [text]) for text in TEXTS))
        assert found == [count_each(encoding, [text]) for text in TEXTS]
    many = ["a word"] * (beside.MANY_TEXTS + 1)
    assert await counter.count(ENCODING, many) == 2 * len(many)
    text = "It FLOWS to the west. " * 9
    tokens = count_each(ENCODING, [text])
    assert tokens is not None
    assert await counter.claude_range(ENCODING, text) == claude_range(text, tokens)


async def test_what_cannot_be_counted_here_is_asked_once(
    counter: ProcessCounter, tiny: Encoding
) -> None:
    """TOK-3: with the reason as it is, and the texts stay here from then on."""
    wrong = dataclasses.replace(tiny, vocabulary=bytes(32))
    missing = dataclasses.replace(BUILTIN.encodings["qwen2"], package="no_such_package")
    for encoding, code, why in (
        (wrong, "wrong-vocabulary", "has the hash"),
        (missing, "no-tokenizer", "no-such-package is not installed"),
    ):
        with pytest.raises(RecountError, match=why) as first:
            await counter.count(encoding, ["a"])
        assert first.value.code == code
    assert counter.pid is not None
    os.kill(counter.pid, signal.SIGSTOP)
    with pytest.raises(RecountError, match="has the hash"):
        await counter.count(wrong, ["a"])


async def test_what_waits_is_bounded(
    counter: ProcessCounter, tiny: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stopped(counter, tiny)
    waiting = asyncio.create_task(counter.count(tiny, ["a"]))
    await asyncio.sleep(0)
    monkeypatch.setattr(beside, "MAX_WAITING_BYTES", 1_000)
    with pytest.raises(RecountError, match="too much waits"):
        await counter.count(tiny, ["a" * 1_000])
    monkeypatch.setattr(beside, "MAX_WAITING", 1)
    assert await code_of(counter, tiny) == "counter-busy"
    await counter.close()
    with pytest.raises(RecountError, match="ended"):
        await waiting


async def test_one_that_answers_late_is_given_up_and_started_anew_after_a_pause(
    counter: ProcessCounter, tiny: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await stopped(counter, tiny)
    monkeypatch.setattr(beside, "PATIENCE_S", 0.2)
    assert await code_of(counter, tiny) == "counter-late"
    assert counter.pid is None
    monkeypatch.undo()
    second = await stopped(counter, tiny)  # the first death costs no pause
    assert second != first
    until(lambda: not is_alive(first))
    asyncio.get_running_loop().call_later(0.1, os.kill, second, signal.SIGKILL)
    assert await code_of(counter, tiny) == "counter-ended"
    assert await code_of(counter, tiny) == "counter-ended"  # it pauses
    assert counter.pid is None
    monkeypatch.setattr(counter, "_pause", 0.0)
    assert await counter.count(tiny, ["the"]) == 1


@pytest.mark.parametrize("executable", ["", "/nonexistent/python"])
async def test_where_none_can_be_started(
    counter: ProcessCounter, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert await code_of(counter) == "counter-ended"


async def test_no_other_program_gets_a_text(
    counter: ProcessCounter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program, seen = tmp_path / "other.py", tmp_path / "seen"
    program.write_text(
        "import sys, pathlib; print('x' * 30, flush=True);"
        f"pathlib.Path({str(seen)!r}).write_bytes(sys.stdin.buffer.read(1))"
    )
    monkeypatch.setattr(beside, "_PROGRAM", program)
    assert await code_of(counter) == "counter-ended"
    await counter.close()
    assert not seen.exists() or seen.read_bytes() == b""


async def test_closed_while_it_starts() -> None:
    counter = ProcessCounter()
    waiting = asyncio.create_task(counter.count(ENCODING, ["a"]))
    await asyncio.sleep(0)
    await counter.close()
    with pytest.raises(RecountError, match="ended"):
        await waiting
    assert await code_of(counter) == "counter-ended"


def test_it_ends_with_its_input_and_not_with_a_signal() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", counting_child.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(len(GREETING)) == GREETING
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_request_that_breaks_off() -> None:
    request = write_request(write_encoding(ENCODING), ["a text", "another"])
    for length in (0, 1, 20, len(request) - 1):
        said = io.BytesIO()
        serve(io.BytesIO(request[:length]), said)
        assert said.getvalue() == GREETING


def test_it_ends_with_a_gateway_that_is_killed() -> None:
    """Whatever ends the gateway: nothing is left behind."""
    program = (
        "import asyncio\n"
        "from nous_ledger.gateway.counting import ProcessCounter\n"
        "from nous_ledger.reconcile.errors import RecountError\n"
        "from nous_ledger.reconcile.tokenizers import Encoding\n"
        "async def main():\n"
        "    counter = ProcessCounter()\n"
        "    try:\n"
        "        await counter.count(Encoding(name='x', vocabulary=b'', engine='tiktoken'), 'a')\n"
        "    except RecountError as error:\n"
        "        assert error.code == 'no-tokenizer'\n"
        "    print(counter.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        pid = int(gateway.stdout.readline())
        assert is_alive(pid)
        gateway.kill()
    until(lambda: not is_alive(pid))


async def upstream_script(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A stream of paced events, or a whole answer."""
    if not json.loads(seen.body).get("stream"):
        writer.write(answer(WHOLE))
        return
    writer.write(STREAM_HEAD)
    for _ in range(PACED):
        writer.write(chunk(EVENT))
        await asyncio.sleep(EVERY_S)
    writer.write(chunk(b"data: [DONE]\n\n") + STREAM_END)


def table(encoding: Encoding) -> TokenizerTable:
    """The table of tokenizers, with a rule for the model of the script."""
    rule = dataclasses.replace(
        BUILTIN.rules[0], providers=frozenset({"custom"}), names=re.compile("m"), encoding=encoding
    )
    return dataclasses.replace(BUILTIN, rules=(rule,))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ProcessCounter]:
    """What counts for gateways that start from now on; this process cannot."""
    found: list[ProcessCounter] = []

    def make() -> ProcessCounter:
        found.append(ProcessCounter())
        return found[-1]

    def refuse(_: object) -> Any:
        raise AssertionError("the gateway itself counts")

    monkeypatch.setattr(exact, "builtin_table", lambda: table(ENCODING))
    monkeypatch.setattr(counting, "engine_for", refuse)
    monkeypatch.setattr(app, "ProcessCounter", make)
    return found


@pytest.fixture
def counted(
    made: list[ProcessCounter], log: Ledger, tiny: Encoding, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rig]:
    monkeypatch.setattr(exact, "builtin_table", lambda: table(tiny))
    with RawUpstream(upstream_script) as upstream, running_gateway(log, upstream.url) as rig:
        yield rig


def visible(rig: Rig) -> list[Bucket]:
    """The buckets of visible output in the order of the calls."""
    return [b for receipt in rig.receipts() for b in receipt.usage or () if b.kind == 16]


def gaps_of_a_stream(rig: Rig) -> float:
    """The longest time between events of a stream during which the first answer is counted."""
    with contextlib.closing(rig.send(CHAT, {**ASKS, "stream": True, "model": "m"})) as connection:
        response = connection.getresponse()
        response.read1()
        other = threading.Thread(target=rig.call, args=(CHAT, {**ASKS, "model": "m"}))
        other.start()
        longest, last = 0.0, time.monotonic()
        while response.read1():
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        other.join()
    return longest


def test_loading_an_engine_holds_up_no_stream(made: list[ProcessCounter], log: Ledger) -> None:
    """Up to three times a gateway counts its first answer: a busy machine holds up things too."""
    gaps: list[float] = []
    for number in range(1, 4):
        with RawUpstream(upstream_script) as upstream, running_gateway(log, upstream.url) as rig:
            gaps.append(gaps_of_a_stream(rig))
            assert [bucket.label for bucket in visible(rig)] == [EXACT] * number
        if gaps[-1] < 0.3:
            break
    assert min(gaps) < 0.3, gaps


def test_a_process_that_dies_costs_one_label(counted: Rig, made: list[ProcessCounter]) -> None:
    (counter,) = made
    counted.call(CHAT, {**ASKS, "model": "m"})
    first = counter.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    call = threading.Thread(target=counted.call, args=(CHAT, {**ASKS, "model": "m"}))
    call.start()
    link = counter._link
    until(lambda: link is not None and len(link._asked) > 0)
    os.kill(first, signal.SIGKILL)
    call.join()
    counted.call(CHAT, {**ASKS, "model": "m"})
    assert [bucket.label for bucket in visible(counted)] == [EXACT, BOUNDED, EXACT]
    assert counter.pid not in (None, first)
    metrics = counted.get("/metrics").body.decode()
    assert 'answers_total{encoding="tiny",reason="counter-ended"} 1' in metrics


def test_a_gateway_that_shuts_down_leaves_no_process(
    counted: Rig, made: list[ProcessCounter]
) -> None:
    counted.call(CHAT, {**ASKS, "model": "m"})
    pid = made[0].pid
    assert pid is not None
    counted.stop()
    assert not is_alive(pid)
