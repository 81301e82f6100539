"""What the tests of key changes share."""

from pathlib import Path

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.report import Outcome
from tests.integration.ledger_audit import verified


class Keys:
    """The files of the next keys, outside the ledger."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.mkdir()

    def __getitem__(self, number: int) -> Path:
        return self.base / f"next-{number}.key"


def head_epoch(note: bytes) -> int:
    return decode_head_signature(parse_note(note).signatures[1].payload).epoch


def good(ledger: Ledger, index: int) -> None:
    report = verified(ledger, ledger.prove(index))
    assert report.attribution.outcome is Outcome.ESTABLISHED, report
    assert report.inclusion.outcome is Outcome.ESTABLISHED, report
