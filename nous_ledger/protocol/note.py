"""Signed notes: a text and lines that sign it.

    ledger.example.com/main                                     the text: every line
    7                                                           ends with a newline
    AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

    — ledger.example.com/main +LiI7wAAAABoTuGAAAAA…             one line per signature

The text ends before the last empty line. A note is parsed strictly: what was
parsed is formatted again and must be the same bytes.

Spec:
    PROTOCOL.md, section "parse_note" (NOTE-1 to NOTE-6); C2SP signed-note.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Final

from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.textform import format_base64
from nous_ledger.protocol.values import value

MAX_NOTE_BYTES: Final = 128 * 1024
MAX_SIGNATURES: Final = 64
KEY_ID_LENGTH: Final = 4

_ALLOWED_OCTETS: Final = bytes([0x0A, *range(0x20, 0x100)])
KEY_NAME: Final = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
"""A key name: no Unicode space, plus sign, control character or lone surrogate."""


@value
class NoteSignature:
    """One signature line.

    Attributes:
        name: key name, without Unicode spaces and `+`.
        key_id: 4 bytes that tell keys of one name apart.
        payload: what the key's kind defines; at least one byte.
    """

    name: str
    key_id: bytes
    payload: bytes


@value
class Note:
    """A signed text.

    Attributes:
        text: the signed text with its final newline.
        signatures: the signature lines in order, known keys and others; 1..64.
    """

    text: str
    signatures: tuple[NoteSignature, ...]


def parse_note(data: bytes) -> Note:
    """Return the note in some bytes; no signature is checked.

    Spec:
        PROTOCOL.md NOTE-1 to NOTE-5, CONV-4.

    Args:
        data: the whole note, at most 128 KiB.

    Raises:
        FormatError: note-format.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _wrong(f"{len(data)} bytes are more than {MAX_NOTE_BYTES}")
    if data.translate(None, _ALLOWED_OCTETS):
        raise _wrong("it has a control character other than newline")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong("not valid UTF-8") from error
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _wrong("no empty line before signature lines that end with a newline")
    lines = tail[:-1].split("\n", MAX_SIGNATURES)
    if len(lines) > MAX_SIGNATURES:
        raise _wrong(f"more than {MAX_SIGNATURES} signature lines")
    note = Note(text=text + "\n", signatures=tuple(map(_parse_signature, lines)))
    if _render(note) != whole:
        raise _wrong("a signature is not canonical base64")
    return note


def format_note(note: Note) -> bytes:
    """Return the bytes of a note.

    Raises:
        FormatError: note-format, if no note can have this text or these lines.
    """
    try:
        data = _render(note).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _wrong("its text has no UTF-8 form") from error
    if parse_note(data) != note:
        raise _wrong("its parts do not make one note")
    return data


def add_signatures(note: Note, *signatures: NoteSignature) -> Note:
    """Return the note with more signature lines at the end.

    A line that stands there already is not repeated.
    """
    merged = dict.fromkeys((*note.signatures, *signatures))
    return Note(text=note.text, signatures=tuple(merged))


def find_signatures(note: Note, name: str, key_id: bytes) -> tuple[NoteSignature, ...]:
    """Return the lines of one key, known by its name and key id, in order.

    Spec:
        PROTOCOL.md NOTE-6.
    """
    return tuple(s for s in note.signatures if s.key_id == key_id and s.name == name)


def _parse_signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not KEY_NAME.fullmatch(name):
        raise _wrong("a signature line is not `— <key name> <base64>`")
    try:
        raw = a2b_base64(encoded)  # its canonical form is checked with the whole note
    except ValueError as error:  # no base64, or not even ASCII
        raise _wrong("a signature is not base64") from error
    if len(raw) <= KEY_ID_LENGTH:
        raise _wrong(f"a signature of {len(raw)} bytes is shorter than 5")
    return NoteSignature(name=name, key_id=raw[:KEY_ID_LENGTH], payload=raw[KEY_ID_LENGTH:])


def _render(note: Note) -> str:
    lines = (f"— {s.name} {format_base64(s.key_id + s.payload)}\n" for s in note.signatures)
    return f"{note.text}\n{''.join(lines)}"


def _wrong(reason: str) -> FormatError:
    return FormatError("note-format", f"not a signed note: {reason}")
