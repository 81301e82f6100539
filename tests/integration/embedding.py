"""What the tests of embedded receipts share: what a log holds once calls are over."""

import contextlib
import socket
from dataclasses import dataclass, field

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import SOURCE
from tests.integration.gateway.rig import STREAM_END, STREAM_HEAD, chunk

REQUEST = b'{"model":"gpt-demo","messages":[{"role":"user","content":"Hi"}]}'
WHOLE = (
    b'{"id":"c","model":"gpt-demo-1","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"Hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":8,"completion_tokens":1,"total_tokens":9}}'
)
EVENTS = (
    b'data: {"model":"gpt-demo-1","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":1,"total_tokens":9}}\n\n',
    b"data: [DONE]\n\n",
)
HALF_A_STREAM = STREAM_HEAD + chunk(EVENTS[0])
A_STREAM = STREAM_HEAD + b"".join(map(chunk, EVENTS)) + STREAM_END


@dataclass
class Heard:
    """What `on_receipt` was told."""

    logged: list[Appended] = field(default_factory=list)
    openings: list[bytes] = field(default_factory=list)

    def __call__(self, logged: Appended, opening: bytes) -> None:
        self.logged.append(logged)
        self.openings.append(opening)


def only_receipt(ledger: Ledger) -> Receipt:
    """Return the one receipt there must be, now that no call is open."""
    assert not ledger.open_intents()
    (receipt,) = [row.receipt for row in ledger.receipts() if row.receipt is not None]
    assert receipt.source == SOURCE["embedded"]
    return receipt


def nobody_listens() -> str:
    """Return a URL of this machine that nobody serves."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"
