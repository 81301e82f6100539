"""Evidence of an anchor in one file, captured while nodes still serve its proofs.

Everything that a node tells is put together into evidence, and the evidence is checked as
its readers will check it before it is handed out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.blocks import prove_receipt, read_header
from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.outbox import Outbox, Outcome
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_data, parse_quantity
from nous_ledger.anchor.state import (
    FINALIZED,
    ContractReader,
    agreed_height,
    block_hash_at,
    height_of,
)
from nous_ledger.anchor.steps import HeadSource
from nous_ledger.protocol.anchor_block import EventLog
from nous_ledger.protocol.anchor_contract import (
    ANCHORED_TOPIC,
    SLOT_CHAIN,
    SLOT_ROOT,
    SLOT_SIGNER,
    SLOT_STATE,
    AnchoredEvent,
    read_anchored,
    storage_slot,
)
from nous_ledger.protocol.anchor_evidence import AnchorEvidence
from nous_ledger.protocol.anchor_verify import AnchorTrust, block_hash_is, verify_evidence
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.types import Hash32, LogId

SPAN: Final = 2000
"""Blocks of one request for events: public servers refuse more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAnchor:
    """An anchor on the chain.

    Attributes:
        block_number: height of its block.
        transaction_index: place of its transaction there.
        event: what the contract emitted.
    """

    block_number: int
    transaction_index: int
    event: AnchoredEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look for an anchor.

    Attributes:
        hints: heights that are looked at first.
        blocks: how many blocks to look back from the newest final one.
    """

    hints: tuple[int, ...] = ()
    blocks: int = 50_000


def hints_of(outbox: Outbox, chain_id: int, contract: bytes, leaf_count: int) -> tuple[int, ...]:
    """Return the heights at which an outbox's anchors of so many leaves became final."""
    return tuple(
        slot.place.block_number
        for slot in sorted(outbox.slots(), key=lambda slot: slot.leaf_count)
        if slot.place is not None
        and slot.outcome is Outcome.DONE
        and (slot.account.chain_id, slot.contract) == (chain_id, contract)
        and slot.leaf_count >= leaf_count
    )


def capture(
    pool: RpcPool, contract: ContractReader, ledger: HeadSource, head: Checkpoint, search: Search
) -> AnchorEvidence:
    """Return checked evidence that a head existed when the log was anchored.

    Args:
        pool: servers of the chain.
        contract: the contract.
        ledger: the log.
        head: the head of a bundle of it.
        search: where to look.

    Raises:
        ChainError: not-anchored (no final anchor covers the head), rpc-no-history,
            rpc-unreachable, rpc-disagree, rpc-error.
        ChainContentError: chain-lies.
        AnchorUseError: wrong-chain.
        LedgerError: the evidence does not hold, or the ledger could not be read.
    """
    found = find_anchor(pool, contract.address, ledger.log_id, head.leaf_count, search)
    anchored = found.event.head
    path = ledger.consistency(head.leaf_count, anchored.leaf_count)
    trusted = agreed_block_hash(pool, found.block_number)
    failures: list[LedgerError] = []

    def ask(endpoint: Endpoint) -> AnchorEvidence:
        encoded, header = read_header(endpoint, found.block_number)
        account, storage = _prove_state(endpoint, contract.address, ledger.log_id, found)
        evidence = AnchorEvidence(
            chain_id=pool.chain_id,
            contract=contract.address,
            log_id=ledger.log_id,
            from_count=head.leaf_count,
            from_root=head.root,
            consistency=path,
            head=anchored,
            header=encoded,
            account_proof=account,
            storage_proofs=storage,
            transaction_index=found.transaction_index,
            receipt_proof=prove_receipt(endpoint, header, found.transaction_index),
        )
        _check(evidence, trusted)
        return evidence

    for endpoint in pool.endpoints:
        try:
            return ask(endpoint)
        except LedgerError as error:  # another server may have what this one lacks
            failures.append(error)
    # What tells most comes first: a lie, then missing history, then silence.
    raise min(failures, key=lambda error: (error.code == "rpc-unreachable", error.code))


def find_anchor(
    pool: RpcPool, contract: bytes, log_id: LogId, leaf_count: int, search: Search
) -> FoundAnchor:
    """Return the earliest final anchor that covers so many leaves, as far as is looked back.

    Raises:
        ChainError: not-anchored, rpc-unreachable, rpc-error.
        AnchorUseError: wrong-chain.
    """
    final = agreed_height(pool, FINALIZED)
    for height in search.hints:
        if height <= final and (at_hint := _events(pool, contract, log_id, height, height)):
            return at_hint[-1]
    best: FoundAnchor | None = None
    for low, high in _spans(final, search.blocks):
        events = _events(pool, contract, log_id, low, high)
        covering = [found for found in events if found.event.head.leaf_count >= leaf_count]
        best = covering[0] if covering else best
        if len(covering) < len(events):
            break  # what lies before covers less
    if best is None:
        raise ChainError(
            "not-anchored",
            f"no final anchor of the last {search.blocks} blocks covers {leaf_count} records",
        )
    # The contract's storage shows the last anchor of a block.
    return _events(pool, contract, log_id, best.block_number, best.block_number)[-1]


def agreed_block_hash(pool: RpcPool, height: int) -> Hash32:
    """Return the hash that servers agree a final block has.

    Raises:
        ChainError: rpc-disagree, rpc-unreachable.
        AnchorUseError: wrong-chain.
    """

    def ask(endpoint: Endpoint) -> bytes | None:
        if height_of(endpoint, FINALIZED) < height:
            return None
        return block_hash_at(endpoint, height)

    return Hash32(pool.agreed(ask, f"the hash of block {height}"))


def _check(evidence: AnchorEvidence, trusted: Hash32) -> None:
    trust = AnchorTrust(
        contract=evidence.contract,
        code_hash=load_artifact().code_hash,
        block=block_hash_is(trusted),
    )
    verify_evidence(evidence, trust)


def _spans(last: int, blocks: int) -> Iterator[tuple[int, int]]:
    first = max(0, last - blocks + 1)
    for high in range(last, first - 1, -SPAN):
        yield max(first, high - SPAN + 1), high


def _events(
    pool: RpcPool, contract: bytes, log_id: LogId, low: int, high: int
) -> list[FoundAnchor]:
    """Return the anchors of a log between two heights, in their order."""
    wanted = {
        "address": f"0x{contract.hex()}",
        "topics": [f"0x{ANCHORED_TOPIC.hex()}", f"0x{log_id.hex()}"],
        "fromBlock": hex(low),
        "toBlock": hex(high),
    }

    def ask(endpoint: Endpoint) -> list[FoundAnchor]:
        answer = endpoint.call("eth_getLogs", wanted)
        if not isinstance(answer, list):
            raise ChainError("rpc-unreachable", f"{endpoint.name} answered with no events")
        found = (_found(one, contract, endpoint.name) for one in answer)
        return [one for one in found if one is not None and one.event.log_id == log_id]

    return pool.ask_first(ask)


def _found(log: Any, contract: bytes, name: str) -> FoundAnchor | None:  # noqa: ANN401 - JSON
    if not isinstance(log, dict):
        raise ChainError("rpc-unreachable", f"{name} answered with no event")
    event = read_anchored(
        EventLog(
            address=parse_data(log.get("address"), name, 20),
            topics=tuple(parse_data(topic, name, 32) for topic in log.get("topics") or ()),
            data=parse_data(log.get("data"), name),
        ),
        contract,
    )
    if event is None:
        return None
    return FoundAnchor(
        block_number=parse_quantity(log.get("blockNumber"), name),
        transaction_index=parse_quantity(log.get("transactionIndex"), name),
        event=event,
    )


def _prove_state(
    endpoint: Endpoint, contract: bytes, log_id: LogId, found: FoundAnchor
) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, ...], ...]]:
    """Return the proofs of the contract's account and of four words of its storage."""
    offsets = (SLOT_STATE, SLOT_ROOT, SLOT_CHAIN, SLOT_SIGNER + found.event.head.epoch)
    slots = [f"0x{storage_slot(log_id, offset):064x}" for offset in offsets]
    try:
        answer = endpoint.call(
            "eth_getProof", f"0x{contract.hex()}", slots, hex(found.block_number)
        )
    except ChainError as error:
        if error.code != "rpc-error":
            raise
        raise ChainError(
            "rpc-no-history",
            f"{endpoint.name} serves no proofs of block {found.block_number}: {error.message}",
        ) from error
    proofs = answer.get("storageProof") if isinstance(answer, dict) else None
    if not isinstance(proofs, list) or len(proofs) != len(slots):
        raise ChainError("rpc-unreachable", f"{endpoint.name} answered with no proofs")
    account = _nodes(answer.get("accountProof"), endpoint.name)
    return account, tuple(
        _nodes(one.get("proof") if isinstance(one, dict) else None, endpoint.name) for one in proofs
    )


def _nodes(answer: Any, name: str) -> tuple[bytes, ...]:  # noqa: ANN401 - JSON
    if not isinstance(answer, Sequence) or isinstance(answer, str) or not answer:
        raise ChainError("rpc-unreachable", f"{name} answered with an empty proof")
    return tuple(parse_data(node, name) for node in answer)
