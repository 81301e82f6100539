"""Check anchor evidence, and say in a report what it adds to the log view.

Every step is an equality with something checked before; only the block's hash comes from
outside, and is compared last. So evidence that is wrong in itself is called wrong even where
no block hash can be had.

Spec:
    PROTOCOL.md, section "Anchor evidence" (EVID-5 to EVID-12; VER-26, VER-27).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from nous_ledger.protocol.anchor_block import (
    BlockHeader,
    parse_header,
    read_account,
    read_logs,
    read_storage,
)
from nous_ledger.protocol.anchor_contract import (
    SLOT_CHAIN,
    SLOT_ROOT,
    SLOT_SIGNER,
    SLOT_STATE,
    AnchoredEvent,
    read_anchored,
    read_signer,
    read_state,
    storage_slot,
)
from nous_ledger.protocol.anchor_evidence import AnchorEvidence, parse_evidence
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.errors import AnchorError, HeadError, LedgerError, UnavailableError
from nous_ledger.protocol.proof import verify_consistency
from nous_ledger.protocol.report import Anchored, Answer, Outcome, Report
from nous_ledger.protocol.signing import address_of, recover
from nous_ledger.protocol.types import Hash32
from nous_ledger.protocol.values import value

TrustedBlock: TypeAlias = Callable[[int, BlockHeader], Hash32]
"""Returns the hash that a chain's block has at a height, from who is trusted to know it.

It is called with the chain id and the header, and raises UnavailableError where nobody knows.
"""

_UNDECIDED: Final = UnavailableError(
    "undecided", "the record was not found to be in the log of the bundle's head"
)


@value
class AnchorTrust:
    """What a reader takes from elsewhere.

    Attributes:
        contract: address of the contract, 20 bytes.
        code_hash: Keccak-256 of the contract's code.
        block: who says which hash a block has.
    """

    contract: bytes
    code_hash: Hash32
    block: TrustedBlock


def block_hash_is(trusted: Hash32 | None) -> TrustedBlock:
    """Return the trust in one block hash, or in none at all."""

    def block(_chain_id: int, header: BlockHeader) -> Hash32:
        if trusted is None:
            raise UnavailableError(
                "anchor-untrusted", f"nobody vouches for the hash of block {header.number}"
            )
        return trusted

    return block


def verify_evidence(evidence: AnchorEvidence, trust: AnchorTrust) -> Anchored:
    """Return what anchor evidence proves after checking all of it.

    Spec:
        PROTOCOL.md EVID-5 to EVID-12.

    Args:
        evidence: as it was parsed.
        trust: contract, code and block hash from elsewhere.

    Raises:
        AnchorError: anchor-contract, anchor-format, anchor-rlp, anchor-proof, anchor-head,
            anchor-event, anchor-block.
        HeadError: fork (the contract held proof of a fork under the head's key).
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
        ProofError: proof-counts, proof-shape, root-mismatch.
        UnavailableError: anchor-untrusted, and what the trusted source raises.
    """
    header = parse_header(evidence.header)
    signer, chain = _check_storage(evidence, header, trust)
    event = _find_event(evidence, header)
    if event.chain != chain:
        raise AnchorError("anchor-event", "the event's running hash is not the stored one")
    _check_signature(event, signer)
    head = evidence.head
    verify_consistency(
        evidence.from_count,
        evidence.from_root,
        head.leaf_count,
        head.root,
        evidence.consistency,
    )
    if trust.block(evidence.chain_id, header) != header.hash:
        raise AnchorError(
            "anchor-block", f"block {header.number} has another hash than {_0x(header.hash)}"
        )
    return Anchored(
        chain_id=evidence.chain_id,
        contract=evidence.contract,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.timestamp,
        leaf_count=head.leaf_count,
        root=head.root,
        chain=chain,
    )


def add_anchor(report: Report, bundle: bytes, evidence: bytes, trust: AnchorTrust) -> Report:
    """Return a bundle's report with what anchor evidence adds to it.

    Spec:
        PROTOCOL.md VER-26, VER-27.

    Args:
        report: what `verify_bundle` found.
        bundle: the bundle that it is about.
        evidence: the `.anchor.json` file, at most 1 MiB.
        trust: as in `verify_evidence`.
    """
    try:
        anchored = _check_anchor(report, bundle, evidence, trust)
    except LedgerError as error:
        unavailable = isinstance(error, UnavailableError)
        outcome = Outcome.COULD_NOT_CHECK if unavailable else Outcome.WRONG
        return replace(
            report, anchor=Answer(outcome=outcome, code=error.code, detail=error.message)
        )
    return replace(report, anchor=Answer(outcome=Outcome.ESTABLISHED), anchored=anchored)


def _check_anchor(report: Report, bundle: bytes, data: bytes, trust: AnchorTrust) -> Anchored:
    evidence = parse_evidence(data)
    anchored = verify_evidence(evidence, trust)
    if report.log_id is None or report.inclusion.outcome is not Outcome.ESTABLISHED:
        raise _UNDECIDED
    if evidence.log_id != report.log_id:
        raise AnchorError("anchor-head", f"the evidence is of the log {evidence.log_id.hex()}")
    head = parse_bundle(bundle).head
    if (evidence.from_count, evidence.from_root) != (head.leaf_count, head.root):
        raise AnchorError(
            "anchor-head",
            f"the evidence starts from a head of {evidence.from_count} leaves,"
            f" which is not the bundle's head of {head.leaf_count}",
        )
    return anchored


def _check_storage(
    evidence: AnchorEvidence, header: BlockHeader, trust: AnchorTrust
) -> tuple[bytes, Hash32]:
    """Return the signer and running hash that the contract stores with the evidence's head."""
    if evidence.contract != trust.contract:
        raise AnchorError(
            "anchor-contract",
            f"the evidence is of the contract {_0x(evidence.contract)}, not {_0x(trust.contract)}",
        )
    account = read_account(header, evidence.contract, evidence.account_proof)
    if account.code_hash != trust.code_hash:
        raise AnchorError("anchor-contract", "the contract's code is not that of this protocol")
    head = evidence.head
    offsets = (SLOT_STATE, SLOT_ROOT, SLOT_CHAIN, SLOT_SIGNER + head.epoch)
    state_word, root, chain, signer_word = (
        read_storage(account, storage_slot(evidence.log_id, offset), proof)
        for offset, proof in zip(offsets, evidence.storage_proofs, strict=True)
    )
    state = read_state(state_word)
    stored = (state.head_epoch, state.leaf_count, root.to_bytes(32, "big"), state.timestamp)
    if stored != (head.epoch, head.leaf_count, head.root, head.timestamp):
        raise AnchorError("anchor-head", "the contract stores another head than the evidence names")
    signer, forked = read_signer(signer_word)
    if forked:
        raise HeadError("fork", "the contract held proof that the log forked under this key")
    return signer, Hash32(chain.to_bytes(32, "big"))


def _find_event(evidence: AnchorEvidence, header: BlockHeader) -> AnchoredEvent:
    """Return the event by which the contract took the head."""
    logs = read_logs(header, evidence.transaction_index, evidence.receipt_proof)
    for log in logs:
        event = read_anchored(log, evidence.contract)
        if event and (event.log_id, event.head) == (evidence.log_id, evidence.head):
            return event
    raise AnchorError("anchor-event", "the transaction has no event Anchored of this head")


def _check_signature(event: AnchoredEvent, signer: bytes) -> None:
    key = recover(event.head.digest(event.log_id), event.signature)
    if address_of(key) != signer:
        raise AnchorError("anchor-event", "the head is not signed by the log's stored key")


def _0x(data: bytes) -> str:
    return f"0x{data.hex()}"
