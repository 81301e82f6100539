"""bodies_json.json: reading the JSON form of bodies."""

import json
from typing import Any

from vectors.generate import actors
from vectors.generate.cases.bodies_binding import binding
from vectors.generate.cases.bodies_key_event import rotate
from vectors.generate.cases.bodies_receipt import full, imported
from vectors.generate.cases.bodies_reconciliation import reconciliation
from vectors.generate.cases.bodies_redaction import redaction
from vectors.generate.cases.bodies_statement import statement
from vectors.generate.rules import jsonread
from vectors.generate.rules.jsonform import body_to_json
from vectors.generate.suite import Group, Json, Suite


def check(case: Json) -> Json:
    """Read a text and write the body."""
    return {"body": jsonread.read(case["text"]).hex()}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_json",
        "json-form",
        "5.4 JSON form",
        "Read `text`, the JSON form of a body, and encode the body as `body`.",
    )
    suite.flag("Valid", "BASIC", "A form in order.", "None.", "ENC-26 ENC-20 CONV-3")
    effect = "Two texts stand for one body, or one text for two."
    for name, description, ids in (
        ("Member", "A member that is unknown, missing, or there twice.", "ENC-27"),
        ("Value", "A value of another type or form.", "ENC-27 CONV-3"),
        ("NoJson", "Text that is no JSON.", "ENC-27"),
        ("Opaque", "An opaque value that has a name, or is not canonical.", "ENC-27 ENC-20"),
        ("Rule", "A form in order of a body that breaks a rule.", "ENC-28"),
    ):
        suite.flag(name, "PARSING", description, effect, ids)
    group = suite.group("JsonForm", check)
    valid(group)
    for part in (members, texts, values, opaque, rules):
        part(group)
    return suite


def form(kind: int, body: dict[int, Any]) -> Json:
    """Return the form of a body."""
    found: Json = json.loads(json.dumps(body_to_json(kind, body)))
    return found


def receipt(**changes: Any) -> str:
    """Return the text of the full receipt with members replaced; None removes one."""
    members = form(1, full()) | changes
    return json.dumps({name: value for name, value in members.items() if value is not ...})


def valid(group: Group) -> None:
    """Forms of every type."""
    bodies = (
        rotate(f8=1, f9=0),
        full(),
        reconciliation(),
        binding(),
        statement(),
        redaction(),
    )
    for kind, body in enumerate(bodies):
        group.valid(f"type {kind}", "Valid", text=json.dumps(form(kind, body)))
    group.valid("an import", "Valid", text=json.dumps(form(1, imported())))
    genesis = actors.genesis(f11=[actors.LOG_ID, 3, bytes(32)])
    group.valid("a genesis with predecessor", "Valid", text=json.dumps(form(0, genesis)))
    unknown = actors.receipt(f4=9, f14=99, f30=[77])
    group.valid("unknown values", "Valid", text=json.dumps(form(1, unknown)))
    extended = actors.receipt(f64=[1, b"x"], f27={1: "s", 2**53 - 1: {}})
    group.valid("extensions", "Valid", text=json.dumps(form(1, extended)))
    members = form(5, redaction())
    text = json.dumps(dict(reversed(members.items())), indent=2)
    group.valid("members in another order, white space", "Valid", text=text)
    escaped = json.dumps(form(1, actors.receipt(f10="é模"))).replace("chat", "ch\\u0061t")
    group.valid("escapes", "Valid", text=escaped)


def members(group: Group) -> None:
    """Members of objects."""

    def add(comment: str, text: str) -> None:
        group.invalid(comment, "json-format", "Member", text=text)

    base = form(5, redaction())
    add("no type", json.dumps({k: v for k, v in base.items() if k != "type"}))
    add("an unknown type", json.dumps(base | {"type": "evidence"}))
    add("the type as a number", json.dumps(base | {"type": 5}))
    add("an array outside", json.dumps([base]))
    add("a string outside", '"redaction"')
    add("an unknown member", json.dumps(base | {"note": "x"}))
    add("a member in capitals", json.dumps(base | {"Reason": "retention"}))
    add("a member twice", json.dumps(base)[:-1] + ', "reason": "retention"}')
    add("the type twice", json.dumps(base)[:-1] + ', "type": "redaction"}')
    add("a field of another type", json.dumps(base | {"subject": "00" * 32}))
    add("a Python name", receipt(import_={}))
    usage = form(1, full())["usage"]
    add("an unknown member of a bucket", receipt(usage=[{**usage[0], "note": 1}]))
    add("a type member in a bucket", receipt(usage=[{**usage[0], "type": "bucket"}]))
    policy = form(1, full())["policy"][0]
    add("a policy entry without count", receipt(policy=[{"name": "a", "action": "flag"}]))
    add("a policy entry with a fourth member", receipt(policy=[{**policy, "x": 1}]))
    add("a policy entry as an array", receipt(policy=[["pii", "redact", 2]]))
    row = form(4, statement())
    short = {k: v for k, v in row["rows"][0].items() if k != "unmetered"}
    add("a statement row without unmetered", json.dumps(row | {"rows": [short]}))
    add("extensions that are empty", receipt(extensions={}))
    add("extensions as an array", receipt(extensions=[]))
    for key in ("064", "x", "-64", str(2**53)):
        add(f"extension {key}", receipt(extensions={key: {"msgpack": "00"}}))


def texts(group: Group) -> None:
    """Texts that are no JSON."""
    good = json.dumps(form(5, redaction()))
    for comment, text in {
        "nothing": "",
        "cut short": good[:-1],
        "a brace more": good + "}",
        "single quotes": good.replace('"', "'"),
        "a comma at the end": good[:-1] + ",}",
        "a line feed in a string": good.replace("retention", "re\ntention").replace(
            "data_subject", "data\nsubject"
        ),
        "NaN": receipt(duration="@").replace('"@"', "NaN"),
    }.items():
        group.invalid(f"text: {comment}", "json-format", "NoJson", text=text)


def values(group: Group) -> None:
    """Values of another form."""

    def add(comment: str, text: str) -> None:
        group.invalid(comment, "json-format", "Value", text=text)

    identifier = form(1, full())["id"]
    add("null", receipt(model_served=None))
    add("true for a number", receipt(streamed=True))
    for number in ("1.0", "1e0", "-1", str(2**53), '"1"'):
        text = receipt(streamed="@").replace('"@"', number)
        add(f"number {number}", text)
    add("a number as text", receipt(model_served=7))
    add("hex in capitals", receipt(subject=actors.SUBJECT.hex().upper()))
    add("hex of an odd length", receipt(subject=actors.SUBJECT.hex()[1:]))
    add("hex with 0x", receipt(subject="0x" + actors.SUBJECT.hex()))
    add("base64", receipt(salt="AAECAwQFBgcICQoLDA0ODw=="))
    add("a wallet without 0x", receipt(claimed_wallet=actors.wallet_address().hex()))
    add(
        "a wallet in capitals", receipt(claimed_wallet="0x" + actors.wallet_address().hex().upper())
    )
    add("a UUID in capitals", receipt(id=identifier.upper()))
    add("a UUID without hyphens", receipt(id=identifier.replace("-", "")))
    add("a UUID in braces", receipt(id="{" + identifier + "}"))
    add("an unknown name", receipt(status="done"))
    add("a name in other letters", receipt(status="Complete"))
    add("the number of a known value", receipt(status=0))
    add("a list as an object", receipt(anomalies={"0": "clock_clamped"}))
    add("a context as an array", receipt(context=["session"]))
    row = form(4, statement())
    for comment, value in (("a number", 120), ("with a zero in front", "0120"), ("signed", "+120")):
        kinds = [{**row["rows"][0]["kinds"][0], "reported": value}]
        changed = row | {"rows": [{**row["rows"][0], "kinds": kinds}]}
        add(f"a sum {comment}", json.dumps(changed))
    kinds = [{**row["rows"][0]["kinds"][0], "reported": str(2**53)}]
    changed = row | {"rows": [{**row["rows"][0], "kinds": kinds}]}
    add("a sum of 2^53", json.dumps(changed))


def opaque(group: Group) -> None:
    """Opaque values."""
    for comment, value in {
        "a status that has a name": {"msgpack": "00"},
        "in capitals": {"msgpack": "CC99"},
        "of a longer form": {"msgpack": "cc63"},
        "of a str": {"msgpack": "a178"},
        "cut short": {"msgpack": "cc"},
        "with a byte more": {"msgpack": "cc9900"},
        "with a second member": {"msgpack": "cc99", "x": 1},
        "as a number": {"msgpack": 99},
        "of nothing": {},
    }.items():
        group.invalid(f"status: {comment}", "json-format", "Opaque", text=receipt(status=value))
    for comment, data in {
        "a nil": "c0",
        "a longer number": "cc05",
        "two values": "0000",
        "-": "-",
    }.items():
        text = receipt(extensions={"64": {"msgpack": data}})
        group.invalid(f"extension: {comment}", "json-format", "Opaque", text=text)


def rules(group: Group) -> None:
    """Bodies that break a rule in a form that is in order."""
    for comment, code, text in (
        ("no subject", "missing-field", receipt(subject=...)),
        ("an empty model", "empty-value", receipt(model_served="")),
        ("an empty context", "empty-value", receipt(context={})),
        ("a salt of 15 bytes", "bad-value", receipt(salt="00" * 15)),
        ("a provider in capitals", "bad-value", receipt(provider="OpenAI")),
        ("a bidirectional control", "bad-string", receipt(operation="ch\u202eat")),
        ("extension 63", "unknown-field", receipt(extensions={"63": {"msgpack": "00"}})),
        ("anomalies descend", "bad-order", receipt(anomalies=["clock_clamped", "usage_too_long"])),
        ("a total that differs", "total-mismatch", receipt(provider_total=17)),
        ("subject_prev missing", "field-conflict", receipt(subject_prev=...)),
        (
            "4,097 bytes of extensions",
            "limit",
            receipt(extensions={"64": {"msgpack": "c50ffd" + "00" * 4_093}}),
        ),
    ):
        group.invalid(comment, code, "Rule", text=text)
