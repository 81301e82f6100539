"""What the policy says: witnesses that are missing or forged, logs that are not pinned."""

from collections.abc import Iterator
from typing import Final

from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.note import NoteSignature, parse_note
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.vkey import cosigner_vkey, format_vkey
from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of, lines_of, replace_payload, time_of, with_lines
from tests.zoo.samples import seeded
from tests.zoo.site import view_of
from tests.zoo.zoo_history import begun

_NAMES: Final = ("witness.example/1", "witness.example/2")
_KEYS: Final = tuple(Ed25519Key(seeded("witness", name)) for name in _NAMES)


def witnessed(log: Forger) -> bytes:
    """Return a policy that asks for both witnesses."""
    lines = [
        f"witness w{number} {format_vkey(cosigner_vkey(name, key.public_key))}\n"
        for number, (name, key) in enumerate(zip(_NAMES, _KEYS, strict=True))
    ]
    own = log.policy().decode().replace("quorum none\n", "")
    return f"{own}{''.join(lines)}group both all w0 w1\nquorum both\n".encode()


def _cosigned(head: bytes, *witnesses: int) -> bytes:
    return with_lines(head, *lines_of(head), *(_line(head, number) for number in witnesses))


def _line(head: bytes, witness: int) -> NoteSignature:
    text, time_s = parse_note(head).text, UnixSeconds(time_of(head) + 1)
    return cosign(_NAMES[witness], _KEYS[witness], text, time_s)


@behaviour
def quorum_as_asked_for(now_s: int) -> Iterator[Round]:
    """Both witnesses cosigned: nothing is wrong."""
    log = begun(now_s)
    policy = witnessed(log)
    yield honest(view_of(log, _cosigned(head_of(log), 0, 1)), policy=policy)
    yield honest(view_of(log, _cosigned(head_of(log.grow(2)), 0, 1)), policy=policy)


@behaviour
def quorum_not_met(now_s: int) -> Iterator[Round]:
    """One of the witnesses is missing."""
    log = begun(now_s)
    policy = witnessed(log)
    yield honest(view_of(log, _cosigned(head_of(log), 0, 1)), policy=policy)
    head = _cosigned(head_of(log.grow(2)), 0)
    yield unchecked(view_of(log, head), "head/quorum", policy=policy)


@behaviour
def cosignatures_stripped(now_s: int) -> Iterator[Round]:
    """No witness is left under a head."""
    log = begun(now_s)
    yield unchecked(view_of(log), "head/quorum", policy=witnessed(log))


@behaviour
def cosignature_of_another_head(now_s: int) -> Iterator[Round]:
    """A witness's line was made for the head before."""
    log = begun(now_s)
    policy = witnessed(log)
    before = _cosigned(head_of(log), 0, 1)
    yield honest(view_of(log, before), policy=policy)
    head = head_of(log.grow(2))
    moved = with_lines(head, *lines_of(head), *lines_of(before)[2:])
    yield caught(view_of(log, moved), "witness/mismatch", policy=policy)


@behaviour
def cosignature_cut_short(now_s: int) -> Iterator[Round]:
    """A witness's line lacks its last bytes."""
    log = begun(now_s)
    head = _cosigned(head_of(log), 0)
    line = _line(head, 1)
    cut = with_lines(head, *lines_of(head), replace_payload(line, line.payload[:-3]))
    site = view_of(log, cut)
    yield caught(site, "witness/malformed", policy=witnessed(log))


@behaviour
def log_that_is_not_listed(now_s: int) -> Iterator[Round]:
    """The policy lists another log only."""
    other = Forger(now_s, name="other", origin="zoo.example/other")
    yield caught(view_of(begun(now_s)), "head/head-origin", policy=other.policy())
