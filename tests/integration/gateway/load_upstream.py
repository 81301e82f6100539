"""An upstream for the load test: streams what a call's model name asks for, and says so.

    python -m tests.integration.gateway.load_upstream SEEN PACE

A model is called `load-NUMBER-EVENTS-FATE`. The answer has so many events of text, `PACE`
seconds apart, and ends as the fate says: `whole`, `cut` (closed in the middle) or `reset`.
The name of every call that was forwarded is a line of the file SEEN.
"""

import asyncio
import contextlib
import json
import re
import sys
from pathlib import Path

from tests.integration.gateway.rig import STREAM_END, STREAM_HEAD, chunk, reset

MODEL = re.compile(rb'"model": "(load-(\d+)-(\d+)-(whole|cut|reset))"')


def usage(number: int, events: int) -> dict[str, int]:
    """Return what a call is said to have used."""
    prompt = number % 1_000 + 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": events,
        "total_tokens": prompt + events,
    }


def _event(model: str, choices: list[object], **more: object) -> bytes:
    body = {"object": "chat.completion.chunk", "model": model, "choices": choices, **more}
    return chunk(b"data: " + json.dumps(body).encode() + b"\n\n")


async def _answer(writer: asyncio.StreamWriter, found: re.Match[bytes], pace: float) -> bool:
    """Answer one call; return whether the connection still stands."""
    model, number, events = found.group(1).decode(), int(found.group(2)), int(found.group(3))
    fate = found.group(4)
    writer.write(STREAM_HEAD)
    for position in range(events if fate == b"whole" else events // 2):
        delta = {"index": 0, "delta": {"content": f"w{position} "}, "finish_reason": None}
        writer.write(_event(model, [delta]))
        await asyncio.sleep(pace)
    if fate == b"whole":
        writer.write(_event(model, [{"index": 0, "delta": {}, "finish_reason": "stop"}]))
        writer.write(_event(model, [], usage=usage(number, events)))
        writer.write(chunk(b"data: [DONE]\n\n") + STREAM_END)
        await writer.drain()
        return True
    if fate == b"reset":
        reset(writer)
    return False


async def serve(seen: Path, pace: float) -> None:
    """Serve until the process is killed."""
    with seen.open("ab", buffering=0) as names:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                stands = True
                while stands:
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    found = MODEL.search(await reader.readexactly(length))
                    assert found is not None
                    names.write(found.group(1) + b"\n")
                    stands = await _answer(writer, found, pace)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
