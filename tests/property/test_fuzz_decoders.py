"""Random and mutated inputs for every decoder and parser of the protocol.

10,000 random byte strings and 10,000 mutated valid inputs each; 100,000 of both
with `--full`. The seeds are fixed.
"""

import base64
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nous_ledger.protocol import legacy, tiles
from nous_ledger.protocol.bodies import Body, decode_body, encode_body
from nous_ledger.protocol.bundle import format_bundle, parse_bundle
from nous_ledger.protocol.checkpoint import format_checkpoint, parse_checkpoint
from nous_ledger.protocol.encoding import MAX_DEPTH, MAX_ITEMS, MAX_STR_BYTES, decode, encode
from nous_ledger.protocol.errors import LedgerError, SignatureError
from nous_ledger.protocol.head import (
    HeadSignature,
    decode_head_signature,
    encode_head_signature,
)
from nous_ledger.protocol.jsonform import body_from_json, body_to_json
from nous_ledger.protocol.note import format_note, parse_note
from nous_ledger.protocol.policy import Policy, format_policy, parse_policy
from nous_ledger.protocol.record import Record, decode_record, encode_record
from nous_ledger.protocol.report import Report
from nous_ledger.protocol.signing import CURVE_ORDER
from nous_ledger.protocol.strict import Value, decode_strictly
from nous_ledger.protocol.textform import format_base64, parse_base64, parse_decimal
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.protocol.vkey import format_vkey, parse_vkey
from tests.property import fuzzing
from tests.property.fuzzing import Target, byte_mutator, json_mutator, value_mutator
from tests.property.sample_log import (
    cosignatures,
    policy_text,
    sample_log,
)

pytestmark = pytest.mark.untraced

LOG = sample_log(rotated=True)
LINES = cosignatures(LOG)
NOTE = parse_note(LOG.head(*LINES))
BUNDLES = [format_bundle(LOG.bundle(index, *LINES)) for index in (0, 2, 3, 4)]
BODIES: dict[int, list[bytes]] = {}
for _record, _body in zip(LOG.records, LOG.bodies, strict=True):
    BODIES.setdefault(decode_record(_record).type, []).append(_body)
POLICY = policy_text(LOG)
VKEYS = [word for word in POLICY.split() if b"+" in word]
NOUS_V2: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "nous_v2_basic.json").read_text("utf-8")
)
SUMMARY = {
    "p": "nous",
    "v": 1,
    "type": "summary",
    "user": "178ea61e753a78d64b99c7efb4cf1929",
    "total_tokens": 3,
    "total_calls": 2,
    "models": [
        {"provider": "openai", "model": "a", "tokens": 2, "calls": 1},
        {"provider": "openai", "model": "b", "tokens": 1, "calls": 1},
    ],
    "ts": 1_775_131_200,
}


def text_of(data: bytes) -> str:
    """Return the bytes as text in which what is not UTF-8 is lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def read_value(data: bytes) -> Value:
    """Both readers of the encoding agree on every input, to the error code."""
    limits = (MAX_DEPTH, MAX_ITEMS, MAX_STR_BYTES)
    assert attempt(partial(decode_strictly, limits=limits), data) == attempt(decode, data)
    return decode(data)


def attempt(read: Callable[[bytes], Value], data: bytes) -> object:
    try:
        return read(data)
    except LedgerError as error:
        return type(error), error.code


def check_value(value: Value, data: bytes) -> None:
    assert encode(value) == data


def check_record(record: Record, data: bytes) -> None:
    """Decoding does not look at the signature, but what is encoded must have a sound one."""
    if is_sound(record.signature):
        assert encode_record(record) == data
    else:
        with pytest.raises(SignatureError):
            encode_record(record)


def check_head_signature(signature: HeadSignature, data: bytes) -> None:
    """As check_record."""
    if is_sound(signature.signature):
        assert encode_head_signature(signature) == data
    else:
        with pytest.raises(SignatureError):
            encode_head_signature(signature)


def is_sound(signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return 0 < r < CURVE_ORDER and 0 < s <= CURVE_ORDER // 2 and signature[64] in (0, 1)


def check_body(body: Body, data: bytes) -> None:
    assert encode_body(body) == data
    assert body_from_json(json.loads(json.dumps(body_to_json(body)))) == body


def read_json(data: bytes) -> Any:
    """Return what a JSON reader makes of the input; other input is not the parser's concern."""
    try:
        return json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return {}


def read_json_object(data: bytes) -> dict[str, Any]:
    value = read_json(data)
    return value if isinstance(value, dict) else {}


def check_json_body(body: Body, data: bytes) -> None:
    """What has a JSON form also has a binary form that is read again."""
    shown = json.loads(data)
    assert body_to_json(body) == shown
    assert decode_body(TYPE_NUMBERS[shown["type"]], encode_body(body)) == body


TYPE_NUMBERS = {
    body_to_json(decode_body(number, samples[0]))["type"]: number
    for number, samples in BODIES.items()
}


def check_text(write: Callable[[Any], str], value: Any, data: bytes) -> None:
    assert write(value) == text_of(data)


def check_bytes(write: Callable[[Any], bytes], value: Any, data: bytes) -> None:
    assert write(value) == data


def check_policy(policy: Policy, data: bytes) -> None:
    """Comments and spacing are not kept: the policy is what must come back."""
    assert parse_policy(format_policy(policy)) == policy
    assert len(policy.logs) <= data.count(b"log")


def check_report(report: Report, data: bytes) -> None:
    """What is established is ours; only lines to be ignored and a body may be missing."""
    json.dumps(report.to_json())
    if report.exit_code() == 0:
        given = parse_bundle(data)
        body = LOG.bodies[LOG.records.index(given.record)]
        assert given.body == body or (given.body, report.accuracy.code) == (b"", "withheld")
        assert given.note.text == NOTE.text


def check_legacy_record(record: legacy.LegacyRecord, data: bytes) -> None:
    """A row that parses can be hashed and examined, whatever stands in it."""
    row = json.loads(data)
    assert (record.id, record.leaf_hash) == (row["id"], row["leaf_hash"])
    report = legacy.audit_legacy([record], record.leaf_hash, 1, LEGACY_KEY)
    genuine = legacy.legacy_leaf(record) == record.leaf_hash
    assert genuine or report.wrong == 1
    assert report.verified == (not report.findings)


LEGACY_KEY = legacy.parse_legacy_key(NOUS_V2["pubkey_response"]["pubkey"])


def check_legacy_key(key: legacy.LegacyPublicKey, data: bytes) -> None:
    assert base64.urlsafe_b64encode(key[1:33]).decode().rstrip("=") == json.loads(data)["x"]


def check_legacy_summary(summary: legacy.LegacySummary, data: bytes) -> None:
    signed = json.loads(legacy.encode_legacy_summary(summary))
    assert legacy.parse_legacy_summary(signed) == summary
    given = json.loads(data)
    assert all(given[name] == signed[name] for name in SUMMARY if name != "models")


def bundle_mutator() -> fuzzing.Mutate:
    """Return a mutator of bundles: of the file, of its extra data, of its note."""
    in_file = byte_mutator(*BUNDLES)
    extras = [base64.b64decode(bundle.split(b"\n")[1][6:]) for bundle in BUNDLES]
    in_extra = value_mutator(*extras)
    in_note = byte_mutator(LOG.head(*LINES), LOG.head())

    def mutate(rng: Random) -> bytes:
        lines = rng.choice(BUNDLES).split(b"\n")
        match rng.randrange(4):
            case 0:
                lines[1] = b"extra " + base64.b64encode(in_extra(rng))
            case 1:
                lines[lines.index(b"") + 1 :] = [in_note(rng)]
            case _:
                return in_file(rng)
        return b"\n".join(lines)

    return mutate


def from_text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(text_of(data))


def bytes_target(
    name: str, read: Callable[[bytes], Any], write: Callable[[Any], bytes], mutate: fuzzing.Mutate
) -> Target:
    return Target(name=name, read=read, check=partial(check_bytes, write), mutate=mutate)


def text_target(
    name: str, read: Callable[[str], Any], write: Callable[[Any], str], mutate: fuzzing.Mutate
) -> Target:
    return Target(name=name, read=from_text(read), check=partial(check_text, write), mutate=mutate)


def json_target(
    name: str,
    read: Callable[[Any], Any],
    check: Callable[[Any, bytes], None],
    *samples: dict[str, Any],
) -> Target:
    return Target(
        name=name,
        read=lambda data: read(read_json_object(data)),
        check=check,
        mutate=json_mutator(*samples),
    )


def body_targets() -> Iterator[Target]:
    for number, samples in sorted(BODIES.items()):
        yield Target(
            name=f"decode_body({number})",
            read=partial(decode_body, number),
            check=check_body,
            mutate=value_mutator(*samples),
        )


HEAD_LINE = next(line.payload for line in NOTE.signatures if len(line.payload) == 77)
PATHS = [b"tile/0/x001/x234/067.p/8", b"tile/entries/000", b"tile/bodies/x002/255.p/255"]
JSON_BODIES = [
    body_to_json(decode_body(number, body))
    for number, samples in sorted(BODIES.items())
    for body in samples
]
TARGETS = [
    Target(name="decode", read=read_value, check=check_value, mutate=value_mutator(*LOG.bodies)),
    Target(
        name="decode_record",
        read=decode_record,
        check=check_record,
        mutate=byte_mutator(*LOG.records),
    ),
    *body_targets(),
    json_target("body_from_json", body_from_json, check_json_body, *JSON_BODIES),
    bytes_target("parse_note", parse_note, format_note, byte_mutator(LOG.head(*LINES), LOG.head())),
    text_target(
        "parse_checkpoint",
        parse_checkpoint,
        format_checkpoint,
        byte_mutator(NOTE.text.encode()),
    ),
    text_target("parse_vkey", parse_vkey, format_vkey, byte_mutator(*VKEYS)),
    Target(
        name="parse_policy",
        read=parse_policy,
        check=check_policy,
        mutate=byte_mutator(POLICY, policy_text(LOG, "none")),
    ),
    bytes_target("parse_bundle", parse_bundle, format_bundle, bundle_mutator()),
    Target(
        name="verify_bundle",
        read=partial(verify_bundle, policy=parse_policy(POLICY)),
        check=check_report,
        mutate=bundle_mutator(),
    ),
    Target(
        name="decode_head_signature",
        read=decode_head_signature,
        check=check_head_signature,
        mutate=byte_mutator(HEAD_LINE),
    ),
    text_target(
        "parse_tile_path", tiles.parse_tile_path, tiles.format_tile_path, byte_mutator(*PATHS)
    ),
    bytes_target(
        "decode_tile",
        partial(tiles.decode_tile, width=3),
        tiles.encode_tile,
        byte_mutator(tiles.encode_tile(LOG.nodes[:3])),
    ),
    bytes_target(
        "decode_entries",
        partial(tiles.decode_entries, width=3),
        tiles.encode_entries,
        byte_mutator(tiles.encode_entries(LOG.records[:3])),
    ),
    bytes_target(
        "decode_bodies",
        partial(tiles.decode_bodies, width=4),
        tiles.encode_bodies,
        byte_mutator(tiles.encode_bodies(LOG.bodies[:4])),
    ),
    json_target(
        "parse_legacy_record",
        legacy.parse_legacy_record,
        check_legacy_record,
        *NOUS_V2["records"],
    ),
    json_target(
        "parse_legacy_key",
        legacy.parse_legacy_key,
        check_legacy_key,
        NOUS_V2["pubkey_response"]["pubkey"],
    ),
    json_target("parse_legacy_summary", legacy.parse_legacy_summary, check_legacy_summary, SUMMARY),
]
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@each_target
def test_random_bytes(target: Target, fuzz_inputs: int) -> None:
    seen = fuzzing.run(target, fuzz_inputs, fuzzing.random_bytes, "random")
    assert seen.total() == fuzz_inputs
    assert seen["value"] < fuzz_inputs


@pytest.mark.apart
@each_target
def test_mutated_inputs(target: Target, fuzz_inputs: int) -> None:
    """Both outcomes must come, or the inputs test nothing."""
    seen = fuzzing.run(target, fuzz_inputs, target.mutate, "mutated")
    assert seen.total() == fuzz_inputs
    assert 0 < seen["value"] < fuzz_inputs, seen
    assert len(seen) >= 2


@pytest.mark.parametrize("alphabet", ["random", "mutated"])
def test_base64_and_decimals(alphabet: str, fuzz_inputs: int) -> None:
    """Texts that have one spelling: None, or a value that is written as it was read."""
    rng = Random(f"textform: {alphabet}, seed 1")
    mutate = byte_mutator(b"AAAA", b"aGVsbG8=", b"AA==", b"9007199254740991", b"10")
    make = fuzzing.random_bytes if alphabet == "random" else mutate
    read = 0
    for _ in range(fuzz_inputs):
        text = text_of(make(rng))
        data, number = parse_base64(text), parse_decimal(text)
        assert data is None or format_base64(data) == text
        assert number is None or str(number) == text
        read += data is not None or number is not None
    assert 0 < read < fuzz_inputs
