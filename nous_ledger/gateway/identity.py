"""Whose call it is: the credential that a request carries.

The gateway never stores, logs or compares a credential; it only passes it on to
the upstream and to the ledger, which makes the pseudonym from it.

Spec:
    PROTOCOL.md SUBJ-2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from nous_ledger.protocol.registries import SUBJECT_KIND

KIND_CLIENT_TOKEN: Final = SUBJECT_KIND["client_token"]
KIND_API_KEY: Final = SUBJECT_KIND["api_key"]
KIND_ACCESS_KEY_ID: Final = SUBJECT_KIND["access_key_id"]
KIND_NONE: Final = SUBJECT_KIND["none"]

CLIENT_TOKEN_HEADER: Final = b"nous-client-token"
"""Where a caller shows the gateway's own token; it never goes further."""

_KEY_HEADERS: Final = (b"x-api-key", b"api-key", b"x-goog-api-key")
_LOOKED_AT: Final = frozenset({b"authorization", CLIENT_TOKEN_HEADER, *_KEY_HEADERS})
_BEARER: Final = re.compile(rb"bearer +", re.IGNORECASE)
_SIGV4: Final = re.compile(rb"AWS4-[A-Z0-9-]+ .*?Credential=([^/,\s]+)/", re.DOTALL)

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a caller proved its identity with. The value never shows in a repr."""

    kind: int
    value: bytes = field(repr=False)


def find_credential(headers: Headers, query: bytes) -> Credential:
    """Return the credential of a request.

    The gateway's own client token, else the first of: Authorization (after
    `Bearer `), x-api-key, api-key, x-goog-api-key, the query's `key`, the access-key
    id of an AWS signature.

    Args:
        headers: (lower-case name, value) pairs as received, a client token only among
            them if the gateway has such tokens.
        query: the query string, without the question mark.
    """
    named: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _LOOKED_AT and (stripped := value.strip()):
            named.setdefault(name, stripped)
    if token := named.get(CLIENT_TOKEN_HEADER):
        return Credential(kind=KIND_CLIENT_TOKEN, value=token)
    authorization = named.get(b"authorization", b"")
    signature = _SIGV4.match(authorization)
    candidates = [b"" if signature else _BEARER.sub(b"", authorization, count=1)]
    candidates += [named.get(name, b"") for name in _KEY_HEADERS]
    candidates.append(_query_key(query))
    for candidate in candidates:
        if candidate and candidate.lower() != b"bearer":
            return Credential(kind=KIND_API_KEY, value=candidate)
    if signature:
        return Credential(kind=KIND_ACCESS_KEY_ID, value=signature.group(1))
    return Credential(kind=KIND_NONE, value=b"")


def _query_key(query: bytes) -> bytes:
    if b"key=" not in query:
        return b""
    for name, value in parse_qsl(query.decode("latin-1"), encoding="latin-1"):
        if name == "key":
            return value.encode("latin-1")
    return b""
