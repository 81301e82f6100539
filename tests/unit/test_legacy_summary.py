"""Usage summaries that nous-v2 signed. Requirement: V2-13."""

import hashlib
import json
from typing import Any

import pytest

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError
from tests.unit.legacy_log import KEY, sign

SUMMARY: dict[str, Any] = {
    "p": "nous",
    "v": 1,
    "type": "summary",
    "user": "178ea61e753a78d64b99c7efb4cf1929",
    "total_tokens": 100,
    "total_calls": 3,
    "models": [
        {"provider": "openai", "model": 'gpt-"4o"\n\u2028ü', "tokens": 90, "calls": 2},
        {"provider": "anthropic", "model": "claude", "tokens": 10, "calls": 1},
    ],
    "ts": 1_775_131_200,
}


def test_a_summary_verifies_over_its_compact_json() -> None:
    # What JSON.stringify prints, byte for byte.
    signed = (
        '{"p":"nous","v":1,"type":"summary","user":"178ea61e753a78d64b99c7efb4cf1929",'
        '"total_tokens":100,"total_calls":3,"models":['
        '{"provider":"openai","model":"gpt-\\"4o\\"\\n\u2028ü","tokens":90,"calls":2},'
        '{"provider":"anthropic","model":"claude","tokens":10,"calls":1}],"ts":1775131200}'
    ).encode()
    summary = legacy.parse_legacy_summary(SUMMARY)
    assert legacy.encode_legacy_summary(summary) == signed
    assert legacy.verify_legacy_summary(summary, sign(signed), KEY) is summary


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("", "legacy-unsigned"),
        ("0" * 128, "legacy-signature"),
        (sign(b"other"), "legacy-signature"),
        (sign(hashlib.sha256(json.dumps(SUMMARY).encode()).digest()), "legacy-signature"),
    ],
)
def test_a_summary_without_its_signature_is_refused(signature: str, code: str) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_summary(legacy.parse_legacy_summary(SUMMARY), signature, KEY)
    assert refused.value.code == code


@pytest.mark.parametrize("change", [{"user": "0"}, {"ts": 1}, {"total_calls": 4}, {"models": []}])
def test_an_altered_summary_is_refused(change: dict[str, Any]) -> None:
    signature = sign(legacy.encode_legacy_summary(legacy.parse_legacy_summary(SUMMARY)))
    altered = legacy.parse_legacy_summary({**SUMMARY, **change})
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_summary(altered, signature, KEY)
    assert refused.value.code == "legacy-signature"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"p": "other"}, "legacy-format"),
        ({"v": 2}, "legacy-format"),
        ({"v": True}, "legacy-format"),
        ({"type": None}, "legacy-format"),
        ({"user": 5}, "legacy-format"),
        ({"models": "x"}, "legacy-format"),
        ({"models": [5]}, "legacy-format"),
        ({"models": SUMMARY["models"][::-1]}, "legacy-format"),
        ({"models": [SUMMARY["models"][0]] * 4_097}, "legacy-format"),
        ({"models": [{**SUMMARY["models"][0], "provider": None}]}, "legacy-format"),
        ({"models": [{**SUMMARY["models"][0], "tokens": -1}]}, "legacy-type-confused"),
        ({"models": [{**SUMMARY["models"][0], "calls": "1"}]}, "legacy-type-confused"),
        ({"total_tokens": 1.5}, "legacy-type-confused"),
        ({"total_calls": True}, "legacy-type-confused"),
        ({"ts": 2**53}, "legacy-type-confused"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_summary_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.parse_legacy_summary({**SUMMARY, **change})
    assert refused.value.code == code
