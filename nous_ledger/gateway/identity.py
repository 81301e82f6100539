"""Whose call it is: the credential that a request carries.

The gateway never stores, logs or compares a credential; it only passes it on to
the upstream and to the ledger, which makes the pseudonym from it.

Spec:
    PROTOCOL.md SUBJ-2.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Final
from urllib.parse import parse_qsl

from nous_ledger.protocol import values
from nous_ledger.protocol.registries import SUBJECT_KIND
from nous_ledger.protocol.types import SubjectId

KIND_CLIENT_TOKEN: Final = SUBJECT_KIND["client_token"]
KIND_API_KEY: Final = SUBJECT_KIND["api_key"]
KIND_ACCESS_KEY_ID: Final = SUBJECT_KIND["access_key_id"]
KIND_NONE: Final = SUBJECT_KIND["none"]

CLIENT_TOKEN_HEADER: Final = b"nous-client-token"
"""Where a caller shows the gateway's own token; it never goes further."""

MAX_KNOWN: Final = 1_024
"""Callers whose pseudonyms are kept; then they are forgotten all at once."""

_KEY_HEADERS: Final = (b"x-api-key", b"api-key", b"x-goog-api-key")
_LOOKED_AT: Final = frozenset({b"authorization", CLIENT_TOKEN_HEADER, *_KEY_HEADERS})
_BEARER: Final = re.compile(rb"bearer +", re.IGNORECASE)
_SIGV4: Final = re.compile(rb"AWS4-[A-Z0-9-]+ .*?Credential=([^/,\s]+)/", re.DOTALL)

Headers = Iterable[tuple[bytes, bytes]]


@values.value
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
    if bearer := _BEARER.match(authorization):
        authorization = authorization[bearer.end() :]
    candidates = [b"" if signature else authorization]
    candidates += [named[name] for name in _KEY_HEADERS if name in named]
    if b"key=" in query:
        candidates.append(_query_key(query))
    for candidate in candidates:
        if candidate and candidate.lower() != b"bearer":
            return Credential(kind=KIND_API_KEY, value=candidate)
    if signature:
        return Credential(kind=KIND_ACCESS_KEY_ID, value=signature.group(1))
    return Credential(kind=KIND_NONE, value=b"")


class Pseudonyms:
    """Pseudonyms of the callers that were here last.

    A credential itself is not kept: it is known again by a hash under a key of this
    process, which nobody can try guesses against without it.
    """

    def __init__(self, make: Callable[[int, bytes], SubjectId]) -> None:
        """Know nobody yet; `make` gives the pseudonym of a kind and a value."""
        self._make = make
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, SubjectId] = {}

    def of(self, credential: Credential) -> SubjectId:
        """Return the pseudonym of who has a credential."""
        seen = hashlib.blake2b(credential.value, key=self._key, digest_size=32)
        seen.update(bytes((credential.kind,)))
        mark = seen.digest()
        if (subject := self._known.get(mark)) is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            subject = self._known[mark] = self._make(credential.kind, credential.value)
        return subject


def _query_key(query: bytes) -> bytes:
    for name, value in parse_qsl(query.decode("latin-1"), encoding="latin-1"):
        if name == "key":
            return value.encode("latin-1")
    return b""
