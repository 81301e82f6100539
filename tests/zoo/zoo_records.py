"""Records that are bent, moved, borrowed or put at another time."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from nous_ledger.protocol.record import SIGNED_LENGTH
from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger, signing_key
from tests.zoo.heads import flipped, head_of, malleated, time_of
from tests.zoo.samples import subject_of
from tests.zoo.site import view_of
from tests.zoo.zoo_history import begun


def _one_bent(now_s: int, work: Callable[[bytes], bytes], code: str) -> Iterator[Round]:
    """After an honest round the log grows by three records of which the second is bent."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.grow(3)
    log.edit(log.count - 2, work)
    yield caught(view_of(log), code)


def _signature(work: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda record: record[:SIGNED_LENGTH] + work(record[SIGNED_LENGTH:])


@behaviour
def high_s_record(now_s: int) -> Iterator[Round]:
    """A record's signature in its other form."""
    return _one_bent(now_s, _signature(malleated), "record/high-s")


@behaviour
def flipped_recovery_id_of_a_record(now_s: int) -> Iterator[Round]:
    """A record's signature with the other recovery id."""
    return _one_bent(now_s, _signature(flipped), "record/mismatch")


@behaviour
def recovery_id_out_of_range(now_s: int) -> Iterator[Round]:
    """A record's signature with recovery id 2."""
    return _one_bent(now_s, _signature(lambda found: found[:64] + b"\2"), "record/bad-recovery-id")


@behaviour
def record_without_signature(now_s: int) -> Iterator[Round]:
    """A record under zeros."""
    return _one_bent(now_s, _signature(lambda _: bytes(65)), "record/malformed")


@behaviour
def record_changed_under_its_signature(now_s: int) -> Iterator[Round]:
    """A record's time is moved by one millisecond; its signature stays."""

    def moved(record: bytes) -> bytes:
        later = int.from_bytes(record[15:23], "big") + 1
        return record[:15] + later.to_bytes(8, "big") + record[23:]

    return _one_bent(now_s, moved, "record/mismatch")


@behaviour
def record_of_a_newer_version(now_s: int) -> Iterator[Round]:
    """A record of version 2: newer or damaged, which cannot be told apart."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.grow(2)
    log.edit(log.count - 1, lambda record: b"\2" + record[1:])
    yield unchecked(view_of(log), "record/newer-version")


@behaviour
def record_of_version_zero(now_s: int) -> Iterator[Round]:
    """A record of a version that never was."""
    return _one_bent(now_s, lambda record: b"\0" + record[1:], "record/record-version")


@behaviour
def record_of_zeros(now_s: int) -> Iterator[Round]:
    """A leaf of 120 zeros."""
    return _one_bent(now_s, lambda _: bytes(120), "record/record-version")


@behaviour
def record_out_of_range(now_s: int) -> Iterator[Round]:
    """A record whose time is larger than any number of the protocol."""
    return _one_bent(
        now_s, lambda record: record[:15] + b"\xff" * 8 + record[23:], "record/record-range"
    )


@behaviour
def record_of_another_key(now_s: int) -> Iterator[Round]:
    """A record is signed by a key that no event put in force."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(1, log.draft(), key=signing_key("stranger"))
    yield caught(view_of(log), "record/mismatch")


@behaviour
def replay_of_another_logs_record(now_s: int) -> Iterator[Round]:
    """A record of another log of the same owner, with the same keys, is put into this one."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(1, log.draft(), log_id=b"\x42" * 32)
    yield caught(view_of(log), "record/mismatch")


@behaviour
def same_record_at_two_indices(now_s: int) -> Iterator[Round]:
    """A record is appended a second time, byte for byte."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.take(log.entries[3])
    yield caught(view_of(log), "record/record-index")


@behaviour
def reordered_records(now_s: int) -> Iterator[Round]:
    """Two new records change places."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.grow(3)
    log.entries[-1], log.entries[-2] = log.entries[-2], log.entries[-1]
    yield caught(view_of(log), "record/record-index")


@behaviour
def index_left_out(now_s: int) -> Iterator[Round]:
    """A record names the index after its own, as if one had been removed."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(1, log.draft(), index=log.count + 1)
    yield caught(view_of(log), "record/record-index")


@behaviour
def backdated_logged_at(now_s: int) -> Iterator[Round]:
    """A record's time lies before that of the record before it."""
    log = begun(now_s)
    log.put(1, log.draft(), logged_at=log.now_ms - 5_000)
    yield caught(view_of(log), "record/backdated")


@behaviour
def taken_in_before_a_head_that_leaves_it_out(now_s: int) -> Iterator[Round]:
    """A record's time lies before a head that does not cover it, within the merge delay.

    It may have been taken in and not yet been durable: nothing is wrong.
    """
    log = begun(now_s)
    log.wait(20)
    head = head_of(log)
    yield honest(view_of(log, head))
    log.put(1, log.draft(), logged_at=time_of(head) * 1000 - 10_000)
    yield honest(view_of(log))


@behaviour
def merge_delay_broken(now_s: int) -> Iterator[Round]:
    """A head leaves out a record past the merge delay, which a later one covers."""
    log = begun(now_s)
    yield honest(view_of(log))
    entry = log.make(1, log.draft())
    log.wait(70)
    yield honest(view_of(log))
    log.take(entry)
    yield caught(view_of(log), "record/late")


@behaviour
def record_from_the_future(now_s: int) -> Iterator[Round]:
    """A record's time lies a day ahead; the head is signed as late as that."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.wait(86_400)
    log.receipt()
    yield unchecked(view_of(log), "head/clock-ahead")


@behaviour
def gap_in_a_subject_chain(now_s: int) -> Iterator[Round]:
    """A receipt is left out of a caller's chain: its number is missing."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.receipt(0, subject_seq=len(log.receipts(0)) + 1)
    yield caught(view_of(log), "subject/subject-gap")


@behaviour
def branch_in_a_subject_chain(now_s: int) -> Iterator[Round]:
    """Two receipts follow the same one."""
    log = begun(now_s)
    yield honest(view_of(log))
    first, second = log.draft(0), log.draft(0)
    log.put(1, first)
    log.put(1, second)
    yield caught(view_of(log), "subject/subject-branch")


@behaviour
def subject_chain_broken_in_place(now_s: int) -> Iterator[Round]:
    """A receipt has the right number and names another receipt before it."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.receipt(0, subject_prev=b"\x13" * 32)
    yield caught(view_of(log), "subject/subject-branch")


@behaviour
def subject_chain_begun_again(now_s: int) -> Iterator[Round]:
    """A caller's receipts begin at zero again, as if none had been before."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(1, replace(log.draft(9), subject=subject_of(0)))
    yield caught(view_of(log), "subject/subject-branch")


@behaviour
def duplicate_receipt_id(now_s: int) -> Iterator[Round]:
    """Two receipts have one id."""
    log = begun(now_s)
    yield honest(view_of(log))
    first = log.draft(0)
    log.put(1, first)
    log.receipt(1, id=first.id)
    yield caught(view_of(log), "receipt/duplicate-id")


@behaviour
def unknown_record_type(now_s: int) -> Iterator[Round]:
    """A record of a private type: its body stays closed, and nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(2000, b"\xc1 anything at all")
    yield honest(view_of(log))
    log.put(2000, b"\xc1 anything at all")
    yield honest(view_of(log.grow(2)))


@behaviour
def every_record_bent(now_s: int) -> Iterator[Round]:
    """Dozens of records are at fault: they are counted, and not told one by one."""
    log = Forger(now_s - 200).grow(40)
    for index in range(1, log.count):
        log.edit(index, _signature(malleated))
    yield caught(view_of(log), "record/high-s")
