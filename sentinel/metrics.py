"""Figures of a watch for Prometheus, over HTTP; off unless an address is given.

One request at a time, of one kind, each with a short deadline: nothing that asks here
can hold up the audit or fill the memory.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

from nous_ledger.protocol.audit_report import SUMMARY
from nous_ledger.protocol.errors import InputError, UnavailableError
from sentinel.report import Outcome, RoundReport

_TIMEOUT_S: Final = 5.0
_CONTENT: Final = "text/plain; version=0.0.4; charset=utf-8"
_PATH: Final = "/metrics"
_STREAMS: Final = {**SUMMARY, "erased_samples": "Samples whose bodies were erased since."}


class Metrics:
    """What the last round said, as text for Prometheus."""

    def __init__(self) -> None:
        """Begin without a round."""
        self._lock = threading.Lock()
        self._rounds: dict[str, int] = dict.fromkeys(Outcome, 0)
        self._last: RoundReport | None = None

    def note(self, report: RoundReport) -> None:
        """Take the figures of a round."""
        with self._lock:
            self._rounds[report.outcome] += 1
            self._last = report

    def text(self) -> str:
        """Return all figures."""
        with self._lock:
            rounds, last = dict(self._rounds), self._last
        lines = list(
            _metric(
                "rounds_total",
                "counter",
                "Rounds by what they came to.",
                {f'{{outcome="{outcome}"}}': count for outcome, count in rounds.items()},
            )
        )
        if last is not None:
            for name, text, value in _gauges(last):
                label = f'{{origin="{last.origin}"}}'  # an origin has no letter to be escaped
                lines += _metric(name, "gauge", text, {label: value})
        return "\n".join(lines) + "\n"


def _gauges(last: RoundReport) -> Iterator[tuple[str, str, float]]:
    yield "open_findings", "Alarms and faults that nobody acknowledged.", last.open_findings
    yield "up", "1 if the last round checked all that was required.", _flag(last)
    yield "head_leaves", "Leaves of the newest trusted head.", last.leaf_count
    yield "head_timestamp_seconds", "When that head was signed.", last.head_time or 0
    yield "audited_leaves", "Records that were checked.", last.audited
    unread = last.totals.unread + last.totals.withheld
    yield "withheld_bodies", "Bodies that were not read, for whatever reason.", unread
    yield "last_round_timestamp_seconds", "When the last round began.", last.at
    yield "last_round_seconds", "How long it took.", round(last.took_s, 6)
    if last.streams is not None:
        for name, text in _STREAMS.items():
            yield f"streams_{name}", text, last.streams[name]


def _flag(last: RoundReport) -> int:
    return int(last.otherwise is not Outcome.COULD_NOT_CHECK)


def _metric(name: str, kind: str, text: str, values: dict[str, float]) -> Iterator[str]:
    full = f"nous_sentinel_{name}"
    yield f"# HELP {full} {text}"
    yield f"# TYPE {full} {kind}"
    for labels, value in values.items():
        yield f"{full}{labels} {value}"


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of an address to listen on.

    >>> parse_address("127.0.0.1:9464"), parse_address("[::1]:0")
    (('127.0.0.1', 9464), ('::1', 0))

    Raises:
        InputError: it is no IP address with a port.
    """
    host, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if port.isascii() and port.isdigit() and int(port) < 1 << 16:
            return str(address), int(port)
    raise InputError(
        "input", f"{text!r} is no IP address with a port", hint="for example 127.0.0.1:9464"
    )


@contextlib.contextmanager
def serving(address: str, metrics: Metrics) -> Iterator[str]:
    """Serve metrics; give the URL where they are.

    Raises:
        InputError: it is no address.
        UnavailableError: unreachable, nobody can listen there.
    """
    host, port = parse_address(address)

    class Handler(_Handler):
        figures = metrics

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise UnavailableError(
            "unreachable",
            f"cannot listen on {address}: {error.strerror}",
            hint="choose another address with --metrics",
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_address[1]}{_PATH}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    figures: Metrics
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Give the figures."""
        found = self.path == _PATH
        body = self.figures.text().encode() if found else b"the figures are at /metrics\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", _CONTENT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Name no version: nobody who asks needs it."""
        return "nous-sentinel"

    def log_message(self, *_: object) -> None:
        """Print nothing: whoever asks must not be able to fill a journal."""
