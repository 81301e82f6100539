"""Heads whose lines are stripped, swapped, bent or borrowed."""

from collections.abc import Callable, Iterator
from typing import Final

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.note import NoteSignature
from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger, signing_key
from tests.zoo.heads import (
    HEAD_LINE,
    TEXT_LINE,
    flipped,
    head_of,
    lines_of,
    malleated,
    with_lines,
    with_payload,
    without,
)
from tests.zoo.samples import seeded
from tests.zoo.site import view_of
from tests.zoo.zoo_history import begun

_FIXED: Final = 12
"""Bytes of a 0xff line before its signature: timestamp and epoch."""


def _bent(head: bytes, work: Callable[[bytes], bytes]) -> bytes:
    """Return a head whose secp256k1 signature is another."""
    payload = lines_of(head)[HEAD_LINE].payload
    return with_payload(head, HEAD_LINE, payload[:_FIXED] + work(payload[_FIXED:]))


def _after_an_honest_round(
    now_s: int, bend: Callable[[Forger], bytes], code: str
) -> Iterator[Round]:
    log = begun(now_s)
    yield honest(view_of(log))
    log.grow(2)
    yield caught(view_of(log, bend(log)), code)


@behaviour
def strip_the_ed25519_line(now_s: int) -> Iterator[Round]:
    """Only the secp256k1 line is left."""
    return _after_an_honest_round(
        now_s, lambda log: without(head_of(log), TEXT_LINE), "head/missing-kind"
    )


@behaviour
def strip_the_secp256k1_line(now_s: int) -> Iterator[Round]:
    """Only the Ed25519 line is left."""
    return _after_an_honest_round(
        now_s, lambda log: without(head_of(log), HEAD_LINE), "head/missing-kind"
    )


@behaviour
def strip_both_lines(now_s: int) -> Iterator[Round]:
    """Only a line of somebody unknown is left."""
    line = NoteSignature(name="stranger.example", key_id=b"\1\2\3\4", payload=b"x" * 64)
    return _after_an_honest_round(
        now_s, lambda log: with_lines(head_of(log), line), "head/missing-kind"
    )


@behaviour
def one_line_twice(now_s: int) -> Iterator[Round]:
    """The secp256k1 line stands there twice, signed at two times."""

    def twice(log: Forger) -> bytes:
        first, second = head_of(log), head_of(log)
        return with_lines(second, *lines_of(first), lines_of(second)[HEAD_LINE])

    return _after_an_honest_round(now_s, twice, "head/duplicate-line")


@behaviour
def high_s_head(now_s: int) -> Iterator[Round]:
    """The secp256k1 line in its other form, which plain ECDSA accepts."""
    return _after_an_honest_round(now_s, lambda log: _bent(head_of(log), malleated), "head/high-s")


@behaviour
def flipped_recovery_id_of_a_head(now_s: int) -> Iterator[Round]:
    """The secp256k1 line with the other recovery id: it recovers to nobody's key."""
    return _after_an_honest_round(now_s, lambda log: _bent(head_of(log), flipped), "head/mismatch")


@behaviour
def recovery_id_of_a_wallet(now_s: int) -> Iterator[Round]:
    """The recovery id as wallets write it, 27 or 28."""

    def shifted(signature: bytes) -> bytes:
        return signature[:64] + bytes([signature[64] + 27])

    return _after_an_honest_round(
        now_s, lambda log: _bent(head_of(log), shifted), "head/bad-recovery-id"
    )


@behaviour
def signature_of_zeros(now_s: int) -> Iterator[Round]:
    """A secp256k1 line whose r and s are zero."""
    return _after_an_honest_round(
        now_s, lambda log: _bent(head_of(log), lambda _: bytes(65)), "head/malformed"
    )


@behaviour
def ed25519_line_of_zeros(now_s: int) -> Iterator[Round]:
    """An Ed25519 line of zeros."""
    return _after_an_honest_round(
        now_s, lambda log: with_payload(head_of(log), TEXT_LINE, bytes(64)), "head/mismatch"
    )


@behaviour
def swap_the_ed25519_key(now_s: int) -> Iterator[Round]:
    """The head's Ed25519 line is of another key, under which no event put it."""
    other = Ed25519Key(seeded("ed25519", "swapped"))
    return _after_an_honest_round(
        now_s, lambda log: head_of(log, ed25519=other), "head/missing-kind"
    )


@behaviour
def swap_the_secp256k1_key(now_s: int) -> Iterator[Round]:
    """The head's secp256k1 line is of another key, and there was no rotation."""
    return _after_an_honest_round(
        now_s, lambda log: head_of(log, key=signing_key("swapped")), "head/mismatch"
    )


@behaviour
def swap_both_keys(now_s: int) -> Iterator[Round]:
    """Both lines are of other keys."""
    other = Ed25519Key(seeded("ed25519", "swapped"))
    return _after_an_honest_round(
        now_s,
        lambda log: head_of(log, key=signing_key("swapped"), ed25519=other),
        "head/mismatch",
    )


@behaviour
def signed_under_the_wrong_epoch(now_s: int) -> Iterator[Round]:
    """A head that names an epoch to which no rotation led."""
    return _after_an_honest_round(
        now_s, lambda log: head_of(log, epoch=1, key=log.keys[0]), "head/head-epoch"
    )


@behaviour
def replaced_key_signs_on(now_s: int) -> Iterator[Round]:
    """After a rotation the replaced key signs a head in its old epoch."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.rotate()
    log.grow(2)
    yield caught(view_of(log, head_of(log, epoch=0)), "head/head-epoch")


@behaviour
def wrong_origin(now_s: int) -> Iterator[Round]:
    """The head's text and lines name another log, the keys being the same."""
    return _after_an_honest_round(
        now_s, lambda log: head_of(log, origin="zoo.example/other"), "head/head-origin"
    )


@behaviour
def origin_of_another_spelling(now_s: int) -> Iterator[Round]:
    """The head's origin is in capitals, which no origin is."""

    def shouted(log: Forger) -> bytes:
        return head_of(log).replace(log.origin.encode(), log.origin.upper().encode())

    log = begun(now_s)
    yield honest(view_of(log))
    yield unchecked(view_of(log, shouted(log)), "source/checkpoint-format")


@behaviour
def line_from_another_origin(now_s: int) -> Iterator[Round]:
    """A line of another log stands beside the two: it counts for nothing, and is no fault."""
    log = begun(now_s)
    other = Forger(now_s - 200, name="other", origin="zoo.example/other").grow(3)
    head = head_of(log)
    yield honest(view_of(log, with_lines(head, *lines_of(head), *lines_of(head_of(other)))))


@behaviour
def lines_of_another_origin_only(now_s: int) -> Iterator[Round]:
    """The lines of another log's head under this log's text."""
    other = Forger(now_s - 200, name="other", origin="zoo.example/other").grow(3)
    return _after_an_honest_round(
        now_s, lambda log: with_lines(head_of(log), *lines_of(head_of(other))), "head/missing-kind"
    )


@behaviour
def head_of_another_log_id(now_s: int) -> Iterator[Round]:
    """The secp256k1 line is signed for another log id under the same key and name."""

    def renamed(log: Forger) -> bytes:
        other = head_of(log, log_id=b"\x42" * 32)
        line = lines_of(head_of(log))[HEAD_LINE]
        payload = lines_of(other)[HEAD_LINE].payload
        return with_payload(with_lines(other, lines_of(other)[TEXT_LINE], line), HEAD_LINE, payload)

    return _after_an_honest_round(now_s, renamed, "head/mismatch")


@behaviour
def another_log_of_the_same_name(now_s: int) -> Iterator[Round]:
    """The log is replaced by another one of its name, with another genesis."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield caught(view_of(Forger(now_s - 100, name="other").grow(9)), "head/missing-kind")


@behaviour
def checkpoint_of_four_lines(now_s: int) -> Iterator[Round]:
    """The signed text has a line more than a checkpoint has."""
    log = begun(now_s)
    text, _, rest = head_of(log).partition(b"\n\n")
    yield unchecked(view_of(log, text + b"\nmore\n\n" + rest), "source/checkpoint-format")


@behaviour
def unpinned_log(now_s: int) -> Iterator[Round]:
    """What is served is an honest log, but not the one that the policy names."""
    other = Forger(now_s - 100, name="other", origin="zoo.example/other").grow(4)
    yield caught(view_of(other), "head/head-origin")
