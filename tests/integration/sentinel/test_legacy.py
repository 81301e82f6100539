"""A nous-v2 gateway, watched: what its own sentinel passed, and what it called tampering."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel.audit.legacy import GRACE_S
from sentinel.legacy_gateway import LegacyGateway
from sentinel.report import Outcome
from tests.integration.sentinel.legacy_audits import Audits, codes, good, unchecked, wrong
from tests.integration.sentinel.legacy_server import (
    Gateway,
    GatewayServer,
    remade,
    root,
    rows,
    send_bytes,
)

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


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def audit(gateway: Gateway, tmp_path: Path) -> Iterator[Audits]:
    with GatewayServer(gateway) as server:
        yield Audits(gateway, server, tmp_path / "state.sqlite")


class TestAnHonestGateway:
    def test_every_state_of_its_history(self, audit: Audits, *, full: bool) -> None:
        """WIT-19: 0, 1, ... 21 records, a round after each."""
        for count in range(22) if full else (0, 1, 2, 7, 8, 15, 21):
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
        reports = [audit() for _ in range(14)]
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

    @pytest.mark.parametrize("rows_a_page", [1, 7, 20, 21, 22])
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
        for _ in range(2):
            audit.gateway.rows = rows(19)
            for _ in range(GRACE_S // 60 - 1):
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


def test_what_is_remembered_is_compared_at_every_position(audit: Audits, *, full: bool) -> None:
    good(audit(), 21)
    for position in range(21) if full else (0, 7, 20):
        audit.gateway.rows = rows()
        audit.gateway.rows[position] = remade(audit.gateway.rows[position], output_tokens=999)
        report = audit()
        assert report.findings[0].code == "legacy-rewritten"
        assert report.findings[0].index == position
