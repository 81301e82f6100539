"""The lossless JSON form of bodies: names for numbers, hex for bytes, nothing lost."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from vectors.generate.rules import bodies, registries
from vectors.generate.rules.fields import FIRST_EXTENSION, Table
from vectors.generate.rules.msgpack import pack

Json = Any
ENUMERATIONS: dict[str, dict[int, str]] = {
    "source": registries.SOURCE,
    "label": registries.LABEL,
    "metering": registries.METERING,
    "status": registries.STATUS,
    "action": registries.ACTION,
    "api": registries.API,
    "anomalies": registries.ANOMALY,
}


def unknown(value: Any) -> Json:
    """Return the form of a value that has no name."""
    return {"msgpack": pack(value).hex()}


def enum(value: int, names: Mapping[int, str]) -> Json:
    """Return the name of a registered value, or its bytes."""
    return names.get(value, unknown(value))


def _plain(value: Any) -> Json:
    """Return hex for bytes, everything else as it is."""
    return value.hex() if isinstance(value, bytes) else value


def _named(names: Mapping[int, str]) -> Callable[[Any], Json]:
    """Return the form of one enumeration."""
    return lambda value: enum(value, names)


def _fields(
    value: Mapping[int, Any], table: Table, forms: Mapping[str, Callable[[Any], Json]]
) -> Json:
    """Return a map by field names, extensions under their own key."""
    result: dict[str, Json] = {}
    for key, item in value.items():
        if key < FIRST_EXTENSION:
            name = table[key][0]
            result[name] = forms.get(name, _plain)(item)
    extensions = {str(key): unknown(item) for key, item in value.items() if key >= FIRST_EXTENSION}
    return {**result, "extensions": extensions} if extensions else result


def _registered(*names: str, **others: Mapping[int, str]) -> dict[str, Callable[[Any], Json]]:
    """Return forms that replace numbers by registered names."""
    chosen: dict[str, Mapping[int, str]] = {name: ENUMERATIONS[name] for name in names} | others
    return {name: _named(registry) for name, registry in chosen.items()}


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _wallet(value: bytes) -> str:
    return "0x" + value.hex()


def _bucket(value: Mapping[int, Any]) -> Json:
    forms = _registered("label", kind=registries.BUCKET_KIND)
    return _fields(value, bodies.BUCKET_FIELDS, forms)


def _usage(value: list[Any]) -> Json:
    return [_bucket(bucket) for bucket in value]


def _action(item: list[Any]) -> Json:
    return {"name": item[0], "action": enum(item[1], registries.ACTION), "count": item[2]}


def _row(row: list[Any]) -> Json:
    sums = ("reported", "exact", "bounded", "unverifiable")
    return {
        "provider": row[0],
        "model": row[1],
        "source": enum(row[2], registries.SOURCE),
        "calls": row[3],
        "unmetered": row[4],
        "kinds": [
            {"kind": enum(item[0], registries.BUCKET_KIND)}
            | dict(zip(sums, map(str, item[1:]), strict=True))
            for item in row[5]
        ],
    }


def _predecessor(value: list[Any]) -> Json:
    return {"log_id": value[0].hex(), "count": value[1], "root": value[2].hex()}


FORMS: tuple[dict[str, Callable[[Any], Json]], ...] = (
    _registered(kind=registries.KEY_EVENT_KIND, reason=registries.KEY_EVENT_REASON)
    | {"predecessor": _predecessor},
    _registered("source", "api", "status", "metering")
    | {
        "id": _uuid,
        "usage": _usage,
        "context": lambda value: _fields(value, bodies.CONTEXT_FIELDS, {}),
        "import": lambda value: _fields(value, bodies.IMPORT_FIELDS, {"supersedes": _uuid}),
        "policy": lambda value: [_action(item) for item in value],
        "anomalies": lambda value: [enum(item, registries.ANOMALY) for item in value],
        "claimed_wallet": _wallet,
    },
    {"usage": _usage},
    {"wallet": _wallet},
    {"rows": lambda value: [_row(row) for row in value]},
    _registered(reason=registries.REDACTION_REASON),
)


def body_to_json(kind: int, body: Mapping[int, Any]) -> Json:
    """Return the JSON form of a decoded body."""
    return {"type": registries.BODY_TYPE[kind], **_fields(body, bodies.FIELDS[kind], FORMS[kind])}
