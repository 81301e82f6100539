"""Reading the JSON form of a body: strict, and never a second way to say one thing.

A document is read into wire form by the tables of the bodies, written as canonical bytes,
and decoded by the rules of bodies; what then gives another JSON form was no JSON form.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from vectors.generate.rules import bodies, registries
from vectors.generate.rules.checks import MAX_UINT, RuleError, reject, require
from vectors.generate.rules.fields import Table
from vectors.generate.rules.jsonform import body_to_json
from vectors.generate.rules.msgpack import Limits, pack, unpack

CODE = "json-format"
HEX = re.compile(r"([0-9a-f]{2})*")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBER = re.compile(r"0|[1-9][0-9]*")
Read = Callable[[Any], Any]


def read(text: str) -> bytes:
    """Return the canonical bytes of the body that a JSON text describes."""
    try:
        form = json.loads(text, object_pairs_hook=_object)
    except ValueError:
        reject(CODE)
    require(isinstance(form, dict) and isinstance(form.get("type"), str), CODE)
    kinds = {name: number for number, name in registries.BODY_TYPE.items()}
    require(form["type"] in kinds, CODE)
    kind = kinds[form["type"]]
    members = {name: value for name, value in form.items() if name != "type"}
    data = pack(_map(members, bodies.FIELDS[kind], READERS[kind]))
    body = bodies.decode(kind, data)
    require(body_to_json(kind, body) == form, CODE)
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose members are all different."""
    require(len({name for name, _ in pairs}) == len(pairs), CODE)
    return dict(pairs)


def _map(form: Any, table: Table, readers: Mapping[str, Read]) -> dict[int, Any]:
    """Return a map in wire form."""
    require(isinstance(form, dict), CODE)
    numbers = {row[0]: (key, row[2]) for key, row in table.items()}
    result: dict[int, Any] = {}
    for name, value in form.items():
        if name == "extensions":
            result |= _extensions(value)
            continue
        require(name in numbers, CODE)
        key, kind = numbers[name]
        result[key] = readers[name](value) if name in readers else _plain(value, kind)
    return result


def _extensions(form: Any) -> dict[int, Any]:
    """Return extension fields."""
    require(isinstance(form, dict) and form, CODE)
    require(all(NUMBER.fullmatch(key) for key in form), CODE)
    found = {int(key): _opaque(value) for key, value in form.items()}
    require(all(key <= MAX_UINT for key in found), CODE)
    return found


def _opaque(form: Any) -> Any:
    """Return the value of a {"msgpack": hex} object."""
    require(isinstance(form, dict) and list(form) == ["msgpack"], CODE)
    try:
        return unpack(_hex(form["msgpack"]), Limits())
    except RuleError:
        reject(CODE)


def _plain(value: Any, kind: str) -> Any:
    """Return a number, text or hex by the type of the field."""
    if kind[0] == "u" and kind not in ("uuid7", "upstream", "usage"):
        return _uint(value)
    if kind == "point" or (kind[0] == "b" and kind[1:].isdigit()):
        return _hex(value)
    require(isinstance(value, str), CODE)
    return value


def _uint(value: Any) -> int:
    require(type(value) is int and 0 <= value <= MAX_UINT, CODE)
    return int(value)


def _hex(value: Any) -> bytes:
    require(isinstance(value, str) and HEX.fullmatch(value), CODE)
    return bytes.fromhex(value)


def _uuid(value: Any) -> bytes:
    require(isinstance(value, str) and UUID.fullmatch(value), CODE)
    return bytes.fromhex(value.replace("-", ""))


def _wallet(value: Any) -> bytes:
    require(isinstance(value, str) and value.startswith("0x"), CODE)
    return _hex(value[2:])


def _sum(value: Any) -> int:
    require(isinstance(value, str) and NUMBER.fullmatch(value), CODE)
    return _uint(int(value))


def _enum(names: Mapping[int, str]) -> Read:
    """Return the reader of one enumeration."""
    numbers = {name: number for number, name in names.items()}

    def reader(value: Any) -> int:
        if isinstance(value, str):
            require(value in numbers, CODE)
            return numbers[value]
        number = _uint(_opaque(value))
        require(number not in names, CODE)
        return number

    return reader


def _list(reader: Read) -> Read:
    """Return the reader of a list."""

    def reader_of_list(value: Any) -> list[Any]:
        require(isinstance(value, list), CODE)
        return [reader(item) for item in value]

    return reader_of_list


def _row(**readers: Read) -> Read:
    """Return the reader of an array that JSON writes as an object, every member there."""

    def reader(value: Any) -> list[Any]:
        require(isinstance(value, dict) and set(value) == set(readers), CODE)
        return [read_member(value[name]) for name, read_member in readers.items()]

    return reader


def _text(value: Any) -> str:
    require(isinstance(value, str), CODE)
    return str(value)


BUCKET = {"kind": _enum(registries.BUCKET_KIND), "label": _enum(registries.LABEL)}
USAGE = _list(lambda value: _map(value, bodies.BUCKET_FIELDS, BUCKET))
SUMS = _row(
    kind=_enum(registries.BUCKET_KIND), reported=_sum, exact=_sum, bounded=_sum, unverifiable=_sum
)
STATEMENT_ROW = _row(
    provider=_text,
    model=_text,
    source=_enum(registries.SOURCE),
    calls=_uint,
    unmetered=_uint,
    kinds=_list(SUMS),
)
READERS: tuple[dict[str, Read], ...] = (
    {
        "kind": _enum(registries.KEY_EVENT_KIND),
        "reason": _enum(registries.KEY_EVENT_REASON),
        "predecessor": _row(log_id=_hex, count=_uint, root=_hex),
    },
    {
        "id": _uuid,
        "source": _enum(registries.SOURCE),
        "api": _enum(registries.API),
        "status": _enum(registries.STATUS),
        "metering": _enum(registries.METERING),
        "usage": USAGE,
        "context": lambda value: _map(value, bodies.CONTEXT_FIELDS, {}),
        "import": lambda value: _map(value, bodies.IMPORT_FIELDS, {"supersedes": _uuid}),
        "policy": _list(_row(name=_text, action=_enum(registries.ACTION), count=_uint)),
        "anomalies": _list(_enum(registries.ANOMALY)),
        "claimed_wallet": _wallet,
    },
    {"usage": USAGE},
    {"wallet": _wallet},
    {"rows": _list(STATEMENT_ROW)},
    {"indices": _list(_uint), "reason": _enum(registries.REDACTION_REASON)},
)
