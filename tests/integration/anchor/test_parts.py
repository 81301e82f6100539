"""Parts of anchoring by themselves: fees, servers, keystores, the outbox, the missing extra."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from nous_ledger.anchor.abi import describe_revert, encode_call
from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.chains import CHAINS, Chain, find_chain
from nous_ledger.anchor.errors import ANCHOR_ERROR_CODES, AnchorUseError, ChainError
from nous_ledger.anchor.fees import (
    ORACLE,
    Cost,
    Fees,
    check_cost,
    fee_below,
    format_ether,
    market_fees,
)
from nous_ledger.anchor.outbox import Outbox
from nous_ledger.anchor.relayer import KeystoreRelayer, keystore_address, read_keystore
from nous_ledger.anchor.rpc import RpcPool
from nous_ledger.anchor.trie import build_trie
from nous_ledger.ledger.errors import KeyFileError, StoreContentError
from nous_ledger.protocol.anchor_rlp import encode_rlp, rlp_uint
from nous_ledger.protocol.anchor_trie import verify_trie
from nous_ledger.protocol.errors import ERROR_CODES, InputError
from nous_ledger.protocol.hashing import keccak256
from tests.contracts.evm import CHAIN_ID
from tests.integration.anchor.harness import CHAIN, SECRETS, Node, Party, write_weak_keystore

DEAD = "http://127.0.0.1:9"


def test_the_fee_for_the_chain_below_counts(node: Node) -> None:
    pool = RpcPool([node.url], CHAIN_ID)
    assert fee_below(pool, b"data") == 0  # no such chain below anvil
    node.rpc("anvil_setCode", ORACLE, "0x6103e860005260206000f3")  # returns 1000
    assert fee_below(pool, b"data") == 1250
    cost = Cost(gas=10, fees=Fees(most=3, tip=1), below=1250)
    assert cost.total == 1280
    with pytest.raises(ChainError) as caught:
        check_cost(cost, 1279)
    assert caught.value.code == "fee-cap"
    node.rpc("anvil_setCode", ORACLE, "0x")


def test_the_base_fee_has_a_floor(node: Node) -> None:
    pool = RpcPool([node.url], CHAIN_ID)
    now = market_fees(pool, CHAIN)
    floor = 10**12
    high = market_fees(pool, Chain(chain_id=CHAIN_ID, name="high", base_fee_floor=floor))
    assert high.most == 2 * floor + high.tip
    assert now.most < high.most
    assert [chain.base_fee_floor for chain in CHAINS] == [5_000_000] * 2


def test_a_replacement_pays_an_eighth_more() -> None:
    old = Fees(most=1000, tip=8)
    assert Fees(most=1, tip=1).above(old) == Fees(most=1126, tip=10)
    assert Fees(most=5000, tip=50).above(old) == Fees(most=5000, tip=50)


SHOWN = ["0.000000000000000001", "1", "2.5"]


def test_amounts_in_ether() -> None:
    assert [format_ether(n) for n in (1, 10**18, 25 * 10**17)] == [
        "0.000000000000000001",
        "1",
        "2.5",
    ]


def test_chains_by_name_and_number() -> None:
    assert find_chain("base").chain_id == 8453
    assert find_chain("84532").name == "base-sepolia"
    assert find_chain("31337") == Chain(chain_id=31337, name="chain 31337")
    for text in ("", "0", "-1", "moon", "1e3", str(1 << 64)):
        with pytest.raises(AnchorUseError):
            find_chain(text)


@pytest.mark.parametrize(
    "url", ["", "ftp://example.com", "http://", "example.com", "http://example.com:0"]
)
def test_addresses_that_are_no_servers(url: str) -> None:
    with pytest.raises(InputError) as caught:
        RpcPool([url], CHAIN_ID)
    assert not url or url not in caught.value.message


def test_how_many_have_to_agree() -> None:
    urls = [f"{DEAD}/{number}" for number in range(5)]
    assert [RpcPool(urls[:n], 1).quorum for n in (1, 2, 3, 4, 5)] == [1, 1, 2, 3, 3]
    assert RpcPool(urls, 1, quorum=5).quorum == 5
    for count, quorum in ((0, None), (2, 3), (2, 0)):
        with pytest.raises(InputError):
            RpcPool(urls[:count], 1, quorum=quorum)
    with pytest.raises(InputError):
        RpcPool([DEAD, DEAD], 1)


def test_answers_that_agree(node: Node) -> None:
    pool = RpcPool([node.url, DEAD, f"{DEAD}/2"], CHAIN_ID, timeout_s=2)
    with pytest.raises(ChainError) as caught:
        pool.agreed(lambda one: one.call("eth_blockNumber"), "the height")
    assert caught.value.code == "rpc-unreachable"
    single = RpcPool([DEAD, node.url], CHAIN_ID, quorum=1, timeout_s=2)
    assert int(single.agreed(lambda one: one.call("eth_blockNumber"), "it"), 16) == node.height
    assert single.first("eth_chainId") == hex(CHAIN_ID)


def test_a_keystore_is_as_wallets_write_it(tmp_path: Path) -> None:
    file = write_weak_keystore(tmp_path / "key.json", SECRETS[0], "sea lion")
    relayer = read_keystore(file, "sea lion")
    assert relayer.address == keystore_address(file) == KeystoreRelayer(SECRETS[0]).address
    assert SECRETS[0].hex() not in repr(relayer)
    document = json.loads(file.read_text("ascii"))
    faults: list[object] = [
        "no JSON",
        [],
        {},
        document | {"version": 2},
        document | {"crypto": document["crypto"] | {"kdf": "md5"}},
        document | {"crypto": document["crypto"] | {"kdfparams": {"n": 1 << 30, "r": 8}}},
    ]
    for fault in faults:
        text = fault if isinstance(fault, str) else json.dumps(fault)
        file.write_text(text, "ascii")
        with pytest.raises(KeyFileError) as caught:
            read_keystore(file, "sea lion")
        assert caught.value.code == "key-format", fault
    file.chmod(0o644)
    with pytest.raises(KeyFileError) as caught:
        read_keystore(file, "sea lion")
    assert caught.value.code == "key-permissions"


def test_another_database_is_no_outbox(tmp_path: Path, party: Party) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE slots (id)")
    with pytest.raises(StoreContentError) as caught:
        Outbox(tmp_path / "other.db")
    assert caught.value.code == "store-foreign"
    assert party.outbox.path.stat().st_mode & 0o777 == 0o600
    with (
        party.outbox.sending(),
        Outbox(party.outbox.path) as second,
        pytest.raises(ChainError) as busy,
        second.sending(),
    ):
        pass
    assert busy.value.code == "outbox-busy"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eth_abi", "eth_account"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: encode_call("head", bytes(32)), lambda: KeystoreRelayer(SECRETS[0])):
        with pytest.raises(AnchorUseError) as caught:
            call()
        assert caught.value.code == "extra-missing"
        assert "nous-ledger[anchor]" in caught.value.hint


def test_errors_of_the_contract_are_told_with_their_arguments() -> None:
    unknown = keccak256(b"LogUnknown(bytes32)")[:4] + bytes(32)
    assert describe_revert(unknown) == f"LogUnknown(log=0x{bytes(32).hex()})"
    message = bytes.fromhex("08c379a0") + encode_string("no")
    assert describe_revert(message) == "no"
    assert describe_revert(b"\x01\x02\x03\x04\x05") == "reverted with 0x0102030405"
    assert describe_revert(unknown[:-1]).startswith("reverted with 0x")
    assert describe_revert(b"") == "reverted without a reason"


def encode_string(text: str) -> bytes:
    data = text.encode()
    padded = data + bytes(-len(data) % 32)
    return (32).to_bytes(32, "big") + len(data).to_bytes(32, "big") + padded


@pytest.mark.parametrize("count", [1, 2, 17, 127, 128, 129, 300])
def test_every_receipt_of_a_block_can_be_proved(count: int) -> None:

    values = {encode_rlp(rlp_uint(k)): f"receipt {k}".encode() * (k % 9 + 1) for k in range(count)}
    for key in list(values)[:: max(1, count // 7)]:
        root, proof = build_trie(values, key)
        assert verify_trie(root, key, proof) == values[key]


def test_codes_of_anchoring_stand_beside_those_of_the_protocol() -> None:
    both = set(ANCHOR_ERROR_CODES) & set(ERROR_CODES)
    assert both == set()


def test_the_artifact_fits_its_own_hashes() -> None:
    artifact = load_artifact()
    made = keccak256(b"\xff" + artifact.factory + artifact.salt + keccak256(artifact.creation_code))
    assert made[12:] == artifact.address
