"""Close and successor: nothing follows a close but heads over the same records."""

import random
from collections.abc import Iterator
from functools import partial

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.keys import generate_secp256k1
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.keyevent import KeyEvent, Predecessor
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.registries import KEY_REASON
from nous_ledger.protocol.report import Outcome
from tests.integration.ledger_audit import error_code, head_count, head_time, verified
from tests.integration.ledger_drafts import Clock, make_draft, make_intent
from tests.integration.ledger_keys import Keys, good, head_epoch


def check_closed(ledger: Ledger, seed: random.Random) -> None:
    """Nothing can be appended; everything can be proved."""
    count = ledger.leaf_count()
    attempts = (
        lambda: ledger.append_receipt(make_draft(seed)),
        lambda: ledger.append_many([make_draft(seed)]),
        lambda: ledger.begin_call(make_intent(seed)),
        ledger.close_log,
    )
    assert [error_code(attempt) for attempt in attempts] == ["log-closed"] * len(attempts)
    assert (ledger.leaf_count(), ledger.open_intents()) == (count, ())
    for index in range(count):
        good(ledger, index)


class TestClose:
    def test_by_the_next_key(
        self, rotating: Ledger, keys: Keys, seed: random.Random, clock: Clock
    ) -> None:
        """KEY-20, KEY-21, KEY-24: only heartbeats follow, in the epoch of the close."""
        closed = rotating.close_log(keys[0])
        assert (closed.index, closed.epoch) == (3, 1)
        check_closed(rotating, seed)
        first = rotating.head()
        clock.now_ms += 86_400_000
        heartbeat = rotating.head()
        assert head_time(heartbeat) > head_time(first)
        assert (head_count(heartbeat), head_epoch(heartbeat)) == (4, 1)
        report = verified(rotating, rotating.prove(1, head=heartbeat))
        assert report.attribution.outcome is Outcome.ESTABLISHED
        with Ledger.open(rotating.folder, clock=clock) as again:
            check_closed(again, seed)
            rotate = partial(again.rotate, generate_secp256k1(), next_key_out=keys[1])
            assert error_code(rotate) == "log-closed"
        assert not keys[1].exists()

    def test_a_log_without_a_next_key_is_closed_by_its_own(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        """KEY-23: uncounted, the epoch stays."""
        ledger.append_receipt(make_draft(seed))
        with Ledger.open(ledger.folder) as other:
            closed = ledger.close_log()
            assert (closed.index, closed.epoch) == (2, 0)
            assert decode_record(ledger.entry(2).record).epoch == 0
            assert head_epoch(ledger.head()) == 0
            check_closed(ledger, seed)
            check_closed(other, seed)

    @pytest.mark.parametrize("sealed", [False, True])
    def test_other_writers_learn_of_it(
        self,
        sealed: bool,
        keys: Keys,
        seed: random.Random,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.keys.SCRYPT_N", 1 << 10)
        word, folder = "horse" if sealed else None, keys.base / "ledger"
        with (
            Ledger.create(folder, next_key_out=keys[0], passphrase=word) as ledger,
            Ledger.open(folder, passphrase=word) as other,
        ):
            ledger.close_log(keys[0], passphrase=word)
            code = error_code(lambda: other.append_receipt(make_draft(seed)))
            assert code == ("key-mismatch" if sealed else "log-closed")
            assert other.leaf_count() == 2

    def test_calls_without_a_receipt_get_one(
        self, rotating: Ledger, keys: Keys, seed: random.Random
    ) -> None:
        drafts = [make_intent(seed) for _ in range(3)]
        for draft in drafts:
            rotating.begin_call(draft, opening_hash=b"\7" * 32)
        closed = rotating.close_log(keys[0])
        assert closed.index == 6
        for draft in drafts:
            entry = rotating.find_receipt(draft.id)
            assert entry is not None
            assert entry.opening_hash == b"\7" * 32
            receipt = decode_body(1, entry.body)
            assert isinstance(receipt, Receipt)
            assert receipt.status == 7
            assert decode_record(entry.record).epoch == 0
        check_closed(rotating, seed)

    def test_with_a_suspect_range(self, rotating: Ledger, keys: Keys) -> None:
        """BODY-12, KEY-29: a close may have any reason."""
        rotating.close_log(keys[0], reason="compromised", suspect_from=2)
        event = decode_body(0, rotating.entry(3).body)
        assert isinstance(event, KeyEvent)
        assert event.reason == KEY_REASON["compromised"]
        assert verified(rotating, rotating.prove(2)).attribution.code == "suspect"
        good(rotating, 1)

    def test_the_wrong_key_closes_nothing(
        self, rotating: Ledger, ledger_without_next: Ledger, keys: Keys, seed: random.Random
    ) -> None:
        rotating.begin_call(make_intent(seed))
        assert error_code(lambda: rotating.close_log(generate_secp256k1())) == "key-mismatch"
        assert error_code(rotating.close_log) == "input"
        assert (rotating.leaf_count(), len(rotating.open_intents())) == (3, 1)
        rotating.append_receipt(make_draft(seed))
        refused = error_code(lambda: ledger_without_next.close_log(keys[0]))
        assert refused == "cannot-rotate"

    @pytest.fixture
    def ledger_without_next(self, keys: Keys) -> Iterator[Ledger]:
        with Ledger.create(keys.base / "other", next_key_out=None) as made:
            yield made

    def test_after_the_close_a_rotation_left_nothing_to_repair(
        self, rotating: Ledger, keys: Keys
    ) -> None:
        rotating.rotate(keys[0], next_key_out=keys[1])
        rotating.close_log(keys[1])
        rotating.close()
        names = {path.name for path in rotating.folder.iterdir()}
        assert names == {"ledger.db", "keys.json", "high-water"}
        with Ledger.open(rotating.folder) as again:
            assert again.key_history().closed_at == 4


def test_a_successor_names_the_log_it_continues(rotating: Ledger, keys: Keys) -> None:
    rotating.close_log(keys[0])
    past = Predecessor(log_id=rotating.log_id, count=4, root=b"\5" * 32)
    with Ledger.create(keys.base / "next", next_key_out=None, predecessor=past) as ledger:
        genesis = decode_body(0, ledger.entry(0).body)
        assert isinstance(genesis, KeyEvent)
        assert genesis.predecessor == past
        assert ledger.log_id != rotating.log_id
        good(ledger, 0)
