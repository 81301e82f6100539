"""What the parts of anchor evidence refuse that no contract of ours and no client makes."""

import pytest

from nous_ledger.protocol.anchor_block import (
    Account,
    BlockHeader,
    EventLog,
    read_logs,
    read_storage,
)
from nous_ledger.protocol.anchor_contract import ANCHORED_TOPIC, read_anchored, read_state
from nous_ledger.protocol.anchor_evidence import MAX_EVIDENCE_BYTES, parse_evidence
from nous_ledger.protocol.anchor_rlp import MAX_RLP_BYTES, RlpItem, decode_rlp, encode_rlp
from nous_ledger.protocol.anchor_trie import verify_trie
from nous_ledger.protocol.anchor_verify import AnchorTrust, add_anchor, block_hash_is
from nous_ledger.protocol.bundle import format_bundle
from nous_ledger.protocol.errors import AnchorError
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.types import Hash32, UnixSeconds
from nous_ledger.protocol.verify import verify_bundle
from tests.conformance.test_vectors_anchor import file_of
from tests.conformance.vector_files import cases_of, load, unhex
from tests.property.sample_log import cosignatures, policy_text, sample_log
from tests.refusals import code_of

ZERO = Hash32(bytes(32))
CONTRACT = b"\x07" * 20


def leaf(key: bytes, value: bytes) -> tuple[Hash32, bytes]:
    """Return the root and the only node of a trie of one key."""
    node = encode_rlp((b"\x20" + key, value))
    return keccak256(node), node


def test_a_value_may_stand_where_other_keys_go_on() -> None:
    """EVID-4."""
    branch: RlpItem = (*[b""] * 16, b"value")
    node = encode_rlp((b"\x00\x12", branch))
    assert verify_trie(keccak256(node), b"\x12", [node]) == b"value"
    assert code_of(lambda: verify_trie(keccak256(node), b"\x12\x30", [node])) == "anchor-proof"


def test_a_stored_word_is_never_zero() -> None:
    root, node = leaf(keccak256(bytes(32)), encode_rlp(b""))
    account = Account(storage_root=root, code_hash=ZERO)
    assert code_of(lambda: read_storage(account, 0, [node])) == "anchor-proof"


def test_a_receipt_without_a_list_of_events() -> None:
    root, node = leaf(b"\x80", encode_rlp((b"\x01", b"", b"", b"no list")))
    header = BlockHeader(
        hash=ZERO, number=1, timestamp=UnixSeconds(1), state_root=ZERO, receipts_root=root
    )
    assert code_of(lambda: read_logs(header, 0, [node])) == "anchor-format"


def test_a_word_that_no_log_has() -> None:
    word = int.from_bytes(b"\x01" + bytes(23) + b"\xff" * 8, "big")
    assert code_of(lambda: read_state(word)) == "anchor-head"


def test_an_event_with_an_epoch_out_of_range() -> None:
    data = (2**32).to_bytes(32, "big") + bytes(7 * 32)
    event = EventLog(address=CONTRACT, topics=(ANCHORED_TOPIC, bytes(32)), data=data)
    with pytest.raises(AnchorError, match="out of range") as caught:
        read_anchored(event, CONTRACT)
    assert caught.value.code == "anchor-event"


def test_files_and_items_are_bounded() -> None:
    """EVID-1, EVID-3."""
    assert code_of(lambda: parse_evidence(b" " * (MAX_EVIDENCE_BYTES + 1))) == "anchor-format"
    assert code_of(lambda: decode_rlp(bytes(MAX_RLP_BYTES + 1))) == "anchor-rlp"


def test_evidence_of_another_log_than_the_bundles() -> None:
    """VER-26."""
    log = sample_log()
    bundle = format_bundle(log.bundle(2, *cosignatures(log)))
    report = verify_bundle(bundle, parse_policy(policy_text(log)))
    case = next(c for c in cases_of(load("anchor_evidence"), "Evidence") if c["result"] == "valid")
    trust = AnchorTrust(
        contract=unhex(case["contract"]),
        code_hash=Hash32(unhex(case["codeHash"])),
        block=block_hash_is(Hash32(unhex(case["blockHash"]))),
    )
    found = add_anchor(report, bundle, file_of(case), trust).anchor
    assert found is not None
    assert (found.outcome, found.code) == (Outcome.WRONG, "anchor-head")
    assert "of the log" in found.detail
