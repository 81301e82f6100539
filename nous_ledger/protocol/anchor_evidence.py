"""Anchor evidence: that a head stood in the anchor contract after a block, in one file.

A JSON object with exactly the members of `AnchorEvidence`. It proves, given the block's hash
from a source that the reader trusts, that the log's contract held a head of which the
bundle's head is a prefix: what the bundle shows existed before the block.

Spec:
    PROTOCOL.md, section "Anchor evidence" (EVID-1 to EVID-13).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from nous_ledger.protocol.anchor_contract import AnchoredHead
from nous_ledger.protocol.anchor_trie import MAX_TRIE_NODES
from nous_ledger.protocol.errors import AnchorError, UnavailableError
from nous_ledger.protocol.types import MAX_UINT, Epoch, Hash32, LeafCount, LogId, UnixSeconds
from nous_ledger.protocol.values import value

MAX_EVIDENCE_BYTES: Final = 1024 * 1024
FORMAT: Final = "nous-ledger/1 anchor"
VERSION: Final = 1
STORAGE_NAMES: Final = ("state", "root", "chain", "signer")

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_MAX_PATH: Final = 64


@value
class AnchorEvidence:
    """The file's content; well formed, not verified.

    Attributes:
        chain_id: number of the chain (EIP-155).
        contract: address of the contract, 20 bytes.
        log_id: the log, 32 bytes.
        from_count: leaves of the head that the path starts from, at least 1.
        from_root: root of that head.
        consistency: hashes that lead from there to the anchored head.
        head: the anchored head.
        header: RLP of the block's header.
        account_proof: nodes from the state root to the contract's account.
        storage_proofs: nodes from the storage root to each of the four words, by
            `STORAGE_NAMES`.
        transaction_index: place in the block of the transaction that anchored.
        receipt_proof: nodes from the receipts root to that transaction's receipt.
    """

    chain_id: int
    contract: bytes
    log_id: LogId
    from_count: LeafCount
    from_root: Hash32
    consistency: tuple[Hash32, ...]
    head: AnchoredHead
    header: bytes
    account_proof: tuple[bytes, ...]
    storage_proofs: tuple[tuple[bytes, ...], ...]
    transaction_index: int
    receipt_proof: tuple[bytes, ...]


def parse_evidence(data: bytes) -> AnchorEvidence:
    """Return the evidence in a file; nothing of it is checked but its form.

    Spec:
        PROTOCOL.md EVID-1, EVID-2.

    Args:
        data: the whole file, at most 1 MiB.

    Raises:
        AnchorError: anchor-format.
        UnavailableError: newer-version.
    """
    if len(data) > MAX_EVIDENCE_BYTES:
        raise _wrong(f"{len(data)} bytes are more than {MAX_EVIDENCE_BYTES}")
    top = _load(data)
    if top.pop("format", None) != FORMAT:
        raise _wrong("`format` does not say what it is")
    version = _number(top.pop("version", None), "version", 1)
    if version > VERSION:
        raise UnavailableError("newer-version", f"anchor evidence of version {version}")
    _members(top, _TOP, "the evidence")
    origin = _members(top["from"], ("leaf_count", "root"), "`from`")
    head = _members(top["head"], ("epoch", "leaf_count", "root", "timestamp"), "`head`")
    storage = _members(top["storage_proofs"], STORAGE_NAMES, "`storage_proofs`")
    return AnchorEvidence(
        chain_id=_number(top["chain_id"], "chain_id", 1),
        contract=_hex(top["contract"], 20, "0x"),
        log_id=LogId(_hex(top["log_id"], 32)),
        from_count=LeafCount(_number(origin["leaf_count"], "leaf_count", 1)),
        from_root=Hash32(_hex(origin["root"], 32)),
        consistency=tuple(Hash32(_hex(item, 32)) for item in _list(top["consistency"], _MAX_PATH)),
        head=AnchoredHead(
            epoch=Epoch(_number(head["epoch"], "epoch", 0, 63)),
            leaf_count=LeafCount(_number(head["leaf_count"], "leaf_count", 1)),
            root=Hash32(_hex(head["root"], 32)),
            timestamp=UnixSeconds(_number(head["timestamp"], "timestamp", 0)),
        ),
        header=_hex(top["header"], None, "0x"),
        account_proof=_nodes(top["account_proof"]),
        storage_proofs=tuple(_nodes(storage[name]) for name in STORAGE_NAMES),
        transaction_index=_number(top["transaction_index"], "transaction_index", 0, (1 << 32) - 1),
        receipt_proof=_nodes(top["receipt_proof"]),
    )


_TOP: Final = (
    *("chain_id", "contract", "log_id", "from", "consistency", "head", "header"),
    *("account_proof", "storage_proofs", "transaction_index", "receipt_proof"),
)


def format_evidence(evidence: AnchorEvidence) -> bytes:
    """Return the file form of evidence."""
    head = evidence.head
    top = {
        "format": FORMAT,
        "version": VERSION,
        "chain_id": evidence.chain_id,
        "contract": _0x(evidence.contract),
        "log_id": evidence.log_id.hex(),
        "from": {"leaf_count": evidence.from_count, "root": evidence.from_root.hex()},
        "consistency": [node.hex() for node in evidence.consistency],
        "head": {
            "epoch": head.epoch,
            "leaf_count": head.leaf_count,
            "root": head.root.hex(),
            "timestamp": head.timestamp,
        },
        "header": _0x(evidence.header),
        "account_proof": list(map(_0x, evidence.account_proof)),
        "storage_proofs": {
            name: list(map(_0x, proof))
            for name, proof in zip(STORAGE_NAMES, evidence.storage_proofs, strict=True)
        },
        "transaction_index": evidence.transaction_index,
        "receipt_proof": list(map(_0x, evidence.receipt_proof)),
    }
    return json.dumps(top, indent=1).encode("ascii") + b"\n"


def _0x(data: bytes) -> str:
    return f"0x{data.hex()}"


def _load(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("ascii")
        top = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except AnchorError:
        raise
    except (ValueError, RecursionError) as error:
        raise _wrong("it is no JSON of ASCII characters") from error
    if not isinstance(top, dict):
        raise _wrong("it is no JSON object")
    return top


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _wrong("a member stands there twice")
    return made


def _no_constant(name: str) -> None:
    raise _wrong(f"{name} is no number of JSON")


def _members(part: object, names: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(part, dict) or set(part) != set(names):
        raise _wrong(f"{what} does not have exactly the members {', '.join(names)}")
    return part


def _number(item: object, name: str, least: int, most: int = MAX_UINT) -> int:
    if type(item) is not int or not least <= item <= most:
        raise _wrong(f"`{name}` is not an integer in {least}..{most}")
    return item


def _hex(item: object, length: int | None, prefix: str = "") -> bytes:
    if isinstance(item, str) and item.startswith(prefix):
        digits = item[len(prefix) :]
        if _HEX.fullmatch(digits) and length in (None, len(digits) // 2):
            return bytes.fromhex(digits)
    size = "" if length is None else f"{length} bytes of "
    start = f" after {prefix}" if prefix else ""
    raise _wrong(f"a value is not {size}lower-case hex{start}")


def _list(item: object, most: int) -> list[Any]:
    if not isinstance(item, list) or len(item) > most:
        raise _wrong(f"a value is not a list of at most {most}")
    return item


def _nodes(item: object) -> tuple[bytes, ...]:
    nodes = tuple(_hex(node, None, "0x") for node in _list(item, MAX_TRIE_NODES))
    if not nodes or not all(nodes):
        raise _wrong("a trie proof is empty")
    return nodes


def _wrong(reason: str) -> AnchorError:
    return AnchorError("anchor-format", f"no anchor evidence: {reason}")
