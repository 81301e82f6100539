"""A reader that believes nothing: it follows a log from head to head and checks records."""

import http.client
import random
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.ed25519 import verify_ed25519
from nous_ledger.protocol.head import decode_head_signature, only_line, verify_head_signature
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.proof import prove_consistency, verify_consistency
from nous_ledger.protocol.record import decode_record, leaf_hash, verify_record
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.tiles import decode_entries, tile_of_node
from nous_ledger.protocol.types import Hash32, NodePos
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.ledger_audit import error_code, naive_root

Consistency = Callable[[int, int], tuple[Hash32, ...]]


class Follower:
    """Holds the newest head that it has seen and verified."""

    def __init__(self, policy: bytes, public_key: bytes) -> None:
        """Trust a policy and the key of epoch 0, and nothing else."""
        self._policy = parse_policy(policy)
        self._text_key, self._head_key = (log.vkey for log in self._policy.logs)
        self._public_key = public_key
        self.note = b""
        self.head: Checkpoint | None = None
        self.heads = 0

    def follow(self, note: bytes, consistency: Consistency) -> Checkpoint:
        """Take over a head once it is shown to extend the one held."""
        parsed = parse_note(note)
        head = parse_checkpoint(parsed.text)
        line = only_line(parsed, self._text_key)
        verify_ed25519(self._text_key.material, parsed.text.encode(), line.payload)
        assert self._head_key.log_id is not None
        signature = decode_head_signature(only_line(parsed, self._head_key).payload)
        verify_head_signature(head, self._head_key.log_id, signature, self._public_key)
        old = self.head
        if old is not None:
            assert head.leaf_count >= old.leaf_count, "the log went back"
            if head.leaf_count == old.leaf_count:
                assert head.root == old.root, "two heads over the same leaves"
            else:
                path = consistency(old.leaf_count, head.leaf_count)
                verify_consistency(old.leaf_count, old.root, head.leaf_count, head.root, path)
                self.heads += 1
        self.note, self.head = note, head
        return head

    def check_proof(self, index: int, bundle: bytes) -> None:
        """Check that a bundle proves a record."""
        report = verify_bundle(bundle, self._policy)
        assert report.index == index
        for answer in (report.attribution, report.inclusion):
            assert answer.outcome is Outcome.ESTABLISHED, report

    def check_record(self, index: int, record: bytes) -> None:
        """Check that a record is the log's, at its place."""
        assert self._head_key.log_id is not None
        assert verify_record(record, self._head_key.log_id, self._public_key).index == index


def read_here(ledger: Ledger, follower: Follower, seed: random.Random) -> None:
    """Follow a ledger of this machine by one step."""
    head = follower.follow(ledger.latest_head(), ledger.consistency)
    index = seed.randrange(head.leaf_count)
    follower.check_proof(index, ledger.prove(index, head=follower.note))
    follower.check_record(index, ledger.entry(index).record)
    beyond = partial(ledger.prove, head.leaf_count, head=follower.note)
    assert error_code(beyond) == "proof-index", "a record that the head does not cover"


class HttpReader:
    """Reads a log over HTTP: checkpoints, proofs and tiles."""

    def __init__(self, url: str, follower: Follower) -> None:
        """Read at a URL."""
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._follower = follower
        self._leaf_count = 0

    def step(self, seed: random.Random) -> None:
        """Follow the log by one step."""
        note = self._must("/checkpoint")
        self._leaf_count = parse_checkpoint(parse_note(note).text).leaf_count
        head = self._follower.follow(note, self._consistency)
        index = seed.randrange(head.leaf_count)
        self._follower.check_proof(index, self._must(f"/v1/records/{index}/proof"))
        for at, record in enumerate(self._entries(index // 256, head.leaf_count)):
            if index // 256 * 256 + at == index:
                self._follower.check_record(index, record)
                (leaf,) = self._nodes((_leaf_position(index),))
                assert leaf_hash(record) == leaf
        self._look_beyond(head.leaf_count)

    def close(self) -> None:
        self._connection.close()

    def _look_beyond(self, count: int) -> None:
        """Ask for a record that the head held does not cover: if it is there, a head is too."""
        if count % 256 == 255:
            return
        path = f"/tile/entries/{_number(count // 256)}.p/{count % 256 + 1}"
        status, data = self._get(path)
        assert status in (200, 404)
        if status == 200:
            record = decode_entries(data, count % 256 + 1)[-1]
            assert decode_record(record).index == count
            newest = parse_checkpoint(parse_note(self._must("/checkpoint")).text)
            assert newest.leaf_count > count

    def _entries(self, number: int, count: int) -> tuple[bytes, ...]:
        width = min(256, count - 256 * number)
        data = self._must(f"/tile/entries/{_number(number)}{_partial(width)}")
        return tuple(decode_entries(data, width))

    def _consistency(self, old: int, new: int) -> tuple[Hash32, ...]:
        assert self._follower.head is not None
        counts = type(self._follower.head.leaf_count)
        return prove_consistency(self._nodes, counts(old), counts(new))

    def _nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        found = []
        for position in positions:
            level, number, lo, hi = tile_of_node(position)
            width = min(256, self._leaf_count // 256**level - 256 * number)
            data = self._must(f"/tile/{level}/{_number(number)}{_partial(width)}")
            found.append(Hash32(naive_root([data[32 * i : 32 * i + 32] for i in range(lo, hi)])))
        return tuple(found)

    def _must(self, path: str) -> bytes:
        status, data = self._get(path)
        assert status == 200, (path, status, data)
        return data

    def _get(self, path: str) -> tuple[int, bytes]:
        try:
            return self._ask(path)
        except ConnectionError:  # a server may close a connection that was idle for seconds
            self._connection.close()
            return self._ask(path)

    def _ask(self, path: str) -> tuple[int, bytes]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read()


def _number(number: int) -> str:
    digits = f"{number:06d}"
    return f"x{digits[:3]}/{digits[3:]}" if number > 999 else digits[3:]


def _partial(width: int) -> str:
    return "" if width == 256 else f".p/{width}"


def _leaf_position(index: int) -> NodePos:
    # Each leaf before it left as many nodes behind as its number has trailing ones, and itself.
    return NodePos(2 * index - index.bit_count())
