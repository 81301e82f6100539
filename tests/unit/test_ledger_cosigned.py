"""Cosignatures are merged, carried over and chosen by; none is lost or stands twice."""

import itertools

from nous_ledger.ledger.cosigned import (
    MAX_COSIGNERS,
    carry_over,
    choose_head,
    cosigner_count,
    is_further,
    merge_cosignatures,
    most_cosigned,
    split_lines,
    time_of,
)
from nous_ledger.ledger.model import StoredHead
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.note import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    add_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.types import LeafCount, UnixSeconds
from tests.unit import small_log as log


def line(witness: int, time: int, text: str | None = None) -> NoteSignature:
    note = parse_note(log.head())
    name, key = log.WITNESS_NAMES[witness], log.WITNESSES[witness]
    return cosign(name, key, text or note.text, UnixSeconds(time))


def stored(count: int, time: int, witnesses: int) -> StoredHead:
    note = log.head(count, witnesses=witnesses, timestamp=time)
    return StoredHead(leaf_count=LeafCount(count), timestamp=UnixSeconds(time), note=note)


def test_the_latest_line_of_each_key_is_kept_whatever_the_order() -> None:
    """WIT-7, COSIG-3: the latest time counts, so it is enough to keep that line."""
    own = parse_note(log.head()).signatures
    lines = [line(0, 5), line(1, 7), line(0, 9), line(0, 5), line(1, 6)]
    for order in itertools.permutations(lines):
        merged = parse_note(log.head())
        for one in order:
            before = merged
            merged = merge_cosignatures(merged, [one])
            assert is_further(format_note(merged), format_note(before))
        assert merged.signatures[:2] == own
        assert set(merged.signatures[2:]) == {line(0, 9), line(1, 7)}
        assert merge_cosignatures(merged, lines) == merged


def test_more_lines_than_a_note_can_have_leave_the_latest() -> None:
    note = parse_note(log.head())
    lines = [
        cosign(f"w{number}", Ed25519Key(bytes([number + 1]) * 32), note.text, UnixSeconds(number))
        for number in range(MAX_COSIGNERS + 3)
    ]
    merged = merge_cosignatures(note, lines)
    assert len(merged.signatures) == MAX_SIGNATURES
    assert merged.signatures[2:] == tuple(lines[3:])
    assert parse_note(format_note(merged)) == merged


def test_a_line_of_another_kind_stays_and_is_older_than_any_cosignature() -> None:
    other = NoteSignature(name="w", key_id=b"1234", payload=b"?")
    note = merge_cosignatures(parse_note(log.head(witnesses=1)), [other])
    assert split_lines(note)[1][1] == other
    assert time_of(other) == -1


def test_a_heartbeat_keeps_the_cosignatures_and_another_text_does_not() -> None:
    last = stored(23, log.TIME, 2)
    again = log.head(timestamp=log.TIME + 50)
    carried = parse_note(carry_over(again, last))
    assert split_lines(carried) == (parse_note(again), split_lines(parse_note(last.note))[1])
    assert carry_over(again, None) == again
    assert carry_over(again, stored(23, log.TIME, 0)) == again
    assert carry_over(again, stored(22, log.TIME, 2)) == again


def test_cosigners_are_counted_as_the_parser_sees_them() -> None:
    for witnesses in range(4):
        note = log.head(witnesses=witnesses)
        assert cosigner_count(note) == witnesses == len(split_lines(parse_note(note))[1])


def test_the_best_witnessed_head_is_chosen_and_the_newest_of_equals() -> None:
    heads = [stored(23, 90, 1), stored(20, 80, 0), stored(18, 70, 1), stored(17, 60, 3)]
    heads += [stored(16, 50, 3), stored(15, 40, 2)]
    best = most_cosigned(heads)
    assert best == (heads[0], heads[3])
    assert most_cosigned([]) == ()
    assert choose_head(best) == heads[3]
    assert choose_head(best, at_least=18) == heads[0]
    assert choose_head(best, since=61) == heads[0]
    assert choose_head(best, since=95) == heads[0]  # older is only what is not the newest
    assert choose_head(best, at_least=24) is None


def test_a_head_that_lacks_a_line_is_not_further() -> None:
    none, one, two = (log.head(witnesses=number) for number in range(3))
    assert is_further(two, one)
    assert is_further(one, one)
    assert is_further(two, none)
    assert not is_further(one, two)
    assert not is_further(none, one)
    note = parse_note(one)
    older = replace_line(note, line(0, log.TIME - 1))
    assert not is_further(older, one)
    assert is_further(one, older)


def replace_line(note: Note, new: NoteSignature) -> bytes:
    own = Note(text=note.text, signatures=note.signatures[:2])
    return format_note(add_signatures(own, new))
