"""JSON-RPC to the nodes of a chain: bounded, with short waits, and never one node's word alone.

The URL of an RPC server often holds an access key, so messages name its host only.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from nous_ledger.anchor.errors import AnchorUseError, ChainError
from nous_ledger.protocol.errors import InputError, UnavailableError

T = TypeVar("T")

DEFAULT_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
MAX_ENDPOINTS: Final = 16
_CHUNK: Final = 65_536
_MAX_SHOWN: Final = 200


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the answer must come from the host that was named."""

    def redirect_request(self, *_: object) -> None:
        """Take no other address."""


class Endpoint:
    """One RPC server.

    Attributes:
        name: its host and port, for messages.
    """

    def __init__(self, url: str, chain_id: int, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take a server; it is asked for its chain before its first answer is used.

        Args:
            url: http or https; may hold an access key, which no message repeats.
            chain_id: the chain that it must serve.
            timeout_s: most seconds for one answer, above 0.

        Raises:
            InputError: the URL is not of that form.
        """
        self.name = _host_of(url)
        self._url = url
        self._chain_id = chain_id
        self._timeout_s = timeout_s
        self._checked = False
        self._ids = itertools.count(1)
        local = self.name.partition(":")[0] in ("127.0.0.1", "localhost", "[")
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_NoRedirects, *proxies)

    def __repr__(self) -> str:
        """Show the host only."""
        return f"Endpoint({self.name})"

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
        """Return the result of one request.

        Raises:
            ChainError: rpc-unreachable, rpc-error (`attrs`: `rpc_code`, `data`).
            AnchorUseError: wrong-chain.
        """
        if not self._checked:
            self._check_chain()
        return self._call(method, params)

    def _check_chain(self) -> None:
        found = self._call("eth_chainId", ())
        if parse_quantity(found, self.name) != self._chain_id:
            raise AnchorUseError(
                "wrong-chain",
                f"{self.name} serves chain {int(found, 16)}, not {self._chain_id}",
            )
        self._checked = True

    def _call(self, method: str, params: Sequence[object]) -> Any:  # noqa: ANN401 - JSON
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
        try:
            answer = json.loads(self._post(json.dumps(request).encode()))
        except (ValueError, RecursionError) as error:
            raise self._unreachable("did not answer with JSON") from error
        if not isinstance(answer, dict) or answer.get("id") not in (number, None):
            raise self._unreachable("did not answer the request")
        if (refusal := answer.get("error")) is not None:
            raise self._refused(method, refusal)
        if "result" not in answer:
            raise self._unreachable("answered without a result")
        return answer["result"]

    def _post(self, body: bytes) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - its scheme was checked
            self._url, body, {"Content-Type": "application/json", "User-Agent": "nous-ledger"}
        )
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return self._read(answer, deadline)
        except urllib.error.HTTPError as error:
            with error, contextlib.suppress(OSError, http.client.HTTPException):
                data = error.read(_CHUNK)
                if isinstance(json.loads(data or b"0"), dict):
                    return data  # an error of JSON-RPC under a status of its own
            raise self._unreachable(f"answered {error.code}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise self._unreachable(f"could not be reached: {reason}") from error

    def _read(self, answer: http.client.HTTPResponse, deadline: float) -> bytes:
        parts, size = [], 0
        while part := answer.read1(_CHUNK):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise self._unreachable(f"answered with more than {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > deadline:
                raise self._unreachable("took too long to answer")
            parts.append(part)
        return b"".join(parts)

    def _refused(self, method: str, refusal: object) -> ChainError:
        details = refusal if isinstance(refusal, dict) else {}
        message = str(details.get("message", refusal))[:_MAX_SHOWN]
        return ChainError(
            "rpc-error",
            f"{self.name} refused {method}: {message}",
            rpc_code=details.get("code"),
            rpc_message=message,
            data=_revert_data(details.get("data")),
        )

    def _unreachable(self, what: str) -> ChainError:
        return ChainError("rpc-unreachable", f"{self.name} {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[T]):
    """What one server answered.

    Attributes:
        endpoint: the server.
        value: its answer, where it gave one.
        error: why there is none.
    """

    endpoint: Endpoint
    value: T | None = None
    error: UnavailableError | None = None


class RpcPool:
    """The RPC servers of one chain.

    Attributes:
        chain_id: the chain.
        endpoints: the servers, 1..16.
        quorum: how many have to say the same; where that is not more than half of them,
            all that answer have to.
    """

    def __init__(
        self,
        urls: Sequence[str],
        chain_id: int,
        *,
        quorum: int | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Take the servers; none is asked yet.

        Args:
            urls: of the servers, 1..16 different ones.
            chain_id: the chain.
            quorum: how many have to say the same, 1..len(urls); None for more than half of
                three or more, and 1 of one or two.
            timeout_s: most seconds for one answer.

        Raises:
            InputError: an argument is out of range.
        """
        if not 1 <= len(urls) <= MAX_ENDPOINTS or len(set(urls)) != len(urls):
            raise InputError("input", f"1 to {MAX_ENDPOINTS} different RPC servers are needed")
        usual = len(urls) // 2 + 1 if len(urls) > 2 else 1
        self.quorum = usual if quorum is None else quorum
        if not 1 <= self.quorum <= len(urls):
            raise InputError("input", f"a quorum of {quorum} is not in 1..{len(urls)}")
        self.chain_id = chain_id
        self.endpoints = tuple(Endpoint(url, chain_id, timeout_s) for url in urls)
        self._first = 0

    def first(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON
        """Return the answer of the first server that gives one; the last good one is asked first.

        Raises:
            ChainError: rpc-unreachable, if none answers; rpc-error, if one that answers
                refuses and no other accepts.
            AnchorUseError: wrong-chain.
        """
        return self.ask_first(lambda endpoint: endpoint.call(method, *params))

    def ask_first(self, ask: Callable[[Endpoint], T]) -> T:
        """Return what the first server that answers says, as `first` does."""
        refusal: ChainError | None = None
        failures: list[str] = []
        for step in range(len(self.endpoints)):
            place = (self._first + step) % len(self.endpoints)
            try:
                answer = ask(self.endpoints[place])
            except ChainError as error:
                refusal = refusal or (error if error.code == "rpc-error" else None)
                failures.append(error.message)
                continue
            self._first = place
            return answer
        if refusal is not None:
            raise refusal
        raise ChainError("rpc-unreachable", f"no RPC server answers: {'; '.join(failures)}")

    def every(self, ask: Callable[[Endpoint], T]) -> tuple[Answered[T], ...]:
        """Return what each server says, all asked at the same time.

        Raises:
            AnchorUseError: wrong-chain.
        """

        def one(endpoint: Endpoint) -> Answered[T]:
            try:
                return Answered(endpoint=endpoint, value=ask(endpoint))
            except UnavailableError as error:
                return Answered(endpoint=endpoint, error=error)

        if len(self.endpoints) == 1:
            return (one(self.endpoints[0]),)
        with ThreadPoolExecutor(len(self.endpoints)) as threads:
            return tuple(threads.map(one, self.endpoints))

    def agreed(self, ask: Callable[[Endpoint], T | None], what: str) -> T:
        """Return what a quorum of servers says and no comparable number denies.

        Args:
            ask: returns something that can be compared, or None for "I do not know yet".
            what: what is asked for, for messages.

        Raises:
            ChainError: rpc-unreachable (too few know), rpc-disagree (the answers differ, and
                those that agree are not more than half of all servers).
            AnchorUseError: wrong-chain.
        """
        answers = self.every(ask)
        votes: dict[T, list[str]] = {}
        for answer in answers:
            if answer.value is not None:
                votes.setdefault(answer.value, []).append(answer.endpoint.name)
        best = max(votes, key=lambda value: len(votes[value]), default=None)
        agreeing = 0 if best is None else len(votes[best])
        if len(votes) > 1 and agreeing * 2 <= len(self.endpoints):
            said = "; ".join(f"{', '.join(names)}: {value}" for value, names in votes.items())
            raise ChainError("rpc-disagree", f"RPC servers disagree on {what}: {said}")
        live = sum(answer.error is None for answer in answers)
        # Where a quorum is not more than half, no server that answers may be passed over.
        needed = self.quorum if self.quorum * 2 > len(answers) else max(self.quorum, live)
        if best is None or agreeing < needed:
            missing = "; ".join(str(a.error) for a in answers if a.error is not None)
            raise ChainError(
                "rpc-unreachable",
                f"{agreeing} of {len(answers)} RPC servers told {what}, {needed} are needed"
                + (f": {missing}" if missing else ""),
            )
        return best

    def reached(self, ask: Callable[[Endpoint], int], what: str) -> int:
        """Return the largest number that a quorum of servers gives or has passed.

        For what only grows: heights, nonces. A server that lags or exaggerates does not decide.

        Raises:
            ChainError: rpc-unreachable, if too few answer.
            AnchorUseError: wrong-chain.
        """
        answers = self.every(ask)
        given = sorted((a.value for a in answers if a.value is not None), reverse=True)
        needed = self.quorum
        if self.quorum * 2 <= len(answers):  # then the lowest of all that answer decides
            needed = max(self.quorum, len(given))
        if len(given) < needed:
            missing = "; ".join(str(a.error) for a in answers if a.error is not None)
            raise ChainError(
                "rpc-unreachable",
                f"{len(given)} of {len(answers)} RPC servers told {what}, {needed} are needed:"
                f" {missing}",
            )
        return given[needed - 1]


def parse_quantity(value: object, name: str) -> int:
    """Return the number in an answer.

    Raises:
        ChainError: rpc-unreachable, if it is none.
    """
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66:
        with contextlib.suppress(ValueError):
            return int(value, 16)
    raise ChainError("rpc-unreachable", f"{name} answered with something that is no number")


def parse_data(value: object, name: str, length: int | None = None) -> bytes:
    """Return the bytes in an answer.

    Raises:
        ChainError: rpc-unreachable, if it holds none, or not so many.
    """
    if isinstance(value, str) and value.startswith("0x"):
        with contextlib.suppress(ValueError):
            data = bytes.fromhex(value[2:])
            if length is None or len(data) == length:
                return data
    raise ChainError("rpc-unreachable", f"{name} answered with something else than bytes")


def _revert_data(data: object) -> bytes:
    """Return what a contract said when it reverted; servers wrap it in different ways."""
    if isinstance(data, dict):
        data = data.get("data")
    with contextlib.suppress(ValueError):
        if isinstance(data, str) and "0x" in data:
            return bytes.fromhex(data[data.index("0x") + 2 :])
    return b""


def _host_of(url: str) -> str:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            port = "" if parts.port is None else f":{parts.port}"
            return f"{parts.hostname}{port}"
    raise InputError(
        "input",
        "the address of an RPC server is an http or https URL",
        hint="for example https://mainnet.base.org",
    )
