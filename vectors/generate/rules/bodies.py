"""Bodies: the field tables of appendix C and the rules between fields."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from vectors.generate.rules import fields, labels
from vectors.generate.rules.checks import require
from vectors.generate.rules.curve import decompress
from vectors.generate.rules.fields import check_list, check_map, check_tuple, check_type, table
from vectors.generate.rules.msgpack import unpack
from vectors.generate.rules.primitives import ZEROS, check_origin
from vectors.generate.rules.record import Record
from vectors.generate.rules.registries import FIRST_NON_TOKEN_KIND

KEY, RECEIPT, RECONCILIATION, BINDING, STATEMENT, REDACTION = range(6)
GENESIS, ROTATE, CLOSE = range(3)
CLOCK_TOLERANCE_MS = 300_000
Body = Mapping[int, Any]

KEY_EVENT_FIELDS = table("""
    1 kind* u
    2 origin origin
    3 secp256k1* point
    4 ed25519* b32
    5 next_hash b32
    6 max_merge_delay_s u
    7 heartbeat_s u
    8 reason u
    9 suspect_from u
    10 rotation_sig b65
    11 predecessor predecessor
""")
RECEIPT_FIELDS = table("""
    0 salt* b16
    1 id* uuid7
    2 time* u
    3 duration u
    4 source* u
    5 subject* b32
    6 subject_seq* u
    7 subject_prev b32
    8 provider* provider
    9 upstream upstream
    10 operation* s64
    11 api* u
    12 model_requested s256
    13 model_served s256
    14 status* u
    15 http_status u100..599
    16 streamed u1..1
    17 metering* u
    18 usage usage
    19 provider_total u
    20 raw_usage_hash b32
    21 reported_cost u
    22 service_tier s64
    23 request_commitment b32
    24 response_commitment b32
    25 forwarded_commitment b32
    26 provider_request_id s256
    27 context context
    28 import import
    29 policy policy
    30 anomalies ascending
    31 claimed_wallet b20
""")
CONTEXT_FIELDS = table("""
    1 session s256
    2 project s256
    3 branch s256
    4 commit s256
    5 agent s256
    6 tag s256
""")
IMPORT_FIELDS = table("""
    1 importer* s64
    2 version* s64
    3 ruleset b32
    4 line_hash* b32
    5 supersedes b16
    6 occurred_at u
""")
BUCKET_FIELDS = table("""
    1 kind* u
    2 reported u
    3 label* u
    4 lower u
    5 upper u
    6 method s64
    7 vocab b32
    8 count u
""")
RECONCILIATION_FIELDS = table("""
    0 salt* b16
    1 index* u
    2 body_hash* b32
    3 usage* usage
    4 source s64
""")
BINDING_FIELDS = table("""
    0 salt* b16
    1 subject* b32
    2 wallet* b20
    3 nonce* u
    4 deadline* u
    5 signature* b65
""")
STATEMENT_FIELDS = table("""
    0 salt* b16
    1 subject* b32
    2 first_seq* u
    3 last_seq* u
    4 last_body_hash* b32
    5 count* u
    6 rows* rows
""")
REDACTION_FIELDS = table("""
    0 salt* b16
    1 indices* ascending
    2 reason* u
""")
FIELDS = (
    KEY_EVENT_FIELDS,
    RECEIPT_FIELDS,
    RECONCILIATION_FIELDS,
    BINDING_FIELDS,
    STATEMENT_FIELDS,
    REDACTION_FIELDS,
)

PROVIDER = re.compile(r"[a-z0-9._-]{1,64}")
DNS_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
UPSTREAM = re.compile(
    rf"(?:(?P<name>{DNS_LABEL}(?:\.{DNS_LABEL})*)|\[(?P<ipv6>[0-9a-f:.]{{2,45}})\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)


def _ascending(keys: list[Any]) -> None:
    """Refuse keys that are not strictly ascending."""
    require(all(low < high for low, high in itertools.pairwise(keys)), "bad-order")


def _origin(value: Any) -> None:
    check_type(value, "s255", CHECKS)
    check_origin(value, "bad-value")


def _point(value: Any) -> None:
    check_type(value, "b33", CHECKS)
    require(decompress(value), "bad-value")


def _uuid7(value: Any) -> None:
    check_type(value, "b16", CHECKS)
    require(value[6] >> 4 == 7 and value[8] >> 6 == 2, "bad-value")


def _provider(value: Any) -> None:
    check_type(value, "s64", CHECKS)
    require(PROVIDER.fullmatch(value), "bad-value")


def _upstream(value: Any) -> None:
    check_type(value, "s261", CHECKS)
    match = UPSTREAM.fullmatch(value)
    require(match, "bad-value")
    groups = match.groupdict() if match else {}
    require(len(groups["name"] or "") <= 253, "bad-value")
    require((groups["ipv6"] or "::").count(":") >= 2, "bad-value")
    require(int(groups["port"] or 1) <= 65_535, "bad-value")


def _list_of_uint(value: Any) -> None:
    check_list(value)
    for item in value:
        check_type(item, "u", CHECKS)
    _ascending(value)


def _usage(value: Any) -> None:
    check_list(value, most=32)
    for bucket in value:
        _submap(bucket, BUCKET_FIELDS)
    _ascending([bucket[1] for bucket in value])


def _policy(value: Any) -> None:
    check_list(value)
    for item in value:
        check_tuple(item, "s64 u u", CHECKS)


def _rows(value: Any) -> None:
    check_list(value)
    for row in value:
        check_tuple(row, "provider s256 u u u kinds", CHECKS)
    _ascending([(row[0].encode(), row[1].encode(), row[2]) for row in value])


def _kinds(value: Any) -> None:
    check_list(value, empty=True)
    for item in value:
        check_tuple(item, "u u u u u", CHECKS)
    _ascending([item[0] for item in value])


CHECKS: dict[str, fields.Check] = {
    "origin": _origin,
    "point": _point,
    "uuid7": _uuid7,
    "provider": _provider,
    "upstream": _upstream,
    "usage": _usage,
    "policy": _policy,
    "rows": _rows,
    "kinds": _kinds,
    "ascending": _list_of_uint,
    "context": lambda value: _submap(value, CONTEXT_FIELDS),
    "import": lambda value: _submap(value, IMPORT_FIELDS),
    "predecessor": lambda value: check_tuple(value, "b32 u b32", CHECKS),
}


def _submap(value: Any, fields_of: fields.Table) -> None:
    """Refuse an empty map, then what the table refuses."""
    require(isinstance(value, dict), "wrong-type")
    require(value, "empty-value")
    check_map(value, fields_of, CHECKS)


def decode(kind: int, raw: bytes) -> Body:
    """Return the map of a body of a known type after all checks that need nothing else."""
    body = unpack(raw)
    check_map(body, FIELDS[kind], CHECKS)
    nested = tuple(body.get(18 if kind == RECEIPT else 3, ())) if kind in (1, 2) else ()
    if kind == RECEIPT:
        nested += tuple(body[key] for key in (27, 28) if key in body)
    require(fields.extension_bytes(body, nested) <= fields.MAX_EXTENSION_BYTES, "limit")
    RULES[kind](fields.named(body, FIELDS[kind]))
    return dict(body)


PRESENCE = {  # kind -> (required, allowed besides)
    GENESIS: ("origin next_hash max_merge_delay_s heartbeat_s", "predecessor"),
    ROTATE: ("next_hash reason rotation_sig", "suspect_from"),
    CLOSE: ("reason", "suspect_from rotation_sig"),
}


def _key_event(event: dict[str, Any]) -> None:
    """Apply the rules of one kind of key event; an unknown kind has none."""
    if event["kind"] not in PRESENCE:
        return
    required, allowed = (set(words.split()) for words in PRESENCE[event["kind"]])
    present = set(event) - {"kind", "secp256k1", "ed25519"}
    require(required <= present <= required | allowed, "field-conflict")
    suspected = event.get("reason") in (1, 2)
    require(suspected == ("suspect_from" in event), "field-conflict")
    if event["kind"] == ROTATE:
        require(event["reason"] != 4, "field-conflict")
        require(event["next_hash"] != ZEROS, "field-conflict")


def _receipt(receipt: dict[str, Any]) -> None:
    """Apply the rules between the fields of a receipt."""
    require(("subject_prev" in receipt) == (receipt["subject_seq"] > 0), "field-conflict")
    sent = receipt["source"] == 1 and receipt["status"] != 4
    require(not sent or "upstream" in receipt, "field-conflict")
    require(("import" in receipt) == (receipt["source"] == 3), "field-conflict")
    if receipt["metering"] == 0:
        require(not {"usage", "provider_total", "raw_usage_hash"} & set(receipt), "field-conflict")
    buckets = [fields.named(bucket, BUCKET_FIELDS) for bucket in receipt.get("usage", [])]
    kinds = {bucket["kind"] for bucket in buckets}
    require(8 not in kinds or not kinds & set(range(1, 8)), "field-conflict")
    require(18 not in kinds or not kinds & {16, 17}, "field-conflict")
    _total(receipt, buckets)
    for bucket in buckets:
        labels.check_bucket(bucket)
    labels.check_exact_allowed(receipt, buckets)


def _total(receipt: dict[str, Any], buckets: list[dict[str, Any]]) -> None:
    """Refuse a provider total that is not the sum of the token buckets."""
    tokens = [bucket for bucket in buckets if bucket["kind"] < FIRST_NON_TOKEN_KIND]
    excused = receipt["metering"] == 3 or {1, 11} & set(receipt.get("anomalies", []))
    if "provider_total" in receipt and not excused and all("reported" in t for t in tokens):
        total = sum(bucket["reported"] for bucket in tokens)
        require(receipt["provider_total"] == total, "total-mismatch")


def _reconciliation(body: dict[str, Any]) -> None:
    """Apply the label rules that need no receipt."""
    for bucket in [fields.named(bucket, BUCKET_FIELDS) for bucket in body["usage"]]:
        labels.check_bucket(bucket)
        exact = bucket["label"] == labels.EXACT
        require(not exact or bucket["kind"] == labels.OUTPUT_VISIBLE, "exact-not-allowed")


def _statement(body: dict[str, Any]) -> None:
    """Apply the sums of a statement."""
    require(body["first_seq"] <= body["last_seq"], "field-conflict")
    for row in body["rows"]:
        require(row[4] <= row[3], "field-conflict")
    calls = sum(row[3] for row in body["rows"])
    require(calls == body["last_seq"] - body["first_seq"] + 1, "total-mismatch")


def _no_rule(_: dict[str, Any]) -> None:
    """Bindings and redactions have no rule between their fields."""


RULES = (_key_event, _receipt, _reconciliation, _no_rule, _statement, _no_rule)


def check_in_record(kind: int, body: Body, record: Record) -> None:
    """Apply the rules that need the index or the time of the body's record."""
    get = fields.named(body, FIELDS[kind])
    if kind == KEY and get["kind"] <= CLOSE and "suspect_from" in get:
        require(get["suspect_from"] <= record.index, "index-order")
    elif kind == RECEIPT:
        require(get["time"] <= record.logged_at + CLOCK_TOLERANCE_MS, "time-order")
    elif kind == RECONCILIATION:
        require(get["index"] < record.index, "index-order")
    elif kind == BINDING:
        require(record.logged_at // 1000 <= get["deadline"], "time-order")
    elif kind == STATEMENT:
        require(get["count"] <= record.index, "index-order")
    elif kind == REDACTION:
        require(get["indices"][-1] < record.index, "index-order")
