"""Key histories that no owner of the log could have written, and those that one could."""

from collections.abc import Iterator

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.hashing import next_key_hash
from nous_ledger.protocol.keyevent import Predecessor
from nous_ledger.protocol.types import Epoch
from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger, signing_key
from tests.zoo.heads import head_of
from tests.zoo.raw import with_fields
from tests.zoo.samples import seeded
from tests.zoo.site import view_of
from tests.zoo.tree import root_of
from tests.zoo.zoo_history import begun


@behaviour
def rotation_as_designed(now_s: int) -> Iterator[Round]:
    """Two rotations, each to the key that was committed before: nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.rotate()
    yield honest(view_of(log.grow(3)))
    log.rotate(suspect_from=2)
    yield honest(view_of(log.grow(3)))


@behaviour
def rotation_of_the_ed25519_key(now_s: int) -> Iterator[Round]:
    """A rotation that changes the Ed25519 key too: the policy is outdated, not the log wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.ed25519 = Ed25519Key(seeded("ed25519", "new"))
    log.rotate()
    yield unchecked(view_of(log.grow(2)), "head/policy-outdated")


@behaviour
def close_as_designed(now_s: int) -> Iterator[Round]:
    """A close and heartbeats after it: nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.close()
    yield honest(view_of(log))
    log.wait(20)
    yield honest(view_of(log))


def _by_both_keys(log: Forger, code: str) -> Iterator[Round]:
    """A faulty key event is covered by a head of its own epoch, and by one of the epoch before.

    The first is signed by a key that nobody has reason to trust, so that only the head is
    at fault; the second proves that the log's owner vouched for the event.
    """
    yield caught(view_of(log), f"head/head-epoch:{code}")
    head = head_of(log, epoch=0)
    # The epoch in which the event and what follows it are written never began.
    yield caught(view_of(log, head), f"key/{code}", "record/epoch", reader="other")


@behaviour
def second_genesis(now_s: int) -> Iterator[Round]:
    """Another genesis in the middle of the log."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.genesis()
    yield caught(view_of(log.grow(2)), "key/key-event-order")


@behaviour
def rotation_signed_by_the_old_key(now_s: int) -> Iterator[Round]:
    """The replaced key signs the rotation, as a thief of it would."""
    log = begun(now_s)
    yield honest(view_of(log))
    next_hash = next_key_hash(log.keys[2].public_key)
    signature = log.keys[0].sign(rotation_digest(log.log_id, Epoch(1), next_hash))
    log.rotate(rotation_sig=signature)
    yield from _by_both_keys(log.grow(2), "rotation-signature")


@behaviour
def rotation_to_a_key_never_committed(now_s: int) -> Iterator[Round]:
    """The rotation reveals a key whose hash nobody committed to."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.keys[1] = signing_key("never", "committed")
    log.rotate()
    yield from _by_both_keys(log.grow(2), "reveal")


@behaviour
def rotation_that_skips_an_epoch(now_s: int) -> Iterator[Round]:
    """The rotation's record names the epoch after the next."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.keys.insert(1, log.keys[1])
    log.epoch = 1
    log.rotate()
    yield from _by_both_keys(log.grow(2), "epoch")


@behaviour
def rotation_of_a_log_that_cannot(now_s: int) -> Iterator[Round]:
    """A log that committed to no next key rotates."""
    log = Forger(now_s - 200, rotates=False).grow(4)
    policy = log.policy()
    yield honest(view_of(log), policy=policy)
    log.rotate()
    yield caught(view_of(log.grow(2)), "head/head-epoch:reveal", policy=policy)


@behaviour
def record_after_close(now_s: int) -> Iterator[Round]:
    """A receipt follows the close."""
    log = begun(now_s)
    log.close()
    yield honest(view_of(log))
    yield caught(view_of(log.grow(1)), "record/after-close")


@behaviour
def rotation_after_close(now_s: int) -> Iterator[Round]:
    """A rotation follows the close."""
    log = begun(now_s)
    log.close()
    yield honest(view_of(log))
    log.rotate()
    yield caught(view_of(log), "head/head-epoch:after-close")
    head, codes = head_of(log, epoch=1), ("key/after-close", "record/after-close", "record/epoch")
    yield caught(view_of(log, head), *codes, reader="other")


@behaviour
def record_of_the_wrong_epoch(now_s: int) -> Iterator[Round]:
    """After a rotation a record names the epoch before, and is signed by its key."""
    log = begun(now_s)
    log.rotate()
    yield honest(view_of(log.grow(2)))
    log.put(1, log.draft(), epoch=0, key=log.keys[0])
    yield caught(view_of(log), "record/epoch")


@behaviour
def record_of_the_right_epoch_by_the_old_key(now_s: int) -> Iterator[Round]:
    """After a rotation a record names its epoch, and the replaced key signs it."""
    log = begun(now_s)
    log.rotate()
    yield honest(view_of(log.grow(2)))
    log.put(1, log.draft(), key=log.keys[0])
    yield caught(view_of(log), "record/mismatch")


@behaviour
def key_event_of_an_unknown_kind(now_s: int) -> Iterator[Round]:
    """A key event of a kind that this version does not know: it cannot be followed further."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.rotate()
    event = log.entries.pop()
    log.epoch = 0
    log.put(0, with_fields(event.body, {1: 9}))
    yield unchecked(view_of(log), "key/unknown-kind")


@behaviour
def key_event_withheld(now_s: int) -> Iterator[Round]:
    """The body of a rotation is not served."""
    log = begun(now_s)
    yield honest(view_of(log))
    index = log.rotate()
    log.withhold(index)
    yield caught(view_of(log.grow(2)), "key/withheld")
    log.show(index, log.entries[index].body)
    yield Round(view_of(log), exit=1)


@behaviour
def genesis_withheld(now_s: int) -> Iterator[Round]:
    """The body of the genesis is not served."""
    log = begun(now_s)
    log.withhold(0)
    yield caught(view_of(log), "key/withheld")


@behaviour
def genesis_of_other_promises(now_s: int) -> Iterator[Round]:
    """The genesis is signed again with a longer merge delay: its log id stays the same."""
    log = begun(now_s)
    yield honest(view_of(log))
    entry = log.entries[0]
    body = with_fields(entry.body, {6: 86_400})
    log.entries[0] = log.make(0, body, index=0, logged_at=entry.decoded.logged_at)
    yield caught(view_of(log.grow(1)), "head/fork")


@behaviour
def suspect_from_the_future(now_s: int) -> Iterator[Round]:
    """A rotation says that records after itself are suspect."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.rotate(suspect_from=log.count + 5)
    yield from _by_both_keys(log.grow(1), "index-order")


@behaviour
def rotation_shown_later(now_s: int) -> Iterator[Round]:
    """The head says a rotation happened, and its key event is replaced by a receipt."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.rotate()
    log.grow(2)
    event = log.entries[8]
    assert event.decoded.type == 0
    log.entries[8] = log.make(1, log.draft(9), index=8, logged_at=event.decoded.logged_at)
    yield caught(view_of(log), "head/head-epoch")
    yield caught(view_of(log, head_of(log, epoch=0)), "record/epoch", reader="other")


@behaviour
def successor_of_a_closed_log(now_s: int) -> Iterator[Round]:
    """A log that names a closed one as its predecessor is a log like any other."""
    old = begun(now_s)
    old.close()
    log = Forger(now_s - 100)
    link = Predecessor(log_id=old.log_id, count=old.count, root=root_of(old.entries))
    log.entries.clear()
    log.genesis(predecessor=link)
    yield honest(view_of(log.grow(3)))
    yield honest(view_of(log.grow(2)))
