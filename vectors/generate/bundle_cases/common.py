"""What all cases of bundles share: policies, expectations, and how a case is added."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vectors.generate import actors
from vectors.generate.examplelog import (
    ExampleLog,
    Proof,
    log_vkeys,
    witness_name,
    witness_seed,
    witness_vkey,
)
from vectors.generate.rules.checks import RuleError
from vectors.generate.rules.verify import ANSWERS, Options, verify
from vectors.generate.suite import Group, Json, Suite, unhex

Codes = tuple[str, str, str, str]
LOGS = "".join(f"log {vkey}\n" for vkey in log_vkeys())
WITNESSES = "".join(f"witness W{n} {witness_vkey(n)}\n" for n in (1, 2, 3))
PINNED = f"{LOGS}quorum none\n"
WITNESSED = f"{LOGS}{WITNESSES}group G 2 W1 W2 W3\nquorum G\n"
UNPINNED = f"log {log_vkeys()[0]}\nquorum none\n"
LONG_RUN = re.compile(r"A{400,}")

GOOD: Codes = ("", "", "not-witnessed", "not-recounted")
EXIT = {"not-a-bundle": 1, "newer-version": 3, "policy-format": 2, "input": 2}


def head_fails(code: str) -> Codes:
    """Return the answers when the head fails before the key history is read."""
    return ("undecided", "undecided", code, "undecided")


def history_fails(code: str) -> Codes:
    """Return the answers when the key history fails."""
    return (code, "undecided", "undecided", "undecided")


def attribution(code: str, accuracy: str = "not-recounted") -> Codes:
    """Return the answers when attribution alone is not established."""
    return (code, "", "not-witnessed", accuracy)


def inclusion(code: str) -> Codes:
    """Return the answers when inclusion alone fails."""
    return ("", code, "not-witnessed", "not-recounted")


def log_view(code: str) -> Codes:
    """Return the answers when the log view fails and nothing else."""
    return ("", "", code, "not-recounted")


def accuracy(code: str) -> Codes:
    """Return the answers when accuracy has this code and all else stands."""
    return ("", "", "not-witnessed", code)


def run(case: Json) -> Json:
    """Verify a case; return answers, exit code and the code that decides."""
    options = case.get("options", {})
    texts = {k: unhex(options[k]) for k in ("request", "response", "forwarded") if k in options}
    chosen = Options(
        opening=unhex(options["opening"]) if "opening" in options else None,
        texts=texts,
        now=int(options["now"]) if "now" in options else None,
        max_age=options.get("maxAge"),
        require_accuracy=options.get("requireAccuracy", False),
        recount={int(k): v for k, v in options["recount"].items()}
        if "recount" in options
        else None,
    )
    try:
        report = verify(bytes_of(case), case["policy"].encode(), chosen)
    except RuleError as error:
        return {"answers": None, "exitCode": EXIT[error.code], "error": error.code}
    code = report.exit_code(chosen)
    answers = {
        name: {"outcome": report.answers[name][0], "code": report.answers[name][1]}
        for name in ANSWERS
    }
    wrong = [a["code"] for a in answers.values() if a["outcome"] == "wrong"]
    required = ANSWERS if chosen.require_accuracy else ANSWERS[:3]
    missing = [answers[n]["code"] for n in required if answers[n]["outcome"] == "could-not-check"]
    missing.sort(key=lambda code: code == "undecided")  # what left it undecided says more
    deciding = {0: "", 1: wrong, 3: missing}[code]
    return {"answers": answers, "exitCode": code, "error": deciding[0] if deciding else ""}


def bytes_of(case: Json) -> bytes:
    """Return the file: text, or hex, and a long run of one character by its length."""
    if "hex" in case:
        return unhex(case["hex"])
    fill = case.get("repeat", {"text": "", "count": 0})
    text: str = case["bundle"] + fill["text"] * fill["count"] + case.get("tail", "")
    return text.encode()


def spelled(raw: bytes) -> Json:
    """Return the fields of a case that spell a file."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": raw.hex()}
    run_of = LONG_RUN.search(text)
    if not run_of:
        return {"bundle": text}
    fill = {"text": "A", "count": len(run_of[0])}
    return {"bundle": text[: run_of.start()], "repeat": fill, "tail": text[run_of.end() :]}


class Adder:
    """Adds bundles under one policy."""

    def __init__(self, suite: Suite, policy: str) -> None:
        """Start a group of this policy."""
        self.policy = policy
        self.group: Group = suite.group("Bundle", run, policy=policy)

    def report(
        self, comment: str, codes: Codes, flag: str, proof: Proof | bytes, **options: Any
    ) -> None:
        """Add a file that parses; `codes` are those of the four answers."""
        found = self._add(comment, flag, proof, options)
        answers = found["answers"] or {}
        got = tuple(answer["code"] for answer in answers.values())
        if got != codes:
            message = f"{comment}: {got or found['error']}, not {codes}"
            raise AssertionError(message)

    def refused(
        self, comment: str, code: str, flag: str, proof: Proof | bytes, **options: Any
    ) -> None:
        """Add a file or a call that gives no report."""
        found = self._add(comment, flag, proof, options)
        if found["error"] != code or found["answers"]:
            message = f"{comment}: {found['error'] or found['answers']}, not {code}"
            raise AssertionError(message)

    def _add(self, comment: str, flag: str, proof: Proof | bytes, options: Json) -> Json:
        raw = proof if isinstance(proof, bytes) else proof.file()
        inputs = spelled(raw) | ({"options": options} if options else {})
        found = run({"policy": self.policy, **inputs})
        error = found.pop("error")
        fields = {**inputs, **found}
        return self.group.add(comment, (flag,), fields, error, valid=found["exitCode"] == 0)


def started(receipts: int = 2) -> ExampleLog:
    """Return a log with a genesis and some receipts."""
    return ExampleLog().genesis().receipts(receipts)


def proof(log: ExampleLog | None = None, index: int = 1, **changes: Any) -> Proof:
    """Return an honest proof with some of its parts replaced."""
    return replace(Proof.of(log or started(), index), **changes)


def with_body(kind: int, body: bytes, *, index: int = 2, **how: Any) -> Proof:
    """Return a proof of a record with this body, the last of three leaves."""
    log = started(index - 1)
    log.append(kind, body, **how)
    return Proof.of(log, index)


def edited(change: Callable[[list[str]], list[str]], **changes: Any) -> Proof:
    """Return an honest proof whose signature lines are changed."""
    return proof(lines=change, **changes)


def witnesses(*numbers: int, time: int = actors.TIME_S + 30) -> tuple[tuple[str, bytes, int], ...]:
    """Return cosignatures of these witnesses, a second apart."""
    return tuple((witness_name(n), witness_seed(n), time + n) for n in numbers)
