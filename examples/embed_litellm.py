"""Receipts of the calls that LiteLLM makes.

    python examples/embed_litellm.py FOLDER [BASE_URL]

Needs `litellm`, which is not installed with nous-ledger. Makes a log in FOLDER if there
is none and asks a model at BASE_URL, an OpenAI-compatible server; without it a stand-in
on this machine answers.
"""

import contextlib
import sys
import time
from pathlib import Path

import litellm

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.embed.on_litellm import ReceiptLogger
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.receipt import Receipt


def open_log(folder: Path) -> Ledger:
    """Return the log, made if it is not there; its next key belongs on another machine."""
    if (folder / "ledger").exists():
        return Ledger.open(folder / "ledger")
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger.create(folder / "ledger", next_key_out=folder / "next.key")


def wait_for_receipts(ledger: Ledger) -> list[Receipt]:
    """Return the log's receipts; LiteLLM calls its loggers in a thread, so give it time."""
    receipts: list[Receipt] = []
    until = time.monotonic() + 10
    while not receipts and time.monotonic() < until:
        time.sleep(0.05)
        receipts = [entry.receipt for entry in ledger.receipts() if entry.receipt is not None]
    return receipts


def main(folder: Path, base_url: str) -> None:
    """Ask once and print what LiteLLM counts, and what the receipt says."""
    with open_log(folder) as ledger:
        litellm.callbacks = [ReceiptLogger(ledger, credential=b"sk-made-up")]
        answer = litellm.completion(
            model="openai/gpt-demo",
            messages=[{"role": "user", "content": "What is a receipt?"}],
            api_base=f"{base_url}/v1",
            api_key="sk-made-up",
        )
        print(f"LiteLLM: {answer.usage.prompt_tokens} in, {answer.usage.completion_tokens} out")
        for receipt in wait_for_receipts(ledger):
            print(f"receipt: tokens {', '.join(str(b.reported) for b in receipt.usage or ())}")


if __name__ == "__main__":
    with contextlib.ExitStack() as exits:
        url = sys.argv[2] if len(sys.argv) > 2 else exits.enter_context(DemoUpstream()).url
        main(Path(sys.argv[1]), url)
