"""The witnesses of a log: who they are, and how each is asked for its cosignature.

A witness is outside: whatever it answers, or does not, changes nothing but its own
state here. Only a line that verifies under its configured key reaches the store.

Spec:
    PROTOCOL.md WIT-1 to WIT-4; C2SP tlog-witness.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nous_ledger.ledger.cosigned import MAX_COSIGNERS, split_lines
from nous_ledger.ledger.ledger import Ledger, system_clock
from nous_ledger.ledger.model import Clock
from nous_ledger.ledger.witness_http import HttpPost, Post, check_url
from nous_ledger.ledger.witness_wire import (
    explain,
    format_add_checkpoint,
    parse_size,
    verify_answer,
)
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import FormatError, LedgerError, UnavailableError
from nous_ledger.protocol.note import Note, parse_note
from nous_ledger.protocol.policy import Policy, parse_policy
from nous_ledger.protocol.vkey import KIND_COSIGNATURE, VerifierKey

_ATTEMPTS: Final = 3
"""Requests for one head: what is learned from a conflict is tried at once."""


class WitnessState(StrEnum):
    """How a witness stands to the newest head it was asked about."""

    NOT_ASKED = "not-asked"
    COSIGNED = "cosigned"
    AHEAD = "ahead"
    """It has cosigned a larger head of this log already."""
    UNREACHABLE = "unreachable"
    UNKNOWN_LOG = "unknown-log"
    """404: it does not know the origin."""
    UNTRUSTED = "untrusted"
    """403: it knows the origin, but none of the keys that signed the head."""
    INCONSISTENT = "inconsistent"
    """422: to it the head does not extend what it cosigned last."""
    CONFLICT = "conflict"
    """409, and what it says does not help: it saw another tree of the same size."""
    ROLLED_BACK = "rolled-back"
    """It has cosigned a head that is not in this ledger: the ledger may be an old copy."""
    BAD_ANSWER = "bad-answer"
    """It answered with something that is no cosignature of the head by its key."""
    UNUSABLE_LEDGER = "unusable-ledger"
    """The ledger could not be read, or the cosignature not be stored."""


_REFUSALS: Final = {
    403: (WitnessState.UNTRUSTED, "it trusts none of the keys that signed the head"),
    404: (WitnessState.UNKNOWN_LOG, "it does not know this log"),
    422: (WitnessState.INCONSISTENT, "to it the head does not extend what it cosigned last"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness that is asked to cosign.

    Attributes:
        name: name in the configuration.
        vkey: its key, of kind 0x04.
        url: submission prefix.
    """

    name: str
    vkey: VerifierKey
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessReport:
    """What became of asking a witness.

    Attributes:
        name: name in the configuration.
        state: how it stands.
        leaf_count: leaves of the head that it was asked about.
        message: what happened, in words of this program.
        claimed: leaves that it says it cosigned, if no stored head has so many.
    """

    name: str
    state: WitnessState
    leaf_count: int
    message: str
    claimed: int | None = None

    @property
    def is_failure(self) -> bool:
        """Whether asking again later is worth while, but not at once."""
        return self.state not in (WitnessState.COSIGNED, WitnessState.AHEAD)


def parse_witnesses(data: bytes, *, insecure: bool = False) -> tuple[Policy, tuple[Witness, ...]]:
    """Return the witnesses of a file in the policy format; each needs a URL.

    A trust policy serves as it is; a file of `witness` lines alone does too.

    Args:
        data: the file, at most 64 KiB.
        insecure: take http to other machines too.

    Returns:
        The policy, `quorum none` where the file has none, and its witnesses in order.

    Raises:
        FormatError: policy-format.
        InputError: the address of a witness is of another form.
        UnavailableError: unsupported-key (a key whose cosignatures cannot be verified).
    """
    words = [line.split()[:1] for line in data.split(b"\n")]
    complete = [b"quorum"] in words or not data.endswith(b"\n")
    policy = parse_policy(data if complete else data + b"quorum none\n")
    witnesses: list[Witness] = []
    for listed in policy.witnesses:
        name = listed.name.decode("utf-8", "backslashreplace")
        if listed.vkey.kind != KIND_COSIGNATURE:
            raise UnavailableError(
                "unsupported-key", f"the witness {name} has a key of kind {listed.vkey.kind:#04x}"
            )
        if not listed.url:
            raise FormatError(
                "policy-format",
                f"the witness {name} has no URL, so it cannot be asked",
                hint="put the witness's submission prefix behind its vkey",
            )
        url = check_url(listed.url, insecure=insecure)
        witnesses.append(Witness(name=name, vkey=listed.vkey, url=url))
    if not 1 <= len(witnesses) <= MAX_COSIGNERS:
        raise FormatError("policy-format", f"it lists {len(witnesses)} witnesses, not 1..62")
    return policy, tuple(witnesses)


class WitnessClient:
    """Asks one witness; used by one thread at a time.

    Attributes:
        witness: whom.
        report: what became of the last request.
    """

    def __init__(
        self,
        ledger: Ledger,
        witness: Witness,
        *,
        post: Post | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            ledger: whose heads are to be cosigned; open for writing.
            witness: whom to ask.
            post: how; None for HTTP.
            clock: the time in milliseconds.

        Raises:
            FormatError: policy-format, if the witness goes by the name of the log.
        """
        if witness.vkey.name == ledger.origin:
            raise FormatError("policy-format", f"the witness {witness.name} has the log's own name")
        self.witness = witness
        self.report = WitnessReport(
            name=witness.name,
            state=WitnessState.NOT_ASKED,
            leaf_count=0,
            message="it was not asked yet",
        )
        self._ledger = ledger
        self._clock = clock
        self._post = HttpPost(witness.url) if post is None else post
        self._size: int | None = None  # what it cosigned last, as far as is known
        self._claimed: int | None = None

    def ask(self, head: bytes) -> WitnessReport:
        """Ask for a cosignature of a head, and merge it into the stored one.

        Args:
            head: a signed head of the log, with or without cosignatures.

        Returns:
            What became of it; nothing that the witness does raises an error.
        """
        note = split_lines(parse_note(head))[0]
        count = parse_checkpoint(note.text).leaf_count
        try:
            state, message = self._ask(note, count)
        except UnavailableError as error:
            known = error.code == "unreachable"
            state = WitnessState.UNREACHABLE if known else WitnessState.UNUSABLE_LEDGER
            message = error.message
        except LedgerError as error:
            state, message = WitnessState.UNUSABLE_LEDGER, explain(error)
        claimed, self._claimed = self._claimed, None
        self.report = WitnessReport(
            name=self.witness.name,
            state=state,
            leaf_count=count,
            message=message,
            claimed=claimed,
        )
        return self.report

    def close(self) -> None:
        """Cut a request short; every later one fails."""
        self._post.close()

    def _ask(self, note: Note, count: int) -> tuple[WitnessState, str]:
        if self._size is None:
            self._size = self._ledger.cosigned_size(self.witness.vkey)
        old = self._size
        for _ in range(_ATTEMPTS):
            if self._size > count:
                return self._ahead(count)
            old = self._size
            proof = () if old in (0, count) else self._ledger.prove_consistency(old, count)
            answer = self._post(format_add_checkpoint(old, proof, note))
            if answer.status == 200:
                return self._take(note, count, answer.body)
            if answer.status != 409:
                refused = (WitnessState.UNREACHABLE, f"it answered {answer.status}")
                return _REFUSALS.get(answer.status, refused)
            try:
                self._size = parse_size(answer.content_type, answer.body)
            except FormatError as error:
                if old == count:  # of another tree of this size it need not say more
                    break
                return WitnessState.BAD_ANSWER, explain(error)
            if self._size == old:
                break
        return WitnessState.CONFLICT, f"it says that it cosigned another tree of {old} leaves"

    def _ahead(self, count: int) -> tuple[WitnessState, str]:
        size, self._size = self._size, None  # asked for anew: nothing vouches for it
        # Heads are stored before anybody sees them, whichever process signed them.
        stored = parse_checkpoint(parse_note(self._ledger.latest_head()).text)
        if size is not None and size > stored.leaf_count:
            self._claimed = size
            return (
                WitnessState.ROLLED_BACK,
                f"it says that it cosigned {size} leaves: more than any head stored here has",
            )
        return WitnessState.AHEAD, f"it has cosigned {size} leaves already, not just {count}"

    def _take(self, note: Note, count: int, body: bytes) -> tuple[WitnessState, str]:
        key = self.witness.vkey
        try:
            line = verify_answer(note.text, key, body, self._clock() // 1000)
        except LedgerError as error:
            return WitnessState.BAD_ANSWER, explain(error)
        self._size = count
        if not self._ledger.add_cosignature(note.text, key, line):
            return WitnessState.UNUSABLE_LEDGER, "the head is no longer stored"
        return WitnessState.COSIGNED, f"it cosigned {count} leaves"
