"""What a witness decides: every status of the specification, on a real state file."""

import base64
import hashlib
import random
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nous_ledger.protocol.cosignature import verify_cosignature
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.note import find_signatures, parse_note
from nous_ledger.protocol.vkey import format_vkey
from sentinel import witness_store
from sentinel.witness import Witness
from sentinel.witness_key import WitnessKey, make_key
from sentinel.witness_logs import parse_logs
from sentinel.witness_store import WitnessStore
from sentinel.witness_wire import MAX_REQUEST_BYTES, SIZE_TYPE, Answer, origin_hash
from tests.integration.sentinel.forged_log import NOW, ForgedLog, history, leaf, proof, request

LOG = ForgedLog()
OTHER = ForgedLog("other.example/log")
KEY = make_key("witness.example/w1", bytes(range(32)))


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW + 0.9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "w1.state"
    WitnessStore.create(path, format_vkey(KEY.vkey))
    return path


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def witness(state: Path, time: Time, told: list[str]) -> Iterator[Witness]:
    """A witness of two logs, which cosigned nothing yet."""
    with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
        yield _witness(store, time, told)


def _witness(store: WitnessStore, time: Time, told: list[str]) -> Witness:
    logs = parse_logs(f"log {LOG.vkey}\nlog {OTHER.vkey}\n".encode())
    return Witness(KEY, logs, store, clock=time, tell=told.append)


def cosigned_at(answer: Answer, note: bytes, key: WitnessKey = KEY) -> int:
    """Return the time of the one valid cosignature in an answer."""
    assert answer.status == 200, answer
    text = parse_note(note).text
    signed = parse_note(text.encode() + b"\n" + answer.body)
    (line,) = find_signatures(signed, key.name, key.vkey.key_id)
    assert len(signed.signatures) == 1
    return verify_cosignature(key.vkey, text, line)


def seen(witness: Witness, log: ForgedLog = LOG) -> bytes:
    note = witness.latest(origin_hash(log.origin))
    assert note is not None
    return note


class TestWhatIsCosigned:
    """WIT-10: each head that extends the last one, with the right proof."""

    def test_a_first_head_and_all_that_extend_it(self, witness: Witness) -> None:
        old = 0
        for count in (1, 2, 3, 7, 8, 21, 64, 65, 200):
            leaves = history(count)
            answer = witness.add_checkpoint(LOG.request(leaves, old))
            assert cosigned_at(answer, LOG.head(leaves)) == NOW
            old = count

    def test_the_same_head_again_with_the_time_of_now(self, witness: Witness, time: Time) -> None:
        first = witness.add_checkpoint(LOG.request(history(5)))
        assert witness.add_checkpoint(LOG.request(history(5), 5)) == first
        time.now += 60
        later = witness.add_checkpoint(LOG.request(history(5), 5))
        assert cosigned_at(later, LOG.head(history(5))) == NOW + 60

    def test_one_log_knows_nothing_of_another(self, witness: Witness) -> None:
        witness.add_checkpoint(LOG.request(history(5)))
        answer = witness.add_checkpoint(OTHER.request(history(3)))
        assert cosigned_at(answer, OTHER.head(history(3))) == NOW

    def test_lines_of_unknown_keys_are_passed_over(self, witness: Witness) -> None:
        """WIT-9: whatever stands there, as long as it is a signature line."""
        junk = f"— {LOG.origin} {base64.b64encode(bytes(90)).decode()}\n".encode()
        body = LOG.request(history(4)) + junk + junk
        assert witness.add_checkpoint(body).status == 200
        assert junk not in seen(witness)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"old 0\n\n",
            b"old 0\n" + LOG.head(history(3)),
            b"old 00\n\n" + LOG.head(history(3)),
            b"old +1\n\n" + LOG.head(history(3)),
            b"old  1\n\n" + LOG.head(history(3)),
            b"old 1 \n\n" + LOG.head(history(3)),
            b"old 9007199254740992\n\n" + LOG.head(history(3)),
            b"Old 0\n\n" + LOG.head(history(3)),
            b"old 0\r\n\r\n" + LOG.head(history(3)),
            request(4, [], LOG.head(history(3))),
            request(0, [bytes(31)], LOG.head(history(3))),
            request(0, [bytes(32)] * 64, LOG.head(history(3))),
            b"old 1\nAAAA\n\n" + LOG.head(history(3)),
            b"old 1\n" + b"A" * 42 + b"B=\n\n" + LOG.head(history(3)),
            LOG.request(history(3))[:-1],
            LOG.request(history(3)) + b"\n",
            LOG.request(history(3)).replace(b"\n3\n", b"\n3\n\n"),
            LOG.request(history(3)).replace(b"\n3\n", b"\n03\n"),
            LOG.request(history(3)).replace(b"\n\n\xe2", b"\nmore\n\n\xe2"),
            b"old 0\n\n\xff\xfe" + LOG.head(history(3)),
            b"old 0\n\n" + bytes(MAX_REQUEST_BYTES),
        ],
    )
    def test_what_is_no_request(self, witness: Witness, body: bytes) -> None:
        """WIT-8: status 400; nothing is remembered."""
        assert witness.add_checkpoint(body).status == 400
        assert witness.latest(origin_hash(LOG.origin)) is None

    def test_an_unknown_log(self, witness: Witness) -> None:
        stranger = ForgedLog("stranger.example/log")
        assert witness.add_checkpoint(stranger.request(history(3))).status == 404

    def test_a_head_that_the_log_did_not_sign(self, witness: Witness) -> None:
        """WIT-9: signed by nobody listed, for another text, or by a listed key wrongly."""
        note = LOG.head(history(3))
        text, _, lines = note.partition(b"\n\n")
        other_text = OTHER.head(history(3)).partition(b"\n\n")[0]
        theirs = OTHER.head(history(3)).partition(b"\n\n")[2].replace(b"other", b"forged")
        ed25519, head = lines.splitlines(keepends=True)
        broken = bytearray(base64.b64decode(ed25519.split()[2]))
        broken[-40] ^= 1
        bad = b"\xe2\x80\x94 " + LOG.origin.encode() + b" " + base64.b64encode(broken) + b"\n"
        for some in (head, theirs, bad, bad + ed25519, ed25519 + ed25519):
            answer = witness.add_checkpoint(request(0, [], text + b"\n\n" + some))
            assert answer.status == 403, some
        forged = request(0, [], other_text.replace(b"other", b"forged") + b"\n\n" + lines)
        changed = forged.replace(b"\n3\n", b"\n4\n")
        assert witness.add_checkpoint(changed).status == 403
        assert witness.latest(origin_hash(LOG.origin)) is None

    def test_another_old_size_than_the_last(self, witness: Witness) -> None:
        """409 with the size to start from, in its own type."""
        conflict = Answer(status=409, body=b"0\n", kind=SIZE_TYPE)
        assert witness.add_checkpoint(LOG.request(history(8), 5)) == conflict
        witness.add_checkpoint(LOG.request(history(5)))
        for old in (0, 4, 6, 8):
            answer = witness.add_checkpoint(LOG.request(history(8), old))
            assert answer == Answer(status=409, body=b"5\n", kind=SIZE_TYPE)
        assert witness.add_checkpoint(LOG.request(history(3))).status == 409

    def test_a_proof_that_does_not_hold(self, witness: Witness) -> None:
        """WIT-10: 422 for a fork, a wrong proof, too much proof, and none."""
        witness.add_checkpoint(LOG.request(history(5)))
        good = proof(history(9), 5)
        swapped = [good[1], good[0], *good[2:]]
        head = LOG.head(history(9))
        for hashes in ([], good[:-1], [*good, leaf(1)], swapped):
            assert witness.add_checkpoint(request(5, hashes, head)).status == 422
        forked = history(9, fork_at=4)
        assert witness.add_checkpoint(LOG.request(forked, 5)).status == 422
        assert witness.add_checkpoint(request(5, [leaf(1)], LOG.head(history(5)))).status == 422
        assert witness.add_checkpoint(request(5, good, head)).status == 200

    def test_a_first_head_with_a_proof(self, witness: Witness) -> None:
        body = request(0, [leaf(1)], LOG.head(history(5)))
        assert witness.add_checkpoint(body).status == 422

    def test_no_leaves_with_a_root_of_their_own(self, witness: Witness) -> None:
        empty = LOG.request([])
        body = empty.replace(base64.b64encode(leaf_root()), base64.b64encode(leaf(0)))
        assert body != empty
        assert witness.add_checkpoint(body).status in (403, 422)
        assert witness.add_checkpoint(empty).status == 200
        assert witness.add_checkpoint(LOG.request(history(3))).status == 200


def leaf_root() -> bytes:
    return base64.b64decode("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")


class TestForks:
    """WIT-11: two heads of one size are kept, whatever else was wrong with the request."""

    def test_both_heads_are_kept_and_the_operator_is_told(
        self, witness: Witness, state: Path, told: list[str]
    ) -> None:
        witness.add_checkpoint(LOG.request(history(5)))
        forked = history(5, fork_at=2)
        assert witness.add_checkpoint(LOG.request(forked, 5)).status == 422
        assert witness.add_checkpoint(LOG.request(forked, 0)).status == 409
        assert told == [f"{LOG.origin} signed two heads of 5 leaves: it forked"]
        with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
            (fork,) = store.forks(LOG.origin)
        assert fork.note == LOG.head(forked)
        assert fork.cosigned == seen(witness)
        assert fork.seen_at == NOW

    def test_only_so_many_of_one_log(
        self, witness: Witness, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(witness_store, "MAX_FORKS", 3)
        witness.add_checkpoint(LOG.request(history(2)))
        for number in range(6):
            forked = [leaf(number, "other"), leaf(1)]
            assert witness.add_checkpoint(LOG.request(forked, 2)).status == 422
        with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
            assert len(store.forks(LOG.origin)) == 3


class TestMonitoring:
    """WIT-12."""

    def test_the_latest_head_with_the_lines_that_were_verified(self, witness: Witness) -> None:
        witness.add_checkpoint(LOG.request(history(5)))
        answer = witness.add_checkpoint(LOG.request(history(7), 5))
        note = seen(witness)
        head = LOG.head(history(7))
        ed25519 = head.split(b"\n\n")[1].splitlines(keepends=True)[0]
        assert note == head.split(b"\n\n")[0] + b"\n\n" + ed25519 + answer.body
        assert parse_note(note).text == parse_note(head).text

    def test_nothing_of_a_log_that_was_never_cosigned(self, witness: Witness) -> None:
        assert witness.latest(origin_hash(OTHER.origin)) is None
        assert witness.latest(origin_hash("nobody.example")) is None


class TestMemory:
    """WIT-11, WIT-13."""

    def test_it_goes_on_after_a_restart(self, state: Path, time: Time, told: list[str]) -> None:
        for old, count in ((0, 5), (5, 9), (9, 9)):
            with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
                witness = _witness(store, time, told)
                assert witness.add_checkpoint(LOG.request(history(count), old)).status == 200

    def test_a_lost_state_is_not_made_anew(self, state: Path) -> None:
        state.unlink()
        with pytest.raises(LedgerError) as caught:
            WitnessStore.open(state, format_vkey(KEY.vkey))
        assert caught.value.code == "witness-state-missing"
        assert not state.exists()

    def test_neither_is_one_replaced(self, state: Path) -> None:
        before = state.read_bytes()
        with pytest.raises(LedgerError) as caught:
            WitnessStore.create(state, format_vkey(KEY.vkey))
        assert caught.value.code == "input"
        assert state.read_bytes() == before

    @pytest.mark.parametrize("data", [b"", b"garbage" * 1000, b"SQLite format 3\x00" + bytes(84)])
    def test_what_is_no_state_is_refused(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "other").write_bytes(data)
        with pytest.raises(LedgerError) as caught:
            WitnessStore.open(tmp_path / "other", format_vkey(KEY.vkey))
        assert caught.value.code == "witness-state"

    def test_the_state_of_another_key_is_refused(self, state: Path) -> None:
        other = make_key("witness.example/w2", bytes(32))
        with pytest.raises(LedgerError) as caught:
            WitnessStore.open(state, format_vkey(other.vkey))
        assert caught.value.code == "witness-state"

    def test_the_file_itself_refuses_to_go_back(self, witness: Witness, state: Path) -> None:
        witness.add_checkpoint(LOG.request(history(5)))
        connection = sqlite3.connect(state)
        for change in (
            "UPDATE latest SET size = 4",
            "UPDATE latest SET root = zeroblob(32)",
            "UPDATE latest SET cosigned_at = 0",
            "DELETE FROM latest",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(change)
        connection.close()

    def test_a_clock_that_was_set_back_signs_nothing(self, witness: Witness, time: Time) -> None:
        witness.add_checkpoint(LOG.request(history(5)))
        time.now -= 3
        answer = witness.add_checkpoint(LOG.request(history(8), 5))
        assert (answer.status, answer.retry_after) == (503, 3)
        time.now -= 3000
        answer = witness.add_checkpoint(LOG.request(history(8), 5))
        assert (answer.status, answer.retry_after) == (503, None)
        time.now += 3004
        assert witness.add_checkpoint(LOG.request(history(8), 5)).status == 200

    def test_what_cannot_be_stored_is_not_signed(self, witness: Witness, told: list[str]) -> None:
        """A full disk: 503, no cosignature, and the old state stands."""
        witness.add_checkpoint(LOG.request(history(5)))
        connection = witness._store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        big = [leaf(number, "x" * 9) for number in range(5)]
        junk = f"— {LOG.origin} {base64.b64encode(bytes(60_000)).decode()}\n".encode()
        answer = witness.add_checkpoint(LOG.request(big, 5) + junk)
        assert (answer.status, answer.retry_after) == (503, 30)
        assert "full" in told[-1]
        assert witness.add_checkpoint(LOG.request(history(8), 5)).status == 200

    def test_a_locked_state_is_no_cosignature(self, witness: Witness, state: Path) -> None:
        witness._store._connection.execute("PRAGMA busy_timeout = 20")
        other = sqlite3.connect(state, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert witness.add_checkpoint(LOG.request(history(5))).status == 503
        other.execute("ROLLBACK")
        other.close()
        assert witness.add_checkpoint(LOG.request(history(5))).status == 200


def test_of_many_requests_at_once_each_size_is_cosigned_once(
    state: Path, time: Time, told: list[str]
) -> None:
    """WIT-11: whoever comes first is cosigned; two branches never both get through."""
    bodies = [
        LOG.request(history(new, fork_at=fork), old)
        for fork in (1, 20)
        for new in range(1, 9)
        for old in range(new + 1)
    ]
    start = threading.Barrier(4)

    def work(number: int) -> list[bytes]:
        order = random.Random(number).sample(bodies, len(bodies))
        with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
            witness = _witness(store, time, told)
            start.wait()
            return [body for body in order if witness.add_checkpoint(body).status == 200]

    with ThreadPoolExecutor(4) as pool:
        cosigned = [body for part in pool.map(work, range(4)) for body in part]
    texts = {body.split(b"\n\n")[1] for body in cosigned}
    sizes = [text.split(b"\n")[1] for text in texts]
    assert len(sizes) > 1
    assert len(set(sizes)) == len(sizes), "two histories were cosigned"


def test_a_witness_cannot_be_its_own_log(state: Path, time: Time) -> None:
    with WitnessStore.open(state, format_vkey(KEY.vkey)) as store:
        for key in (make_key(LOG.origin, bytes(32)), make_key("w2", _seed_of(LOG))):
            with pytest.raises(LedgerError) as caught:
                Witness(
                    key, parse_logs(f"log {LOG.vkey}\n".encode()), store, clock=time, tell=print
                )
            assert caught.value.code == "input"


def _seed_of(log: ForgedLog) -> bytes:
    return hashlib.sha256(b"e" + log.origin.encode()).digest()
