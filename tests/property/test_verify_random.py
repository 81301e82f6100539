"""Verification against a second statement of its table: many things wrong at once.

A scenario says what is right and wrong about a policy, a head, a log, a record
and its body. One function builds it for real, another one predicts the four
answers from PROTOCOL.md's sections 13.2 to 13.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.bodies import Body, Redaction
from nous_ledger.protocol.bundle import Bundle
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.hashing import commit_response, next_key_hash
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.note import find_signatures, parse_note
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, head_vkey
from tests.property.sample_log import CURRENT, HEAD_TIME, HEADS, NEXT, SALT, receipt
from tests.unit.free_log import KEYS, OTHER_HEADS, FreeLog, started
from tests.unit.verifying import (
    ORIGIN,
    PIN,
    TEXT_KEY,
    WITNESS_KEYS,
    add,
    answers_of,
    cosigned,
    flip,
    policy,
    verify,
    with_payload,
    without,
)

AT = 4
OPENING, RESPONSE = b"\x88" * 32, b"the response"
NEW_TEXT_KEY = ed25519_vkey(ORIGIN, OTHER_HEADS.public_key)
UNKNOWN_KEY = VerifierKey(name=ORIGIN, key_id=b"abcd", kind=0x02, material=b"key")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is right and wrong; the first value of each field is the good one."""

    listed: bool
    supported: bool
    pin: str
    new_text_key_listed: bool
    old_text_key_listed: bool
    text_key_changed: bool
    genesis_first: bool
    head_line: str
    head_time: str
    text_line: str
    witnesses: tuple[str, str]
    quorum: str
    age: str
    event_path: bool
    path: bool
    index: bool
    epoch: bool
    signer: bool
    suspect: bool
    kind: str
    body: str
    content: str
    counted: str
    reported: int
    required: bool


def mostly(good: Any, *bad: Any) -> st.SearchStrategy[Any]:
    """Return the good value most of the time: one fault hides those behind it."""
    return st.sampled_from([good] * (9 * len(bad)) + list(bad))


cosigning = st.sampled_from(["good", "good", "absent"]) | mostly("good", "wrong")
scenarios = st.builds(
    Scenario,
    listed=mostly(True, False),
    supported=mostly(True, False),
    pin=mostly("pinned", "several", "absent", "other"),
    new_text_key_listed=mostly(True, False),
    old_text_key_listed=st.booleans(),
    text_key_changed=st.booleans(),
    genesis_first=mostly(True, False),
    head_line=mostly("good", "missing", "twice", "short", "flipped", "old epoch", "high s"),
    head_time=mostly("good", "early"),
    text_line=mostly("good", "missing", "twice", "flipped", "short"),
    witnesses=st.tuples(cosigning, cosigning),
    quorum=st.sampled_from(["any", "all", "none"]),
    age=st.sampled_from(["not asked", "fresh", "old"]),
    event_path=mostly(True, False),
    path=mostly(True, False),
    index=mostly(True, False),
    epoch=mostly(True, False),
    signer=mostly(True, False),
    suspect=st.booleans(),
    kind=st.sampled_from(["receipt"] * 6 + ["redaction", "unknown"]),
    body=mostly("good", "withheld", "another", "broken"),
    content=st.sampled_from(["absent", "good", "wrong"]),
    counted=st.sampled_from(["no", "agrees", "differs"]),
    reported=st.sampled_from([40, 66]),
    required=st.booleans(),
)


# How a scenario is built.


def signed_body(scenario: Scenario) -> tuple[int, Body | bytes]:
    """Return type and body of the record; its body may break a rule."""
    if scenario.kind == "redaction":
        indices = (AT,) if scenario.body == "broken" else (1,)
        return 5, Redaction(salt=SALT, indices=indices, reason=1)
    bucket = Bucket(
        kind=16, reported=scenario.reported, label=2, lower=1, upper=65, method="bytes/1"
    )
    body = replace(
        receipt(),
        usage=(bucket,),
        provider_total=scenario.reported,
        response_commitment=commit_response(OPENING, RESPONSE),
    )
    broken = pack_checked(body.to_wire() | {19: 1}) if scenario.body == "broken" else body
    return (6 if scenario.kind == "unknown" else 1), broken


@cache
def log_until(text_key_changed: bool) -> tuple[FreeLog, VerifierKey]:
    """Return a log whose rotation at 3 may change the Ed25519 key, and that key."""
    log = started()
    heads = OTHER_HEADS if text_key_changed else HEADS
    log.take_over(NEXT, KEYS[2], ed25519=heads.public_key)
    return log, ed25519_vkey(ORIGIN, heads.public_key)


def copy_of(log: FreeLog) -> FreeLog:
    return replace(
        log,
        records=[*log.records],
        bodies=[*log.bodies],
        nodes=[*log.nodes],
        key_events=[*log.key_events],
    )


def build_bundle(scenario: Scenario) -> Bundle:
    """Return the bundle of the record at index 4."""
    beginning, text_key = log_until(scenario.text_key_changed)
    log = copy_of(beginning)
    heads = OTHER_HEADS if scenario.text_key_changed else HEADS
    type_, body = signed_body(scenario)
    log.put(
        *log.make(
            body,
            type=type_,
            index=AT if scenario.index else AT - 1,
            epoch=1 if scenario.epoch else 0,
            key=NEXT if scenario.signer else CURRENT,
        )
    )
    if scenario.suspect:
        fields: dict[str, Any] = {"reason": 1, "suspect_from": 3}
        next_hash = next_key_hash(KEYS[3].public_key)
        event = log.event(1, KEYS[2], next_hash=next_hash, ed25519=heads.public_key, **fields)
        log.epoch, log.key = Epoch(2), KEYS[2]
        log.put(*log.make(event))
    time = HEAD_TIME if scenario.head_time == "good" else 1
    note = log.note(timestamp=time, ed25519=heads)
    bundle = replace(log.bundle(AT), checkpoint=change_note(scenario, note, text_key))
    if scenario.body == "withheld":
        bundle = replace(bundle, body=b"")
    elif scenario.body == "another":
        bundle = replace(bundle, body=pack_checked(receipt().to_wire()))
    return change_paths(scenario, bundle)


def change_note(scenario: Scenario, note: bytes, text_key: VerifierKey) -> bytes:
    """Return the note with the faults of its lines."""
    for number, state in enumerate(scenario.witnesses):
        if state != "absent":
            note = cosigned(note, HEAD_TIME + number, witness=number)
        if state == "wrong":
            note = with_payload(note, WITNESS_KEYS[number], lambda data: data[:8] + flip(data[8:]))
    for key, state in ((PIN, scenario.head_line), (text_key, scenario.text_line)):
        note = change_line(note, key, state)
    return note


def change_line(note: bytes, key: VerifierKey, state: str) -> bytes:
    if state == "missing":
        return without(note, key)
    if state == "twice":
        return add(note, *find_signatures(parse_note(note), key.name, key.key_id))
    changes: dict[str, Any] = {
        "short": lambda data: data[:-1],
        "flipped": lambda data: (
            flip(data) if len(data) == 64 else data[:-1] + bytes([data[-1] ^ 1])
        ),
        "old epoch": lambda data: data[:11] + b"\x00" + data[12:],
        "high s": lambda data: data[:44] + b"\xf0" + data[45:],
    }
    return with_payload(note, key, changes[state]) if state in changes else note


def change_paths(scenario: Scenario, bundle: Bundle) -> Bundle:
    events = list(bundle.key_events)
    if not scenario.event_path:
        events[-1] = replace(events[-1], path=events[-1].path[:-1])
    if not scenario.genesis_first:
        events.reverse()
    path = bundle.path if scenario.path else bundle.path[:-1]
    return replace(bundle, key_events=tuple(events), path=path, index=LeafIndex(AT))


def build_policy(scenario: Scenario) -> Policy:
    """Return the policy; a name that has no key of its own is listed with another's."""
    other_pin = head_vkey(ORIGIN, LogId(bytes(32)))
    pins = {"pinned": [PIN], "several": [other_pin, PIN], "absent": [], "other": [other_pin]}
    changed = scenario.text_key_changed
    current, old = (NEW_TEXT_KEY, TEXT_KEY) if changed else (TEXT_KEY, NEW_TEXT_KEY)
    keys = [*pins[scenario.pin]]
    keys += [current] if scenario.new_text_key_listed else []
    keys += [old] if scenario.old_text_key_listed else []
    keys += [] if scenario.supported else [UNKNOWN_KEY]
    if not (scenario.listed and keys):
        keys = [ed25519_vkey("other.example", HEADS.public_key)]
    return policy(*keys, quorum=scenario.quorum)


def options_of(scenario: Scenario) -> dict[str, Any]:
    options: dict[str, Any] = {"require_accuracy": scenario.required}
    if scenario.age != "not asked":
        options |= {"now": HEAD_TIME + 60, "max_age": 60 if scenario.age == "fresh" else 1}
    if scenario.content != "absent":
        given_response = RESPONSE if scenario.content == "good" else b"another"
        options |= {"opening": OPENING, "response": given_response}
    if scenario.counted != "no":
        found = Recount(lower=1, upper=65 if scenario.counted == "agrees" else 64)
        options["recount"] = lambda _receipt, _request, _response: {16: found}
    return options


# What the specification says of it.


def predict(scenario: Scenario) -> tuple[str, ...]:
    """Return the four answers."""
    names = ("attribution", "inclusion", "log_view", "accuracy")
    answers: dict[str, str] = {}
    for name, answer in predictions(scenario):
        if name == "stop":
            break
        answers.setdefault(name, answer)
    return tuple(answers.get(name, "could-not-check/undecided") for name in names)


def lists_any_key(scenario: Scenario) -> bool:
    return (
        scenario.pin != "absent"
        or scenario.new_text_key_listed
        or scenario.old_text_key_listed
        or not scenario.supported
    )


def predictions(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield what each step of 13.2 decides, in their order, until one stops."""
    if not (scenario.listed and lists_any_key(scenario)):  # step 1
        for name in ("attribution", "inclusion", "log_view", "accuracy"):
            yield name, "could-not-check/unknown-log"
        return
    if not scenario.supported:  # step 2
        yield "log_view", "could-not-check/unsupported-key"
        return
    faults = {"flipped": "wrong/mismatch", "short": "wrong/malformed"}
    if scenario.new_text_key_listed and scenario.text_line in faults:  # step 3
        yield "log_view", faults[scenario.text_line]
        return
    if not scenario.genesis_first or scenario.pin == "other":  # step 4
        code = "log-id" if scenario.genesis_first else "key-event-order"
        yield "attribution", f"wrong/{code}"
        return
    yield from predict_head(scenario)
    yield from predict_record(scenario)


def predict_head(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Steps 5 to 11."""
    head_faults = {
        "missing": "missing-kind",
        "twice": "duplicate-line",
        "short": "malformed",
        "flipped": "mismatch",
        "old epoch": "head-epoch",
        "high s": "high-s",
    }
    if scenario.head_line in head_faults:
        yield "log_view", f"wrong/{head_faults[scenario.head_line]}"
        yield "stop", ""
    if scenario.head_time == "early":
        yield "log_view", "wrong/head-time"
        yield "stop", ""
    line_faults = {
        "missing": "missing-kind",
        "twice": "duplicate-line",
        "short": "malformed",
        "flipped": "mismatch",
    }
    if scenario.old_text_key_listed and not scenario.new_text_key_listed:
        yield "log_view", "could-not-check/policy-outdated"
    elif scenario.text_line in line_faults:
        yield "log_view", f"wrong/{line_faults[scenario.text_line]}"
        yield "stop", ""
    if "wrong" in scenario.witnesses:
        yield "log_view", "wrong/mismatch"
        yield "stop", ""
    met = scenario.witnesses.count("good")
    needed = {"none": 0, "any": 1, "all": 2}[scenario.quorum]
    if met < needed:
        yield "log_view", "wrong/quorum"
    if scenario.age == "old":
        yield "log_view", "could-not-check/too-old"
    unasked = scenario.quorum == "none"
    yield "log_view", "not-asked/not-witnessed" if unasked else "established"


def predict_record(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Steps 12 to 15."""
    if not scenario.event_path:
        yield "inclusion", "wrong/proof-shape"
        yield "stop", ""
    if not scenario.path:
        yield "inclusion", "wrong/proof-shape"
    elif not scenario.index:
        yield "inclusion", "wrong/record-index"
    yield "inclusion", "established"
    if not scenario.epoch:
        yield "attribution", "wrong/epoch"
    if not scenario.signer:
        yield "attribution", "wrong/mismatch"
    if scenario.body == "another":
        yield "attribution", "wrong/body-hash"
    if scenario.pin == "absent":
        yield "attribution", "could-not-check/unpinned"
    if scenario.suspect:
        yield "attribution", "could-not-check/suspect"
    yield "attribution", "established"
    yield "accuracy", predict_accuracy(scenario)


def predict_accuracy(scenario: Scenario) -> str:
    """Section 13.4: the first that applies."""
    broken = "index-order" if scenario.kind == "redaction" else "total-mismatch"
    table = (
        (scenario.body == "withheld", "could-not-check/withheld"),
        (scenario.body == "another", "could-not-check/undecided"),
        (scenario.kind == "unknown", "could-not-check/unknown-type"),
        (scenario.body == "broken", f"wrong/{broken}"),
        (scenario.kind == "redaction", "could-not-check/no-receipt"),
        (scenario.content == "wrong", "wrong/commitment-mismatch"),
        (scenario.required and scenario.reported > 65, "wrong/outside"),
        (scenario.content == "absent", "could-not-check/not-recounted"),
        (scenario.counted == "no", "could-not-check/not-recounted"),
        (scenario.counted == "differs", "wrong/label-range"),
        (True, "established"),
    )
    return next(answer for applies, answer in table if applies)


def predict_exit_code(scenario: Scenario, answers: tuple[str, ...]) -> int:
    """VER-22, VER-23."""
    if any(answer.startswith("wrong") for answer in answers):
        return 1
    attribution, inclusion, log_view, accuracy = answers
    required = [attribution, inclusion]
    required += [] if log_view == "not-asked/not-witnessed" else [log_view]
    required += [accuracy] if scenario.required else []
    return 0 if set(required) == {"established"} else 3


@given(scenarios)
def test_the_answers_are_those_of_the_table(scenario: Scenario) -> None:
    """VER-2 to VER-20, VER-22, VER-23."""
    report = verify(build_bundle(scenario), build_policy(scenario), **options_of(scenario))
    expected = predict(scenario)
    assert answers_of(report) == expected
    assert report.exit_code() == predict_exit_code(scenario, expected)
