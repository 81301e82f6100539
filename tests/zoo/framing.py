"""Attempts to make evidence say what is not so: altered files, and files about an honest log."""

import copy
import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.note import parse_note
from tests.tree_oracle import Oracle
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.tree import leaves_of

Document = dict[str, Any]


def spelled(document: Document) -> bytes:
    """Return an evidence document in the one spelling that it has."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def flips(data: bytes, seed: random.Random, count: int) -> Iterator[bytes]:
    """Yield a file with one of its bits another, or one byte missing."""
    for _ in range(count):
        at = seed.randrange(len(data))
        yield data[:at] + bytes([data[at] ^ 1 << seed.randrange(8)]) + data[at + 1 :]
        yield data[:at] + data[at + 1 :]


def edits(data: bytes, *, every: int = 1) -> Iterator[bytes]:
    """Yield a file whose parts were moved, dropped, doubled or renamed, spelled as it must be.

    Args:
        data: the file.
        every: of how many edits only one is made.
    """
    document: Document = json.loads(data)
    made = (*_moved(document), *_renamed(document), *_bent(document))
    changes = [changed for changed in made if changed != document]
    yield from map(spelled, changes[len(data) % every :: every])


def _moved(document: Document) -> Iterator[Document]:
    for name in ("heads", "leaves", "hashes", "key_events"):
        items: list[Any] = document[name]
        for other in (items[:-1], items[1:], items[::-1], items + items[:1]):
            yield document | {name: other}


def _renamed(document: Document) -> Iterator[Document]:
    for code in ("fork", "mismatch", "late", "duplicate-id", "statement-sums", "x"):
        yield document | {"code": code}
    for kind in ("fork", "head-order", "leaf", "late", "record-pair", "body-pair", "key-event"):
        yield document | {"kind": kind}


def _bent(document: Document) -> Iterator[Document]:
    changes: tuple[Document, ...] = ({"index": 0}, {"body": None}, {"path": None}, {"path": []})
    for number in range(len(document["leaves"])):
        for change in changes:
            changed = copy.deepcopy(document)
            changed["leaves"][number].update(change)
            yield changed


def transplants(data: bytes, log: Forger) -> Iterator[bytes]:
    """Yield files of the same claim about an honest log, all of whose parts are genuine.

    Args:
        data: evidence against a log of the same keys.
        log: an honest log with records of every type.
    """
    document: Document = json.loads(data)
    sizes = [min(count_of(head), log.count) for head in document["heads"]]
    # An honest log signs a smaller head before a larger one.
    signed = {size: head_of(log, size).decode() for size in sorted({*sizes})}
    heads = [signed[size] for size in sizes]
    parts = document | _parts(document, log, sizes) | {"heads": heads}
    for order in ({*sizes}, {log.count, *sizes}):
        for hashes in (document["hashes"], *_proofs(log, sorted(order))):
            yield spelled(parts | {"hashes": hashes})
            yield spelled(parts | {"hashes": hashes, "heads": heads[::-1]})


def _parts(document: Document, log: Forger, sizes: list[int]) -> Document:
    used: dict[int, int] = {}
    events = [entry for entry in log.entries if entry.decoded.type == 0]
    return {
        "leaves": [_leaf(leaf, log, sizes, used) for leaf in document["leaves"]],
        "key_events": [[entry.record.hex(), entry.body.hex()] for entry in events],
    }


def _leaf(leaf: Document, log: Forger, sizes: list[int], used: dict[int, int]) -> Document:
    """Return a genuine leaf of the same type in the place of one."""
    type_ = int.from_bytes(bytes.fromhex(leaf["record"])[1:3], "big")
    found = [at for at, entry in enumerate(log.entries) if entry.decoded.type == type_]
    found = found or list(range(log.count))
    index = found[used.setdefault(type_, 0) % len(found)]
    used[type_] += 1
    entry = log.entries[index]
    size = max([*sizes[:1], index + 1])
    tree = Oracle(dict(enumerate(leaves_of(log.entries[:size]))))
    path = [item.hex() for item in tree.inclusion(index, 0, size)]
    return {
        "index": index,
        "record": entry.record.hex(),
        "body": None if leaf["body"] is None else entry.body.hex(),
        "path": None if leaf["path"] is None else path,
    }


def _proofs(log: Forger, sizes: list[int]) -> Iterator[list[str]]:
    tree = Oracle(dict(enumerate(leaves_of(log.entries))))
    for small, large in itertools.pairwise(sizes):
        yield [item.hex() for item in tree.consistency(max(small, 1), large)]


def count_of(head: str) -> int:
    """Return how many leaves a head covers."""
    return parse_checkpoint(parse_note(head.encode()).text).leaf_count
