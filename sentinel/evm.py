"""Reading a contract over JSON-RPC: several servers, bounded answers, no library.

The URL of a server often holds an access key, so messages name its host only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from nous_ledger.protocol.anchor_block import EventLog
from nous_ledger.protocol.anchor_contract import (
    ANCHORED_TOPIC,
    SLOT_CHAIN,
    SLOT_ROOT,
    SLOT_SIGNER,
    SLOT_STATE,
    AnchoredEvent,
    read_anchored,
    read_signer,
    read_state,
    storage_slot,
)
from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from nous_ledger.protocol.types import Hash32, LogId, UnixSeconds
from sentinel.audit.anchors import ChainLook, KnownAnchor, check_anchors
from sentinel.audit.findings import Finding, Place
from sentinel.state_file import state_errors

if TYPE_CHECKING:
    from sentinel.log_audit import LogAudit
    from sentinel.state import State

MAX_SERVERS: Final = 16
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
TOTAL_S: Final = 20.0
IDLE_S: Final = 5.0
SPAN: Final = 2000
"""Blocks of one request for events: public servers refuse more."""
MAX_SPANS: Final = 500
FIRST_SPANS: Final = 25
"""How far the first look goes back for the event of the anchored head."""
_CHUNK: Final = 65_536


class RpcServer:
    """One JSON-RPC server of a chain.

    Attributes:
        name: its host and port, for messages.
    """

    def __init__(self, url: str) -> None:
        """Take a server; nothing is asked yet.

        Raises:
            InputError: the URL is not http or https with a host.
        """
        self._parts = _address(url)
        port = "" if self._parts.port is None else f":{self._parts.port}"
        self.name = f"{self._parts.hostname}{port}"

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result of one request.

        Raises:
            UnavailableError: unreachable.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            answer = json.loads(self._post(body.encode("ascii")))
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise self._trouble(type(error).__name__) from error
        if not isinstance(answer, dict) or "result" not in answer:
            said = answer.get("error") if isinstance(answer, dict) else None
            message = said.get("message") if isinstance(said, dict) else "no result"
            raise self._trouble(f"{method}: {str(message)[:200]}")
        return answer["result"]

    def _post(self, body: bytes) -> bytes:
        deadline = time.monotonic() + TOTAL_S
        with contextlib.closing(self._connection()) as connection:
            path = (self._parts.path or "/") + (f"?{self._parts.query}" * bool(self._parts.query))
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            parts, size = [], 0
            while part := answer.read1(_CHUNK):
                size += len(part)
                if size > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                    raise self._trouble("its answer is too long, or takes too long")
                parts.append(part)
        return b"".join(parts)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=IDLE_S, context=context)
        return http.client.HTTPConnection(host, port, timeout=IDLE_S)

    def number(self, value: object) -> int:
        """Return the number in an answer.

        Raises:
            UnavailableError: unreachable.
        """
        if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66:
            with contextlib.suppress(ValueError):
                return int(value, 16)
        raise self._trouble("it answered with something that is no number")

    def data(self, value: object) -> bytes:
        """Return the bytes in an answer.

        Raises:
            UnavailableError: unreachable.
        """
        if isinstance(value, str) and value.startswith("0x"):
            with contextlib.suppress(ValueError):
                return bytes.fromhex(value[2:])
        raise self._trouble("it answered with something else than bytes")

    def block(self, tag: str) -> tuple[int, bytes, int]:
        """Return height, hash and time of a block.

        Raises:
            UnavailableError: unreachable.
        """
        found = self.call("eth_getBlockByNumber", tag, False)  # noqa: FBT003 - JSON-RPC
        if not isinstance(found, dict):
            raise self._trouble("it does not have a block that it should have")
        height, when = self.number(found.get("number")), self.number(found.get("timestamp"))
        return height, self.data(found.get("hash")), when

    def _trouble(self, what: str) -> UnavailableError:
        return UnavailableError("unreachable", f"{self.name}: {what}")


class AnchorContract:
    """The anchor contract as the servers of a chain show it."""

    def __init__(self, urls: Sequence[str], address: bytes) -> None:
        """Take servers and contract; nothing is asked yet.

        Args:
            urls: of 1..16 servers.
            address: of the contract, 20 bytes.

        Raises:
            InputError: an argument is out of range.
        """
        if not 1 <= len(urls) <= MAX_SERVERS or len(address) != 20:
            raise InputError("input", f"1 to {MAX_SERVERS} servers and one contract are needed")
        self._servers = [RpcServer(url) for url in urls]
        self.address = address

    @property
    def name(self) -> str:
        """Name of the contract, for what is remembered of it."""
        return f"0x{self.address.hex()}"

    def look(self, log_id: LogId, since: int | None) -> ChainLook:
        """Return what all servers agree on, at the newest block that all call final.

        Args:
            log_id: the log.
            since: height behind which events are wanted; None for the newest only.

        Raises:
            UnavailableError: unreachable, also where the servers contradict each other.
        """
        height = min(server.block("finalized")[0] for server in self._servers)
        looks = [self._ask(server, log_id, height, since) for server in self._servers]
        if any(look != looks[0] for look in looks):
            names = ", ".join(server.name for server in self._servers)
            raise UnavailableError("unreachable", f"{names} contradict each other at {height}")
        return looks[0][1]

    def _ask(
        self, server: RpcServer, log_id: LogId, height: int, since: int | None
    ) -> tuple[bytes, ChainLook]:
        _, block_hash, when = server.block(hex(height))
        word = self._word(server, log_id, SLOT_STATE, height)
        log = read_state(word) if word else None
        signer = SLOT_SIGNER + (0 if log is None else log.epoch)
        forked = log is not None and read_signer(self._word(server, log_id, signer, height))[1]
        begin, events = self._events(server, log_id, height, since)
        return block_hash, ChainLook(
            block=height,
            time=UnixSeconds(when),
            log=log,
            root=_hash(self._word(server, log_id, SLOT_ROOT, height)),
            chain=_hash(self._word(server, log_id, SLOT_CHAIN, height)),
            forked=forked,
            since=begin,
            events=events,
        )

    def _word(self, server: RpcServer, log_id: LogId, offset: int, height: int) -> int:
        slot = f"0x{storage_slot(log_id, offset):064x}"
        answer = server.call("eth_getStorageAt", self.name, slot, hex(height))
        return int.from_bytes(server.data(answer)[-32:], "big")

    def _events(
        self, server: RpcServer, log_id: LogId, height: int, since: int | None
    ) -> tuple[int, tuple[AnchoredEvent, ...]]:
        """Return the height behind which events were read, and the events."""
        lowest = max(0, height - SPAN * FIRST_SPANS) if since is None else since
        lowest = max(lowest, height - SPAN * MAX_SPANS)
        events: list[AnchoredEvent] = []
        for high in range(height, lowest, -SPAN):
            low = max(lowest, high - SPAN)
            events[:0] = self._span(server, log_id, low + 1, high)
            if since is None and events:
                return low, tuple(events)
        return lowest, tuple(events)

    def _span(self, server: RpcServer, log_id: LogId, low: int, high: int) -> list[AnchoredEvent]:
        wanted = {
            "address": self.name,
            "topics": [f"0x{ANCHORED_TOPIC.hex()}", f"0x{log_id.hex()}"],
            "fromBlock": hex(low),
            "toBlock": hex(high),
        }
        answer = server.call("eth_getLogs", wanted)
        logs = answer if isinstance(answer, list) else []
        found = (read_anchored(_log(server, log), self.address) for log in logs)
        return [event for event in found if event is not None and event.log_id == log_id]


class KnownAnchors:
    """What is remembered of one log in one contract."""

    def __init__(self, state: State, log: int, contract: str) -> None:
        """Name them."""
        self._state = state
        self._key = (log, contract)

    def read(self) -> KnownAnchor | None:
        """Return what the last look learned.

        Raises:
            StateError: state-corrupt, state-io.
        """
        with state_errors(self._state.path):
            row = self._state.connection.execute(
                "SELECT block, anchors, chain FROM anchors WHERE log = ? AND contract = ?",
                self._key,
            ).fetchone()
        return None if row is None else KnownAnchor(row[0], row[1], Hash32(row[2]))

    def write(self, known: KnownAnchor) -> None:
        """Remember what a look learned."""
        with self._state.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO anchors VALUES (?, ?, ?, ?, ?)", (*self._key, *known)
            )


def look_at_anchors(
    audit: LogAudit, contract: AnchorContract, known: KnownAnchors, max_age_s: int | None
) -> None:
    """Compare a contract with the log; what is found is reported, then remembered.

    Raises:
        StateError: what is remembered could not be read or written.
    """
    history = audit.state.ring.history
    if history is None:
        return  # the log itself could not be read yet, which is reported already
    before = known.read()
    try:
        since = None if before is None else before.block
        look = contract.look(history.log_id, since)
    except LedgerError as error:  # what is no word of the contract is the server's doing too
        audit.report([Finding(place=Place.ANCHOR, code="unreachable", message=error.message)])
        return
    checked = check_anchors(
        look,
        before,
        audit.state,
        audit.memory.read_nodes,
        now=audit.now(),
        max_age_s=max_age_s,
    )
    audit.report(checked.findings)
    audit.memory.findings.flush()
    if checked.known is not None:
        known.write(checked.known)


def _log(server: RpcServer, log: object) -> EventLog:
    fields = log if isinstance(log, dict) else {}
    topics = fields.get("topics")
    return EventLog(
        address=server.data(fields.get("address")),
        topics=tuple(map(server.data, topics if isinstance(topics, list) else ())),
        data=server.data(fields.get("data")),
    )


def _hash(word: int) -> Hash32:
    return Hash32(word.to_bytes(32, "big"))


def _address(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise InputError(
        "input",
        "the address of an RPC server is an http or https URL",
        hint="for example https://mainnet.base.org",
    )
