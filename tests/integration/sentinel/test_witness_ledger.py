"""Our own ledger, its client, and this witness: from an append to a proof with a quorum."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.witness_rounds import ask_all
from nous_ledger.ledger.witnesses import WitnessClient, WitnessState, parse_witnesses
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from sentinel.http_source import HttpSource
from sentinel.witness_key import make_key
from sentinel.witness_logs import parse_logs
from sentinel.witness_wire import origin_hash
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.ledger_keys import Keys
from tests.integration.old_copies import copy_folder
from tests.integration.sentinel.forged_log import request
from tests.integration.sentinel.witness_thread import WitnessThread

Servers = tuple[WitnessThread, WitnessThread, WitnessThread]


def lines(ledger: Ledger) -> bytes:
    """Both vkeys of a log, as a trust policy lists them."""
    return "".join(f"log {vkey}\n" for vkey in ledger.vkeys()).encode()


def witness(
    name: str, ledger: Ledger, clock: Clock, folder: Path, *, logs: bytes | None = None
) -> WitnessThread:
    key = make_key(f"{name}.example", name.encode().ljust(32))
    listed = lines(ledger) if logs is None else logs
    return WitnessThread(
        folder / name, key, listed, lambda: clock() / 1000, proofs=(ledger.prove(0),)
    )


@pytest.fixture
def servers(ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as exits:
        ledger.head()
        w1, w2, w3 = (
            exits.enter_context(witness(name, ledger, clock, tmp_path))
            for name in ("w1", "w2", "w3")
        )
        yield w1, w2, w3


def clients(ledger: Ledger, servers: Servers, clock: Clock) -> list[WitnessClient]:
    listed = "".join(server.line(f"w{i}") for i, server in enumerate(servers, 1)).encode()
    return [WitnessClient(ledger, one, clock=clock) for one in parse_witnesses(listed)[1]]


def policy_text(ledger: Ledger, servers: Servers, needed: int) -> bytes:
    named = "".join(server.line(f"w{i}") for i, server in enumerate(servers, 1))
    return lines(ledger) + f"{named}group g {needed} w1 w2 w3\nquorum g\n".encode()


def states(ledger: Ledger, asked: list[WitnessClient]) -> list[WitnessState]:
    return [report.state for report in ask_all(asked, ledger.latest_head())]


def test_every_head_is_cosigned_and_a_proof_meets_the_quorum(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    """WIT-1 to WIT-3 against WIT-8 to WIT-11; POL-15, COSIG-5."""
    asked = clients(ledger, servers, clock)
    for more in (1, 2, 5, 30):
        ledger.append_many([make_draft(seed) for _ in range(more)])
        ledger.head()
        assert states(ledger, asked) == [WitnessState.COSIGNED] * 3
    report = verify_bundle(ledger.prove(7), parse_policy(policy_text(ledger, servers, 3)))
    assert report.log_view.outcome is Outcome.ESTABLISHED, report
    assert report.witnessed_time == clock() // 1000


def test_a_client_that_forgot_is_told_the_size(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random
) -> None:
    assert states(ledger, clients(ledger, servers, clock)) == [WitnessState.COSIGNED] * 3
    ledger.append_many([make_draft(seed) for _ in range(4)])
    note = ledger.head()
    for server in servers:  # as a client that starts from nothing
        (one,) = parse_witnesses(server.line("w").encode())[1]
        client = WitnessClient(ledger, one, clock=clock)
        client._size = 0
        assert client.ask(note).state is WitnessState.COSIGNED


def test_a_fork_of_the_log_is_cosigned_by_nobody(
    ledger: Ledger, servers: Servers, clock: Clock, seed: random.Random, tmp_path: Path
) -> None:
    """A copy of the ledger goes another way: the witnesses of the first refuse it."""
    ledger.append_many([make_draft(seed) for _ in range(3)])
    ledger.head()
    copy_folder(tmp_path / "ledger", tmp_path / "copy")
    ledger.append_many([make_draft(seed) for _ in range(5)])
    ledger.head()
    assert states(ledger, clients(ledger, servers, clock)) == [WitnessState.COSIGNED] * 3
    with Ledger.open(tmp_path / "copy", clock=clock) as copy:
        for _ in range(2):  # of the same size as the honest one, and larger
            copy.append_many([make_draft(seed) for _ in range(5)])
            copy.head()
            asked = clients(copy, servers, clock)
            assert set(states(copy, asked)) == {WitnessState.INCONSISTENT}
    assert all("forked" in server.told[0] for server in servers)


def test_what_monitors_read_is_the_head_with_all_lines(
    ledger: Ledger, servers: Servers, clock: Clock
) -> None:
    """WIT-12: both kinds of the log's lines were verified, so both are there."""
    states(ledger, clients(ledger, servers, clock))
    with HttpSource(servers[0].url) as source:
        note = parse_note(source._fetch(f"{origin_hash(ledger.origin)}/checkpoint", 100_000))
    own = parse_note(ledger.latest_head()).signatures
    assert note.signatures[:2] == own[:2]
    assert [line.name for line in note.signatures] == [ledger.origin] * 2 + ["w1.example"]


class TestKinds:
    """WIT-9: what is listed must have signed."""

    def test_a_0xff_line_needs_the_key_events(self, ledger: Ledger) -> None:
        with pytest.raises(LedgerError) as caught:
            parse_logs(lines(ledger))
        assert caught.value.code == "unpinned"
        assert "--proof" in caught.value.hint

    def test_the_proof_of_another_log_does_not_do(
        self, ledger: Ledger, clock: Clock, tmp_path: Path
    ) -> None:
        ledger.head()
        origin = ledger.origin
        with Ledger.create(tmp_path / "o", next_key_out=None, origin=origin, clock=clock) as other:
            other.head()
            with pytest.raises(LedgerError) as caught:
                parse_logs(lines(ledger), [other.prove(0)])
        assert caught.value.code == "log-id"

    def test_a_stripped_or_altered_line_of_either_kind_is_refused(
        self, ledger: Ledger, servers: Servers
    ) -> None:
        head = ledger.latest_head()
        text, _, tail = head.partition(b"\n\n")
        ed25519, eip712 = tail.splitlines(keepends=True)[:2]
        server = servers[0]._server._witness
        altered = bytearray(eip712)
        altered[-30] = altered[-30] % 2 + 0x41
        for some in (ed25519, eip712, ed25519 + bytes(altered), ed25519 + eip712 + eip712):
            answer = server.add_checkpoint(b"old 0\n\n" + text + b"\n\n" + some)
            assert answer.status == 403, some
        assert server.add_checkpoint(b"old 0\n\n" + head).status == 200

    def test_through_a_rotation(
        self, rotating: Ledger, keys: Keys, clock: Clock, tmp_path: Path
    ) -> None:
        """A new epoch is refused until its key event is given, then taken."""
        with witness("w1", rotating, clock, tmp_path) as server:
            decide = server._server._witness.add_checkpoint
            before = rotating.latest_head()
            assert decide(b"old 0\n\n" + before).status == 200
            rotating.rotate(keys[0], next_key_out=keys[1])
            head = rotating.head()
            proof = rotating.prove_consistency(3, 4)
            body = request(3, proof, head)
            refused = decide(body)
            assert refused.status == 403
            assert b"policy-outdated" in refused.body
        with witness("w1", rotating, clock, tmp_path) as server:
            decide = server._server._witness.add_checkpoint
            assert decide(b"old 3\n\n" + before).status == 200  # an old head, by its own epoch
            assert decide(body).status == 200
