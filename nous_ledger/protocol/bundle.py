"""Receipt bundles: everything one needs to check a record offline, in one file.

    c2sp.org/tlog-proof@v1
    extra <base64 of the canonical array below>
    index 7
    <base64 of one path hash per line>

    <the head's note, verbatim>

    extra = [1, record bin 120, body bin, [[record, body, [path hash…]]…]]

The list holds every key event among the head's leaves. An empty body is a body
that was withheld. No key in a bundle is trusted: keys come from a policy.

Spec:
    PROTOCOL.md, section "parse_bundle" (BNDL-1 to BNDL-7); C2SP tlog-proof.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias, cast

from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.encoding import (
    MAX_BODY_BYTES,
    decode,
    encode,
    pack_checked,
    read_leniently,
)
from nous_ledger.protocol.errors import EncodingError, FormatError, RecordError, UnavailableError
from nous_ledger.protocol.note import Note, parse_note
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.textform import parse_decimal
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafIndex
from nous_ledger.protocol.values import value

MAX_BUNDLE_BYTES: Final = 1024 * 1024
MAX_EXTRA_BYTES: Final = 256 * 1024
MAX_KEY_EVENTS: Final = 64
MAX_PATH_HASHES: Final = 63

_FIRST_LINE: Final = b"c2sp.org/tlog-proof@v1"
_NEWER: Final = re.compile(rb"c2sp\.org/tlog-proof@v[1-9][0-9]*")
_EXTRA_VERSION: Final = 1


@value
class KeyEventEntry:
    """One key event of a bundle.

    Attributes:
        record: its record, 120 bytes.
        body: its body.
        path: its inclusion path to the bundle's head, at most 63 hashes.
    """

    record: bytes
    body: bytes
    path: tuple[Hash32, ...]


_Extra: TypeAlias = tuple[bytes, bytes, tuple[KeyEventEntry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A record with all that its verification needs; well formed, not verified.

    Attributes:
        index: leaf index of the record.
        path: inclusion path of the record, its sibling first, at most 63 hashes.
        checkpoint: the head's note, verbatim.
        record: the record, 120 bytes.
        body: its body; empty when withheld.
        key_events: the key events among the head's leaves, at most 64.
        note: the parsed checkpoint.
        head: the parsed text of the note.
    """

    index: LeafIndex
    path: tuple[Hash32, ...]
    checkpoint: bytes
    record: bytes
    body: bytes
    key_events: tuple[KeyEventEntry, ...]
    note: Note = field(init=False, repr=False, compare=False)
    head: Checkpoint = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse parts that no bundle may have; parse the head once.

        Raises:
            FormatError: not-a-bundle.
            UnavailableError: newer-version, if a record has a version above 1.
        """
        if not 0 <= self.index <= MAX_UINT:
            raise _wrong(f"index {self.index} is outside 0..2^53-1")
        _check_path(self.path)
        _check_record(self.record, self.body)
        if len(self.key_events) > MAX_KEY_EVENTS:
            raise _wrong(f"more than {MAX_KEY_EVENTS} key events")
        for event in self.key_events:
            _check_record(event.record, event.body)
            _check_path(event.path)
        try:
            note = parse_note(self.checkpoint)
            head = parse_checkpoint(note.text)
        except FormatError as error:
            raise _wrong(error.message, error.code) from error
        object.__setattr__(self, "note", note)
        object.__setattr__(self, "head", head)


def parse_bundle(data: bytes) -> Bundle:
    """Return the bundle in a file; no hash and no signature is checked.

    Spec:
        PROTOCOL.md BNDL-1 to BNDL-5.

    Args:
        data: the whole file, at most 1 MiB.

    Raises:
        FormatError: not-a-bundle; `attrs["inner"]` has the code of an inner error.
        UnavailableError: newer-version, if the file, its extra data or a record
            names a version above 1.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise _wrong(f"{len(data)} bytes are more than {MAX_BUNDLE_BYTES}")
    first, _, rest = data.partition(b"\n")
    if first != _FIRST_LINE:
        _refuse_first_line(first)
    extra_line, _, rest = rest.partition(b"\n")
    top, _, checkpoint = rest.partition(b"\n\n")
    index_line, *path_lines = top.split(b"\n", MAX_PATH_HASHES + 1)
    if not extra_line.startswith(b"extra ") or not index_line.startswith(b"index "):
        raise _wrong("an extra line and an index line must follow the first line")
    try:  # lenient: that each line is canonical is checked with the whole file below
        extra = a2b_base64(extra_line[6:])
        record, body, key_events = _decode_extra(extra)
        path = tuple(map(a2b_base64, path_lines))
    except Base64Error as error:
        raise _wrong("a line is not base64") from error
    bundle = Bundle(
        index=_parse_index(index_line[6:]),
        path=cast("tuple[Hash32, ...]", path),
        checkpoint=checkpoint,
        record=record,
        body=body,
        key_events=key_events,
    )
    if _render(bundle, extra) != data:
        raise _wrong("a line is not canonical base64")
    return bundle


def format_bundle(bundle: Bundle) -> bytes:
    """Return the file form of a bundle.

    With `extra`, path and note within their limits the whole is below 1 MiB.

    Raises:
        FormatError: not-a-bundle, if `extra` is over its limit.
    """
    events = tuple((event.record, event.body, event.path) for event in bundle.key_events)
    try:
        value = (_EXTRA_VERSION, bundle.record, bundle.body, events)
        return _render(bundle, encode(value, max_bytes=MAX_EXTRA_BYTES))
    except EncodingError as error:
        raise _wrong(error.message, error.code) from error


def _render(bundle: Bundle, extra: bytes) -> bytes:
    path = b"".join(map(b2a_base64, bundle.path))  # each with its newline
    fixed = b"%b\nextra %bindex %d\n" % (_FIRST_LINE, b2a_base64(extra), bundle.index)
    return b"%b%b\n%b" % (fixed, path, bundle.checkpoint)


def _decode_extra(extra: bytes) -> _Extra:
    if len(extra) <= MAX_EXTRA_BYTES:
        with suppress(Exception):  # what this way does not take, the strict reader judges
            value = read_leniently(extra)
            parts = _read_extra(value)
            # Numbers, byte strings and arrays have one encoding each, the shortest.
            if pack_checked(value) == extra:
                return parts
    try:
        return _read_extra(decode(extra, max_bytes=MAX_EXTRA_BYTES))
    except EncodingError as error:
        raise _wrong(f"extra: {error.message}", error.code) from error


def _read_extra(value: Value) -> _Extra:
    if type(value) is tuple and value and type(value[0]) is int:
        if value[0] > _EXTRA_VERSION:
            raise _newer(f"extra of version {value[0]}")
        if value[0] == _EXTRA_VERSION and len(value) == 4:
            _, record, body, events = value
            if type(record) is bytes and type(body) is bytes and type(events) is tuple:
                return record, body, tuple([_key_event(event) for event in events])
    raise _wrong("extra is not [1, record, body, key events]")


def _key_event(value: Value) -> KeyEventEntry:
    if type(value) is tuple and len(value) == 3:
        record, body, path = value
        if (
            type(record) is bytes
            and type(body) is bytes
            and type(path) is tuple
            and {bytes}.issuperset(map(type, path))
        ):
            return KeyEventEntry(record=record, body=body, path=cast("tuple[Hash32, ...]", path))
    raise _wrong("a key event is not [record, body, path]")


def _refuse_first_line(line: bytes) -> NoReturn:
    if _NEWER.fullmatch(line):
        raise _newer("a tlog-proof of another version")
    raise _wrong("the first line is not c2sp.org/tlog-proof@v1")


def _parse_index(text: bytes) -> LeafIndex:
    index = parse_decimal(text.decode("latin-1"))
    if index is None:
        raise _wrong("the index is not a decimal number in 0..2^53-1")
    return LeafIndex(index)


def _check_record(record: bytes, body: bytes) -> None:
    if len(body) > MAX_BODY_BYTES:
        raise _wrong(f"a body of {len(body)} bytes is too long", "limit")
    try:
        decode_record(record)
    except RecordError as error:
        raise _wrong(error.message, error.code) from error


def _check_path(path: Sequence[bytes]) -> None:
    if len(path) > MAX_PATH_HASHES or not {32}.issuperset(map(len, path)):
        raise _wrong(f"a path is not at most {MAX_PATH_HASHES} hashes of 32 bytes")


def _newer(what: str) -> UnavailableError:
    return UnavailableError(
        "newer-version", f"{what}: newer than version 1, or damaged; cannot tell"
    )


def _wrong(reason: str, inner: str = "") -> FormatError:
    attrs = {"inner": inner} if inner else {}
    return FormatError("not-a-bundle", f"not a receipt bundle: {reason}", **attrs)
