"""Evidence that was altered anywhere is refused, and no input makes a reader stumble."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol.anchor_calldata import TAG, parse_calldata
from nous_ledger.protocol.anchor_evidence import parse_evidence
from nous_ledger.protocol.anchor_rlp import decode_rlp, encode_rlp
from nous_ledger.protocol.anchor_verify import AnchorTrust, block_hash_is, verify_evidence
from nous_ledger.protocol.errors import AnchorError, LedgerError
from nous_ledger.protocol.types import Hash32

CAPTURED = Path(__file__).parents[2] / "vectors" / "generate" / "captured" / "anchor.json"
FOUND = json.loads(CAPTURED.read_text("ascii"))
TRUST = AnchorTrust(
    contract=bytes.fromhex(FOUND["contract"]),
    code_hash=Hash32(bytes.fromhex(FOUND["codeHash"])),
    block=block_hash_is(Hash32(bytes.fromhex(FOUND["blockHash"]))),
)
LABELS = ("format", "version", "chain_id")
"""What no hash covers; the first two have one value each, the third is a label."""


def leaves(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every string and number of the evidence."""
    if isinstance(part, dict):
        for name, item in part.items():
            yield from leaves(item, (*path, name))
    elif isinstance(part, list):
        for place, item in enumerate(part):
            yield from leaves(item, (*path, place))
    elif path[0] not in LABELS:
        yield path


def altered(path: tuple[Any, ...], seed: random.Random) -> bytes:
    """Return the evidence with one value changed by one bit, or a number by one."""
    made = json.loads(json.dumps(FOUND["evidence"]))
    holder = made
    for step in path[:-1]:
        holder = holder[step]
    value = holder[path[-1]]
    if isinstance(value, int):
        holder[path[-1]] = value + 1
    else:
        prefix = "0x" if value.startswith("0x") else ""
        data = bytearray.fromhex(value.removeprefix("0x"))
        data[seed.randrange(len(data))] ^= 1 << seed.randrange(8)
        holder[path[-1]] = prefix + data.hex()
    return json.dumps(made).encode()


def verify(data: bytes) -> None:
    verify_evidence(parse_evidence(data), TRUST)


def test_the_captured_evidence_holds() -> None:
    verify(json.dumps(FOUND["evidence"]).encode())


def test_every_value_matters(full: bool) -> None:
    """EVID-1 to EVID-12."""
    seed = random.Random(11)
    for _ in range(200 if full else 6):
        for path in leaves(FOUND["evidence"]):
            with pytest.raises(LedgerError):
                verify(altered(path, seed))


def test_every_list_matters() -> None:
    """EVID-4: a node or hash less, one twice, or another order is refused."""
    for name in ("consistency", "account_proof", "receipt_proof"):
        items = FOUND["evidence"][name]
        for changed in (items[1:], items[:-1], [*items, items[-1]], items[::-1]):
            made = FOUND["evidence"] | {name: changed}
            with pytest.raises(LedgerError):
                verify(json.dumps(made).encode())


def test_any_bytes_as_rlp(fuzz_inputs: int) -> None:
    """EVID-3: whatever is accepted is written again as it was."""
    seed = random.Random(12)
    accepted = 0
    for _ in range(fuzz_inputs):
        data = bytearray(seed.randbytes(seed.randrange(1, 12)))
        data[0] = seed.choice((data[0], 0xC0 + len(data) - 1, 0x80 + len(data) - 1))
        try:
            item = decode_rlp(bytes(data))
        except AnchorError:
            continue
        accepted += 1
        assert encode_rlp(item) == data
    assert accepted > fuzz_inputs // 20


def test_any_bytes_as_evidence_or_calldata(fuzz_inputs: int) -> None:
    """EVID-1, EVID-14."""
    seed = random.Random(13)
    text = json.dumps(FOUND["evidence"]).encode()
    for _ in range(fuzz_inputs // 20):
        data = bytearray(text)
        for _ in range(seed.randrange(1, 4)):
            data[seed.randrange(len(data))] = seed.randrange(256)
        for parse, given in ((parse_evidence, bytes(data)), (parse_calldata, TAG + data[:90])):
            try:
                parse(given)
            except LedgerError:
                continue
