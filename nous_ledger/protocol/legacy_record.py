"""Records of nous-v2: their fields, leaf hash and known ambiguities.

nous-v2 joins nine fields with "|" and hashes the text. Nothing is escaped and
numbers are printed as JavaScript prints whatever stood in the field, so two
different records can share one leaf. This module keeps the fields as served,
prints them as that system does, and names what the leaf leaves open.

Spec:
    PROTOCOL.md, section "Legacy: nous-v2".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.types import MAX_UINT

LegacyNumber: TypeAlias = int | float | str | bool | None
"""What nous-v2 lets stand in a number field: any JSON scalar."""

MAX_TEXT: Final = 4_096
UNKNOWN_MODEL: Final = "unknown"

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_USER_HASH: Final = re.compile(r"[0-9a-f]{32}")
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}\.[0-9]{3}Z"
)
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NINE_HASHES: Final = re.compile(r"[0-9a-f]{64}(\|[0-9a-f]{64}){8}")
_SEPARATORS: Final = 8
_PROOFS: Final = ("leaf_hash", "receipt_sig")
_TEXTS: Final = ("timestamp", "user_hash", "provider")
_NUMBERS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyRecord:
    """One record as a nous-v2 gateway serves it.

    Attributes:
        id: row number; the leaf does not cover it.
        timestamp: `YYYY-MM-DDTHH:mm:ss.sssZ`.
        user_hash: first 16 bytes of SHA-256 of the API key, 32 hex digits.
        provider: name of the upstream.
        model: text after the last "/", "unknown" if the call named none.
        input_tokens: as served; should be an integer in 0..2^53-1, as the next four.
        output_tokens: as served.
        cache_read_tokens: as served.
        cache_write_tokens: as served.
        total_tokens: as served; providers differ on whether it includes the cache.
        leaf_hash: leaf that the gateway states, 64 hex digits.
        receipt_sig: r || s as 128 hex digits, or "" when unsigned.
    """

    id: int
    timestamp: str
    user_hash: str
    provider: str
    model: str
    input_tokens: LegacyNumber
    output_tokens: LegacyNumber
    cache_read_tokens: LegacyNumber
    cache_write_tokens: LegacyNumber
    total_tokens: LegacyNumber
    leaf_hash: str
    receipt_sig: str

    @property
    def numbers(self) -> tuple[LegacyNumber, ...]:
        """The five number fields in the order of the leaf."""
        return (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.total_tokens,
        )


def parse_legacy_record(fields: Mapping[str, object]) -> LegacyRecord:
    """Return the record in one row of `GET /api/records`.

    Only what is needed to hash the row is demanded here: a row with "007" for a
    count is still a row that the old gateway signed, and `legacy_confusions`
    reports it. Other keys of the row are ignored.

    Spec:
        PROTOCOL.md V2-1, V2-2.

    Args:
        fields: the parsed JSON object.

    Raises:
        LegacyError: legacy-format (a member is missing, the id is not in
            0..2^53-1, leaf hash or signature is no string, a string is longer
            than 4,096 characters or not Unicode text), then legacy-type-confused
            (a text member is no string, a number member is no JSON scalar).
    """
    row_id = fields.get("id")
    if type(row_id) is not int or not 0 <= row_id <= MAX_UINT:
        raise LegacyError("legacy-format", "id is not an integer in 0..2^53-1")
    leaf, signature = (check_legacy_text(fields.get(name), name) for name in _PROOFS)
    _check_members(fields)
    timestamp, user_hash, provider = (_text(fields, name) for name in _TEXTS)
    numbers = [_scalar(fields, name) for name in _NUMBERS]
    return LegacyRecord(
        id=row_id,
        timestamp=timestamp,
        user_hash=user_hash,
        provider=provider,
        model=_model(fields),
        input_tokens=numbers[0],
        output_tokens=numbers[1],
        cache_read_tokens=numbers[2],
        cache_write_tokens=numbers[3],
        total_tokens=numbers[4],
        leaf_hash=leaf,
        receipt_sig=signature,
    )


def legacy_model(name: str | None) -> str:
    """Return the model name that a leaf covers.

    Args:
        name: the name as the call gave it; None or "" if it gave none.

    >>> legacy_model("anthropic/claude-3-5-haiku")
    'claude-3-5-haiku'
    """
    return name.rpartition("/")[2] if name else UNKNOWN_MODEL


def legacy_preimage(record: LegacyRecord) -> str:
    """Return the text that a record's leaf is the hash of."""
    texts = (record.timestamp, record.user_hash, record.provider, record.model)
    return "|".join((*texts, *map(format_legacy_number, record.numbers)))


def legacy_leaf(record: LegacyRecord) -> str:
    """Return the leaf hash computed from a record's fields, 64 hex digits."""
    return sha256(legacy_preimage(record).encode()).hex()


def format_legacy_number(value: LegacyNumber) -> str:
    """Return a number field as JavaScript prints it.

    Args:
        value: any JSON scalar. Integers above 2^53 lose digits, as they do there.

    >>> format_legacy_number(5.0), format_legacy_number(1e21), format_legacy_number("007")
    ('5', '1e+21', '007')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) <= MAX_UINT:
        return str(value)
    return _format_double(value)


def legacy_confusions(record: LegacyRecord) -> tuple[str, ...]:
    """Return one reason for each field that is not of its type.

    Spec:
        PROTOCOL.md V2-2.

    Returns:
        Reasons in field order; empty when time, user hash and numbers are as
        the protocol means them.
    """
    found: list[str] = []
    if not _is_timestamp(record.timestamp):
        found.append("timestamp is not YYYY-MM-DDTHH:mm:ss.sssZ")
    if not _USER_HASH.fullmatch(record.user_hash):
        found.append("user_hash is not 32 lower-case hex digits")
    for name, number in zip(_NUMBERS, record.numbers, strict=True):
        if type(number) is not int or not 0 <= number <= MAX_UINT:
            found.append(f"{name} is not an integer in 0..2^53-1")
    return tuple(found)


def legacy_ambiguity(record: LegacyRecord) -> str:
    """Return why a leaf stands for more than this record, or "" if it does not.

    Spec:
        PROTOCOL.md V2-4.
    """
    preimage = legacy_preimage(record)
    if preimage.count("|") != _SEPARATORS:
        return "a field contains '|': other fields give the same leaf"
    if _NINE_HASHES.fullmatch(preimage):
        return "the leaf is also the root over nine peaks"
    return ""


def is_hash_hex(text: str) -> bool:
    """Return whether the text is 64 lower-case hex digits."""
    return _HASH.fullmatch(text) is not None


def check_legacy_text(value: object, name: str) -> str:
    """Return the value if it is a string that nous-v2 could have hashed.

    Raises:
        LegacyError: legacy-format: not a string, longer than 4,096 characters,
            or not encodable as UTF-8 (a lone surrogate).
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise LegacyError("legacy-format", f"{name} is not a string of at most {MAX_TEXT} letters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LegacyError("legacy-format", f"{name} is not Unicode text") from error
    return value


def _check_members(fields: Mapping[str, object]) -> None:
    for name in (*_TEXTS, *_NUMBERS):
        if name not in fields:
            raise LegacyError("legacy-format", f"{name} is missing")
    for name in (*_TEXTS, "model", *_NUMBERS):
        value = fields.get(name)
        if isinstance(value, str):
            check_legacy_text(value, name)


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise LegacyError("legacy-type-confused", f"{name} is not a string")
    return value


def _model(fields: Mapping[str, object]) -> str:
    return legacy_model(None if fields.get("model") is None else _text(fields, "model"))


def _scalar(fields: Mapping[str, object], name: str) -> LegacyNumber:
    value = fields[name]
    if value is None or isinstance(value, str | int | float):
        return value
    raise LegacyError("legacy-type-confused", f"{name} is not a JSON scalar")


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= _DAYS[month - 1] + (month == 2 and is_leap)


def _format_double(value: float) -> str:
    """Print a double by the rules of ECMAScript's Number::toString."""
    try:
        double = float(value)
    except OverflowError:  # an integer beyond the range of doubles
        double = math.inf if value > 0 else -math.inf
    if math.isnan(double):
        return "NaN"
    if double < 0:
        return "-" + _format_double(-double)
    if double == 0:
        return "0"
    return "Infinity" if math.isinf(double) else _place_point(double)


def _place_point(double: float) -> str:
    # repr gives the shortest digits that read back as the same double, which is
    # also what ECMAScript asks for; only the placing of the point differs.
    _, digit_tuple, exponent = Decimal(repr(double)).normalize().as_tuple()
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + int(exponent)  # digits before the decimal point
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1:+d}"
