"""Receipts from inside a program that uses the `openai` SDK, without a gateway between.

    python examples/embed_httpx.py FOLDER [BASE_URL]

Makes a log in FOLDER if there is none, asks a model twice, the second time as a
stream, and writes the proof of each receipt with the trust policy that verifies it:

    nous-ledger verify FOLDER/receipt-1.tlog-proof --policy FOLDER/policy.txt

BASE_URL is an OpenAI-compatible server; without it a stand-in on this machine answers.
"""

import contextlib
import os
import sys
from pathlib import Path

import httpx2
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.embed.on_httpx2 import Transport
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.ledger import Appended, Ledger
from nous_ledger.protocol.registries import STATUS


def open_log(folder: Path) -> Ledger:
    """Return the log, made if it is not there; its next key belongs on another machine."""
    if (folder / "ledger").exists():
        return Ledger.open(folder / "ledger")
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger.create(folder / "ledger", next_key_out=folder / "next.key")


def ask(client: OpenAI) -> None:
    """Ask twice and print what the SDK says was used."""
    question: ChatCompletionMessageParam = {"role": "user", "content": "What is a receipt?"}
    whole = client.chat.completions.create(model="gpt-demo", messages=[question])
    if whole.usage is not None:
        print(f"SDK: {whole.usage.prompt_tokens} in, {whole.usage.completion_tokens} out")
    stream = client.chat.completions.create(
        model="gpt-demo",
        messages=[question],
        stream=True,
        # Without this a stream of this format does not tell what it used.
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.usage is not None:
            print(f"SDK: {chunk.usage.prompt_tokens} in, {chunk.usage.completion_tokens} out")


def main(folder: Path, base_url: str) -> None:
    """Make two calls with receipts, then prove them."""
    written: list[Appended] = []

    def keep(logged: Appended, opening: bytes) -> None:
        """Note a receipt; with the opening one can prove what was said in the call."""
        (folder / f"opening-{len(written) + 1}.hex").write_text(f"{opening.hex()}\n")
        written.append(logged)

    with (
        open_log(folder) as ledger,
        ReceiptWriter(ledger, upstreams={"openai": base_url}, on_receipt=keep) as writer,
        OpenAI(
            base_url=f"{base_url}/v1",
            api_key=os.environ.get("OPENAI_API_KEY", "sk-made-up"),
            http_client=httpx2.Client(transport=Transport(writer)),
        ) as client,
    ):
        ask(client)
        (folder / "policy.txt").write_bytes(ledger.policy_text())
        for number, logged in enumerate(written, start=1):
            (folder / f"receipt-{number}.tlog-proof").write_bytes(ledger.prove(logged.index))
            usage = ", ".join(str(bucket.reported) for bucket in logged.receipt.usage or ())
            print(f"receipt {number}: {STATUS.name_of(logged.receipt.status)}, tokens {usage}")


if __name__ == "__main__":
    with contextlib.ExitStack() as exits:
        url = sys.argv[2] if len(sys.argv) > 2 else exits.enter_context(DemoUpstream()).url
        main(Path(sys.argv[1]), url)
