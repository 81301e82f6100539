"""The ledger as a gateway of your own would use it.

    python examples/embed_ledger.py FOLDER

Makes a log in FOLDER if there is none, logs a few calls of two made-up clients at
once, and writes a proof of one of them with the trust policy that verifies it:

    nous-ledger verify FOLDER/receipt.tlog-proof --policy FOLDER/policy.txt
"""

import asyncio
import secrets
import sys
import time
from pathlib import Path

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.ledger.aio import AsyncLedger
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.label import UNVERIFIABLE, Bucket
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt

API_KEY = 2  # what a subject's credential is: here an API key
INPUT, OUTPUT = 1, 16  # kinds of tokens


def new_id(milliseconds: int) -> bytes:
    """Return a UUID of version 7."""
    value = bytearray(milliseconds.to_bytes(6, "big") + secrets.token_bytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return bytes(value)


def draft_of_a_call(ledger: Ledger, api_key: bytes, tokens: tuple[int, int]) -> Receipt:
    """Return what a gateway knows of a call once its answer has gone out."""
    now = time.time_ns() // 1_000_000
    return Receipt(
        salt=secrets.token_bytes(16),
        id=new_id(now),
        time=now,
        source=1,  # proxied
        subject=ledger.subject(API_KEY, api_key),
        provider="example",
        upstream="api.example.com",
        operation="chat",
        api=1,
        model_requested="example-1",
        model_served="example-1",
        status=0,  # complete
        http_status=200,
        metering=1,  # as the provider reported it
        usage=(
            Bucket(kind=INPUT, reported=tokens[0], label=UNVERIFIABLE),
            Bucket(kind=OUTPUT, reported=tokens[1], label=UNVERIFIABLE),
        ),
        provider_total=sum(tokens),
    )


async def serve_a_client(log: AsyncLedger, api_key: bytes) -> list[Appended]:
    """Log a few calls; each is on the disk when `append` returns."""
    return [
        await log.append(draft_of_a_call(log.ledger, api_key, (100 + number, 20)))
        for number in range(5)
    ]


def make_if_absent(folder: Path) -> None:
    """Make the log; the key file beside it belongs on another machine."""
    if not (folder / "ledger").exists():
        folder.mkdir(parents=True, exist_ok=True)
        Ledger.create(folder / "ledger", next_key_out=folder / "next.key").close()


def write(folder: Path, proof: bytes, policy: bytes) -> None:
    """Write a proof and what it is verified with."""
    (folder / "receipt.tlog-proof").write_bytes(proof)
    (folder / "policy.txt").write_bytes(policy)


async def main(folder: Path) -> None:
    """Log calls of two clients at once, then prove one of them."""
    await asyncio.to_thread(make_if_absent, folder)
    async with await AsyncLedger.open(folder / "ledger") as log:
        before = await log.head()
        logged, _ = await asyncio.gather(
            serve_a_client(log, b"key of alice"), serve_a_client(log, b"key of bob")
        )
        head = await log.head()
        proof = await log.prove(logged[0].index, head)
        write(folder, proof, log.ledger.policy_text())
        old, new = (parse_checkpoint(parse_note(note).text).leaf_count for note in (before, head))
        hashes = await log.consistency(old, new)
        print(f"record {logged[0].index} of {new} is proved in {len(proof)} bytes")
        print(f"the log of {old} grew to {new}: {len(hashes)} hashes show it")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
