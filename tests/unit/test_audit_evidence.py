"""Evidence convinces of what it shows and of nothing else: altered files are refused."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from nous_ledger.protocol.errors import EvidenceError, UnavailableError
from nous_ledger.protocol.policy import parse_policy
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.evidence import MAX_EVIDENCE_BYTES, decode_evidence
from tests.unit.audit_evidence import FURTHER, NAMES, made
from tests.unit.audit_log import AuditLog


def spelled(document: Any) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def variants(item: Any) -> Iterator[Any]:
    """Yield what a value may be altered to, one change at a time, however deep."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield from ({**item, key: other} for other in variants(value))
            yield {name: value for name, value in item.items() if name != key}
        yield item | {"more": 1}
    elif isinstance(item, list):
        for at, value in enumerate(item):
            yield from ([*item[:at], other, *item[at + 1 :]] for other in variants(value))
            yield [*item[:at], *item[at + 1 :]]
            yield [*item, value]
        yield item[::-1] if item[::-1] != item else [*item, None]
    elif isinstance(item, str):
        yield from altered(item)
    elif isinstance(item, int):
        yield from (item + 1, item - 1, float(item), str(item), None)
    else:
        yield from ("", [], "00")


def altered(text: str) -> Iterator[Any]:
    step = max(len(text) // 11, 1)
    for at in range(0, len(text), step):
        other = "1" if text[at] != "1" else "2"
        yield text[:at] + other + text[at + 1 :]
    yield from (text + "0", text[:-1], text + "00", text.upper() + " ", None, 7)


@pytest.mark.parametrize("name", FURTHER)
def test_each_kind_convinces(name: str) -> None:
    data, log = made(name)
    confirmed = verify_evidence(data, log.policy())
    assert confirmed.code == {"head-time": "rollback", "fork-of-a-prefix": "fork"}.get(name, name)
    assert (confirmed.origin, confirmed.log_id) == (log.origin, log.log_id)
    assert confirmed.text


@pytest.mark.parametrize("name", NAMES)
def test_every_change_of_a_file_is_refused(name: str, request: pytest.FixtureRequest) -> None:
    """SENT-21, SENT-22; files of a kind are alike, so of most only some changes are tried."""
    data, log = made(name)
    policy = log.policy()
    step = 1 if name in FURTHER or request.config.getoption("--full") else 5
    for other in islice(variants(json.loads(data)), 0, None, step):
        with pytest.raises((EvidenceError, UnavailableError)):
            verify_evidence(spelled(other), policy)


@pytest.mark.parametrize("name", NAMES)
def test_another_spelling_of_a_file_is_refused(name: str) -> None:
    data, log = made(name)
    document = json.loads(data)
    spellings = [
        data[:-1],
        data + b"\n",
        b" " + data,
        json.dumps(document, sort_keys=True).encode() + b"\n",
        json.dumps(document, separators=(",", ":")).encode() + b"\n",
        data.replace(b'"code"', b'"\\u0063ode"'),
    ]
    for other in spellings:
        if other != data:
            with pytest.raises(EvidenceError, match="not an evidence file"):
                verify_evidence(other, log.policy())


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]\n", b"null", b"\xff", b"[" * 100_000, b'{"format":"\\ud800"}', b"1e999"],
)
def test_what_is_no_evidence_file_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        decode_evidence(data)
    assert caught.value.code == "evidence-format"
    assert caught.value.hint


def test_a_body_that_is_too_long_is_not_read() -> None:
    data, _ = made("duplicate-id")
    document = json.loads(data)
    document["leaves"][0]["body"] = "00" * 32_769
    with pytest.raises(EvidenceError, match="too long"):
        decode_evidence(spelled(document))


def test_a_file_that_is_too_long_is_not_read() -> None:
    with pytest.raises(EvidenceError, match="more than"):
        decode_evidence(b" " * (MAX_EVIDENCE_BYTES + 1))


def test_evidence_needs_the_log_to_be_pinned() -> None:
    """SENT-20, SENT-21."""
    data, _log = made("fork")
    other = AuditLog("other.example")
    for policy, code in (
        (parse_policy(b"quorum none\n"), "unknown-log"),
        (other.policy(), "unknown-log"),
        (AuditLog(rotates=False).policy(), "evidence-refused"),
    ):
        with pytest.raises((EvidenceError, UnavailableError)) as caught:
            verify_evidence(data, policy)
        assert caught.value.code == code
