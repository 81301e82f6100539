"""`nous-ledger verify DIR`: every call that was kept in a folder, with its content.

Spec:
    PROTOCOL.md VER-1 to VER-24, COMM-4, COMM-5.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE, EXIT_WRONG
from nous_ledger.cli.files import read_bounded, read_opening
from nous_ledger.cli.render import format_table, plural
from nous_ledger.cli.run_folder import CALLS_NAME, POLICY_NAME, PROOF_NAME
from nous_ledger.gateway.recording import (
    FORWARDED_NAME,
    OPENING_NAME,
    REQUEST_NAME,
    RESPONSE_NAME,
)
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import STATUS
from nous_ledger.protocol.report import Answer, Outcome, Report
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.verify import verify_bundle

if TYPE_CHECKING:
    from nous_ledger.protocol.accuracy import Recounter

_BODIES: Final = {
    "request": REQUEST_NAME,
    "forwarded": FORWARDED_NAME,
    "response": RESPONSE_NAME,
}
_COLUMNS: Final = ("call", "model", "status", "attribution", "inclusion", "log view", "accuracy")
_OTHER_CALL: Final = "the proof is of another call than the folder is named after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of every call.

    Attributes:
        policy: keys and witnesses that are trusted.
        recount: how to count again; None leaves the labels claimed.
        max_age: most seconds since the head was witnessed or signed.
        require_accuracy: whether accuracy decides the exit code.
        max_content: longest body that is read, bytes.
    """

    policy: Policy
    recount: Recounter | None
    max_age: int | None
    require_accuracy: bool
    max_content: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCall:
    """One call of the folder.

    Attributes:
        name: name of its folder.
        report: what was found; None if it could not be checked at all.
        content: which of its bodies were checked against the receipt.
        error: why it could not be checked, or what is wrong beside the report.
        code: the exit code that it would have by itself.
    """

    name: str
    report: Report | None = None
    content: tuple[str, ...] = ()
    error: str = ""
    code: int

    def to_json(self) -> dict[str, Any]:
        """Return it as str, int, list, dict and None."""
        report = None if self.report is None else self.report.to_json()
        shown = {"call": self.name, "exit_code": self.code, "error": self.error}
        return {**shown, "content": list(self.content), "report": report}


def find_policy(folder: Path) -> Path:
    """Return the policy that lies in the folder.

    Raises:
        InputError: there is none.
    """
    if not (folder / POLICY_NAME).is_file():
        hint = "name one with --policy"
        raise InputError("input", f"there is no {POLICY_NAME} in {folder}", hint=hint)
    return folder / POLICY_NAME


def check_calls(folder: Path, demand: Demand) -> Iterator[CheckedCall]:
    """Yield what was found of each call, in the order of their ids, which is that of time.

    Raises:
        InputError: the folder holds no call.
    """
    calls = folder / CALLS_NAME
    found = sorted(
        path for path in (calls if calls.is_dir() else folder).iterdir() if _is_call(path)
    )
    if not found:
        raise InputError(
            "input",
            f"{folder} is a directory that holds no calls",
            hint="make some with run --save",
        )
    for path in found:
        yield _check(path, demand)


def exit_code_of_all(calls: list[CheckedCall]) -> int:
    """Return 1 if a call is wrong, 3 if one could not be checked, else 0."""
    codes = {call.code for call in calls}
    return next((code for code in (EXIT_WRONG, EXIT_UNAVAILABLE) if code in codes), EXIT_GOOD)


def render_calls(calls: list[CheckedCall]) -> Iterator[str]:
    """Yield a table of the answers, then what there is to say of single calls."""
    rows = [(*_cells(call), ", ".join(call.content) or "-") for call in calls]
    yield format_table((*_COLUMNS, "content checked"), rows)
    remarks = [f"{call.name}: {remark}" for call in calls for remark in _remarks(call)]
    if remarks:
        yield from ("", *remarks)
    wrong = sum(call.code == EXIT_WRONG for call in calls)
    unchecked = sum(call.code == EXIT_UNAVAILABLE for call in calls)
    good = len(calls) - wrong - unchecked
    count = f"{len(calls)} call{plural(len(calls))}"
    yield from ("", f"{count}: {good} good, {wrong} wrong, {unchecked} that could not be checked")


def _is_call(path: Path) -> bool:
    try:
        return str(UUID(path.name)) == path.name and path.is_dir()
    except ValueError:
        return False


def _check(path: Path, demand: Demand) -> CheckedCall:
    try:
        if not (path / PROOF_NAME).exists():
            raise UnavailableError("unreachable", "there is no proof of its receipt")
        opening = read_opening(f"@{path / OPENING_NAME}")
        bodies = {
            name: read_bounded(path / file, demand.max_content, "unreachable")
            for name, file in _BODIES.items()
            if (path / file).exists()
        }
        report = _verify(path, opening, bodies, demand)
    except LedgerError as error:
        could_not = isinstance(error, (UnavailableError, InputError))
        code = EXIT_UNAVAILABLE if could_not else EXIT_WRONG
        return CheckedCall(name=path.name, error=error.message, code=code)
    receipt = report.body
    if isinstance(receipt, Receipt) and str(UUID(bytes=receipt.id)) != path.name:
        return CheckedCall(name=path.name, report=report, error=_OTHER_CALL, code=EXIT_WRONG)
    content = _committed(receipt, bodies) if isinstance(receipt, Receipt) else ()
    if report.accuracy.outcome is Outcome.WRONG:
        content = ()
    return CheckedCall(name=path.name, report=report, content=content, code=report.exit_code())


def _verify(path: Path, opening: bytes, bodies: dict[str, bytes], demand: Demand) -> Report:
    return verify_bundle(
        read_bounded(path / PROOF_NAME, MAX_BUNDLE_BYTES, "not-a-bundle"),
        demand.policy,
        opening=opening if bodies else None,
        request=bodies.get("request"),
        response=bodies.get("response"),
        forwarded=bodies.get("forwarded"),
        recount=demand.recount if "response" in bodies else None,
        now=UnixSeconds(int(time.time())),
        max_age=demand.max_age,
        require_accuracy=demand.require_accuracy,
    )


def _committed(receipt: Receipt, bodies: dict[str, bytes]) -> tuple[str, ...]:
    commitments = {
        "request": receipt.request_commitment,
        "forwarded": receipt.forwarded_commitment,
        "response": receipt.response_commitment,
    }
    return tuple(name for name in bodies if commitments[name] is not None)


def _cells(call: CheckedCall) -> tuple[str, ...]:
    if call.report is None:
        return (
            call.name,
            "-",
            "-",
            *["could-not-check" if call.code != EXIT_WRONG else "wrong"] * 4,
        )
    receipt = call.report.body
    model = status = "-"
    if isinstance(receipt, Receipt):
        model = receipt.model_served or receipt.model_requested or "-"
        status = STATUS.name_of(receipt.status)
    answers = (str(answer.outcome) for _, answer in call.report.answers())
    return (call.name, model, status, *answers)


def _remarks(call: CheckedCall) -> Iterator[str]:
    if call.error:
        yield call.error
    for name, answer in call.report.answers() if call.report is not None else ():
        if answer.outcome is Outcome.WRONG or (call.code != EXIT_GOOD and _is_missing(answer)):
            yield f"{name.replace('_', ' ')}: {answer.code}: {answer.detail}"


def _is_missing(answer: Answer) -> bool:
    return answer.outcome is Outcome.COULD_NOT_CHECK
