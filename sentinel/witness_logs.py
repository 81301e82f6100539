"""The logs that a witness cosigns, and what their heads must carry; no I/O here.

A log is listed by its vkeys, as in a trust policy. Its Ed25519 keys are enough. A 0xff
vkey pins a log id and not a key: to check such lines the log's key events are needed,
which every bundle of the log carries.

Spec:
    PROTOCOL.md WIT-9; HEAD-3 to HEAD-7.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import (
    FormatError,
    HeadError,
    KeyHistoryError,
    UnavailableError,
)
from nous_ledger.protocol.head import decode_head_signature, only_line
from nous_ledger.protocol.keyhistory import KeyHistory, verify_key_history
from nous_ledger.protocol.logview import verify_head_line, verify_listed_lines, verify_text_line
from nous_ledger.protocol.note import Note, NoteSignature, find_signatures
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.vkey import KIND_ED25519, KIND_HEAD, VerifierKey, ed25519_vkey, head_vkey


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedLog:
    """A log that a witness cosigns.

    Attributes:
        origin: its name.
        keys: vkeys that are trusted for it, of kinds 0x01 and 0xff; at least one.
        history: its key events as far as they were given; None if no 0xff vkey is listed.
    """

    origin: str
    keys: tuple[VerifierKey, ...]
    history: KeyHistory | None = None


def parse_logs(data: bytes, proofs: Iterable[bytes] = ()) -> Mapping[str, WitnessedLog]:
    """Return the logs in a file of the policy format, by origin.

    Args:
        data: the file, at most 64 KiB; a trust policy serves, and so do `log` lines alone.
        proofs: bundles of logs whose 0xff vkey is listed; of several the longest history.

    Raises:
        FormatError: policy-format (also for a file without a log), not-a-bundle.
        UnavailableError: unsupported-key, unpinned (no bundle shows the key events of a
            log whose 0xff vkey is listed), unknown-log (a bundle of a log that is not
            listed so), newer-version, unknown-kind.
        KeyHistoryError, RecordError, SignatureError, EncodingError, BodyError: the key
            events of a bundle are not those of the pinned log.
    """
    words = [line.split()[:1] for line in data.split(b"\n")]
    complete = [b"quorum"] in words or not data.endswith(b"\n")
    policy = parse_policy(data if complete else data + b"quorum none\n")
    names = dict.fromkeys(log.vkey.name for log in policy.logs)
    if not names:
        raise FormatError("policy-format", "the file lists no log")
    keys = {name: policy.log_keys(name) for name in names}
    for key in (key for listed in keys.values() for key in listed):
        _check_kind(key)
    histories = _read_histories(proofs, keys)
    return {
        name: WitnessedLog(origin=name, keys=listed, history=_history_of(name, listed, histories))
        for name, listed in keys.items()
    }


def verify_log_lines(log: WitnessedLog, note: Note, head: Checkpoint) -> tuple[NoteSignature, ...]:
    """Return the lines of a head that its log signed, in their order.

    At least one key of every listed kind must have signed, and no line of a listed key
    may fail.

    Spec:
        PROTOCOL.md WIT-9.

    Raises:
        HeadError: missing-kind, duplicate-line, head-epoch.
        KeyHistoryError: after-close (more leaves than the log had when it was closed).
        SignatureError: malformed, high-s, bad-recovery-id, mismatch.
        UnavailableError: policy-outdated (an epoch that no given key event began).
    """
    verified = verify_listed_lines(note, log.keys)
    if any(key.kind == KIND_ED25519 for key in log.keys) and not verified:
        raise HeadError("missing-kind", "no listed Ed25519 key signed the head")
    for key in log.keys:
        if len(find_signatures(note, key.name, key.key_id)) > 1:
            raise HeadError("duplicate-line", "a listed key signed the head twice")
    checked = {line.key_id for line in verified}
    if log.history is not None:
        checked |= _verify_with_history(log.history, note, head, verified)
    return tuple(s for s in note.signatures if s.name == log.origin and s.key_id in checked)


def _verify_with_history(
    known: KeyHistory, note: Note, head: Checkpoint, verified: frozenset[NoteSignature]
) -> set[bytes]:
    """Check the 0xff line and the Ed25519 line of its epoch; return their key ids."""
    if known.closed_at is not None and head.leaf_count > known.closed_at + 1:
        raise KeyHistoryError("after-close", "the head has leaves after the log's close")
    key = head_vkey(head.origin, known.log_id)
    if decode_head_signature(only_line(note, key).payload).epoch > known.epoch:
        raise UnavailableError(
            "policy-outdated",
            "the head is of an epoch whose key event the witness was not given",
            hint="give the witness a newer proof of the log",
        )
    history = _cut(known, head)
    verify_head_line(note, head, history)
    verify_text_line(note, history, verified)
    return {key.key_id, ed25519_vkey(head.origin, history.epochs[-1].ed25519).key_id}


def _cut(known: KeyHistory, head: Checkpoint) -> KeyHistory:
    """Return the history at a head that may have fewer leaves than the bundle's."""
    epochs = tuple(epoch for epoch in known.epochs if epoch.first_index < head.leaf_count)
    return dataclasses.replace(known, epochs=epochs or known.epochs[:1])


def _read_histories(
    proofs: Iterable[bytes], keys: Mapping[str, tuple[VerifierKey, ...]]
) -> dict[str, KeyHistory]:
    histories: dict[str, KeyHistory] = {}
    for data in proofs:
        bundle = parse_bundle(data)
        origin = bundle.head.origin
        pinned = _pinned(keys.get(origin, ()))
        if not pinned:
            raise UnavailableError(
                "unknown-log", f"a proof is of {origin}, whose 0xff vkey is not listed"
            )
        history = verify_key_history(
            ((event.record, event.body) for event in bundle.key_events),
            leaf_count=bundle.head.leaf_count,
            origin=origin,
            pinned=pinned,
        )
        earlier = histories.get(origin)
        if earlier is None or len(history.records) > len(earlier.records):
            histories[origin] = history
    return histories


def _history_of(
    name: str, keys: tuple[VerifierKey, ...], histories: Mapping[str, KeyHistory]
) -> KeyHistory | None:
    if _pinned(keys) and name not in histories:
        raise UnavailableError(
            "unpinned",
            f"the 0xff line of {name} cannot be checked without its key events",
            hint="give a proof of the log with --proof FILE, or list only its Ed25519 vkey: "
            "`nous-ledger policy export --c2sp`",
        )
    return histories.get(name)


def _pinned(keys: Iterable[VerifierKey]) -> frozenset[LogId]:
    return frozenset(key.log_id for key in keys if key.log_id is not None)


def _check_kind(key: VerifierKey) -> None:
    if key.kind != KIND_ED25519 and (key.kind != KIND_HEAD or key.log_id is None):
        raise UnavailableError(
            "unsupported-key", f"{key.name} is listed with a key of kind {key.kind:#04x}"
        )
