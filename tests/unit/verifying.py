"""Bundles of one rotated log, policies for it, and what verification answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from nous_ledger.protocol.bodies import Body
from nous_ledger.protocol.bundle import Bundle, format_bundle
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.note import (
    Note,
    NoteSignature,
    format_note,
    parse_note,
)
from nous_ledger.protocol.policy import Policy, parse_policy
from nous_ledger.protocol.report import Report
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.protocol.vkey import (
    VerifierKey,
    cosigner_vkey,
    ed25519_vkey,
    format_vkey,
    head_vkey,
)
from tests.property.sample_log import HEAD_TIME, HEADS, WITNESSES
from tests.unit.free_log import FreeLog, rotated

LOG: Final = rotated()
"""Genesis, receipts at 1 and 2, a rotation at 3, receipts at 4 and 5."""
ORIGIN: Final = LOG.origin
TEXT_KEY: Final = ed25519_vkey(ORIGIN, HEADS.public_key)
PIN: Final = head_vkey(ORIGIN, LOG.log_id)
WITNESS_KEYS: Final = tuple(
    cosigner_vkey(f"witness.example/w{number}", key.public_key)
    for number, key in enumerate(WITNESSES, 1)
)
RECEIPT_AT: Final = 4

ESTABLISHED: Final = "established"
UNDECIDED: Final = "could-not-check/undecided"
CLAIMED: Final = "could-not-check/not-recounted"
GOOD: Final = (ESTABLISHED, ESTABLISHED, ESTABLISHED, CLAIMED)


def policy(
    *logs: VerifierKey, quorum: str = "any", witnesses: tuple[VerifierKey, ...] = WITNESS_KEYS
) -> Policy:
    """Return a policy with log lines, witnesses w1, w2, … and a quorum among them."""
    keys = logs or (TEXT_KEY, PIN)
    names = [f"w{number}" for number in range(1, len(witnesses) + 1)]
    lines = [
        *(f"log {format_vkey(key)}" for key in keys),
        *(f"witness {name} {format_vkey(key)}" for name, key in zip(names, witnesses, strict=True)),
        *([] if quorum == "none" else [f"group all-of-them {quorum} {' '.join(names)}"]),
        f"quorum {'none' if quorum == 'none' else 'all-of-them'}",
    ]
    return parse_policy("".join(f"{line}\n" for line in lines).encode())


POLICY: Final = policy()
UNWITNESSED: Final = policy(quorum="none")


def cosigned(note: bytes, *times: int, witness: int = 0) -> bytes:
    """Return the note with lines of a witness."""
    text = parse_note(note).text
    name, key = WITNESS_KEYS[witness].name, WITNESSES[witness]
    return add(note, *(cosign(name, key, text, UnixSeconds(time)) for time in times))


def add(note: bytes, *lines: NoteSignature) -> bytes:
    """Return the note with more lines, repeated ones too."""
    read = parse_note(note)
    return format_note(Note(text=read.text, signatures=(*read.signatures, *lines)))


def change_lines(note: bytes, change: Callable[[NoteSignature], NoteSignature | None]) -> bytes:
    """Return the note with each line changed, or without it."""
    read = parse_note(note)
    lines = tuple(new for line in read.signatures if (new := change(line)) is not None)
    return format_note(Note(text=read.text, signatures=lines))


def without(note: bytes, key: VerifierKey) -> bytes:
    """Return the note without the lines of a key."""
    return change_lines(note, lambda line: None if line.key_id == key.key_id else line)


def with_payload(note: bytes, key: VerifierKey, change: Callable[[bytes], bytes]) -> bytes:
    """Return the note with other payloads in the lines of a key."""
    return change_lines(
        note,
        lambda line: (
            replace(line, payload=change(line.payload)) if line.key_id == key.key_id else line
        ),
    )


def flip(data: bytes) -> bytes:
    """Return the data with its first bit changed."""
    return bytes([data[0] ^ 0x80]) + data[1:]


HEAD: Final = LOG.note()
WITNESSED: Final = cosigned(cosigned(HEAD, HEAD_TIME + 1), HEAD_TIME + 2, witness=1)


def bundle(log: FreeLog = LOG, at: int = RECEIPT_AT, *, note: bytes | None = None) -> Bundle:
    """Return the bundle of a record under a note, or under a head with both witnesses."""
    if note is None:
        head = log.note()
        note = cosigned(cosigned(head, HEAD_TIME + 1), HEAD_TIME + 2, witness=1)
    return replace(log.bundle(at), checkpoint=note)


BUNDLE: Final = bundle()


def verify(given: Bundle | bytes = BUNDLE, trust: Policy = POLICY, **options: Any) -> Report:
    data = given if isinstance(given, bytes) else format_bundle(given)
    return verify_bundle(data, trust, **options)


def answers_of(report: Report) -> tuple[str, ...]:
    """Return attribution, inclusion, log view and accuracy as outcome or outcome/code."""
    return tuple(
        f"{answer.outcome}/{answer.code}" if answer.code else str(answer.outcome)
        for _, answer in report.answers()
    )


def answers(
    given: Bundle | bytes = BUNDLE, trust: Policy = POLICY, **options: Any
) -> tuple[str, ...]:
    return answers_of(verify(given, trust, **options))


def attribution_stops(code: str, outcome: str = "wrong") -> tuple[str, ...]:
    """Return the answers when the key history fails (steps 4)."""
    return (f"{outcome}/{code}", UNDECIDED, UNDECIDED, UNDECIDED)


def log_view_stops(code: str, outcome: str = "wrong") -> tuple[str, ...]:
    """Return the answers when a check of the head fails that stops (steps 2, 3, 5, 7, 8)."""
    return (UNDECIDED, UNDECIDED, f"{outcome}/{code}", UNDECIDED)


def log_view_is(answer: str) -> tuple[str, ...]:
    """Return the answers when only the log view is another (steps 6, 9, 10, 11)."""
    return (ESTABLISHED, ESTABLISHED, answer, CLAIMED)


def report_on(body: Body | bytes, *, type: int = 1, **options: Any) -> Report:
    """Return the report on a body that the log took in behind the rotation."""
    log = rotated()
    at = log.put(*log.make(body, type=type))
    return verify(bundle(log, at), **options)


def accuracy(body: Body | bytes, *, type: int = 1, **options: Any) -> str:
    """Return the answer about accuracy; the other three are established."""
    *others, answer = answers_of(report_on(body, type=type, **options))
    assert others == [ESTABLISHED] * 3
    return answer
