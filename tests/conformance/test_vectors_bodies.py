"""Encoding, bodies, records and labels: the library against the vectors."""

from typing import Any

import pytest

from nous_ledger.protocol.accuracy import verify_binding
from nous_ledger.protocol.bodies import (
    Binding,
    check_body_in_record,
    decode_body,
    encode_body,
)
from nous_ledger.protocol.encoding import decode, encode
from nous_ledger.protocol.errors import LabelError
from nous_ledger.protocol.jsonform import (
    body_from_json,
    body_to_json,
    parse_body_json,
    record_to_json,
)
from nous_ledger.protocol.label import Bucket, Verdict, verdict
from nous_ledger.protocol.record import (
    decode_record,
    encode_record,
    leaf_hash,
    record_digest,
    sign_record,
    verify_record,
)
from nous_ledger.protocol.signing import SigningKey, verify_signature
from nous_ledger.protocol.types import Epoch, Hash32, LeafIndex, LogId, UnixMillis
from tests.conformance.vector_files import (
    NAMES,
    Case,
    cases,
    cases_of,
    each_case,
    load,
    meet,
    unhex,
)
from tests.refusals import code_of

BODY_FILES = [name for name in NAMES if name.startswith("bodies_") and name != "bodies_json"]
BODY_CASES = [
    case | {"tcId": f"{name[7:]}-{case['tcId']}"}
    for name in BODY_FILES
    for case in cases_of(load(name), "Body")
]


def typed(value: Any) -> dict[str, Any]:
    """Return a decoded value in the typed form of the vectors."""
    if isinstance(value, int):
        return {"uint": str(value)}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, tuple):
        return {"array": [typed(item) for item in value]}
    return {"map": [[str(key), typed(item)] for key, item in value.items()]}


def untyped(form: dict[str, Any]) -> Any:
    """Return the value of a typed form."""
    ((kind, content),) = form.items()
    if kind == "array":
        return tuple(untyped(item) for item in content)
    if kind == "map":
        return {int(key): untyped(item) for key, item in content}
    if kind == "bin":
        return unhex(content)
    return int(content) if kind == "uint" else content


@cases("encoding", "Decode")
def test_decode(case: Case) -> None:
    fill = case.get("fill", {"byte": "", "count": 0})
    data = unhex(case["data"]) + unhex(fill["byte"]) * fill["count"]

    def run() -> None:
        value = decode(data, max_bytes=case["maxBytes"])
        assert encode(value, max_bytes=case["maxBytes"]) == data
        if "value" in case:
            assert typed(value) == case["value"]

    meet(case, run)


@cases("encoding", "Encode")
def test_encode(case: Case) -> None:
    def run() -> None:
        assert encode(untyped(case["value"])).hex() == case["data"]

    meet(case, run)


@each_case(BODY_CASES)
def test_body(case: Case) -> None:
    """A body decodes, encodes to the same bytes, and has this JSON form (ENC-26)."""
    data = unhex(case["body"])

    def run() -> None:
        body = decode_body(case["recordType"], data)
        if "record" in case:
            check_body_in_record(body, decode_record(unhex(case["record"])))
        assert encode_body(body) == data
        form = body_to_json(body)
        assert form == case["json"]
        assert body_from_json(form) == body

    meet(case, run)


@cases("bodies_binding", "BindingSignature")
def test_binding_signature(case: Case) -> None:
    def run() -> None:
        body = decode_body(3, unhex(case["body"]))
        assert isinstance(body, Binding)
        signer = verify_binding(body, LogId(unhex(case["logId"])))
        assert f"0x{signer.hex()}" == case["signer"]

    meet(case, run)


@cases("records", "Decode")
def test_decode_record(case: Case) -> None:
    data = unhex(case["record"])

    def run() -> None:
        record = decode_record(data)
        assert record_to_json(record) == case["json"]
        assert leaf_hash(data).hex() == case["leaf"]

    meet(case, run)


@cases("records", "Sign")
def test_sign_record(case: Case) -> None:
    """Signatures are RFC 6979's, byte for byte (KEY-3)."""
    data = sign_record(
        SigningKey(unhex(case["privateKey"])),
        LogId(unhex(case["logId"])),
        type=case["recordType"],
        epoch=Epoch(case["epoch"]),
        index=LeafIndex(int(case["index"])),
        logged_at=UnixMillis(int(case["loggedAt"])),
        body_hash=Hash32(unhex(case["bodyHash"])),
    )
    assert data.hex() == case["record"]


@cases("records", "Verify")
def test_verify_record(case: Case) -> None:
    data, log_id = unhex(case["record"]), LogId(unhex(case["logId"]))

    def run() -> None:
        record = verify_record(data, log_id, unhex(case["publicKey"]))
        assert encode_record(record) == data
        assert record_digest(log_id, data[:55]).hex() == case["digest"]

    meet(case, run)


@cases("records", "Signature")
def test_verify_signature(case: Case) -> None:
    """A signature of another length is refused as any other (KEY-6)."""
    digest = unhex(case["digest"])
    signature, key = unhex(case["signature"]), unhex(case["publicKey"])

    def run() -> None:
        assert verify_signature(digest, signature, key) == key

    meet(case, run)


@cases("labels", "LabelRules")
def test_label_rules(case: Case) -> None:
    """Label rules are rules of the body, and their errors are label errors."""
    data = unhex(case["body"])
    if case["result"] == "valid":
        assert encode_body(decode_body(1, data)) == data
        return
    with pytest.raises(LabelError) as caught:
        decode_body(1, data)
    assert caught.value.code == case["error"]


@cases("labels", "Verdict")
def test_verdict(case: Case) -> None:
    """The verdict is arithmetic and the same everywhere (LBL-10)."""
    fields = dict(case["bucket"])
    if "vocab" in fields:
        fields["vocab"] = unhex(fields["vocab"])
    found = verdict(Bucket(**fields), case["metering"])
    assert found is Verdict(case.get("verdict") or case["error"])


@cases("bodies_json", "JsonForm")
def test_json_form(case: Case) -> None:
    """One text form for one body, and its rules after its form (ENC-27, ENC-28)."""

    def run() -> None:
        body = parse_body_json(case["text"])
        assert encode_body(body).hex() == case["body"]

    meet(case, run)


def test_json_text_is_bounded() -> None:
    """Neither length nor nesting of a text is a way around the limits (ENC-27)."""
    assert code_of(parse_body_json, " " * (2**20 + 1)) == "json-format"
    assert code_of(parse_body_json, "[" * 200_000) == "json-format"
