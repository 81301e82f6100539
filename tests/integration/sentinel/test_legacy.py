"""A nous-v2 gateway, watched: what its own sentinel passed, and what it called tampering."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol.legacy import parse_legacy_key
from sentinel.audit.findings import Severity
from sentinel.audit.legacy import GRACE_S
from sentinel.legacy import LegacyOptions, LegacyWatcher
from sentinel.legacy_gateway import LegacyGateway
from sentinel.report import Outcome, RoundReport
from sentinel.state import State
from tests.integration.sentinel.legacy_server import (
    BASIC,
    Gateway,
    GatewayServer,
    remade,
    root,
    rows,
    send_bytes,
    send_json,
    sign,
)

KEY = parse_legacy_key(BASIC["pubkey_response"]["pubkey"])
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
OTHER_KEY = {
    "ok": True,
    "pubkey": {
        "kty": "EC",
        "crv": "P-256",
        # The generator of the curve.
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    },
}


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


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def audit(gateway: Gateway, tmp_path: Path) -> Iterator[Audits]:
    with GatewayServer(gateway) as server:
        yield Audits(gateway, server, tmp_path / "state.sqlite")


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


class TestAnHonestGateway:
    def test_every_state_of_its_history(self, audit: Audits) -> None:
        """WIT-19: 0, 1, ... 21 records, a round after each."""
        for count in range(22):
            audit.gateway.rows = rows(count)
            good(audit(), count)
        good(audit(), 21)

    def test_an_append_between_two_fetches(self, audit: Audits) -> None:
        """WIT-19: 14 of the 113 runs of its own sentinel called this tampering."""
        audit.gateway.rows = rows(7)
        waiting = rows()[7:]

        def append(path: str) -> None:
            if path == "/api/chain" and waiting and not len(audit.gateway.asked) % 2:
                audit.gateway.rows.append(waiting.pop(0))

        audit.gateway.between = append
        reports = [audit() for _ in range(20)]
        for report in reports:
            assert report.outcome is Outcome.GOOD, report
            assert not report.findings
        assert not waiting
        assert reports[-1].leaf_count == 21

    def test_an_append_before_every_answer(self, audit: Audits) -> None:
        waiting = rows()
        audit.gateway.rows = []

        def append(_: str) -> None:
            if waiting:
                audit.gateway.rows.append(waiting.pop(0))

        audit.gateway.between = append
        while waiting:
            assert audit().outcome is Outcome.GOOD

    @pytest.mark.parametrize("rows_a_page", [1, 3, 7, 20, 21, 22])
    def test_an_exactly_full_last_page(
        self, audit: Audits, rows_a_page: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """WIT-20: the gateway says that there is more; there is not."""
        pages = LegacyGateway.pages
        monkeypatch.setattr(LegacyGateway, "pages", lambda self: pages(self, rows=rows_a_page))
        good(audit(), 21)
        asked = [path for path in audit.gateway.asked if "records" in path]
        assert len(asked) == 21 // rows_a_page + 1

    def test_a_key_of_its_own_word_is_said_to_be_so(self, audit: Audits) -> None:
        """WIT-22: not pinned, but remembered."""
        report = audit(pinned=False)
        assert report.outcome is Outcome.GOOD
        assert codes(report) == ["unpinned"]

    def test_a_record_that_is_ahead_of_its_root_for_a_moment(self, audit: Audits) -> None:
        """It stores a record, and then appends to the tree."""
        twenty = [row["leaf_hash"] for row in rows(20)]
        audit.gateway.chain = (root(twenty), 20)

        def settle(_: str) -> None:
            if len(audit.gateway.asked) >= 4:
                audit.gateway.chain = None

        audit.gateway.between = settle
        report = audit()
        assert report.outcome is Outcome.GOOD, report
        good(audit(), 21)


class TestWhatItsOwnSentinelPassed:
    """WIT-21: each of these left it with 0."""

    def test_a_consistent_rewrite(self, audit: Audits) -> None:
        good(audit(), 21)
        row = audit.gateway.rows[4]
        audit.gateway.rows[4] = remade(row, input_tokens=row["input_tokens"] + 1)
        report = audit()
        wrong(report, "legacy-rewritten")
        assert report.findings[0].index == 4
        assert report.leaf_count == 21
        audit.gateway.rows = rows()
        assert audit().outcome is Outcome.WRONG, "an alarm does not clear by itself"

    def test_a_rewrite_that_leaves_the_leaf(self, audit: Audits) -> None:
        """The row says other numbers under the leaf and the signature of before."""
        good(audit(), 21)
        audit.gateway.rows[4]["input_tokens"] += 1
        wrong(audit(), "legacy-rewritten", "legacy-leaf")

    def test_fields_shifted_across_the_separator(self, audit: Audits) -> None:
        """Two records share one leaf: which of them was there is remembered."""
        row = rows(1)[0]
        odd = remade(row, provider="openai|a", model="b")
        audit.gateway.rows = [odd]
        report = audit()
        assert codes(report) == ["legacy-ambiguous"]
        shifted = {**odd, "provider": "openai", "model": "a|b"}
        assert remade(shifted)["leaf_hash"] == odd["leaf_hash"]
        audit.gateway.rows = [shifted]
        wrong(audit(), "legacy-rewritten")

    def test_a_rewrite_with_an_append(self, audit: Audits) -> None:
        audit.gateway.rows = rows(15)
        good(audit(), 15)
        audit.gateway.rows = [remade(row, total_tokens=1) for row in rows(21)]
        wrong(audit(), "legacy-rewritten")

    def test_two_records_swapped(self, audit: Audits) -> None:
        good(audit(), 21)
        one, other = audit.gateway.rows[2], audit.gateway.rows[3]
        audit.gateway.rows[2], audit.gateway.rows[3] = (
            {**other, "id": one["id"]},
            {**one, "id": other["id"]},
        )
        wrong(audit(), "legacy-rewritten")

    def test_the_newest_13_of_21_dropped(self, audit: Audits) -> None:
        """WIT-25: fewer leaves may be a cache at first; never good, and in the end a fault."""
        good(audit(), 21)
        audit.gateway.rows = rows(8)
        for _ in range(GRACE_S // 60):
            unchecked(audit(), "stale")
        wrong(audit(), "legacy-truncated")

    def test_a_cache_that_lags_is_forgotten(self, audit: Audits) -> None:
        good(audit(), 21)
        for _ in range(4):
            audit.gateway.rows = rows(19)
            unchecked(audit(), "stale")
            unchecked(audit(), "stale")
            audit.gateway.rows = rows()
            good(audit(), 21)

    def test_dropped_and_written_anew(self, audit: Audits) -> None:
        good(audit(), 21)
        audit.gateway.rows = [*rows(8), remade(rows()[8], output_tokens=7)]
        wrong(audit(), "legacy-rewritten")

    def test_an_empty_tree(self, audit: Audits) -> None:
        good(audit(), 21)
        audit.gateway.rows = []
        unchecked(audit(), "stale")
        audit.now += GRACE_S
        wrong(audit(), "legacy-truncated")

    def test_an_empty_tree_over_records(self, audit: Audits) -> None:
        """Seen the first time, too: records that no root covers are not good."""
        audit.gateway.chain = ("empty", 0)
        unchecked(audit(), "stale")
        audit.now += GRACE_S
        wrong(audit(), "legacy-uncovered")

    def test_a_count_above_the_records(self, audit: Audits) -> None:
        audit.gateway.chain = (root([row["leaf_hash"] for row in rows()]), 22)
        unchecked(audit(), "stale")
        audit.now += GRACE_S
        wrong(audit(), "legacy-missing")

    def test_all_signatures_stripped(self, audit: Audits) -> None:
        good(audit(), 21)
        for row in audit.gateway.rows:
            row["receipt_sig"] = ""
        report = audit()
        wrong(report, "legacy-stripped")
        assert report.findings[0].message.startswith("21 records had a signature before")
        audit.gateway.rows = rows()
        assert codes(audit()) == []

    def test_all_signatures_stripped_when_seen_first(self, audit: Audits) -> None:
        for row in audit.gateway.rows:
            row["receipt_sig"] = ""
        for _ in range(2):
            unchecked(audit(), "legacy-unsigned")

    def test_a_key_endpoint_that_is_down_over_garbage(self, audit: Audits) -> None:
        for row in audit.gateway.rows:
            row["receipt_sig"] = "ab" * 64
        audit.gateway.answers["/api/pubkey"] = lambda handler: send_bytes(handler, b"", 503)
        unchecked(audit(pinned=False), "unreachable")
        wrong(audit(), "legacy-signature")

    def test_another_key_and_all_signed_anew(self, audit: Audits) -> None:
        """The key that was seen first stays the one that is trusted."""
        assert audit(pinned=False).outcome is Outcome.GOOD
        audit.gateway.key = OTHER_KEY
        for row in audit.gateway.rows:
            row["receipt_sig"] = "11" * 64
        wrong(audit(pinned=False), "legacy-key-changed", "legacy-signature")

    def test_another_key_than_the_pinned_one(self, audit: Audits) -> None:
        audit.gateway.key = OTHER_KEY
        wrong(audit(), "legacy-key-changed")

    def test_a_root_of_other_records(self, audit: Audits) -> None:
        audit.gateway.chain = ("0" * 64, 21)
        wrong(audit(), "legacy-root")

    def test_two_roots_within_one_round(self, audit: Audits) -> None:
        def change(path: str) -> None:
            if "records" in path:
                audit.gateway.chain = ("0" * 64, 21)

        audit.gateway.between = change
        wrong(audit(), "legacy-root")


class TestWhatTheProtocolLeavesOpen:
    """WIT-23: reported apart, neither as valid nor as tampering."""

    @pytest.mark.parametrize(
        "value", ["007", "5.0", 1.5, -1, 2e15 + 0.5, None, True, 2**53, "", "x" * 100]
    )
    def test_numbers_that_are_none(self, audit: Audits, value: Any) -> None:
        row = {**rows(1)[0], "input_tokens": value}
        texts = {None: "null", True: "true", 2**53: "9007199254740992"}
        shown = texts.get(value, str(value)) if not isinstance(value, float) else f"{value:g}"
        if value == 2e15 + 0.5:
            shown = "2000000000000000.5"
        made = remade(row, input_tokens=shown)
        audit.gateway.rows = [{**made, "input_tokens": value}]
        report = audit()
        assert report.outcome is Outcome.GOOD, report
        assert codes(report) == ["legacy-type-confused"]
        assert codes(audit()) == ["legacy-type-confused"], "remembered, not forgotten"

    def test_the_second_form_of_a_signature(self, audit: Audits) -> None:
        good(audit(), 21)
        signature = audit.gateway.rows[3]["receipt_sig"]
        twin = f"{signature[:64]}{ORDER - int(signature[64:], 16):064x}"
        audit.gateway.rows[3]["receipt_sig"] = twin
        assert codes(audit()) == ["legacy-malleated"]

    def test_another_valid_signature(self, audit: Audits) -> None:
        good(audit(), 21)
        audit.gateway.rows[3]["receipt_sig"] = sign(audit.gateway.rows[3]["leaf_hash"])
        assert codes(audit()) == ["legacy-resigned"]

    def test_a_row_that_is_there_twice_pages_apart(
        self, audit: Audits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = LegacyGateway.pages
        monkeypatch.setattr(LegacyGateway, "pages", lambda self: pages(self, rows=3))
        audit.gateway.rows.append({**rows(1)[0], "id": 22})
        report = audit()
        assert report.outcome is Outcome.GOOD
        assert codes(report) == ["legacy-ambiguous"]


class TestHostileAnswers:
    """WIT-24: whatever comes is bounded, and could not be checked."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b"null",
            b'{"ok":false}',
            b'{"ok":true}',
            b'{"ok":true,"data":[]}',
            b'{"ok":true,"data":{"merkle_root":1,"leaf_count":1}}',
            b'{"ok":true,"data":{"merkle_root":"","leaf_count":-1}}',
            b'{"ok":true,"data":{"merkle_root":"","leaf_count":1e3}}',
            b'{"ok":true,"data":{"merkle_root":"","leaf_count":true}}',
            b'{"ok":true,"data":{"merkle_root":"","leaf_count":' + b"9" * 5000 + b"}}",
            b"[" * 100_000,
            b'{"ok":NaN}',
            b"\xff\xfe",
            b"x" * 70_000,
        ],
    )
    def test_a_chain_that_is_none(self, audit: Audits, body: bytes) -> None:
        audit.gateway.answers["/api/chain"] = lambda handler: send_bytes(handler, body)
        unchecked(audit(), "unreachable")

    @pytest.mark.parametrize(
        "page",
        [
            {},
            {"ok": True, "data": {}, "has_more": False},
            {"ok": True, "data": [1], "has_more": False},
            {"ok": True, "data": rows(2)[::-1], "has_more": False},
            {"ok": True, "data": [rows(1)[0]] * 2, "has_more": False},
            {"ok": True, "data": [{**rows(1)[0], "id": 0}], "has_more": True},
            {"ok": True, "data": [{**rows(1)[0], "id": "1"}], "has_more": True},
            {"ok": True, "data": [{**rows(1)[0], "id": 2**60}], "has_more": True},
            {"ok": True, "data": [{"id": number} for number in range(1, 1100)], "has_more": True},
        ],
    )
    def test_a_page_that_is_none(self, audit: Audits, page: Any) -> None:
        audit.gateway.answers["/api/records"] = lambda handler: send_json(handler, page)
        unchecked(audit(), "unreachable")

    def test_pages_without_an_end(self, audit: Audits, monkeypatch: pytest.MonkeyPatch) -> None:
        number = iter(range(1, 10**9))

        def endless(handler: Any) -> None:
            page = [{**rows(1)[0], "id": next(number)} for _ in range(50)]
            send_json(handler, {"ok": True, "data": page, "has_more": True})

        pages = LegacyGateway.pages
        monkeypatch.setattr(LegacyGateway, "pages", lambda self: pages(self, rows=50, most=300))
        audit.gateway.answers["/api/records"] = endless
        unchecked(audit(), "unreachable")
        assert next(number) < 400

    @pytest.mark.parametrize(
        "change",
        [
            {"leaf_hash": "no"},
            {"leaf_hash": None},
            {"receipt_sig": 7},
            {"provider": None},
            {"timestamp": [1]},
            {"model": {"a": 1}},
            {"user_hash": "\ud800"},
            {"input_tokens": {"deep": []}},
            {"model": "x" * 5000},
        ],
    )
    def test_a_record_that_is_none(self, audit: Audits, change: dict[str, Any]) -> None:
        """It is found once, and nothing falls over."""
        audit.gateway.rows[5] = {**audit.gateway.rows[5], **change}
        chain = root([row["leaf_hash"] for row in rows()])
        audit.gateway.chain = (chain, 21)
        report = audit()
        assert codes(report), report
        assert report.outcome is not Outcome.COULD_NOT_CHECK

    def test_one_round_that_fails_forgets_nothing(self, audit: Audits) -> None:
        good(audit(), 21)
        audit.gateway.answers["/api/records"] = lambda handler: send_bytes(handler, b"", 500)
        unchecked(audit(), "unreachable")
        audit.gateway.answers.clear()
        audit.gateway.rows[0] = remade(audit.gateway.rows[0], provider="other")
        wrong(audit(), "legacy-rewritten")


def test_seen_from_the_first_record_on_at_any_page_size(audit: Audits) -> None:
    """What is remembered is compared at every position, whatever was changed."""
    good(audit(), 21)
    for position in range(21):
        audit.gateway.rows = rows()
        audit.gateway.rows[position] = remade(audit.gateway.rows[position], output_tokens=999)
        report = audit()
        assert report.findings[0].code == "legacy-rewritten"
        assert report.findings[0].index == position
