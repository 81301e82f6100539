"""Who may read what: the caller its own, who holds an opening that receipt, an auditor all.

Spec:
    PROTOCOL.md SERV-6, SERV-7; section "Read rights".
"""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from nous_ledger.gateway.http_errors import HttpError, bytes_of
from nous_ledger.gateway.identity import KIND_ACCESS_KEY_ID, KIND_NONE, find_credential
from nous_ledger.ledger import Entry, Ledger
from nous_ledger.protocol.bodies import Binding, Body, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import opening_hash
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_KEY, decode_record
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.types import SubjectId


class ReadRights:
    """Decides what a request may read of one ledger."""

    def __init__(
        self, ledger: Ledger, auditor_tokens: frozenset[bytes], *, publish_usage: bool = False
    ) -> None:
        """Set who may read.

        Args:
            ledger: the ledger.
            auditor_tokens: SHA-256 of each token that may read every body.
            publish_usage: whether everyone may see what each pseudonym used.
        """
        self._ledger = ledger
        self._auditor_tokens = auditor_tokens
        self.publish_usage = publish_usage

    def is_auditor(self, request: Request) -> bool:
        """Return whether a request carries an auditor token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
        return digest in self._auditor_tokens  # a hash tells nothing by how long it takes

    def caller(self, request: Request) -> SubjectId | None:
        """Return the pseudonym of who asks; None for who shows nothing that is a secret.

        All calls without a credential share one pseudonym. An access-key id is no secret:
        it stands in every signed URL, and no signature is checked here. An auditor token
        is no credential of a call.
        """
        credential = find_credential(request.headers.raw, request.scope["query_string"])
        if credential.kind in (KIND_NONE, KIND_ACCESS_KEY_ID) or self.is_auditor(request):
            return None
        return self._ledger.subject(credential.kind, credential.value)

    def the_caller(self, request: Request) -> SubjectId:
        """Return the pseudonym of who asks.

        Raises:
            HttpError: 401, there is none.
        """
        subject = self.caller(request)
        if subject is None:
            raise HttpError(
                401,
                "no-credential",
                "this is for who shows the credential that its calls carry",
                "send it in the same header as in a call",
            )
        return subject

    def subject_asked_for(self, request: Request, named: object) -> SubjectId:
        """Return whose receipts are asked for: one's own, or for an auditor the named one's.

        Args:
            request: who asks.
            named: pseudonym in hex; None for one's own.

        Raises:
            HttpError: 401, 403; 400, an auditor names none.
            InputError: it is no pseudonym.
        """
        if self.is_auditor(request):
            if named is None:
                raise HttpError(400, "input", "an auditor names the subject", "give `subject`")
            return SubjectId(bytes_of(named, "subject", 32))
        own = self.the_caller(request)
        if named is not None and not hmac.compare_digest(bytes_of(named, "subject", 32), own):
            raise HttpError(403, "no-read-right", "this subject is not the caller's")
        return own

    def may_read(self, request: Request, entry: Entry) -> bool:
        """Return whether a request carries the right to an entry's body."""
        if decode_record(entry.record).type == TYPE_KEY or self.is_auditor(request):
            return True
        return self._knows_opening(request, entry) or self._is_own(request, entry)

    def _is_own(self, request: Request, entry: Entry) -> bool:
        body, caller = body_of(entry), self.caller(request)
        if caller is None or not isinstance(body, Receipt | Binding | Statement):
            return False
        return hmac.compare_digest(caller, body.subject)

    @staticmethod
    def _knows_opening(request: Request, entry: Entry) -> bool:
        try:
            opening = bytes.fromhex(request.headers.get("nous-opening", ""))
        except ValueError:
            return False
        if entry.opening_hash is None or len(opening) != 32:
            return False
        return hmac.compare_digest(opening_hash(opening), entry.opening_hash)


def body_of(entry: Entry) -> Body | None:
    """Return an entry's body; None if it was erased or is damaged."""
    try:
        return decode_body(decode_record(entry.record).type, entry.body)
    except LedgerError:
        return None
