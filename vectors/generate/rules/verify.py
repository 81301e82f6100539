"""Verification of a bundle: four questions, answered apart, in the order of the protocol."""

import contextlib
from dataclasses import dataclass, field
from typing import Any

from vectors.generate.rules import (
    bodies,
    bundle,
    curve,
    eip712,
    fields,
    head,
    history,
    labels,
    note,
    policy,
    primitives,
    record,
    tree,
)
from vectors.generate.rules.checks import RuleError, require

UNAVAILABLE = frozenset(
    [
        "unknown-log",
        "unpinned",
        "policy-outdated",
        "withheld",
        "suspect",
        "undecided",
        "not-recounted",
        "no-receipt",
        "unknown-kind",
        "unknown-type",
        "unsupported-key",
        "too-old",
    ]
)
ANSWERS = ("attribution", "inclusion", "log_view", "accuracy")
CONTENT = ("request", "response", "forwarded")
ZERO_WALLET = bytes(20)


@dataclass(frozen=True)
class Options:
    """What the caller brings besides the file and the policy."""

    opening: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)
    now: int | None = None
    max_age: int | None = None
    require_accuracy: bool = False
    recount: dict[int, dict[str, int]] | None = None


class StopError(Exception):
    """The answers that are not decided yet cannot be decided."""


class Report:
    """Four answers; the first code that decides an answer stays."""

    def __init__(self) -> None:
        """Start with nothing decided."""
        self.answers: dict[str, tuple[str, str]] = {}

    def decide(self, question: str, code: str) -> None:
        """Answer a question; the empty code establishes it."""
        outcome = "established"
        if code:
            outcome = "could-not-check" if code in UNAVAILABLE else "wrong"
        if code == "not-witnessed":
            outcome = "not-asked"
        self.answers.setdefault(question, (outcome, code))

    def attempt(self, question: str, check: Any, *, stops: bool = False) -> Any:
        """Run a check; if it refuses, its code answers the question."""
        try:
            return check()
        except RuleError as error:
            self.decide(question, error.code)
            if stops:
                raise StopError from error
        return None

    def exit_code(self, options: Options) -> int:
        """Return the exit code that the answers imply."""
        if any(outcome == "wrong" for outcome, _ in self.answers.values()):
            return 1
        wanted = ANSWERS if options.require_accuracy else ANSWERS[:3]
        missing = [
            question
            for question in wanted
            if self.answers[question] not in (("established", ""), ("not-asked", "not-witnessed"))
        ]
        return 3 if missing else 0


def verify(raw: bytes, trust: bytes, options: Options) -> Report:
    """Return the four answers about a file under a policy; raise what is no question of the log."""
    rules = policy.parse(trust)
    require((options.opening is None) == (not options.texts), "input")
    require(options.opening is None or len(options.opening) == 32, "input")
    parsed = bundle.parse(raw)
    report = Report()
    with contextlib.suppress(StopError):
        _Verification(parsed, rules, options, report).run()
    for question in ANSWERS:
        report.decide(question, "undecided")
    return report


class _Verification:
    """One run; the methods stand in the order in which they are applied."""

    def __init__(
        self, parsed: bundle.Bundle, rules: policy.Policy, options: Options, report: Report
    ) -> None:
        self.parsed, self.rules, self.options, self.report = parsed, rules, options, report
        self.origin = parsed.checkpoint.origin
        self.keys = [key for key in rules.logs if key.name == self.origin]
        self.pinned = {key.log_id for key in self.keys if key.log_id}
        self.ed25519 = [key for key in self.keys if key.type == note.ED25519]
        self.log, self.epoch = b"", 0

    def run(self) -> None:
        """Answer the four questions."""
        report = self.report
        if not self.keys:
            for question in ANSWERS:
                report.decide(question, "unknown-log")
            return
        report.attempt("log_view", self.listed_lines, stops=True)
        keys = report.attempt("attribution", self.key_history, stops=True)
        self.log, self.epoch = keys.log, keys.epoch
        time = report.attempt("log_view", lambda: self.head_line(keys), stops=True)
        if self.ed25519 and keys.ed25519[-1] not in [key.material for key in self.ed25519]:
            report.decide("log_view", "policy-outdated")
        else:
            report.attempt("log_view", lambda: self.epoch_line(keys), stops=True)
        times = report.attempt("log_view", self.witness_lines, stops=True)
        report.attempt("log_view", lambda: self.quorum(times, time))
        report.attempt("inclusion", self.event_paths, stops=True)
        report.attempt("inclusion", self.record_path)
        report.decide("inclusion", "")
        report.attempt("attribution", lambda: self.attribution(keys))
        report.attempt("accuracy", self.accuracy)

    def listed_lines(self) -> None:
        """Refuse a log key of an unknown kind, and a line of a listed key that fails."""
        require(all(key.log_id or key.type == note.ED25519 for key in self.keys), "unsupported-key")
        for key in self.ed25519:
            for line in self.parsed.note.lines:
                if (line.name, line.key_id) == (key.name, key.key_id):
                    self.verify_text(key.material, line.payload)

    def verify_text(self, public: bytes, signature: bytes) -> None:
        """Refuse unless the key signed the text of the head."""
        primitives.ed25519_verify(public, self.parsed.note.text.encode(), signature)

    def key_history(self) -> history.History:
        """Return the key history of the head."""
        pinned = {log for log in self.pinned if log} or None
        count = self.parsed.checkpoint.count
        return history.read(list(self.parsed.entries), self.origin, pinned, count)

    def head_line(self, keys: history.History) -> int:
        """Return the time of the head once its 0xff line verifies."""
        identifier = head.head_key_id(self.origin, keys.log)
        found = head.the_only_line(self.parsed.note, self.origin, identifier)
        line = head.parse_head_line(found.payload)
        require(line.epoch == keys.epoch, "head-epoch")
        head.verify_head_line(line, keys.log, self.parsed.checkpoint, keys.keys[-1])
        carried = [record.decode(entry.record) for entry in self.parsed.entries]
        carried = sorted([*carried, self.parsed.record], key=lambda item: item.index)
        times = [item.logged_at for item in carried]
        require(times == sorted(times), "head-time")
        require(line.timestamp >= times[-1] // 1000, "head-time")
        return line.timestamp

    def epoch_line(self, keys: history.History) -> None:
        """Refuse unless the Ed25519 key of the epoch signed exactly once."""
        public = keys.ed25519[-1]
        identifier = note.key_id(self.origin, bytes([note.ED25519]) + public)
        found = head.the_only_line(self.parsed.note, self.origin, identifier)
        self.verify_text(public, found.payload)

    def witness_lines(self) -> dict[bytes, int]:
        """Return the latest time of each listed witness; one that fails is wrong."""
        times: dict[bytes, int] = {}
        for name, key in self.rules.witnesses.items():
            for line in self.parsed.note.lines:
                if key.type != note.COSIGNATURE or (line.name, line.key_id) != (
                    key.name,
                    key.key_id,
                ):
                    continue
                time = head.verify_cosignature(key.material, self.parsed.note.text, line.payload)
                times[name] = max(time, times.get(name, 0))
        return times

    def quorum(self, times: dict[bytes, int], head_time: int) -> None:
        """Apply the quorum, then the age that the caller asks for."""
        witnessed = policy.witnessed_time(self.rules, times)
        if self.options.max_age is not None and self.options.now is not None:
            age = self.options.now - (head_time if witnessed is None else witnessed)
            require(age <= self.options.max_age, "too-old")
        self.report.decide("log_view", "not-witnessed" if witnessed is None else "")

    def included(self, raw: bytes, index: int, path: tuple[bytes, ...]) -> None:
        """Refuse unless the record is in the tree of the head."""
        leaf = primitives.sha256(b"\x00" + raw)
        point = self.parsed.checkpoint
        tree.verify_inclusion(leaf, index, point.count, path, point.root)

    def event_paths(self) -> None:
        """Refuse a key event that is not in the tree."""
        for entry in self.parsed.entries:
            self.included(entry.record, record.decode(entry.record).index, entry.path)

    def record_path(self) -> None:
        """Refuse a record that is not in the tree, or not where it says."""
        self.included(self.parsed.record.raw, self.parsed.index, self.parsed.path)
        require(self.parsed.record.index == self.parsed.index, "record-index")

    def attribution(self, keys: history.History) -> None:
        """Decide whether the key in force at that index signed exactly this record."""
        found = self.parsed.record
        epoch = keys.epoch_at(found.index)
        require(found.epoch == epoch, "epoch")
        record.verify(found, keys.log, keys.keys[epoch])
        body = self.parsed.body
        if found.type == bodies.KEY:
            require(body, "body-hash")
            listed = [(entry.record, entry.body) for entry in self.parsed.entries]
            require((found.raw, body) in listed, "key-event-order")
        if body:
            require(primitives.sha256(body) == found.body_hash, "body-hash")
        require(self.pinned, "unpinned")
        require(not keys.suspect(found.index), "suspect")
        self.report.decide("attribution", "")

    def accuracy(self) -> None:
        """Decide what the body says about its counts; it never just says valid."""
        kind, body = self.parsed.record.type, self.parsed.body
        require(body or kind == bodies.KEY, "withheld")
        require(primitives.sha256(body) == self.parsed.record.body_hash, "undecided")
        require(kind < len(bodies.FIELDS), "unknown-type")
        decoded = bodies.decode(kind, body)
        bodies.check_in_record(kind, decoded, self.parsed.record)
        named = fields.named(decoded, bodies.FIELDS[kind])
        if kind == bodies.BINDING:
            self.binding(named)
        require(kind == bodies.RECEIPT, "no-receipt")
        self.content(named)
        for bucket in named.get("usage", []) if self.options.require_accuracy else []:
            row = fields.named(bucket, bodies.BUCKET_FIELDS)
            word = labels.verdict(row, named["metering"])
            require(word in ("ok", "uncheckable"), word)
        self.recounted(named)
        self.report.decide("accuracy", "")

    def recounted(self, receipt: dict[str, Any]) -> None:
        """Refuse unless every range that is claimed was found again from committed content."""
        rows = [fields.named(b, bodies.BUCKET_FIELDS) for b in receipt.get("usage", [])]
        claims = [row for row in rows if row["label"] in (labels.EXACT, labels.BOUNDED)]
        covered = "response" in self.options.texts and "response_commitment" in receipt
        found = self.options.recount if covered and self.options.recount else {}
        require(claims and all(row["kind"] in found for row in claims), "not-recounted")
        for row in claims:
            claimed = {name: row[name] for name in ("lower", "upper", "count") if name in row}
            require(claimed == found[row["kind"]], "label-range")

    def binding(self, body: dict[str, Any]) -> None:
        """Refuse a binding that its wallet did not sign, or an unbind that does not recover."""
        members = (body[name] for name in ("subject", "wallet", "nonce", "deadline"))
        key = curve.recover(eip712.binding_digest(self.log, *members), body["signature"])
        point = curve.decompress(key) or (0, 0)
        signer = eip712.address_of(b"".join(part.to_bytes(32, "big") for part in point))
        require(body["wallet"] in (ZERO_WALLET, signer), "mismatch")

    def content(self, receipt: dict[str, Any]) -> None:
        """Refuse content that the commitments of the receipt do not fit; absent ones are noted."""
        for which, text in self.options.texts.items():
            committed = receipt.get(f"{which}_commitment")
            made = primitives.commitment(which, self.options.opening or b"", text)
            require(committed in (None, made), "commitment-mismatch")
