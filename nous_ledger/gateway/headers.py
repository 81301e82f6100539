"""Header fields that pass, and those that do not.

Removed are only fields that belong to one connection (RFC 9110, section 7.6.1),
the length and coding of a body that was altered, and our own `nous-` fields.
A control character in a value, which no server may send on, becomes a space
(RFC 9110, section 5.5).

A request that is signed (AWS Signature Version 4) is signed for the upstream's own
host: path, query and body go on untouched, the Host field names the upstream, and
no field that the signature covers is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nous_ledger.gateway.codings import narrow_accept_encoding

RawHeaders = list[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Made anew for the upstream's connection: the gateway reads a body whole before
# it forwards it, so its length is known and nobody waits for a 100 Continue.
_MADE_ANEW: Final = frozenset({b"host", b"content-length", b"expect", b"accept-encoding"})
_NOT_SENT: Final = _HOP_BY_HOP | _MADE_ANEW
_NOT_SENT_ALTERED: Final = _NOT_SENT | {b"content-encoding"}
_USUAL: Final = (b"keep-alive", b"close", b"Keep-Alive")
_OURS: Final = (b"nous-", b"x-nous-")
_SIGNED: Final = re.compile(rb"AWS4-[A-Z0-9-]+ .*?SignedHeaders=([^,\s]+)", re.DOTALL)
_CONTROLS: Final = bytes(b for b in range(256) if (b < 0x20 and b != 0x09) or b == 0x7F)
_NO_CONTROLS: Final = bytes(
    0x20 if (b < 0x20 and b != 0x09) or b == 0x7F else b for b in range(256)
)

_MAX_LAYOUTS: Final = 256
_LONGEST_NAMES: Final = 4 * 1024
"""Bytes of the names of a response whose layout is remembered."""


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the values of a field joined by commas, None if it is absent.

    Args:
        headers: (name, value) pairs, names in any case.
        name: lower-case name.
    """
    values = [value for key, value in headers if key == name or key.lower() == name]
    return b", ".join(values).decode("latin-1") if values else None


def can_pass(headers: RawHeaders) -> bool:
    """Return whether every value can go on byte for byte: the client library writes UTF-8."""
    if b"".join([value for _, value in headers]).isascii():
        return True
    for _, value in headers:
        if not value.isascii():
            try:
                value.decode()
            except UnicodeDecodeError:
                return False
    return True


def signed_fields(fields: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """Return the names of fields that an AWS signature covers; without one, none.

    Args:
        fields: header fields, names in lower case.
    """
    found = _SIGNED.match(fields.get(b"authorization", b""))
    return frozenset(found.group(1).lower().split(b";")) if found else frozenset()


def upstream_headers(
    headers: RawHeaders, signed: frozenset[bytes] = frozenset(), *, altered: bool
) -> RawHeaders:
    """Return the request's fields for the upstream.

    Args:
        headers: fields as the client sent them, names in lower case, values in UTF-8.
        signed: names of the fields that a signature covers.
        altered: the body was altered; it goes out, and its answer comes back,
            without content codings.
    """
    dropped = _NOT_SENT_ALTERED if altered else _NOT_SENT
    passing = _passing(headers, dropped)
    values = [] if altered else [v for name, v in headers if name == b"accept-encoding"]
    accepted = b", ".join(values).decode("latin-1") if values else None
    if accepted is None or b"accept-encoding" not in signed:
        accepted = narrow_accept_encoding(accepted)
    passing.append((b"accept-encoding", accepted.encode("latin-1")))
    return passing


class Layout:
    """What follows from the names of a response's fields alone.

    Attributes:
        places: where the first field of each name stands, names in lower case.
        passing: places and names of those that pass to the client, whatever their values;
            None if one of them says more of others than is usual.
    """

    __slots__ = ("passing", "places")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        """Lay out fields."""
        lowered = [name.lower().rstrip() for name in names]
        self.places: dict[str, int] = {}
        for place, name in enumerate(lowered):
            self.places.setdefault(name.decode("latin-1"), place)
        self.passing: tuple[tuple[int, bytes], ...] | None = None
        if lowered.count(b"connection") <= 1:
            passing = _passing([(name, b"") for name in lowered], _HOP_BY_HOP)
            kept = frozenset(name for name, _ in passing)
            self.passing = tuple([each for each in enumerate(lowered) if each[1] in kept])

    def field(self, headers: RawHeaders, name: str) -> str | None:
        """Return the first field of a name, None if there is none.

        Args:
            headers: fields with the names that this was made for.
            name: in lower case.
        """
        place = self.places.get(name)
        return None if place is None else headers[place][1].decode("utf-8", "surrogateescape")

    def values(self, headers: RawHeaders) -> RawHeaders | None:
        """Return the fields that pass, names in lower case; None if that takes a closer look.

        Args:
            headers: fields with the names that this was made for.
        """
        at = self.places.get("connection")
        if self.passing is None or (at is not None and headers[at][1] not in _USUAL):
            return None
        passing = [(name, headers[place][1]) for place, name in self.passing]
        text = b"".join([value for _, value in passing])
        return passing if len(text.translate(None, _CONTROLS)) == len(text) else None


_layouts: dict[tuple[bytes, ...], Layout] = {}


def layout_of(headers: Sequence[tuple[bytes, bytes]]) -> Layout:
    """Return the layout of fields; upstreams send the same names again and again."""
    names = tuple([name for name, _ in headers])
    try:
        return _layouts[names]
    except KeyError:
        layout = Layout(names)
    if sum(map(len, names)) <= _LONGEST_NAMES:
        if len(_layouts) >= _MAX_LAYOUTS:
            _layouts.clear()
        _layouts[names] = layout
    return layout


def client_headers(
    headers: RawHeaders, layout: Layout | None = None, *, altered: bool, bodiless: bool = False
) -> RawHeaders:
    """Return the response's fields for the client.

    Args:
        headers: fields as the upstream sent them.
        layout: where they stand, if that is known.
        altered: the body is altered on its way and loses its content codings.
        bodiless: the response has no body, whatever length it tells.
    """
    if not (altered or bodiless):
        usual = (layout or layout_of(headers)).values(headers)
        if usual is not None:
            return usual
    dropped = _HOP_BY_HOP
    if altered or bodiless:
        dropped |= {b"content-length", b"content-encoding"} if altered else {b"content-length"}
    # Upstreams write a space before the colon, and client libraries keep it in the name.
    lowered = [(name.lower().rstrip(), value.translate(_NO_CONTROLS)) for name, value in headers]
    return _passing(lowered, dropped)


def _passing(headers: RawHeaders, dropped: frozenset[bytes]) -> RawHeaders:
    """Return the fields that pass; names are in lower case."""
    for name, value in headers:
        if name == b"connection" and value not in _USUAL:
            named = value.lower().split(b",")
            dropped = dropped.union([item.strip() for item in named])
    return [
        field for field in headers if field[0] not in dropped and not field[0].startswith(_OURS)
    ]


NO_FIELDS: Final = Layout(())
