"""Requests whose head is the one before, byte for byte but for the length of the body.

A client library sends the same head with every call over a connection: only the length
of the body differs. What such a head says is known already. So it is neither parsed nor
judged again; bytes that the parser took are compared, and nothing else is concluded.

What is known belongs to one connection and goes with it: nobody else's request is
compared with it, and it holds no more than the connection's last request does.
"""

from __future__ import annotations

import re
from typing import Any, Final

from nous_ledger.gateway.client import NOTES, Notes, Scope
from nous_ledger.gateway.headers import RawHeaders

MAX_HEAD_BYTES: Final = 16 * 1024
"""Longest head that is known again."""

_LENGTH: Final = b"content-length"
_LENGTH_LINE: Final = re.compile(rb"\r\ncontent-length:[ ]?([0-9]{1,12})\r\n", re.IGNORECASE)
_LONGEST_LENGTH: Final = 12
_NOT_REPEATED: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade", b"trailer"})
_VARYING: Final = frozenset({"headers", "state", "trailers", NOTES})


class RepeatedHead:
    """A head that came before, cut around the length of the body."""

    __slots__ = ("_after", "_at", "_before", "_fields", "_scope", "notes")

    def __init__(self, before: bytes, after: bytes, at: int, scope: Scope) -> None:
        """Take a head that was parsed.

        Args:
            before: its bytes up to the length.
            after: its bytes from there on.
            at: which of its fields is the length.
            scope: what the parser made of it, untouched.
        """
        self._before = before
        self._after = after
        self._at = at
        self._fields: RawHeaders = list(scope["headers"])
        self._scope: dict[str, Any] = {
            name: value for name, value in scope.items() if name not in _VARYING
        }
        self.notes: Notes = scope[NOTES]

    def body_of(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return length and body of a request that is whole and has this head; else None.

        Args:
            data: what came, from the beginning of a request on.
        """
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + _LONGEST_LENGTH + 1)
        if end < 0 or not data.startswith(after, end):
            return None
        begin = end + len(after)
        length = data[start:end]
        return (length, data[begin:]) if length == b"%d" % (len(data) - begin) else None

    def scope(self, length: bytes) -> Scope:
        """Return the scope of a request with this head.

        Args:
            length: digits of the length of its body.
        """
        fields = self._fields.copy()
        fields[self._at] = (_LENGTH, length)
        scope = self._scope.copy()
        scope["headers"] = fields
        scope[NOTES] = self.notes
        return scope


def learn_head(data: bytes, scope: Scope) -> RepeatedHead | None:
    """Return a head to know again, None if it says more than a plain head does.

    Args:
        data: what came: one request and nothing else, which the parser took from its first
            byte to its last, and whose connection is kept.
        scope: what the parser made of it.
    """
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end]
    fields: RawHeaders = scope["headers"]
    names = [name for name, _ in fields]
    lengths = _LENGTH_LINE.findall(head)
    if (
        not 4 <= end <= MAX_HEAD_BYTES
        or not head[:1].isalpha()
        or scope["http_version"] != "1.1"
        or not _NOT_REPEATED.isdisjoint(names)
        or names.count(_LENGTH) != 1
        or len(lengths) != 1
        # Each line is a field, which ends as lines do.
        or not head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") == len(fields) + 2
    ):
        return None
    at = names.index(_LENGTH)
    found = _LENGTH_LINE.search(head)
    if found is None or fields[at][1] != lengths[0] or int(lengths[0]) != len(data) - end:
        return None
    return RepeatedHead(head[: found.start(1)], head[found.end(1) :], at, scope)
