"""What the tests of the audit of nous-v2 share: rounds, and what came of them."""

from pathlib import Path

from nous_ledger.protocol.legacy import parse_legacy_key
from sentinel.audit.findings import Severity
from sentinel.legacy import LegacyOptions, LegacyWatcher
from sentinel.legacy_gateway import LegacyGateway
from sentinel.report import Outcome, RoundReport
from sentinel.state import State
from tests.integration.sentinel.legacy_server import BASIC, Gateway, GatewayServer

KEY = parse_legacy_key(BASIC["pubkey_response"]["pubkey"])


class Audits:
    """Rounds of one sentinel over one gateway, each in a process of its own as it were."""

    def __init__(self, gateway: Gateway, server: GatewayServer, path: Path) -> None:
        self.gateway = gateway
        self.now = 1_900_000_000
        self._server = server
        self._path = path

    def __call__(self, *, pinned: bool = True) -> RoundReport:
        self.now += 60
        options = LegacyOptions(key=KEY if pinned else None, clock=lambda: self.now)
        with (
            State.held(self._path) as state,
            LegacyGateway(self._server.url) as source,
        ):
            return LegacyWatcher(state, source, options).round()


def codes(report: RoundReport, *severities: Severity) -> list[str]:
    chosen = severities or tuple(Severity)
    return [found.code for found in report.findings if found.severity in chosen]


def good(report: RoundReport, count: int) -> None:
    assert report.outcome is Outcome.GOOD, report
    assert (report.leaf_count, report.findings) == (count, ())


def wrong(report: RoundReport, *expected: str) -> None:
    assert report.outcome is Outcome.WRONG, report
    assert set(codes(report, Severity.FAULT)) == set(expected), report


def unchecked(report: RoundReport, *expected: str) -> None:
    assert report.outcome is Outcome.COULD_NOT_CHECK, report
    assert set(codes(report)) == set(expected), report
