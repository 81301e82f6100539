"""Cosignatures in a ledger: merged into the stored head, and carried by all that shows it."""

import random
import threading
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError, SignatureError
from nous_ledger.protocol.note import Note, NoteSignature, format_note, parse_note
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.vkey import cosigner_vkey
from tests.integration.ledger_audit import audit, error_code, head_count, head_time
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft
from tests.integration.ledger_keys import Keys
from tests.integration.published_log import published_log

NOW = START_MS // 1000
KEYS = tuple(Ed25519Key(bytes([number]) * 32) for number in range(0x51, 0x59))
VKEYS = tuple(cosigner_vkey(f"w{n}.example", key.public_key) for n, key in enumerate(KEYS))


def line(witness: int, note: bytes, time: int = NOW) -> NoteSignature:
    text = parse_note(note).text
    return cosign(VKEYS[witness].name, KEYS[witness], text, UnixSeconds(time))


def add(ledger: Ledger, witness: int, note: bytes, time: int = NOW) -> bool:
    made = line(witness, note, time)
    return ledger.add_cosignature(parse_note(note).text, VKEYS[witness], made)


def cosigners(note: bytes) -> set[tuple[str, int]]:
    return {(s.name, int.from_bytes(s.payload[:8], "big")) for s in parse_note(note).signatures[2:]}


def test_a_cosignature_is_merged_into_the_stored_head(ledger: Ledger, folder: Path) -> None:
    """HEAD-16."""
    signed = ledger.head()
    assert add(ledger, 0, signed)
    assert add(ledger, 1, signed, NOW + 3)
    assert add(ledger, 0, signed, NOW + 2)
    assert add(ledger, 0, signed, NOW + 1)  # older: says nothing new
    note = ledger.latest_head()
    assert note.startswith(signed)
    assert cosigners(note) == {("w0.example", NOW + 2), ("w1.example", NOW + 3)}
    assert ledger.head() == note
    with Ledger.open(folder, read_only=True) as other:
        assert other.latest_head() == note
    audit(folder)


def test_a_head_that_moved_on_keeps_what_comes_late(ledger: Ledger, seed: random.Random) -> None:
    first = ledger.head()
    ledger.append_receipt(make_draft(seed))
    second = ledger.head()
    assert add(ledger, 0, first)
    assert ledger.latest_head() == second
    assert cosigners(ledger.cosigned_head()) == {("w0.example", NOW)}
    assert head_count(ledger.cosigned_head()) == 1
    assert add(ledger, 1, second)
    assert head_count(ledger.cosigned_head()) == 2  # of equals the newest


def test_what_does_not_verify_or_belongs_to_others_is_not_merged(ledger: Ledger) -> None:
    """COSIG-1, COSIG-2."""
    signed = ledger.head()
    text = parse_note(signed).text
    good = line(0, signed)
    flipped = NoteSignature(
        name=good.name,
        key_id=good.key_id,
        payload=good.payload[:-1] + bytes([good.payload[-1] ^ 1]),
    )
    with pytest.raises(SignatureError):
        ledger.add_cosignature(text, VKEYS[0], flipped)
    with pytest.raises(SignatureError):
        ledger.add_cosignature(text.replace("\n1\n", "\n2\n"), VKEYS[0], good)
    with pytest.raises(InputError):
        ledger.add_cosignature(text, VKEYS[1], good)
    own = cosigner_vkey(ORIGIN, KEYS[0].public_key)
    with pytest.raises(InputError):
        ledger.add_cosignature(text, own, cosign(ORIGIN, KEYS[0], text, UnixSeconds(NOW)))
    assert ledger.latest_head() == signed


def test_a_text_that_the_log_did_not_sign_is_not_stored(ledger: Ledger) -> None:
    signed = ledger.head()
    origin, count, _, end = parse_note(signed).text.split("\n")
    other_root = "A" * 43 + "="
    for lines in ((origin, "7", other_root), (origin, count, other_root), ("x", count, other_root)):
        text = "\n".join((*lines, end))
        made = cosign(VKEYS[0].name, KEYS[0], text, UnixSeconds(NOW))
        assert not ledger.add_cosignature(text, VKEYS[0], made)
    assert ledger.latest_head() == signed


def test_a_heartbeat_keeps_them(ledger: Ledger, clock: Clock, folder: Path) -> None:
    signed = ledger.head()
    add(ledger, 0, signed)
    clock.now_ms += ledger.heartbeat_s * 1000
    beat = ledger.head()
    assert head_time(beat) == NOW + ledger.heartbeat_s
    assert cosigners(beat) == {("w0.example", NOW)}
    add(ledger, 1, signed)  # whoever was asked about the head before cosigned the same text
    assert cosigners(ledger.latest_head()) == {("w0.example", NOW), ("w1.example", NOW)}
    assert head_time(ledger.latest_head()) == head_time(beat)
    audit(folder)
    assert fsck(folder, processes=1).faults == ()


def test_of_many_at_once_none_is_lost(ledger: Ledger, folder: Path) -> None:
    """Threads of two ledgers on one folder merge into one head, which is renewed meanwhile."""
    signed = ledger.head()
    with Ledger.open(folder) as other:

        def work(number: int) -> None:
            for time in range(5):
                add((ledger, other)[number % 2], number, signed, NOW + time)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(KEYS))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert other.latest_head() == ledger.latest_head()
    assert cosigners(ledger.latest_head()) == {(key.name, NOW + 4) for key in VKEYS}


def test_a_proof_leads_to_a_cosigned_head_where_there_is_one(
    ledger: Ledger, seed: random.Random, clock: Clock
) -> None:
    first = ledger.append_receipt(make_draft(seed))
    signed = ledger.head()
    add(ledger, 0, signed)
    second = ledger.append_receipt(make_draft(seed))
    cosigned = ledger.latest_head()
    assert parse_bundle(ledger.prove(first.index)).checkpoint == cosigned
    newest = parse_bundle(ledger.prove(second.index)).checkpoint
    assert head_count(newest) == 3
    clock.now_ms += 3_600_000
    assert parse_bundle(ledger.prove(first.index)).checkpoint == cosigned
    assert ledger.latest_head() == newest  # nothing new was signed for it
    assert error_code(lambda: ledger.cosigned_head(covering=4)) == "not-covered"


def test_a_served_head_lags_by_the_merge_delay_at_most(
    ledger: Ledger, seed: random.Random, clock: Clock
) -> None:
    add(ledger, 0, ledger.head())
    for step in (1, ledger.max_merge_delay_s - 1):
        clock.now_ms += step * 1000
        ledger.append_receipt(make_draft(seed))
        ledger.head()
        assert head_count(ledger.cosigned_head()) == 1
    clock.now_ms += 1000
    ledger.append_receipt(make_draft(seed))
    ledger.head()
    assert head_count(ledger.cosigned_head()) == 4


def test_a_proof_always_tells_of_the_newest_keys(rotating: Ledger, keys: Keys) -> None:
    """A head from before a rotation is not used, however many cosigned it."""
    add(rotating, 0, rotating.head())
    rotating.rotate(keys[0], next_key_out=keys[1])
    bundle = parse_bundle(rotating.prove(1))
    assert len(bundle.key_events) == 2
    assert cosigners(bundle.checkpoint) == set()


def test_published_heads_carry_them(tmp_path: Path) -> None:
    with published_log(tmp_path) as log:
        log.grow(10)
        log.publish()
        plain = (log.target / "checkpoint").read_bytes()
        for witness in range(2):
            add(log.ledger, witness, plain)
            assert log.publish().written == 1
            assert len(cosigners((log.target / "checkpoint").read_bytes())) == witness + 1
        cosigned = (log.target / "checkpoint").read_bytes()
        log.grow(20)
        assert log.publish().checkpoint.leaf_count == 10  # the newer one has no witness yet
        assert (log.target / "checkpoint").read_bytes() == cosigned
        for witness in range(3):
            add(log.ledger, witness, log.ledger.latest_head())
        assert log.publish().checkpoint.leaf_count == 20
        log.check(20)


def test_what_was_published_with_more_cosignatures_stays(tmp_path: Path) -> None:
    with published_log(tmp_path) as log:
        log.grow(5)
        log.publish()
        note = parse_note((log.target / "checkpoint").read_bytes())
        data = (log.target / "checkpoint").read_bytes()
        more = Note(text=note.text, signatures=(*note.signatures, line(0, data)))
        (log.target / "checkpoint").write_bytes(format_note(more))
        assert log.publish().written == 0
        assert (log.target / "checkpoint").read_bytes() == format_note(more)
