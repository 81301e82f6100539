"""An older copy of a ledger goes no further once a quorum of its witnesses says what it saw."""

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.headkeeper import HeadKeeper, KeeperEvent
from nous_ledger.ledger.witness_quorum import compare_with_witnesses, heed, quorum_size
from nous_ledger.ledger.witnesses import (
    WitnessClient,
    WitnessReport,
    WitnessState,
    parse_witnesses,
)
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.vkey import parse_vkey
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.witness_server import Witness, WitnessServer

Servers = tuple[WitnessServer, WitnessServer, WitnessServer]


@pytest.fixture
def servers(ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[Servers]:
    """Three witnesses of the log."""
    key = parse_vkey(ledger.vkeys()[0]).material
    with ExitStack() as exits:
        w1, w2, w3 = (
            exits.enter_context(WitnessServer(Witness(tmp_path / name, name, ORIGIN, key, clock)))
            for name in ("w1", "w2", "w3")
        )
        yield w1, w2, w3


def config(servers: Servers, quorum: str) -> bytes:
    lines = "".join(server.line for server in servers)
    return f"{lines}group two 2 w1 w2 w3\nquorum {quorum}\n".encode()


def clients(ledger: Ledger, data: bytes, clock: Clock) -> tuple[Policy, list[WitnessClient]]:
    policy, witnesses = parse_witnesses(data)
    return policy, [WitnessClient(ledger, witness, clock=clock) for witness in witnesses]


@pytest.fixture
def restored(
    ledger: Ledger, folder: Path, servers: Servers, clock: Clock, tmp_path: Path
) -> Iterator[Ledger]:
    """A copy from before the witnesses cosigned the last records."""
    draws = random.Random(3)
    ledger.append_receipt(make_draft(draws))
    ledger.head()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for size in (4, 6):
        ledger.append_many([make_draft(draws) for _ in range(size - ledger.leaf_count())])
        for client in clients(ledger, config(servers, "two"), clock)[1]:
            assert client.ask(ledger.head()).state == WitnessState.COSIGNED
    with Ledger.open(copy, clock=clock) as opened:
        yield opened


def forget(server: WitnessServer) -> None:
    """Let a witness have seen nothing of the log."""
    server.witness._state.unlink()


def test_two_of_three_that_saw_more_stop_it(
    restored: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    """WIT-3, HEAD-15: before anything is signed, whatever the third says."""
    forget(servers[1])
    policy, asked = clients(restored, config(servers, "two"), clock)
    clock.now_ms += restored.heartbeat_s * 1000
    before = restored.latest_head()
    reports = compare_with_witnesses(restored, policy, asked)
    assert [(report.state, report.claimed) for report in reports] == [
        *((WitnessState.ROLLED_BACK, 6), (WitnessState.COSIGNED, None)),
        (WitnessState.ROLLED_BACK, 6),
    ]
    assert error_code(lambda: restored.append_receipt(make_draft(seed))) == "store-behind"
    assert error_code(restored.head) == "store-behind"
    assert restored.latest_head().startswith(before)  # with the one cosignature, nothing else


@pytest.mark.parametrize(("quorum", "honest"), [("two", 1), ("none", 3)])
def test_fewer_are_told_and_not_believed(
    restored: Ledger, servers: Servers, clock: Clock, quorum: str, honest: int
) -> None:
    """WIT-4: a witness alone could stop any log."""
    for server in servers[honest:]:
        forget(server)
    policy, asked = clients(restored, config(servers, quorum), clock)
    reports = compare_with_witnesses(restored, policy, asked)
    states = [report.state for report in reports]
    assert states.count(WitnessState.ROLLED_BACK) == honest
    assert restored.refusal is None


def test_a_keeper_stops_it_at_any_time(restored: Ledger, servers: Servers, clock: Clock) -> None:
    policy, witnesses = parse_witnesses(config(servers, "two"))
    told: list[KeeperEvent] = []
    with HeadKeeper(
        restored, witnesses=witnesses, policy=policy, clock=clock, tell=told.append
    ) as keeper:
        keeper.request().cosigned.result(5)
    assert [event.code for event in told] == ["rolled-back"] * 3
    refusal = restored.refusal
    assert refusal is not None
    assert refusal.code == "store-behind"


def test_a_gateway_does_not_start(restored: Ledger, servers: Servers) -> None:
    policy, witnesses = parse_witnesses(config(servers, "two"))
    app = AppConfig(witnesses=witnesses, witness_policy=policy)
    with pytest.raises(LedgerError) as error, GatewayThread(restored, app):
        raise AssertionError
    assert error.value.code == "store-behind"
    quiet = AppConfig(witnesses=witnesses)  # no quorum: it is told
    restored.close()
    with Ledger.open(restored.folder) as again, GatewayThread(again, quiet):
        assert again.refusal is None


def report(name: str, claimed: int | None) -> WitnessReport:
    state = WitnessState.COSIGNED if claimed is None else WitnessState.ROLLED_BACK
    return WitnessReport(name=name, state=state, leaf_count=1, message="", claimed=claimed)


def test_the_largest_size_that_a_quorum_reaches(servers: Servers) -> None:
    policy, _ = parse_witnesses(config(servers, "two"))
    claims = [report("w1", 90), report("w2", 50), report("w3", 70), report("w4", 99)]
    assert quorum_size(policy, claims) == 70
    assert quorum_size(policy, claims[:2]) == 50
    assert quorum_size(policy, claims[:1]) is None
    assert quorum_size(policy, [report("w1", None), report("w2", 5)]) is None
    assert quorum_size(parse_witnesses(config(servers, "none"))[0], claims) is None


def test_a_ledger_that_cannot_note_it_is_no_fault_of_the_heads(
    ledger: Ledger, servers: Servers, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    policy, witnesses = parse_witnesses(config(servers, "w1"))
    keeper = HeadKeeper(ledger, witnesses=witnesses, policy=policy, clock=clock)
    heed(ledger, policy, [report("w1", 1)])  # not more than there are
    assert ledger.refusal is None
    keeper._rounds._turns[0].client.report = report("w1", 9)
    ledger.close()
    keeper._tell_of_witness(report("w1", 9))
    assert "what a witness saw could not be noted: closed" in caplog.messages
