"""Several witnesses of one log: none holds up the heads, the others, or whoever waits."""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, headkeeper, witness_rounds
from nous_ledger.ledger.headkeeper import HeadKeeper, KeeperEvent
from nous_ledger.ledger.witness_rounds import Turn, WitnessRounds
from nous_ledger.ledger.witnesses import (
    WitnessClient,
    WitnessReport,
    WitnessState,
    parse_witnesses,
)
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.vkey import parse_vkey
from tests.integration.ledger_audit import head_count
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.witness_server import Handler, Reply, Witness, WitnessServer, send

Servers = tuple[WitnessServer, WitnessServer, WitnessServer]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the witnesses be asked more often than those of others."""
    monkeypatch.setattr(witness_rounds, "PACE_S", 0.05)
    monkeypatch.setattr(headkeeper, "_REQUEST_PACE_S", 0.02)


@pytest.fixture
def servers(ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[Servers]:
    """Three honest witnesses of the log."""
    key = parse_vkey(ledger.vkeys()[0]).material
    with ExitStack() as exits:
        w1, w2, w3 = (
            exits.enter_context(
                WitnessServer(Witness(tmp_path / name, f"{name}.example", ORIGIN, key, clock))
            )
            for name in ("w1", "w2", "w3")
        )
        yield w1, w2, w3


def keeper_of(ledger: Ledger, servers: Servers, clock: Clock) -> HeadKeeper:
    lines = "".join(server.line for server in servers)
    witnesses = parse_witnesses(lines.encode())[1]
    return HeadKeeper(ledger, witnesses=witnesses, clock=clock, tell=lambda _: None)


def cosigners(note: bytes) -> set[str]:
    return {line.name for line in parse_note(note).signatures[2:]}


ALL = {"w1.example", "w2.example", "w3.example"}


def broken(handler: Handler, body: bytes) -> None:
    send(handler, Reply(503))


@pytest.mark.usefixtures("often")
def test_every_head_that_is_asked_for_comes_back_cosigned(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    with keeper_of(ledger, servers, clock) as keeper:
        assert cosigners(keeper.head(patience_s=5)) == ALL
        index = ledger.append_receipt(make_draft(seed)).index
        note = keeper.head(patience_s=5)
        assert (head_count(note), cosigners(note)) == (index + 1, ALL)
        assert {report.state for report in keeper.witnesses} == {WitnessState.COSIGNED}
        asked = [server.asked for server in servers]
        assert keeper.head(patience_s=5) == note  # nothing is new: nobody is asked
        assert [server.asked for server in servers] == asked == [2, 2, 2]


def test_one_that_hangs_holds_up_neither_the_others_nor_the_end(
    ledger: Ledger, servers: Servers, clock: Clock
) -> None:
    """WIT-4."""
    reached, release = threading.Event(), threading.Event()

    def hang(handler: Handler, body: bytes) -> None:
        reached.set()
        release.wait(10)

    servers[1].misbehave = hang
    with keeper_of(ledger, servers, clock) as keeper:
        request = keeper.request()
        assert head_count(request.signed.result(5)) == 1
        assert reached.wait(5)
        while cosigners(ledger.latest_head()) != ALL - {"w2.example"}:
            threading.Event().wait(0.01)
        assert not request.cosigned.done()
        assert cosigners(keeper.head(patience_s=0)) == ALL - {"w2.example"}
    assert request.cosigned.result(0) is None  # nobody waits for ever
    release.set()


def test_one_that_is_down_is_not_waited_for_twice(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    servers[2].misbehave = broken
    with keeper_of(ledger, servers, clock) as keeper:
        for count in (1, 2):
            request = keeper.request()
            assert head_count(request.signed.result(5)) == count
            request.cosigned.result(5)
            assert cosigners(ledger.cosigned_head()) == ALL - {"w3.example"}
            ledger.append_receipt(make_draft(seed))
    assert servers[2].asked <= 2


def test_the_ledger_does_not_need_them(ledger: Ledger, servers: Servers, clock: Clock) -> None:
    """WIT-4."""
    for server in servers:
        server.misbehave = broken
    with keeper_of(ledger, servers, clock) as keeper:
        note = keeper.head(patience_s=5)
        assert cosigners(note) == set()
        assert {report.state for report in keeper.witnesses} == {WitnessState.UNREACHABLE}


def test_changes_of_their_state_are_told(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    now = [0.0]
    told: list[WitnessReport] = []
    witness = parse_witnesses(servers[0].line.encode())[1][0]
    client = WitnessClient(ledger, witness, clock=clock)
    rounds = WitnessRounds([client], told.append, lambda: now[0])
    (turn,) = rounds._turns
    assert rounds.ask_due(turn) is None  # no head yet
    assert rounds.settled().done()
    rounds.announce(ledger.head())
    servers[0].misbehave = broken
    waits = []
    waiting = rounds.settled()
    for _ in range(12):
        assert rounds.ask_due(turn) == 0.0
        wait = rounds.ask_due(turn)
        assert wait is not None
        waits.append(wait)
        now[0] += wait
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert waiting.done()
    assert rounds.settled().done()  # it failed last time
    servers[0].misbehave = None
    assert rounds.ask_due(turn) == 0.0
    assert rounds.ask_due(turn) is None  # it has cosigned this head
    rounds.announce(ledger.latest_head())  # the same with its cosignature
    assert rounds.ask_due(turn) is None
    ledger.append_receipt(make_draft(seed))
    rounds.announce(ledger.head())
    assert rounds.ask_due(turn) == 1.0  # at most once a second
    waiting = rounds.settled()
    assert not waiting.done()
    now[0] += 1
    assert rounds.ask_due(turn) == 0.0
    assert waiting.done()
    assert [report.state for report in told] == [WitnessState.UNREACHABLE, WitnessState.COSIGNED]
    assert servers[0].asked == 14
    rounds.close()
    assert rounds.settled().done()


def test_whoever_waits_is_told_of_answers_about_their_head_only(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    """An answer about an earlier head, that was under way already, is not theirs."""
    witness = parse_witnesses(servers[0].line.encode())[1][0]
    client = WitnessClient(ledger, witness, clock=clock)
    now = [0.0]
    rounds = WitnessRounds([client], lambda _: None, lambda: now[0])
    (turn,) = rounds._turns
    reached, release = threading.Event(), threading.Event()

    def slow(handler: Handler, body: bytes) -> None:
        reached.set()
        release.wait(5)
        send(handler, servers[0].witness.add_checkpoint(body))

    servers[0].misbehave = slow
    rounds.announce(ledger.head())
    asking = threading.Thread(target=rounds.ask_due, args=(turn,))
    asking.start()
    assert reached.wait(5)
    ledger.append_receipt(make_draft(seed))
    rounds.announce(ledger.head())
    waiting = rounds.settled()
    release.set()
    asking.join()
    assert not waiting.done()
    now[0] = 1.0
    rounds.ask_due(turn)
    assert waiting.done()
    assert cosigners(ledger.latest_head()) == {"w1.example"}


def test_an_event_names_the_witness(ledger: Ledger, servers: Servers, clock: Clock) -> None:
    told: list[KeeperEvent] = []
    witnesses = parse_witnesses(servers[0].line.encode())[1]
    with HeadKeeper(ledger, witnesses=witnesses, clock=clock, tell=told.append) as keeper:
        keeper.head(patience_s=5)
    (event,) = told
    assert (event.kind, event.code) == ("witness", "cosigned")
    assert event.message == "w1.example: it cosigned 1 leaves"
    assert event.witness == keeper.witnesses[0]


def test_requests_under_load_share_heads(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    """Each head is a request to each witness: there are two a second at most."""
    now = [0.0]
    keeper = HeadKeeper(
        ledger,
        witnesses=parse_witnesses(servers[0].line.encode())[1],
        clock=clock,
        monotonic=lambda: now[0],
    )
    signed = []
    for _ in range(40):
        ledger.append_receipt(make_draft(seed))
        request = keeper.request()
        keeper.step()
        signed.append(request.signed.done())
        now[0] += 0.125
    assert signed == [True, False, False, False] * 10
    keeper.close()


def test_a_turn_that_was_never_had_is_due_at_once(ledger: Ledger, servers: Servers) -> None:
    witness = parse_witnesses(servers[0].line.encode())[1][0]
    turn = Turn(WitnessClient(ledger, witness))
    note = parse_note(ledger.head())
    assert turn.wait_s(None, 0.0) is None
    assert turn.wait_s(note, -1e9) == 0.0
