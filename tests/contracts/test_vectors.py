"""The JSON vectors on the EVM (ANCH-1): the same files, cases and error codes as everywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from nous_ledger.protocol.signing import SigningKey, address_of
from tests.contracts.abi import AbiValue, NotExpressibleError
from tests.contracts.evm import Call, Contract, Returned
from tests.contracts.expected import meets
from tests.contracts.solidity import CONTRACTS

VECTORS = CONTRACTS.parent / "vectors"
Case = dict[str, Any]
Values = tuple[AbiValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A case as calls: the one that must be refused if the case is invalid, and all it returns."""

    call: Call
    values: Values = ()
    computed: tuple[tuple[Call, Values], ...] = ()


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def log_id(case: Case) -> Reading:
    keys = (unhex(case[name]) for name in ("secp256k1", "ed25519", "nextHash"))
    call = Call("logId", (case["origin"].encode(), *keys))
    return Reading(call=call, values=(unhex(case.get("logId", "")),))


def next_hash(case: Case) -> Reading:
    call = Call("nextKeyHash", (unhex(case["secp256k1"]),))
    return Reading(call=call, values=(unhex(case["nextHash"]),))


def fields_of(record: bytes) -> Values:
    numbers = (record[1:3], record[3:7], record[7:15], record[15:23])
    return (*(int.from_bytes(number, "big") for number in numbers), record[23:55])


def decoded_record(case: Case) -> Reading:
    record, call = unhex(case["record"]), Call("decodeRecord", (unhex(case["record"]),))
    if case["error"]:
        return Reading(call=call)
    fields = case["json"]
    numbers = tuple(fields[name] for name in ("type", "epoch", "index", "logged_at"))
    values = (*numbers, unhex(fields["body_hash"]))
    leaf = (Call("recordLeaf", (record,)), (unhex(case["leaf"]),))
    return Reading(call=call, values=values, computed=(leaf,))


def signed_record(case: Case) -> Reading:
    key = SigningKey(unhex(case["privateKey"]))
    record = unhex(case["record"])
    arguments = (record, unhex(case["logId"]), address_of(key.public_key))
    return Reading(call=Call("verifyRecord", arguments), values=fields_of(record))


def verified_record(case: Case) -> Reading:
    record, log = unhex(case["record"]), unhex(case["logId"])
    call = Call("verifyRecord", (record, log, address_of(unhex(case["publicKey"]))))
    if case["error"]:
        return Reading(call=call)
    digest = (Call("recordDigest", (log, record)), (unhex(case["digest"]),))
    return Reading(call=call, values=fields_of(record), computed=(digest,))


def inclusion(case: Case) -> Reading:
    numbers = (int(case["leafIndex"]), int(case["leafCount"]))
    path = tuple(map(unhex, case["path"]))
    arguments = (unhex(case["leaf"]), *numbers, path, unhex(case["root"]))
    return Reading(call=Call("verifyInclusion", arguments))


def consistency(case: Case) -> Reading:
    first = (int(case["firstCount"]), unhex(case["firstRoot"]))
    second = (int(case["secondCount"]), unhex(case["secondRoot"]))
    path = tuple(map(unhex, case["path"]))
    return Reading(call=Call("verifyConsistency", (*first, *second, path)))


def head_digest(case: Case) -> Reading:
    head = (
        unhex(case["logId"]),
        int(case["epoch"]),
        int(case["leafCount"]),
        unhex(case["root"]),
        int(case["timestamp"]),
    )
    return Reading(call=Call("headDigest", (head,)), values=(unhex(case["digest"]),))


def rotation_digest(case: Case) -> Reading:
    arguments = (unhex(case["logId"]), int(case["epoch"]), unhex(case["nextHash"]))
    return Reading(call=Call("rotationDigest", arguments), values=(unhex(case["digest"]),))


def binding_digest(case: Case) -> Reading:
    members = (unhex(case[name]) for name in ("logId", "subject", "wallet"))
    numbers = (int(case[name]) for name in ("nonce", "deadline"))
    call = Call("bindingDigest", (*members, *numbers))
    return Reading(call=call, values=(unhex(case["digest"]),))


def address(case: Case) -> Reading:
    call = Call("addressOf", (unhex(case["publicKey"]),))
    return Reading(call=call, values=(unhex(case["address"].removeprefix("0x")),))


READINGS: dict[tuple[str, str], Callable[[Case], Reading]] = {
    ("log_ids", "LogId"): log_id,
    ("log_ids", "NextHash"): next_hash,
    ("records", "Decode"): decoded_record,
    ("records", "Sign"): signed_record,
    ("records", "Verify"): verified_record,
    ("inclusion", "Inclusion"): inclusion,
    ("consistency", "Consistency"): consistency,
    ("eip712", "HeadDigest"): head_digest,
    ("eip712", "RotationDigest"): rotation_digest,
    ("eip712", "BindingDigest"): binding_digest,
    ("eip712", "Address"): address,
}
OFF_CHAIN = {
    ("log_ids", "Genesis"): "bodies are not read on the chain",
    (
        "records",
        "Signature",
    ): "the chain takes r, s and v apart: see test_signatures.py",
    ("inclusion", "InclusionToPeak"): "the chain knows roots only",
    ("consistency", "ConsistencyToPeaks"): "the chain knows roots only",
    ("eip712", "TypeHash"): "constants of the code, compared as such below",
}


def cases_of(name: str) -> list[tuple[str, Case]]:
    """Return every case of a file with its group's type and shared values."""
    document = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    assert document["protocol"] == "nous-ledger/1"
    cases = []
    for group in document["testGroups"]:
        shared = {key: value for key, value in group.items() if key != "tests"}
        cases += [(group["type"], shared | case) for case in group["tests"]]
    assert len(cases) == document["numberOfTests"]
    return cases


def is_short_of_a_word(case: Case) -> bool:
    """Return whether a hash of the case is not 32 bytes, which no caller can send."""
    names = ("leaf", "root", "firstRoot", "secondRoot")
    hashes = [*case["path"], *(case[name] for name in names if name in case)]
    return any(len(unhex(text)) != 32 for text in hashes)


def judge(harness: Contract, case: Case, reading: Reading) -> str:
    """Check one case and return how it went; a case that is not as marked fails."""
    try:
        outcome = harness.call(reading.call.function, *reading.call.args)
    except NotExpressibleError:
        assert case["error"] == "proof-shape", case
        assert is_short_of_a_word(case), case
        return "not to be written as words"
    assert meets(outcome, case["error"]), (case, outcome)
    if not case["error"]:
        assert outcome == Returned(reading.values), case
        for call, values in reading.computed:
            assert harness.call(call.function, *call.args) == Returned(values), case
    return str(case["result"])


@pytest.mark.parametrize("name", ["log_ids", "records", "inclusion", "consistency", "eip712"])
def test_vectors(harness: Contract, name: str) -> None:
    verdicts: Counter[str] = Counter()
    for kind, case in cases_of(name):
        if (name, kind) in OFF_CHAIN:
            continue
        verdicts[judge(harness, case, READINGS[name, kind](case))] += 1
    assert verdicts["valid"]
    assert verdicts["invalid"] or name == "eip712", "of pure known answers none is invalid"
    assert verdicts["not to be written as words"] <= verdicts.total() // 10


def test_every_reading_is_of_a_group_that_exists() -> None:
    found = {(name, kind) for name, _ in READINGS | OFF_CHAIN for kind, _ in cases_of(name)}
    assert found == set(READINGS) | set(OFF_CHAIN)


def test_type_hashes(harness: Contract) -> None:
    found = {
        case["typeString"].partition("(")[0]: unhex(case["typeHash"])
        for kind, case in cases_of("eip712")
        if kind == "TypeHash"
    }
    structs = ("Checkpoint", "Rotation", "Binding")
    assert harness.call("typeHashes") == Returned(tuple(found[name] for name in structs))
