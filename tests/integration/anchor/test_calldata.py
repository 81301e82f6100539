"""Records as calldata: stored, read back from the transaction, compared."""

from typing import Any

import pytest

from nous_ledger.anchor.calldata import calldata_step, read_stored
from nous_ledger.anchor.errors import ChainContentError, ChainError
from nous_ledger.anchor.rpc import RpcPool
from nous_ledger.anchor.waiting import Delivery
from nous_ledger.protocol.anchor_calldata import TAG, CalldataRecord, parse_calldata
from nous_ledger.protocol.encoding import encode
from tests.contracts.evm import CHAIN_ID
from tests.integration.anchor.harness import AT_ONCE, Node, Party
from tests.integration.anchor.proxies import proxied
from tests.refusals import code_of


def store(party: Party, content: CalldataRecord) -> bytes:
    with party.outbox.sending():
        delivery = Delivery(party.sender, party.outbox, AT_ONCE, lambda _slot, _troubles: None)
        slot = delivery.send(calldata_step(content), party.sender.account.relayer)
    assert slot.place is not None
    return slot.place.transaction_hash


@pytest.mark.parametrize("with_body", [True, False])
def test_a_record_comes_back(party: Party, node: Node, *, with_body: bool) -> None:
    """EVID-14."""
    entry = party.ledger.entry(2)
    content = CalldataRecord(
        log_id=party.ledger.log_id, record=entry.record, body=entry.body if with_body else b""
    )
    transaction = store(party, content)
    with pytest.raises(ChainError) as caught:
        read_stored(party.pool, transaction)
    assert caught.value.code == "not-final"
    node.finalize()
    stored = read_stored(party.pool, transaction)
    assert stored.content == content
    assert stored.receiver == party.sender.account.relayer


def test_a_server_cannot_show_another_transaction(party: Party, node: Node) -> None:
    """EVID-14: the hash is computed again."""
    entry = party.ledger.entry(2)
    content = CalldataRecord(log_id=party.ledger.log_id, record=entry.record, body=b"")
    transaction = store(party, content)
    node.finalize()

    def tamper(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getTransactionByHash":
            data = answer["result"]["input"]
            answer["result"]["input"] = data[:-2] + f"{int(data[-2:], 16) ^ 1:02x}"
        return answer

    with (
        proxied(node.rpc.port, tamper) as liar,
        pytest.raises(ChainContentError) as caught,
    ):
        read_stored(RpcPool([liar.url], CHAIN_ID), transaction)
    assert caught.value.code == "chain-lies"


def test_calldata_that_holds_no_record(party: Party) -> None:
    """EVID-14."""
    record = party.ledger.entry(2).record
    good = TAG + bytes(32) + encode((record, b""))
    assert parse_calldata(good).record == record
    faults = (
        b"",
        good[1:],
        good + b"\x00",
        TAG + bytes(32) + encode((record,)),
        TAG + bytes(32) + encode((record[1:], b"")),
        TAG + bytes(32) + encode((record, 1)),
        TAG + bytes(32) + encode((bytes(120), b"")),
        TAG + bytes(32) + b"\x92\xc5\x00\x78" + record + b"\xc4\x00",
    )
    for fault in faults:
        assert code_of(parse_calldata, fault) == "anchor-format"
