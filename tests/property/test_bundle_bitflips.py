"""Every single-bit flip of a bundle is refused, or lies in a line that must be ignored.

Signed notes may carry lines of keys that the reader does not know; those must be
ignored. So a flip in a stranger's line changes nothing, and a flip that makes a
known witness unknown leaves one witness fewer. Any other flip is refused, and
none ever turns an answer into a better one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from nous_ledger.protocol.bundle import format_bundle, parse_bundle
from nous_ledger.protocol.errors import FormatError, UnavailableError
from nous_ledger.protocol.policy import Policy, parse_policy
from nous_ledger.protocol.report import Outcome, Report
from nous_ledger.protocol.verify import verify_bundle
from tests.property.sample_log import cosignatures, policy_text, sample_log

pytestmark = [pytest.mark.untraced, pytest.mark.apart]

RECEIPT = 2
STRIDE = 41
"""Bits between two flips of the further bundles; odd, so that every place of a byte is met."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bundle under a policy, with the report that it gets when nothing is changed."""

    name: str
    data: bytes
    policy: Policy
    report: Report

    def outcomes(self) -> tuple[str, ...]:
        return tuple(f"{answer.outcome}/{answer.code}" for _, answer in self.report.answers())


def make_case(
    name: str,
    quorum: str = "any",
    *,
    pinned: bool = True,
    witnesses: int = 3,
    withheld: bool = False,
    suspect_from: int | None = None,
) -> Case:
    log = sample_log(rotated=True, suspect_from=suspect_from)
    bundle = log.bundle(RECEIPT, *cosignatures(log)[:witnesses])
    if withheld:
        bundle = replace(bundle, body=b"")
    data = format_bundle(bundle)
    policy = parse_policy(policy_text(log, quorum, pinned=pinned))
    return Case(name=name, data=data, policy=policy, report=verify_bundle(data, policy))


WHOLE = make_case("whole")
OTHERS = [
    make_case("both witnesses needed", "all"),
    make_case("quorum not met", "all", witnesses=1),
    make_case("no quorum", "none"),
    make_case("unpinned", pinned=False),
    make_case("withheld", withheld=True),
    make_case("suspect", suspect_from=1),
]
EXPECTED = {
    "whole": ("established/", "established/", "established/", "could-not-check/not-recounted"),
    "both witnesses needed": (
        *("established/", "established/", "established/"),
        "could-not-check/not-recounted",
    ),
    "quorum not met": (
        *("established/", "established/", "wrong/quorum"),
        "could-not-check/not-recounted",
    ),
    "no quorum": (
        *("established/", "established/", "not-asked/not-witnessed"),
        "could-not-check/not-recounted",
    ),
    "unpinned": (
        *("could-not-check/unpinned", "established/", "established/"),
        "could-not-check/not-recounted",
    ),
    "withheld": ("established/", "established/", "established/", "could-not-check/withheld"),
    "suspect": (
        *("could-not-check/suspect", "established/", "established/"),
        "could-not-check/not-recounted",
    ),
}


@pytest.mark.parametrize("case", [WHOLE, *OTHERS], ids=lambda case: case.name)
def test_what_the_unchanged_bundle_gets(case: Case) -> None:
    assert case.outcomes() == EXPECTED[case.name]


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def check_flips(case: Case, bits: Iterable[int]) -> Counter[str]:
    """Return how many flips were refused, and how many lay in which kind of line."""
    return Counter(check_flip(case, bit) for bit in bits)


def check_flip(case: Case, bit: int) -> str:
    data = flip(case.data, bit)
    try:
        report = verify_bundle(data, case.policy)
    except (FormatError, UnavailableError) as error:
        return error.code
    check_no_better(case.report, report, bit)
    if report.exit_code() != 0:
        return f"exit {report.exit_code()}"
    return check_ignored(case, data, report, bit)


def check_no_better(before: Report, after: Report, bit: int) -> None:
    assert before.exit_code() == 0 or after.exit_code() != 0, bit
    for (name, old), (_, new) in zip(before.answers(), after.answers(), strict=True):
        if new.outcome in {Outcome.ESTABLISHED, Outcome.NOT_ASKED}:
            assert new == old, (name, bit)


def check_ignored(case: Case, data: bytes, report: Report, bit: int) -> str:
    """Return whose line was changed, after checking that it is the only change."""
    before, after = parse_bundle(case.data), parse_bundle(data)
    assert replace(after, checkpoint=before.checkpoint) == before, bit
    assert after.note.text == before.note.text, bit
    lines = zip(before.note.signatures, after.note.signatures, strict=True)
    ((old, new),) = [(old, new) for old, new in lines if old != new]
    witnesses = {(w.vkey.name, w.vkey.key_id) for w in case.policy.witnesses}
    listed = witnesses | {(log.vkey.name, log.vkey.key_id) for log in case.policy.logs}
    assert (new.name, new.key_id) not in listed, bit
    # The report says the same, but for the time from which witnesses have seen the head.
    assert replace(report, witnessed_time=case.report.witnessed_time) == case.report, bit
    if (old.name, old.key_id) not in listed:
        assert report == case.report, bit
        return "stranger"
    assert (old.name, old.key_id) in witnesses, bit
    if case.report.witnessed_time is not None:
        assert report.witnessed_time is not None, bit
        assert report.witnessed_time <= case.report.witnessed_time, bit
    return "witness"


@pytest.mark.parametrize("place", range(8))
def test_flips_of_a_whole_bundle(place: int, full: bool) -> None:
    """One bit of every byte, and with --full the eight runs together are all single-bit flips.

    By default each run takes every third byte, and the runs begin at different ones.
    """
    first, step = (0, 1) if full else (place % 3, 3)
    bits = range(place + 8 * first, 8 * len(WHOLE.data), 8 * step)
    seen = check_flips(WHOLE, bits)
    assert seen.total() == len(bits)
    # In the highest place every ASCII byte becomes one that no format knows there.
    assert (seen["exit 1"] > 0) == (place != 7)
    accepted = seen["stranger"] + seen["witness"]
    assert (accepted == 0) if place == 7 else (0 < accepted < len(bits) // 10)


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.name)
def test_flips_of_further_bundles(case: Case, full: bool) -> None:
    bits = range(0, 8 * len(case.data), 1 if full else STRIDE)
    seen = check_flips(case, bits)
    assert seen.total() == len(bits)
    if case.report.exit_code() != 0:
        assert seen["stranger"] == seen["witness"] == 0
    else:
        assert seen["stranger"] > 0
        assert (seen["witness"] > 0) == (case.name != "both witnesses needed")
