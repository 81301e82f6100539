"""A nous-v2 gateway, watched: what its protocol leaves open, and answers that are none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    send_json,
    sign,
)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def audit(gateway: Gateway, tmp_path: Path) -> Iterator[Audits]:
    with GatewayServer(gateway) as server:
        yield Audits(gateway, server, tmp_path / "state.sqlite")


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
            {"input_tokens": 10**4000},
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

    @pytest.mark.parametrize("depth", [900, 960, 985, 990, 5000])
    def test_a_value_that_is_nested_deep(self, audit: Audits, depth: int) -> None:
        """As deep as it can be read, and deeper."""
        text = json.dumps({"ok": True, "data": rows(), "has_more": False})
        deep = text.replace('"input_tokens": 26,', f'"input_tokens": {"[" * depth}{"]" * depth},')
        assert deep != text
        audit.gateway.answers["/api/records"] = lambda handler: send_bytes(handler, deep.encode())
        assert codes(audit())[0] in ("legacy-type-confused", "unreachable")

    def test_one_round_that_fails_forgets_nothing(self, audit: Audits) -> None:
        good(audit(), 21)
        audit.gateway.answers["/api/records"] = lambda handler: send_bytes(handler, b"", 500)
        unchecked(audit(), "unreachable")
        audit.gateway.answers.clear()
        audit.gateway.rows[0] = remade(audit.gateway.rows[0], provider="other")
        wrong(audit(), "legacy-rewritten")
