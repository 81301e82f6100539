"""Evidence of misbehaviour: whether a file proves, by what a log signed, what it says."""

import json
from collections import Counter
from typing import Any

from vectors.generate.rules import (
    bodies,
    curve,
    eip712,
    fields,
    head,
    history,
    labels,
    note,
    policy,
    record,
    tree,
)
from vectors.generate.rules.checks import MAX_UINT, RuleError, require
from vectors.generate.rules.primitives import ed25519_verify, sha256

FORMAT = "nous-ledger/1 evidence"
MEMBERS = "code format hashes heads key_events kind leaves log_id origin"
BAD = "evidence-format"
Json = dict[str, Any]


def write(document: Json) -> str:
    """Return the one spelling of a file."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def parse(text: str) -> Json:
    """Return the members of a file, which is spelled in the one way."""
    try:
        document: Json = json.loads(text)
    except ValueError:
        raise RuleError(BAD) from None
    require(type(document) is dict and sorted(document) == MEMBERS.split(), BAD)
    require(document["format"] == FORMAT and document["kind"] in RULINGS, BAD)
    require(all(type(document[name]) is str for name in ("code", "origin")), BAD)
    hexed(document["log_id"], 32)
    for name in ("hashes", "heads", "key_events", "leaves"):
        require(type(document[name]) is list, BAD)
    for event in document["key_events"]:
        require(type(event) is list and len(event) == 2, BAD)
        hexed(event[0], 120)
        hexed(event[1])
    require(all(type(text) is str for text in document["heads"]), BAD)
    for item in document["hashes"]:
        hexed(item, 32)
    for leaf in document["leaves"]:
        check_leaf(leaf)
    require(write(document) == text, BAD)
    return document


def check_leaf(leaf: Any) -> None:
    """Refuse what is no leaf of a file."""
    require(type(leaf) is dict and sorted(leaf) == ["body", "index", "path", "record"], BAD)
    require(type(leaf["index"]) is int and 0 <= leaf["index"] <= MAX_UINT, BAD)
    hexed(leaf["record"], 120)
    if leaf["body"] is not None:
        hexed(leaf["body"])
    require(leaf["path"] is None or type(leaf["path"]) is list, BAD)
    for item in leaf["path"] or []:
        hexed(item, 32)


def hexed(item: Any, size: int | None = None) -> bytes:
    """Return bytes in lower-case hex."""
    require(type(item) is str and set(item) <= set("0123456789abcdef"), BAD)
    require(len(item) % 2 == 0 and size in (None, len(item) // 2), BAD)
    return bytes.fromhex(item)


def verify(text: str, trust: str) -> Json:
    """Return kind and code of what a file proves against a log that a policy pins."""
    document = parse(text)
    keys = [key for key in policy.parse(trust.encode()).logs if key.name == document["origin"]]
    require(keys, "unknown-log")
    pinned = {key.log_id for key in keys if key.log_id}
    require(pinned, "unpinned")
    try:
        require(bytes.fromhex(document["log_id"]) in pinned, "log-id")
        trial = Trial(document)
        codes = RULINGS[document["kind"]](trial)
        require(document["code"] in codes, "mismatch")
    except RuleError as refusal:
        raise RuleError("suspect" if refusal.code == "suspect" else "evidence-refused") from None
    return {"kind": document["kind"], "code": document["code"]}


class Head:
    """A head whose two lines verify."""

    def __init__(self, trial: "Trial", text: str) -> None:
        parsed = note.parse(text.encode())
        point = head.parse_checkpoint(parsed.text)
        keys = trial.keys_at(point.count)
        require(point.origin == trial.origin and len(parsed.lines) == 2, "head-origin")
        first = note.key_id(trial.origin, bytes([note.ED25519]) + keys.ed25519[-1])
        text_line = head.the_only_line(parsed, trial.origin, first)
        line = head.the_only_line(parsed, trial.origin, head.head_key_id(trial.origin, keys.log))
        require(parsed.lines[0] == text_line, "duplicate-line")
        ed25519_verify(keys.ed25519[-1], parsed.text.encode(), text_line.payload)
        found = head.parse_head_line(line.payload)
        require(found.epoch == keys.epoch, "head-epoch")
        head.verify_head_line(found, keys.log, point, keys.keys[-1])
        self.count, self.root, self.time = point.count, point.root, found.timestamp


class Trial:
    """The parts of a file, the log's among them verified."""

    def __init__(self, document: Json) -> None:
        self.origin = document["origin"]
        self.log = bytes.fromhex(document["log_id"])
        pairs = document["key_events"]
        self.events = [history.Entry(bytes.fromhex(row), bytes.fromhex(b)) for row, b in pairs]
        self.indices = [record.decode(event.record).index for event in self.events]
        self.keys = self.read(self.events)
        self.hashes = [bytes.fromhex(item) for item in document["hashes"]]
        self.leaves = document["leaves"]
        self.heads = [Head(self, text) for text in document["heads"]]

    def read(self, events: list[history.Entry]) -> history.History:
        """Return the history of some events, nothing standing behind the last of them."""
        require(events, "key-event-order")
        last = record.decode(events[-1].record).index
        return history.read(events, self.origin, {self.log}, last + 1)

    def keys_at(self, count: int) -> history.History:
        """Return the history at a leaf count."""
        below = [e for e, i in zip(self.events, self.indices, strict=True) if i < max(count, 1)]
        return self.read(below)

    def parts(self, heads: int, leaves: int, *, hashes: bool = False) -> None:
        """Refuse a file that has other parts than its kind."""
        require(len(self.heads) == heads and len(self.leaves) == leaves, "limit")
        require(bool(self.hashes) == hashes, "limit")

    def raw(self, place: int) -> bytes:
        """Return the 120 bytes of a leaf."""
        return bytes.fromhex(self.leaves[place]["record"])

    def signed(self, place: int, *, body: bool) -> record.Record:
        """Return a record that the key in force signed, with or without a body beside it."""
        leaf, found = self.leaves[place], record.decode(self.raw(place))
        require(found.index == leaf["index"] and leaf["path"] is None, "record-index")
        require(body == (leaf["body"] is not None), "withheld")
        epoch = self.keys.epoch_at(found.index)
        require(found.epoch == epoch, "epoch")
        record.verify(found, self.keys.log, self.keys.keys[epoch])
        require(not self.keys.suspect(found.index), "suspect")
        return found

    def body(self, place: int) -> tuple[record.Record, dict[str, Any]]:
        """Return a signed record and its body, which breaks no rule."""
        found = self.signed(place, body=True)
        data = bytes.fromhex(self.leaves[place]["body"])
        require(sha256(data) == found.body_hash, "body-hash")
        require(found.type < len(bodies.FIELDS), "unknown-type")
        decoded = bodies.decode(found.type, data)
        bodies.check_in_record(found.type, decoded, found)
        return found, fields.named(decoded, bodies.FIELDS[found.type])

    def covered(self) -> tuple[Json, Head]:
        """Return the leaf and the head that covers it."""
        self.parts(1, 1)
        leaf, seen = self.leaves[0], self.heads[0]
        path = [bytes.fromhex(item) for item in leaf["path"] or []]
        hashed = sha256(b"\x00" + self.raw(0))
        tree.verify_inclusion(hashed, leaf["index"], seen.count, path, seen.root)
        return leaf, seen

    def signer(self, binding: dict[str, Any]) -> bytes:
        """Return the address that signed a binding."""
        members = (binding[name] for name in ("subject", "wallet", "nonce", "deadline"))
        key = curve.recover(eip712.binding_digest(self.log, *members), binding["signature"])
        point = curve.decompress(key) or (0, 0)
        signer = eip712.address_of(b"".join(part.to_bytes(32, "big") for part in point))
        require(binding["wallet"] in (bytes(20), signer), "mismatch")
        return signer


def fork(trial: Trial) -> set[str]:
    """Two heads contradict each other."""
    require(len(trial.heads) == 2, "limit")
    one, other = trial.heads
    trial.parts(2, 0, hashes=one.count != other.count)
    if one.count == other.count:
        require(one.root < other.root, "root-mismatch")
        return {"fork"}
    prefix, *path = trial.hashes
    tree.verify_consistency(one.count, prefix, other.count, other.root, path)
    require(prefix != one.root, "root-mismatch")
    return {"fork"}


def head_order(trial: Trial) -> set[str]:
    """The smaller head is the later one."""
    trial.parts(2, 0)
    one, other = trial.heads
    require(one.count < other.count and one.time > other.time, "head-time")
    return {"rollback"}


def leaf_faults(trial: Trial) -> set[str]:
    """Return what a covered record, or its body, breaks."""
    leaf, seen = trial.covered()
    try:
        found = record.decode(trial.raw(0))
    except RuleError as refusal:
        return {refusal.code} - {"newer-version"} if leaf["body"] is None else set()
    if found.index != leaf["index"]:
        return {"record-index"} if leaf["body"] is None else set()
    if leaf["body"] is None:
        return record_faults(trial, found, seen)
    return body_faults(trial, found, bytes.fromhex(leaf["body"]))


def record_faults(trial: Trial, found: record.Record, seen: Head) -> set[str]:
    """Return the rules that a record at its place breaks."""
    codes = {"head-time"} if seen.time < found.logged_at // 1000 else set()
    if trial.keys.closed and found.index > trial.indices[-1]:
        codes.add("after-close")
    epoch = trial.keys.epoch_at(found.index)
    if found.epoch != epoch:
        return codes | {"epoch"}
    try:
        record.verify(found, trial.keys.log, trial.keys.keys[epoch])
    except RuleError as refusal:
        codes.add(refusal.code)
    return codes


def body_faults(trial: Trial, found: record.Record, data: bytes) -> set[str]:
    """Return the rule that the body of a record breaks."""
    if sha256(data) != found.body_hash or not 0 < found.type < len(bodies.FIELDS):
        return set()
    try:
        decoded = bodies.decode(found.type, data)
        bodies.check_in_record(found.type, decoded, found)
        if found.type == bodies.BINDING:
            trial.signer(fields.named(decoded, bodies.FIELDS[found.type]))
    except RuleError as refusal:
        return {refusal.code}
    return set()


def key_event(trial: Trial) -> set[str]:
    """Return why a covered key event does not continue the history."""
    leaf, _ = trial.covered()
    found, body = record.decode(trial.raw(0)), bytes.fromhex(leaf["body"] or "")
    require((found.type, found.index) == (bodies.KEY, leaf["index"]), "key-event-order")
    require(sha256(body) == found.body_hash and trial.indices[-1] < leaf["index"], "body-hash")
    try:
        trial.read([*trial.events, history.Entry(found.raw, body)])
    except RuleError as refusal:
        return {refusal.code} - {"unknown-kind"}
    return set()


def record_pair(trial: Trial) -> set[str]:
    """Two records that cannot both have been signed."""
    trial.parts(0, 2)
    one, other = trial.signed(0, body=False), trial.signed(1, body=False)
    if one.index == other.index and one.raw < other.raw:
        return {"equivocation"}
    return {"backdated"} if one.index < other.index and one.logged_at > other.logged_at else set()


def late(trial: Trial) -> set[str]:
    """A head that should have covered a record."""
    trial.parts(1, 1)
    found, seen = trial.signed(0, body=False), trial.heads[0]
    try:
        head.check_late(found.logged_at, found.index, trial.keys.delay, seen.count, seen.time)
    except RuleError as refusal:
        return {refusal.code}
    return set()


def omission(trial: Trial) -> set[str]:
    """A head with another leaf at the index of a record."""
    trial.parts(1, 1, hashes=True)
    found, seen, (other, *path) = trial.signed(0, body=False), trial.heads[0], trial.hashes
    tree.verify_inclusion(other, found.index, seen.count, path, seen.root)
    return {"omission"} if other != found.leaf else set()


def body_pair(trial: Trial) -> set[str]:
    """Two bodies that cannot both stand."""
    trial.parts(0, 2)
    (first, one), (second, other) = trial.body(0), trial.body(1)
    require(first.index < second.index, "index-order")
    codes = set()
    if first.type == second.type == bodies.RECEIPT:
        step = other["subject_seq"] - one["subject_seq"]
        broken = step < 1 or (step == 1 and other["subject_prev"] != first.body_hash)
        codes |= {"subject-branch"} if one["subject"] == other["subject"] and broken else set()
        codes |= {"duplicate-id"} if one["id"] == other["id"] else set()
    if first.type == second.type == bodies.BINDING and other["nonce"] <= one["nonce"]:
        codes |= {"nonce-order"} if trial.signer(one) == trial.signer(other) else set()
    return codes


def statement(trial: Trial) -> set[str]:
    """A statement that is not the sum of its receipts."""
    trial.parts(0, max(len(trial.leaves), 2))
    claim, said = trial.body(0)
    require(claim.type == bodies.STATEMENT, "wrong-type")
    found = [trial.body(place) for place in range(1, len(trial.leaves))]
    wanted = [(said["subject"], seq) for seq in range(said["first_seq"], said["last_seq"] + 1)]
    require(all(row.type == bodies.RECEIPT for row, _ in found), "wrong-type")
    require([(body["subject"], body["subject_seq"]) for _, body in found] == wanted, "bad-value")
    right = found[-1][0].body_hash == said["last_body_hash"] and rows_of(found) == said["rows"]
    below = all(row.index < said["count"] for row, _ in found)
    return set() if right and below else {"statement-sums"}


def rows_of(found: list[tuple[record.Record, dict[str, Any]]]) -> list[Any]:
    """Return the rows of a true statement."""
    calls: Counter[Any] = Counter()
    unmetered: Counter[Any] = Counter()
    sums: dict[Any, dict[int, list[int]]] = {}
    for _, body in found:
        model = body.get("model_served") or body.get("model_requested") or "unknown"
        key = (body["provider"].encode(), model.encode(), body["source"])
        calls[key] += 1
        unmetered[key] += body["metering"] == 0
        kinds = sums.setdefault(key, {})
        for bucket in body.get("usage", []):
            row = kinds.setdefault(bucket[1], [bucket[1], 0, 0, 0, 0])
            row[1] += bucket.get(2, 0)
            if bucket[3] in (1, 2, 3):
                row[1 + bucket[3]] += bucket.get(2, 0)
    return [
        [p.decode(), m.decode(), s, calls[p, m, s], unmetered[p, m, s],
         [row for _, row in sorted(sums[p, m, s].items())]]
        for p, m, s in sorted(calls)
    ]  # fmt: skip


def reference(trial: Trial) -> set[str]:
    """A reconciliation that does not fit its receipt."""
    trial.parts(0, 2)
    claim, said = trial.body(0)
    require(claim.type == bodies.RECONCILIATION, "wrong-type")
    require(said["index"] == trial.leaves[1]["index"], "record-index")
    if trial.leaves[1]["body"] is None:
        found = trial.signed(1, body=False)
        fits = (found.type, found.body_hash) == (bodies.RECEIPT, said["body_hash"])
        return set() if fits else {"reference"}
    found, receipt = trial.body(1)
    require((found.type, found.body_hash) == (bodies.RECEIPT, said["body_hash"]), "wrong-type")
    own = {b[1]: b.get(2) for b in receipt.get("usage", [])}
    if any(b[1] not in own or own[b[1]] != b.get(2) for b in said["usage"]):
        return {"field-conflict"}
    exact = [b for b in said["usage"] if b[3] == labels.EXACT]
    others = [b for b in receipt.get("usage", []) if b[3] != labels.EXACT]
    try:
        for bucket in exact:
            rows = [fields.named(b, bodies.BUCKET_FIELDS) for b in (*others, bucket)]
            labels.check_exact_allowed(receipt, rows)
    except RuleError as refusal:
        return {refusal.code}
    return set()


RULINGS = {
    "fork": fork,
    "head-order": head_order,
    "leaf": leaf_faults,
    "key-event": key_event,
    "record-pair": record_pair,
    "late": late,
    "omission": omission,
    "body-pair": body_pair,
    "statement": statement,
    "reference": reference,
}
