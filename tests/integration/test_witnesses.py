"""Asking one witness over HTTP: what an honest one gives, and what a hostile one cannot do."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.witnesses import Witness as Listed
from nous_ledger.ledger.witnesses import WitnessClient, WitnessState, parse_witnesses
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.note import find_signatures, parse_note
from nous_ledger.protocol.vkey import cosigner_vkey, parse_vkey
from tests.integration.ledger_audit import head_count
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.witness_server import Handler, Reply, Witness, WitnessServer, send


@pytest.fixture
def server(ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[WitnessServer]:
    """An honest witness of the log, which has seen nothing yet."""
    key = parse_vkey(ledger.vkeys()[0]).material
    with WitnessServer(Witness(tmp_path / "w1", "w1.example", ORIGIN, key, clock)) as made:
        yield made


def listed(server: WitnessServer) -> Listed:
    (witness,) = parse_witnesses(server.line.encode())[1]
    return witness


@pytest.fixture
def client(ledger: Ledger, server: WitnessServer, clock: Clock) -> WitnessClient:
    return WitnessClient(ledger, listed(server), clock=clock)


def grow(ledger: Ledger, seed: random.Random, leaves: int) -> bytes:
    ledger.append_many([make_draft(seed) for _ in range(leaves)])
    return ledger.head()


def has_line(ledger: Ledger, client: WitnessClient) -> bool:
    key = client.witness.vkey
    return bool(find_signatures(parse_note(ledger.latest_head()), key.name, key.key_id))


def text_of(body: bytes) -> str:
    """Return the note text that a request is about."""
    return body.decode().split("\n\n")[1] + "\n"


class TestAnHonestWitness:
    def test_it_cosigns_every_head_from_the_last_one_on(
        self, ledger: Ledger, server: WitnessServer, client: WitnessClient, seed: random.Random
    ) -> None:
        """WIT-1, WIT-2: the witness checks each consistency proof by code of its own."""
        count, sizes = 1, [1, 2, 1, 3, 5, 8, 13, 64, 31, 128]
        assert client.ask(ledger.head()).state == WitnessState.COSIGNED
        for more in sizes:
            note = grow(ledger, seed, more)
            count += more
            report = client.ask(note)
            assert (report.state, report.leaf_count) == (WitnessState.COSIGNED, count)
            assert has_line(ledger, client)
            assert server.witness.size == count
        assert [status for _, status in server.witness.requests] == [200] * (len(sizes) + 1)

    def test_its_last_size_is_remembered_by_the_store(
        self, ledger: Ledger, server: WitnessServer, client: WitnessClient, seed: random.Random
    ) -> None:
        client.ask(ledger.head())
        note = grow(ledger, seed, 5)
        later = WitnessClient(ledger, client.witness, clock=server.witness.clock)
        assert later.ask(note).state == WitnessState.COSIGNED
        assert server.witness.requests[-1] == (1, 200)

    def test_where_it_is_not_known_the_witness_tells(
        self,
        ledger: Ledger,
        server: WitnessServer,
        client: WitnessClient,
        seed: random.Random,
    ) -> None:
        """WIT-3: it cosigned through another process, whose merge this ledger never saw."""
        note = grow(ledger, seed, 6)
        server.witness.add_checkpoint(b"old 0\n\n" + note)
        assert client.ask(grow(ledger, seed, 9)).state == WitnessState.COSIGNED
        assert server.witness.requests == [(0, 200), (0, 409), (7, 200)]
        assert server.witness.size == 16

    def test_a_heartbeat_is_cosigned_anew(
        self, ledger: Ledger, client: WitnessClient, server: WitnessServer, clock: Clock
    ) -> None:
        client.ask(ledger.head())
        clock.now_ms += ledger.heartbeat_s * 1000
        assert client.ask(ledger.head()).state == WitnessState.COSIGNED
        assert server.witness.requests == [(0, 200), (1, 200)]
        (line,) = parse_note(ledger.latest_head()).signatures[2:]
        assert int.from_bytes(line.payload[:8], "big") == clock.now_ms // 1000

    def test_one_that_is_ahead_has_seen_a_newer_head(
        self, ledger: Ledger, client: WitnessClient, seed: random.Random
    ) -> None:
        old = ledger.head()
        new = grow(ledger, seed, 3)
        client.ask(new)
        report = client.ask(old)
        assert (report.state, report.is_failure) == (WitnessState.AHEAD, False)
        assert client.ask(new).state == WitnessState.COSIGNED

    def test_one_that_saw_more_than_there_is_says_that_the_ledger_is_an_old_copy(
        self, ledger: Ledger, client: WitnessClient, server: WitnessServer
    ) -> None:
        server.witness._state.write_text(f'[5, "{"00" * 32}"]')
        note = ledger.head()
        ledger.append_many([make_draft(random.Random(number)) for number in range(9)])
        report = client.ask(note)  # no head was ever stored that has 5 leaves
        assert (report.state, report.claimed) == (WitnessState.ROLLED_BACK, 5)
        assert not has_line(ledger, client)

    @pytest.mark.parametrize("more", [0, 3])
    def test_one_that_saw_another_tree_does_not_cosign(
        self, ledger: Ledger, client: WitnessClient, server: WitnessServer, more: int
    ) -> None:
        seed = random.Random(more)
        client.ask(grow(ledger, seed, 4))
        server.witness._state.write_text(f'[5, "{"00" * 32}"]')
        note = grow(ledger, seed, more) if more else ledger.head()
        report = client.ask(note)
        wanted = WitnessState.INCONSISTENT if more else WitnessState.CONFLICT
        assert (report.state, report.is_failure) == (wanted, True)
        assert has_line(ledger, client) == (more == 0)  # the one from before

    def test_one_that_does_not_know_the_log_or_its_key_says_so(
        self, ledger: Ledger, server: WitnessServer, client: WitnessClient
    ) -> None:
        server.witness.origin = "other.example/log"
        assert client.ask(ledger.head()).state == WitnessState.UNKNOWN_LOG
        server.witness.origin = ORIGIN
        server.witness._log_key = server.witness._key.public_key()
        assert client.ask(ledger.head()).state == WitnessState.UNTRUSTED


Behaviour = Callable[[WitnessServer, Handler, bytes], None]


def answers(make: Callable[[Witness, str], bytes], status: int = 200) -> Behaviour:
    def behave(server: WitnessServer, handler: Handler, body: bytes) -> None:
        send(handler, Reply(status, make(server.witness, text_of(body))))

    return behave


def fixed(data: bytes, status: int = 200, kind: str = "text/plain") -> Behaviour:
    def behave(_: WitnessServer, handler: Handler, body: bytes) -> None:
        send(handler, Reply(status, data, kind))

    return behave


def raw(*pieces: bytes) -> Behaviour:
    def behave(_: WitnessServer, handler: Handler, body: bytes) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return behave


def other_key(witness: Witness, text: str) -> bytes:
    """A line that claims the witness's name and key id, made by another key."""
    stranger = Witness(witness._state, "stranger", ORIGIN, b"\x05" * 32, witness.clock)
    stranger._key_id, stranger.name = witness._key_id, witness.name
    return stranger.cosign(text)


def own_line(witness: Witness, text: str) -> bytes:
    """A line under the name of the log."""
    return witness.cosign(text, name=ORIGIN)


def another_checkpoint(witness: Witness, text: str) -> bytes:
    return witness.cosign(text.replace("\n1\n", "\n2\n"))


BAD = WitnessState.BAD_ANSWER
GONE = WitnessState.UNREACHABLE
HOSTILE: dict[str, tuple[Behaviour, WitnessState]] = {
    "another key": (answers(other_key), BAD),
    "another key beside the right one": (answers(lambda w, t: w.cosign(t) + other_key(w, t)), BAD),
    "the log's own name": (answers(own_line), BAD),
    "another name": (answers(lambda w, t: w.cosign(t, name="w2.example")), BAD),
    "another checkpoint": (answers(another_checkpoint), BAD),
    "nothing": (fixed(b""), BAD),
    "no final newline": (answers(lambda w, t: w.cosign(t)[:-1]), BAD),
    "an empty line": (answers(lambda w, t: b"\n" + w.cosign(t)), BAD),
    "a text before": (answers(lambda w, t: b"hi\n\n" + w.cosign(t)), BAD),
    "control characters": (answers(lambda w, t: b"\x1b[2J" + w.cosign(t)), BAD),
    "control characters behind": (answers(lambda w, t: w.cosign(t) + b"\x00"), BAD),
    "carriage returns": (answers(lambda w, t: w.cosign(t).replace(b"\n", b"\r\n")), BAD),
    "no UTF-8": (answers(lambda w, t: w.cosign(t) + b"\xff\n"), BAD),
    "loose base64": (answers(lambda w, t: w.cosign(t).replace(b"=\n", b"\n")), BAD),
    "too many lines": (answers(lambda w, t: w.cosign(t) * 65), BAD),
    "a time far ahead": (answers(lambda w, t: w.cosign(t, time=w.clock() // 1000 + 301)), BAD),
    "no time": (answers(lambda w, t: w.cosign(t, time=0)), BAD),
    "a time beyond 2^53": (answers(lambda w, t: w.cosign(t, time=1 << 53)), BAD),
    "a conflict without a size": (fixed(b"", 409, "text/x.tlog.size"), BAD),
    "a conflict as plain text": (fixed(b"1\n", 409), BAD),
    "a size that is no number": (fixed(b"01\n", 409, "text/x.tlog.size"), BAD),
    "a size with more behind": (fixed(b"1\n1\n", 409, "text/x.tlog.size"), BAD),
    "the same size again": (
        fixed(b"0\n", 409, "text/x.tlog.size"),
        WitnessState.CONFLICT,
    ),
    "a huge size": (
        fixed(b"9007199254740991\n", 409, "text/x.tlog.size"),
        WitnessState.ROLLED_BACK,
    ),
    "a redirect": (raw(b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:9/\r\n\r\n"), GONE),
    "a server error": (answers(lambda w, t: w.cosign(t), 500), GONE),
    "another success": (answers(lambda w, t: w.cosign(t), 201), GONE),
    "a bad request": (answers(lambda w, t: w.cosign(t), 400), GONE),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), GONE),
    "half an answer": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n\xe2\x80\x94 w1"), GONE),
    "a huge answer": (fixed(b"\xe2" * 70_000), GONE),
    "a huge answer without length": (raw(b"HTTP/1.0 200 OK\r\n\r\n", b"A" * 70_000), GONE),
    "endless headers": (raw(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 70_000 + b"\r\n"), GONE),
    "many headers": (raw(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 500), GONE),
    "a bad chunk": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), GONE),
    "nothing at all": (raw(), GONE),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_witness_changes_nothing_and_is_reported(
    ledger: Ledger, server: WitnessServer, client: WitnessClient, what: str
) -> None:
    """WIT-2, WIT-3, WIT-4, WIT-5."""
    behave, state = HOSTILE[what]
    note = ledger.head()
    server.misbehave = lambda handler, body: behave(server, handler, body)
    report = client.ask(note)
    assert (report.state, report.is_failure) == (state, True), report.message
    assert report.message.isprintable()
    assert len(report.message) < 200
    assert ledger.latest_head() == note
    server.misbehave = None  # and once it behaves, it is heard again
    assert client.ask(note).state == WitnessState.COSIGNED
    assert server.asked <= 4


def test_one_that_never_says_the_same_is_not_asked_for_ever(
    ledger: Ledger, server: WitnessServer, client: WitnessClient, seed: random.Random
) -> None:
    """WIT-3, WIT-4."""
    note = grow(ledger, seed, 9)
    sizes = iter(range(1, 10))

    def evade(handler: Handler, body: bytes) -> None:
        send(handler, Reply(409, f"{next(sizes)}\n".encode(), "text/x.tlog.size"))

    server.misbehave = evade
    assert client.ask(note).state == WitnessState.CONFLICT
    assert server.asked == 3
    server.misbehave = None
    assert client.ask(note).state == WitnessState.COSIGNED


def test_a_head_that_is_not_stored_is_not_cosigned_here(
    ledger: Ledger, folder: Path, server: WitnessServer, client: WitnessClient, seed: random.Random
) -> None:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    note = grow(ledger, seed, 3)
    with Ledger.open(copy) as older:
        stranger = WitnessClient(older, client.witness, clock=server.witness.clock)
        assert stranger.ask(note).state == WitnessState.UNUSABLE_LEDGER
        assert head_count(older.latest_head()) == 1


def test_a_ledger_that_cannot_be_written_is_no_fault_of_the_witness(
    ledger: Ledger, folder: Path, server: WitnessServer, clock: Clock
) -> None:
    with Ledger.open(folder, read_only=True) as reader:
        client = WitnessClient(reader, listed(server), clock=clock)
        assert client.ask(ledger.head()).state == WitnessState.UNUSABLE_LEDGER
    assert not has_line(ledger, client)


def test_no_witness_goes_by_the_name_of_the_log(ledger: Ledger) -> None:
    key = cosigner_vkey(ORIGIN, parse_vkey(ledger.vkeys()[0]).material)
    with pytest.raises(FormatError):
        WitnessClient(ledger, Listed(name="w", vkey=key, url="http://127.0.0.1:9"))


def test_only_the_logs_own_lines_are_sent(
    ledger: Ledger, server: WitnessServer, client: WitnessClient
) -> None:
    """WIT-1."""
    sent: list[bytes] = []
    signed = ledger.head()
    client.ask(signed)

    def record(handler: Handler, body: bytes) -> None:
        sent.append(body)
        send(handler, Reply(500))

    server.misbehave = record
    client.ask(ledger.latest_head())
    assert sent == [b"old 1\n\n" + signed]
    assert parse_checkpoint(parse_note(signed).text).leaf_count == 1
