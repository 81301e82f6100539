"""The lossless JSON form of bodies and records, for APIs and people.

It is never hashed or signed. Names stand for known enumeration values; what
has no name stands as the hex of its encoding, so nothing is lost either way.

Spec:
    PROTOCOL.md, section "JSON form" (ENC-26 to ENC-28).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from nous_ledger.protocol.bodies import BODY_CLASSES, Body
from nous_ledger.protocol.encoding import decode, encode
from nous_ledger.protocol.errors import BodyError, EncodingError, FormatError, InputError
from nous_ledger.protocol.fields import Field, MapShape, RowShape, Shape
from nous_ledger.protocol.kinds import Bytes, Enum, Kind, ListOf, Nested, Text, Uint
from nous_ledger.protocol.registries import RECORD_TYPE
from nous_ledger.protocol.statement import KindSums
from nous_ledger.protocol.types import MAX_UINT

if TYPE_CHECKING:
    from nous_ledger.protocol.record import Record

_UUID_FIELDS: Final = frozenset({"id", "supersedes"})
_WALLET_FIELDS: Final = frozenset({"wallet", "claimed_wallet"})
_SUM_FIELDS: Final = frozenset({"reported", "exact", "bounded", "unverifiable"})
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_TEXT: Final = 1 << 20  # the form of the longest body is far shorter


def body_to_json(body: Body) -> dict[str, Any]:
    """Return the JSON form of a body: str, int, list and dict only."""
    number = next(n for n, shape in BODY_CLASSES.items() if type(body) is shape)
    return {"type": RECORD_TYPE.name_of(number), **_shape_to_json(body)}


def record_to_json(record: Record) -> dict[str, Any]:
    """Return the JSON form of a record."""
    signature = record.signature
    return {
        "version": record.version,
        "type": record.type,
        "epoch": record.epoch,
        "index": record.index,
        "logged_at": record.logged_at,
        "body_hash": record.body_hash.hex(),
        "r": signature[:32].hex(),
        "s": signature[32:64].hex(),
        "v": signature[64],
    }


def body_from_json(data: object) -> Body:
    """Return the body whose JSON form is given.

    Args:
        data: what a JSON reader returned for the form.

    Raises:
        FormatError: json-format.
        BodyError, EncodingError: the form is right, but no body may say this.
    """
    if not isinstance(data, dict):
        raise _wrong("a body is an object")
    names = {RECORD_TYPE.name_of(number): shape for number, shape in BODY_CLASSES.items()}
    type_name = data.get("type")
    if not isinstance(type_name, str) or type_name not in names:
        raise _wrong("`type` is not the name of a body type")
    members = {name: value for name, value in data.items() if name != "type"}
    body: Body = _shape_from_json(names[type_name], members)
    return body


def parse_body_json(text: str) -> Body:
    """Return the body whose JSON form a text is.

    A JSON reader keeps one of two members of the same name; here both are refused.

    Spec:
        PROTOCOL.md ENC-27, ENC-28.

    Args:
        text: one JSON object, at most 1,048,576 characters.

    Raises:
        FormatError: json-format; also for text that is no JSON.
        BodyError, EncodingError: the form is right, but no body may say this.
    """
    if len(text) > _MAX_TEXT:
        raise _wrong("the text is longer than any body")
    try:
        data = json.loads(text, object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        raise _wrong("the text is not JSON") from error
    return body_from_json(data)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _wrong("an object has two members of one name")
    return members


def _json_name(field: Field) -> str:
    return field.name.rstrip("_")


def _shape_to_json(shape: Shape) -> dict[str, Any]:
    sums = isinstance(shape, KindSums)
    members: dict[str, Any] = {}
    for field in shape.FIELDS:
        value = getattr(shape, field.name)
        if value is not None:
            members[_json_name(field)] = _to_json(field.kind, field.name, value, sums=sums)
    extensions = getattr(shape, "extensions", ())
    if extensions:
        members["extensions"] = {str(key): _opaque(value) for key, value in extensions}
    return members


def _opaque(value: Any) -> dict[str, str]:
    return {"msgpack": encode(value).hex()}


def _to_json(kind: Kind, name: str, value: Any, *, sums: bool) -> Any:
    if isinstance(kind, Enum):
        return kind.registry.name_of(value) if value in kind.registry else _opaque(value)
    if isinstance(kind, Uint):
        return str(value) if sums and name in _SUM_FIELDS else value
    if isinstance(kind, Bytes):
        return _bytes_to_text(name, value)
    if isinstance(kind, Nested):
        return _shape_to_json(value)
    if isinstance(kind, ListOf):
        return [_to_json(kind.item, name, item, sums=sums) for item in value]
    return value


def format_uuid(value: bytes) -> str:
    """Return 16 bytes as UUID text, 8-4-4-4-12 lower-case hex digits."""
    text = value.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _bytes_to_text(name: str, value: bytes) -> str:
    if name in _UUID_FIELDS:
        return format_uuid(value)
    return f"0x{value.hex()}" if name in _WALLET_FIELDS else value.hex()


def _shape_from_json(shape: type[Any], data: object) -> Any:
    if not isinstance(data, dict):
        raise _wrong("expected an object")
    fields = {_json_name(field): field for field in shape.FIELDS}
    known: dict[str, Any] = {}
    for name, value in data.items():
        field = fields.get(name)
        if field is not None:
            sums = shape is KindSums
            known[field.name] = _from_json(field.kind, field.name, value, sums=sums)
        elif name == "extensions" and issubclass(shape, MapShape):
            known["extensions"] = _extensions_from_json(value)
        else:
            raise _wrong(f"unknown member {name!r}"[:120])
    if issubclass(shape, RowShape) and len(known) != len(fields):
        raise _wrong("a member is missing")
    for field in shape.FIELDS:
        if field.required and field.name not in known:
            raise BodyError("missing-field", f"{field.name} is required")
    return shape(**known)


def _from_json(kind: Kind, name: str, value: object, *, sums: bool) -> Any:
    if isinstance(kind, Enum):
        return _enum_from_json(kind, value)
    if isinstance(kind, Uint):
        return _uint_from_json(value, as_text=sums and name in _SUM_FIELDS)
    if isinstance(kind, Bytes):
        return _bytes_from_text(name, value)
    if isinstance(kind, Nested):
        return _shape_from_json(kind.shape, value)
    if isinstance(kind, ListOf):
        if not isinstance(value, list):
            raise _wrong(f"{name} is not an array")
        return tuple(_from_json(kind.item, name, item, sums=sums) for item in value)
    if isinstance(kind, Text) and isinstance(value, str):
        return value
    raise _wrong(f"{name} is not a string")


def _enum_from_json(kind: Enum, value: object) -> int:
    if isinstance(value, str):
        try:
            return kind.registry[value]
        except InputError as error:
            raise _wrong(error.message) from error
    number = _opaque_from_json(value)
    if type(number) is not int or number in kind.registry:
        raise _wrong("an enumeration value without a name is the encoding of one integer")
    return number


def _uint_from_json(value: object, *, as_text: bool) -> int:
    if as_text:
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise _wrong("a sum is a decimal string")
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_UINT:
        raise _wrong("a number is not an integer in 0..2^53-1")
    return value


def _bytes_from_text(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise _wrong(f"{name} is not a string")
    if name in _UUID_FIELDS:
        if not _UUID.fullmatch(value):
            raise _wrong(f"{name} is not a UUID")
        return bytes.fromhex(value.replace("-", ""))
    prefix = "0x" if name in _WALLET_FIELDS else ""
    digits = value[len(prefix) :]
    if not value.startswith(prefix) or not _HEX.fullmatch(digits):
        raise _wrong(f"{name} is not lower-case hex")
    return bytes.fromhex(digits)


def _extensions_from_json(value: object) -> tuple[tuple[int, Any], ...]:
    if not isinstance(value, dict) or not value:
        raise _wrong("extensions is an object with members")
    pairs = []
    for key, item in value.items():
        if not isinstance(key, str) or not _DECIMAL.fullmatch(key) or int(key) > MAX_UINT:
            raise _wrong("an extension key is a decimal number")
        pairs.append((int(key), _opaque_from_json(item)))
    return tuple(sorted(pairs))


def _opaque_from_json(value: object) -> Any:
    if not isinstance(value, dict) or list(value) != ["msgpack"]:
        raise _wrong('expected a name or {"msgpack": hex}')
    text = value["msgpack"]
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise _wrong("msgpack is not lower-case hex")
    try:
        return decode(bytes.fromhex(text))
    except EncodingError as error:
        raise _wrong(f"msgpack: {error.message}") from error


def _wrong(reason: str) -> FormatError:
    return FormatError("json-format", f"not the JSON form of a body: {reason}")
