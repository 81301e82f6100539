"""The third question: is this head what the log and the witnesses stand for?

Each function is one check of PROTOCOL.md's table; it returns what it verified
or raises. `verify` strings them together and decides what a failure means.

Spec:
    PROTOCOL.md, sections "Heads" (HEAD-1 to HEAD-17) and "Verification".
"""

from __future__ import annotations

from collections.abc import Iterable

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.cosignature import verify_cosignature
from nous_ledger.protocol.errors import HeadError, UnavailableError
from nous_ledger.protocol.head import (
    HeadSignature,
    decode_head_signature,
    only_line,
    verify_head_signature,
    verify_text_signature,
)
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.note import Note, NoteSignature, find_signatures
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.vkey import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_HEAD,
    VerifierKey,
    ed25519_vkey,
    head_vkey,
)


def verify_listed_lines(note: Note, keys: Iterable[VerifierKey]) -> frozenset[NoteSignature]:
    """Return the Ed25519 lines of a log that verify under keys of the policy.

    Args:
        note: the head.
        keys: every key that the policy lists under the log's name.

    Raises:
        UnavailableError: unsupported-key.
        SignatureError: malformed, mismatch (a listed key's line fails).
    """
    keys = tuple(keys)
    for key in keys:
        if key.kind != KIND_ED25519 and (key.kind != KIND_HEAD or key.log_id is None):
            raise UnavailableError(
                "unsupported-key", f"the policy lists a key of kind {key.kind:#04x}"
            )
    return frozenset(
        verify_text_signature(note.text, key, line)
        for key in keys
        if key.kind == KIND_ED25519
        for line in find_signatures(note, key.name, key.key_id)
    )


def verify_head_line(note: Note, head: Checkpoint, history: KeyHistory) -> HeadSignature:
    """Return the 0xff signature of a head after checking it against the key history.

    Raises:
        HeadError: missing-kind, duplicate-line, head-epoch.
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
    """
    key = head_vkey(head.origin, history.log_id)
    line = only_line(note, key)
    signature = decode_head_signature(line.payload)
    if signature.epoch != history.epoch:
        raise HeadError(
            "head-epoch", f"the head is of epoch {signature.epoch}, its leaves of {history.epoch}"
        )
    public_key = history.epochs[signature.epoch].secp256k1
    return verify_head_signature(head, history.log_id, signature, public_key)


def verify_text_line(
    note: Note,
    history: KeyHistory,
    verified: frozenset[NoteSignature],
) -> None:
    """Check the Ed25519 line of the head's epoch.

    Args:
        note: the head.
        history: key history at the head.
        verified: lines that `verify_listed_lines` has verified already.

    Raises:
        HeadError: missing-kind, duplicate-line.
        SignatureError: malformed, mismatch.
    """
    key = ed25519_vkey(history.genesis.origin or "", history.epochs[-1].ed25519)
    line = only_line(note, key)
    if line not in verified:
        verify_text_signature(note.text, key, line)


def is_policy_outdated(history: KeyHistory, keys: Iterable[VerifierKey]) -> bool:
    """Return whether the policy lists Ed25519 keys of the log, but not the epoch's."""
    listed = [key.material for key in keys if key.kind == KIND_ED25519]
    return bool(listed) and history.epochs[-1].ed25519 not in listed


def check_times(timestamp: UnixSeconds, records: Iterable[Record]) -> None:
    """Check that times ascend with indices and none lies after the head's.

    Args:
        timestamp: the head's time, seconds.
        records: records that the head covers, in any order, at least one.

    Raises:
        HeadError: head-time.
    """
    times = [r.logged_at for r in sorted(records, key=lambda record: record.index)]
    if times != sorted(times):
        raise HeadError("head-time", "logged_at decreases with the index")
    if timestamp < times[-1] // 1000:
        raise HeadError("head-time", "the head's time is before that of a record it covers")


def verify_witnesses(note: Note, policy: Policy) -> dict[bytes, UnixSeconds]:
    """Return, for each listed witness that cosigned, its latest time in seconds.

    Raises:
        SignatureError: malformed, mismatch (a listed witness's line fails).
    """
    cosigned: dict[bytes, UnixSeconds] = {}
    for witness in policy.witnesses:
        key = witness.vkey
        if key.kind == KIND_COSIGNATURE:
            lines = find_signatures(note, key.name, key.key_id)
            times = [verify_cosignature(key, note.text, line) for line in lines]
            if times:
                cosigned[witness.name] = max(times)
    return cosigned
