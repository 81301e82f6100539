"""Other witnesses: what they have seen, beside what a log shows here."""

import contextlib
import http.server
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.types import Hash32, LeafCount, UnixSeconds
from sentinel.audit.codes import Proof
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.findings import Finding, Severity
from sentinel.audit.peers import PeerHead
from sentinel.folder_source import FolderSource
from sentinel.log_audit import LogAudit
from sentinel.log_options import Options
from sentinel.peers import HIDDEN_S, MAX_KEPT, KeptHeads, Peer, look_at_peers
from sentinel.state import State
from sentinel.witness_key import make_key
from sentinel.witness_wire import format_line
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.old_copies import copy_folder
from tests.integration.sentinel.forged_log import request as add_checkpoint
from tests.integration.sentinel.legacy_server import send_bytes
from tests.integration.sentinel.witness_thread import WitnessThread

KEY = make_key("peer.example", bytes(range(32)))
GONE = "http://127.0.0.1:1"
STRANGER = make_key("stranger.example", bytes(32))


class World:
    """A log that can show another history to somebody else, a witness, and a sentinel.

    Attributes:
        log: what the sentinel is shown.
        other: a copy of it, which goes another way once it grows.
        peer: the other witness.
    """

    def __init__(self, base: Path, log: Ledger, other: Ledger, peer: WitnessThread) -> None:
        self.log, self.other, self.peer = log, other, peer
        self._base, self._seed = base, random.Random(7)
        lines = "".join(f"log {vkey}\n" for vkey in log.vkeys())
        self.policy = parse_policy(f"{lines}{peer.line('peer')}quorum none\n".encode())

    def grow(self, ledger: Ledger, to: int, clock: Clock) -> bytes:
        clock.now_ms += 1000
        missing = to - ledger.leaf_count()
        ledger.append_many([make_draft(self._seed) for _ in range(missing)])
        return ledger.head()

    def cosign(self, ledger: Ledger, old: int = 0) -> None:
        """Have the peer cosign the newest head of a ledger."""
        head, count = ledger.latest_head(), ledger.leaf_count()
        proof = ledger.prove_consistency(old, count) if 0 < old < count else ()
        body = add_checkpoint(old, proof, head)
        assert self.peer._server._witness.add_checkpoint(body).status == 200

    def look(self, clock: Clock, *urls: str, shown: str = "ledger") -> list[Finding]:
        """Audit what the log shows, and look at peers: one run of the sentinel."""
        public = self._base / f"{shown}-public"
        publish(self._base / shown, public, all_bodies=True, verify=False)
        with contextlib.ExitStack() as stack:
            state = stack.enter_context(State.held(self._base / "state.sqlite"))
            source = stack.enter_context(FolderSource(public))
            options = Options(
                policy=self.policy, origin=self.log.origin, clock=lambda: clock() / 1000
            )
            audit = LogAudit(state, source, options)
            audit.round()
            peers = [stack.enter_context(Peer(url)) for url in urls or (self.peer.url,)]
            return list(look_at_peers(audit, peers, KeptHeads(state, audit.memory.row.number)))


@pytest.fixture(params=["both", "ed25519"])
def world(
    request: pytest.FixtureRequest, ledger: Ledger, clock: Clock, tmp_path: Path
) -> Iterator[World]:
    """The witness knows the log by both kinds of key, or by its Ed25519 key alone."""
    draws = random.Random(3)
    ledger.append_many([make_draft(draws) for _ in range(4)])
    ledger.head()
    copy_folder(tmp_path / "ledger", tmp_path / "copy")
    vkeys = ledger.vkeys() if request.param == "both" else ledger.vkeys()[:1]
    logs = "".join(f"log {vkey}\n" for vkey in vkeys).encode()
    proofs = (ledger.prove(0),) if request.param == "both" else ()
    with (
        Ledger.open(tmp_path / "copy", clock=clock) as other,
        WitnessThread(tmp_path / "peer", KEY, logs, lambda: clock() / 1000, proofs=proofs) as peer,
    ):
        yield World(tmp_path, ledger, other, peer)


def is_full(world: World) -> bool:
    """Whether the peer serves both lines of the log."""
    return bool(world.peer._server._witness._logs[world.log.origin].history)


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


class TestHonestPeers:
    """WIT-16: none of these is an alarm."""

    def test_the_same_head_behind_and_ahead(self, world: World, clock: Clock) -> None:
        world.cosign(world.log)
        assert world.look(clock) == []
        world.grow(world.log, 9, clock)
        assert world.look(clock) == [], "the peer is behind"
        world.cosign(world.log, 5)
        assert world.look(clock) == []

    def test_one_that_is_ahead_is_remembered_until_the_log_shows_as_much(
        self, world: World, clock: Clock
    ) -> None:
        """The log shows a copy of itself that lags; then it catches up."""
        world.cosign(world.log)
        world.grow(world.other, 12, clock)
        world.cosign(world.other, 5)
        for _ in range(2):
            (found,) = world.look(clock)
            assert (found.code, found.severity) == ("ahead", Severity.NOTICE)
        clock.now_ms += HIDDEN_S * 1000 + 1000
        (found,) = world.look(clock)
        assert (found.code, found.severity) == ("hidden", Severity.UNCHECKED)
        world.grow(world.other, 14, clock)
        assert world.look(clock, shown="copy") == []
        assert codes(world.look(clock, GONE, shown="copy")) == ["unreachable"]

    def test_only_so_many_heads_are_kept(self, tmp_path: Path) -> None:
        with State.held(tmp_path / "kept.sqlite") as state:
            kept = KeptHeads(state, 1)
            heads = [
                PeerHead(
                    b"%d" % count,
                    Checkpoint(origin="a", leaf_count=LeafCount(count), root=Hash32(bytes(32))),
                )
                for count in range(MAX_KEPT + 9, 0, -1)
            ]
            for head in heads:
                kept.keep("p", head, 1)
                kept.keep("p", head, 2)
            kept.keep("q", heads[0], 1)
            notes = [note for name, note, _ in kept.all() if name == "p"]
            assert notes == [b"%d" % count for count in range(1, MAX_KEPT + 1)]
            assert len(kept.all()) == MAX_KEPT + 1


class TestSplitViews:
    """WIT-17: two histories of one log, with both heads as evidence."""

    def check(self, world: World, found: list[Finding]) -> None:
        (finding,) = found
        if is_full(world):
            assert (finding.code, finding.severity) == ("split-view", Severity.ALARM)
            assert finding.evidence is not None
            confirmed = verify_evidence(finding.evidence, world.policy)
            assert (confirmed.kind, confirmed.origin) == (Proof.FORK, world.log.origin)
        else:
            assert (finding.code, finding.severity) == ("contradiction", Severity.FAULT)
            theirs = parse_note(finding.attrs["theirs"].encode())
            assert theirs.signatures[0] == parse_note(world.other.latest_head()).signatures[0]

    @pytest.mark.parametrize(("ours", "theirs"), [(9, 9), (300, 7)])
    def test_another_tree_of_the_same_or_a_smaller_size(
        self, world: World, clock: Clock, ours: int, theirs: int
    ) -> None:
        world.cosign(world.log)
        world.grow(world.other, theirs, clock)
        world.cosign(world.other, 5)
        world.grow(world.log, ours, clock)
        self.check(world, world.look(clock))

    def test_one_that_was_ahead_when_it_was_read(self, world: World, clock: Clock) -> None:
        """It is found out later, even though the peer is gone by then."""
        world.cosign(world.log)
        world.grow(world.other, 9, clock)
        world.cosign(world.other, 5)
        assert codes(world.look(clock)) == ["ahead"]
        world.grow(world.log, 9, clock)
        gone = world.look(clock, GONE)
        self.check(world, [found for found in gone if found.code != "unreachable"])
        assert codes(world.look(clock, GONE)) == ["unreachable"], "compared once"

    def test_a_smaller_head_that_was_signed_later(self, world: World, clock: Clock) -> None:
        """For the peer the log went back: the times that it signed convict it."""
        world.grow(world.log, 9, clock)
        clock.now_ms += world.other.heartbeat_s * 1000
        world.other.head()
        world.cosign(world.other)
        found = world.look(clock)
        if not is_full(world):
            assert found == [], "the Ed25519 line says nothing of times"
            return
        assert (codes(found), found[0].severity) == (["rollback"], Severity.ALARM)
        assert found[0].evidence is not None
        assert verify_evidence(found[0].evidence, world.policy).kind is Proof.HEAD_ORDER


class Served(http.server.ThreadingHTTPServer):
    """Serves one body below each of /0, /1, ..."""

    daemon_threads = True

    def __init__(self, answers: Sequence[tuple[bytes, int]]) -> None:
        class _Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, status = answers[int(self.path.split("/")[1])]
                send_bytes(self, body, status)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), _Handler)
        base = f"http://127.0.0.1:{self.server_address[1]}"
        self.urls = [f"{base}/{number}" for number in range(len(answers))]


@contextlib.contextmanager
def serving(answers: Sequence[tuple[bytes, int]]) -> Iterator[list[str]]:
    with Served(answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.urls
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("world", ["both"], indirect=True)
class TestUnusablePeers:
    """WIT-15, WIT-18: could not be checked, and says nothing against the log."""

    def expect(self, world: World, clock: Clock, answers: Sequence[tuple[bytes, int]]) -> None:
        with serving(answers) as urls:
            found = world.look(clock, *urls)
        assert len(found) == len(answers)
        for one in found:
            assert (one.code, one.severity) == ("unreachable", Severity.UNCHECKED), one
            assert one.info.required

    def test_one_that_is_not_there_or_never_saw_the_log(self, world: World, clock: Clock) -> None:
        found = world.look(clock, GONE, world.peer.url)
        assert codes(found) == ["unreachable", "unreachable"]
        assert "has cosigned no head" in found[1].message

    def test_what_it_serves_is_no_head_of_this_log(self, world: World, clock: Clock) -> None:
        world.cosign(world.log)
        with Peer(world.peer.url) as peer:
            note = peer.latest(world.log.origin)
        text, _, tail = note.partition(b"\n\n")
        lines = tail.splitlines(keepends=True)
        unsigned, cosignature = b"".join(lines[:-1]), lines[-1]
        forged = text.replace(b"\n5\n", b"\n6\n")
        stranger = add_checkpoint(0, (), world.log.latest_head())
        logs = f"log {world.log.vkeys()[0]}\n".encode()
        with WitnessThread(world._base / "s", STRANGER, logs, lambda: clock() / 1000) as other:
            answer = other._server._witness.add_checkpoint(stranger)
        answers = (
            (b"", 200),
            (b"<html>" * 100, 200),
            (note, 500),
            (note, 302),
            (bytes(200_000), 200),
            (text + b"\n\n" + unsigned, 200),
            (text + b"\n\n" + cosignature, 200),
            (forged + b"\n\n" + tail, 200),
            (text + b"\n\n" + unsigned + answer.body, 200),
            (text.replace(b"ledger.", b"ledges.") + b"\n\n" + tail, 200),
        )
        self.expect(world, clock, answers)

    def test_one_that_cosigns_what_the_log_never_signed(self, world: World, clock: Clock) -> None:
        """A lying witness frames nobody: its own signature is not the log's."""
        head = world.log.latest_head()
        text, _, tail = head.partition(b"\n\n")
        lie = text.replace(b"\n5\n", b"\n4\n").decode() + "\n"
        line = format_line(cosign(KEY.name, KEY.key, lie, UnixSeconds(clock() // 1000)))
        ed25519, eip712 = tail.splitlines(keepends=True)[:2]
        lines = (ed25519 + eip712, eip712, eip712[:-9] + b"AAAAAAAA\n")
        self.expect(world, clock, [(lie.encode() + b"\n" + own + line, 200) for own in lines])
