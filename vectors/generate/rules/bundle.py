"""The bundle file: a C2SP tlog-proof whose extra data carries record, body and key events."""

import re
from dataclasses import dataclass
from typing import Any

from vectors.generate.rules import head, msgpack, note, record
from vectors.generate.rules.checks import MAX_UINT, RuleError, reject, require
from vectors.generate.rules.history import Entry

CODE = "not-a-bundle"
MAX_BYTES = 1024 * 1024
MAX_EVENTS = 64
MAX_PATH = 63
FIRST_LINE = "c2sp.org/tlog-proof@v1"
VERSION_LINE = re.compile(rb"c2sp\.org/tlog-proof@v[1-9][0-9]*")


@dataclass(frozen=True)
class Bundle:
    """A parsed bundle; `record` and `entries` are decoded or known to decode."""

    index: int
    path: tuple[bytes, ...]
    note: note.Note
    checkpoint: head.Checkpoint
    record: record.Record
    body: bytes
    entries: tuple[Entry, ...]


def extra_of(raw: bytes, body: bytes, entries: list[Entry]) -> list[Any]:
    """Return the array that the extra line encodes."""
    return [1, raw, body, [[entry.record, entry.body, list(entry.path)] for entry in entries]]


def compose(extra: bytes, index: int, path: list[bytes], checkpoint: str) -> bytes:
    """Return the file; checkpoint is the whole note."""
    hashes = "".join(f"{note.b64(item)}\n" for item in path)
    text = f"{FIRST_LINE}\nextra {note.b64(extra)}\nindex {index}\n{hashes}\n{checkpoint}"
    return text.encode()


def parse(raw: bytes) -> Bundle:
    """Return the parts; every fault of form is not-a-bundle, a newer version is told apart."""
    require(len(raw) <= MAX_BYTES, CODE)
    first = raw.split(b"\n", 1)[0]
    require(VERSION_LINE.fullmatch(first), CODE)
    require(first == FIRST_LINE.encode(), "newer-version")
    try:
        return _parse(raw)
    except RuleError as error:
        reject("newer-version" if error.code == "newer-version" else CODE)


def _parse(raw: bytes) -> Bundle:
    """Return the parts of a file whose first line is known."""
    lines, separator, checkpoint = raw.partition(b"\n\n")
    require(separator, CODE)
    try:
        _, extra, index, *path = lines.decode("ascii").split("\n")
    except (UnicodeDecodeError, ValueError):
        reject(CODE)
    require(extra.startswith("extra ") and index.startswith("index "), CODE)
    record_bytes, body, entries = _read_extra(note.unb64(extra[6:], CODE))
    require(head.DECIMAL.fullmatch(index[6:]) and int(index[6:]) <= MAX_UINT, CODE)
    decoded = record.decode(record_bytes)
    for entry in entries:
        record.decode(entry.record)
    parsed = note.parse(checkpoint)
    return Bundle(
        index=int(index[6:]),
        path=_path([note.unb64(item, CODE) for item in path]),
        note=parsed,
        checkpoint=head.parse_checkpoint(parsed.text),
        record=decoded,
        body=body,
        entries=entries,
    )


def _path(path: Any) -> tuple[bytes, ...]:
    """Return a path whose hashes all have 32 bytes."""
    require(isinstance(path, list) and len(path) <= MAX_PATH, CODE)
    require(all(isinstance(item, bytes) and len(item) == 32 for item in path), CODE)
    return tuple(path)


def _read_extra(raw: bytes) -> tuple[bytes, bytes, tuple[Entry, ...]]:
    """Return record, body and key events of the extra data."""
    extra = msgpack.unpack(raw, msgpack.EXTRA)
    require(isinstance(extra, list) and extra and isinstance(extra[0], int), CODE)
    require(extra[0] < 2, "newer-version")
    require(extra[0] == 1 and len(extra) == 4, CODE)
    _, found, body, entries = extra
    _check_parts(found, body)
    require(isinstance(entries, list) and len(entries) <= MAX_EVENTS, CODE)
    return found, body, tuple(_entry(item) for item in entries)


def _check_parts(found: Any, body: Any) -> None:
    """Refuse a record or body that is no bin, or a body longer than any body."""
    require(isinstance(found, bytes) and isinstance(body, bytes), CODE)
    require(len(body) <= msgpack.BODY.max_bytes, CODE)


def _entry(item: Any) -> Entry:
    """Return one key event of the list."""
    require(isinstance(item, list) and len(item) == 3, CODE)
    found, body, path = item
    _check_parts(found, body)
    return Entry(found, body, _path(path))
