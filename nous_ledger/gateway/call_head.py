"""What follows from the head of a call alone.

Client libraries repeat their heads from call to call, all but the length of the body. So
this is found out once for as long as a connection brings the same head again. It holds
the caller's credential in memory for that long, as the connection's last request does.

Spec:
    PROTOCOL.md SUBJ-2; section "The receipt", field claimed_wallet.
"""

from __future__ import annotations

from typing import Final

from nous_ledger.gateway.answers import (
    BAD_FIELD,
    BAD_PATH,
    BAD_WALLET,
    UNMETERED_REFUSED,
    Answer,
)
from nous_ledger.gateway.client import Scope
from nous_ledger.gateway.direct import RequestHead
from nous_ledger.gateway.headers import (
    RawHeaders,
    can_pass,
    header,
    signed_fields,
    upstream_headers,
)
from nous_ledger.gateway.identity import find_credential
from nous_ledger.gateway.provider_table import UNMETERED
from nous_ledger.gateway.providers import Upstream
from nous_ledger.gateway.service import Service
from nous_ledger.gateway.wallets import WalletError, claimed_wallet, split_wallet

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods by which no model is asked anything: lists of models, of files, of batches."""


class CallHead:
    """The head of an admitted call, read.

    Attributes:
        upstream: where the call goes.
        session: how it gets there.
        shape: what the call is; `UNMETERED` if it is refused for its path.
        claimed: the wallet that it names, 20 bytes.
        refused: why the call cannot go on, None if it can.
        may_ask: the body may be altered to ask for usage: the provider takes the question,
            and no signature covers the body.
        coding: content codings of the body, None without any.
        subject: pseudonym of the caller.
    """

    __slots__ = (
        "_altered",
        "_fields",
        "_method",
        "_signed",
        "_target",
        "_unaltered",
        "claimed",
        "coding",
        "may_ask",
        "refused",
        "session",
        "shape",
        "subject",
        "upstream",
    )

    def __init__(self, service: Service, upstream: Upstream, scope: Scope, *, named: bool) -> None:
        """Read a head.

        Args:
            service: what all calls share.
            upstream: where the call goes.
            scope: the ASGI scope of the request.
            named: the caller named the upstream.
        """
        fields: RawHeaders = scope["headers"]
        query: bytes = scope["query_string"]
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        path, wallet = split_wallet(raw_path[len(upstream.route.name) + 1 :].decode("latin-1"))
        self.upstream = upstream
        self.session = service.checked_session if named else service.session
        self._method: str = scope["method"]
        self._target = f"{path}?{query.decode('latin-1')}" if query else path
        self._fields = fields
        self._signed = signed_fields(dict(fields))
        self._altered: RequestHead | None = None
        self._unaltered: RequestHead | None = None
        shape = service.shape(upstream, self._method, path)
        self.shape = shape or UNMETERED
        self.claimed: bytes | None = None
        self.refused = self._claim(wallet)
        if self.refused is None and shape is None:
            self.refused = BAD_PATH
        unmetered = shape is UNMETERED and self._method not in _READING
        if self.refused is None and unmetered and not service.unmetered:
            self.refused = UNMETERED_REFUSED
        if self.refused is None and not can_pass(fields):
            self.refused = BAD_FIELD
        self.may_ask = not self._signed and upstream.route.may_ask(query)
        self.coding = header(fields, b"content-encoding")
        self.subject = service.pseudonyms.of(find_credential(fields, query))

    def for_upstream(self, *, altered: bool) -> RequestHead:
        """Return the head as it goes to the upstream.

        Args:
            altered: the body was altered.
        """
        known = self._altered if altered else self._unaltered
        if known is None:
            fields = upstream_headers(self._fields, self._signed, altered=altered)
            known = RequestHead(self._method, self.upstream.base_url, self._target, fields)
            if altered:
                self._altered = known
            else:
                self._unaltered = known
        return known

    def _claim(self, wallet: str | None) -> Answer | None:
        """Take the wallet that is named; return why the call cannot go on, None if it can."""
        try:
            self.claimed = claimed_wallet(wallet, self._fields)
        except WalletError:
            return BAD_WALLET
        return None
