"""The demo's calls: the providers' real SDKs against the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anthropic
import openai

from nous_ledger.cli.files import PRIVATE, write_new

API_KEY = "sk-demo-key-that-opens-nothing"
QUESTION = "What does a transparency log prove, and what does it not prove?"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContent:
    """What the caller keeps of one call to check its receipt later."""

    receipt_id: str
    opening: str
    request: bytes
    response: bytes

    def write(self, folder: Path) -> None:
        """Write opening, request and response beside each other, for the owner's eyes only."""
        write_new(folder / "opening.hex", self.opening.encode() + b"\n", mode=PRIVATE)
        write_new(folder / "request.json", self.request, mode=PRIVATE)
        write_new(folder / "response.json", self.response, mode=PRIVATE)


def make_calls(gateway: str, *, say: Callable[[str], object]) -> CallContent:
    """Make one call of each kind and return the content of the first.

    Args:
        gateway: base URL of the gateway.
        say: takes one line per call.
    """
    with (
        openai.OpenAI(base_url=f"{gateway}/openai/v1", api_key=API_KEY, max_retries=0) as chat,
        anthropic.Anthropic(
            base_url=f"{gateway}/anthropic", api_key=API_KEY, max_retries=0
        ) as claude,
    ):
        content = _chat(chat, say)
        _chat_stream(chat, say)
        _responses(chat, say)
        _messages(claude, say)
        _messages_stream(claude, say)
        _refused(chat, say)
        _breaks_off(chat, say)
        _hangs_up(claude, say)
    return content


def _chat(client: openai.OpenAI, say: Callable[[str], object]) -> CallContent:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-demo", messages=[{"role": "user", "content": QUESTION}]
    )
    usage = raw.parse().usage
    say(f"  openai     chat completion        SDK says {usage and usage.total_tokens} tokens")
    return CallContent(
        receipt_id=raw.headers["nous-receipt-id"],
        opening=raw.headers["nous-opening"],
        request=raw.http_request.read(),
        response=raw.http_response.read(),
    )


def _chat_stream(client: openai.OpenAI, say: Callable[[str], object]) -> None:
    stream = client.chat.completions.create(
        model="gpt-demo", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    pieces = sum(1 for _ in stream)
    say(f"  openai     chat, streamed         {pieces} chunks; the SDK did not ask for usage")


def _responses(client: openai.OpenAI, say: Callable[[str], object]) -> None:
    total = None
    with client.responses.create(model="gpt-demo-think", input=QUESTION, stream=True) as stream:
        for event in stream:
            if event.type == "response.completed" and event.response.usage:
                total = event.response.usage.total_tokens
    say(f"  openai     responses, streamed    SDK says {total} tokens, some of them hidden")


def _messages(client: anthropic.Anthropic, say: Callable[[str], object]) -> None:
    message = client.messages.create(
        model="claude-demo",
        max_tokens=500,
        messages=[{"role": "user", "content": QUESTION}],
        thinking={"type": "disabled"},  # so all output is visible, and its count can be bounded
    )
    usage = message.usage
    say(f"  anthropic  message                SDK says {usage.input_tokens} in, "
        f"{usage.output_tokens} out")  # fmt: skip


def _messages_stream(client: anthropic.Anthropic, say: Callable[[str], object]) -> None:
    with client.messages.stream(
        model="claude-demo", max_tokens=500, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        usage = stream.get_final_message().usage
    say(f"  anthropic  message, streamed      SDK says {usage.input_tokens} in, "
        f"{usage.output_tokens} out")  # fmt: skip


def _refused(client: openai.OpenAI, say: Callable[[str], object]) -> None:
    try:
        client.chat.completions.create(
            model="gpt-demo-busy", messages=[{"role": "user", "content": QUESTION}]
        )
    except openai.RateLimitError as error:
        say(f"  openai     chat completion        refused with HTTP {error.status_code}")


def _breaks_off(client: openai.OpenAI, say: Callable[[str], object]) -> None:
    pieces = 0
    try:
        for _ in client.chat.completions.create(
            model="gpt-demo-break", messages=[{"role": "user", "content": QUESTION}], stream=True
        ):
            pieces += 1
    except Exception as error:  # noqa: BLE001 - the SDK passes on whatever its transport raised
        say(f"  openai     chat, streamed         broke off after {pieces} chunks: "
            f"{type(error).__name__}")  # fmt: skip
    else:
        say(f"  openai     chat, streamed         ended early after {pieces} chunks")


def _hangs_up(client: anthropic.Anthropic, say: Callable[[str], object]) -> None:
    stream = client.messages.create(
        model="claude-demo-slow",
        max_tokens=500,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
    )
    for _, _ in zip(range(3), stream, strict=False):
        pass
    stream.close()
    say("  anthropic  message, streamed      the client hung up after 3 events")
