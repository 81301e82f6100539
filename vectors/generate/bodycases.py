"""What the six files of bodies have in common: checks, and faults that any body can have."""

from typing import Any

from vectors.generate import actors
from vectors.generate.rules import bodies, jsonform, record
from vectors.generate.rules.msgpack import pack
from vectors.generate.suite import Group, Json, Suite, unhex

Fields = dict[int, Any]
DECODED = "Decode `body` as the body of a record of type `recordType`, and encode it again."
IN_RECORD = "Where `record` is given (120 bytes), also apply the rules that relate the two."
JSON_FORM = "`json` is the lossless JSON form of a valid body."


def check(case: Json) -> Json:
    """Decode a body, apply the record's rules where there is a record, return the JSON form."""
    kind, raw = case["recordType"], unhex(case["body"])
    body = bodies.decode(kind, raw)
    assert pack(body) == raw
    if "record" in case:
        bodies.check_in_record(kind, body, record.decode(unhex(case["record"])))
    return {"json": jsonform.body_to_json(kind, body)}


class Builder:
    """Adds cases of one body type to a suite."""

    def __init__(self, suite: Suite, kind: int) -> None:
        """Start the group of the type."""
        self.kind = kind
        self.group: Group = suite.group("Body", check, recordType=kind)

    def valid(self, comment: str, body: Fields, flag: str = "Valid", **where: int) -> None:
        """Add a body that must be accepted."""
        self.group.valid(comment, flag, **self.inputs(body, where))

    def invalid(self, comment: str, code: str, body: Any, flag: str, **where: int) -> None:
        """Add a body that must be refused."""
        self.group.invalid(comment, code, flag, **self.inputs(body, where))

    def raw(self, comment: str, code: str, body: str, flag: str) -> None:
        """Add bytes that must be refused."""
        self.group.invalid(comment, code, flag, body=body)

    def inputs(self, body: Any, where: dict[str, Any]) -> Json:
        """Return the inputs of a case; with an index, a record around the body."""
        raw = pack(body)
        if not where:
            return {"body": raw.hex()}
        full = actors.make_record(self.kind, raw, where.pop("index"), **where)
        return {"body": raw.hex(), "record": full.hex()}

    def encoding(self, base: Fields) -> None:
        """Add faults of the encoding beneath any body."""
        raw = pack(base)
        add = self.raw
        add("no bytes", "truncated", "", "Encoding")
        add("the last byte is missing", "truncated", raw[:-1].hex(), "Encoding")
        add("a byte follows", "trailing", raw.hex() + "00", "Encoding")
        wide = b"\xde" + len(base).to_bytes(2, "big") + raw[1 if len(base) < 16 else 3 :]
        if len(base) < 16:
            add("a map header longer than needed", "non-minimal", wide.hex(), "Encoding")
        self.invalid("an array outside", "wrong-type", [1], "Shape")
        self.invalid("a uint outside", "wrong-type", 0, "Shape")
        add("an empty map", "missing-field", "80", "Missing")
        first = min(base)
        unsorted = pack(base).replace(pack(first) + pack(base[first]), b"", 1)
        unsorted += pack(first) + pack(base[first])
        add("the first field stands last", "unsorted", unsorted.hex(), "Encoding")

    def required(self, base: Fields) -> None:
        """Add one case for each required field that is absent."""
        for key, (name, required, _) in bodies.FIELDS[self.kind].items():
            if required:
                self.invalid(f"no {name}", "missing-field", without(base, key), "Missing")

    def typed(self, base: Fields) -> None:
        """Add one case for each field: a value of another type, and an empty one."""
        for key, (name, _, kind) in bodies.FIELDS[self.kind].items():
            number = kind.startswith("u") and kind not in ("uuid7", "upstream", "usage")
            other: Any = "x" if number else 1
            self.invalid(f"{name} of another type", "wrong-type", {**base, key: other}, "Type")
            if not number:
                value = empty(kind)
                self.invalid(f"{name} empty", "empty-value", {**base, key: value}, "Empty")

    def lengths(self, base: Fields) -> None:
        """Add one case for each field of fixed or limited length: one byte more or less."""
        for key, (name, _, kind) in bodies.FIELDS[self.kind].items():
            if kind[0] == "b" and kind[1:].isdigit():
                for size in (int(kind[1:]) - 1, int(kind[1:]) + 1):
                    value = {**base, key: b"\x01" * size}
                    self.invalid(f"{name} of {size} bytes", "bad-value", value, "Value")
            elif kind[0] == "s" and kind[1:].isdigit():
                size = int(kind[1:]) + 1
                value = {**base, key: "a" * size}
                self.invalid(f"{name} of {size} bytes", "bad-value", value, "Value")

    def extensions(self, base: Fields) -> None:
        """Add extension fields and unknown keys."""
        self.valid(
            "extension fields 64, 127, 128 and 2^53 - 1",
            {
                **base,
                64: 0,
                127: "",
                128: [{5: b""}],
                2**53 - 1: {},
            },
            "Extension",
        )
        self.valid("4,096 bytes of extensions", {**base, 64: bytes(4_092)}, "Extension")
        self.invalid("4,097 bytes of extensions", "limit", {**base, 64: bytes(4_093)}, "Extension")
        self.invalid("unknown field 63", "unknown-field", {**base, 63: 0}, "Unknown")
        self.invalid("unknown field 40", "unknown-field", {**base, 40: 0}, "Unknown")


def without(base: Fields, key: int) -> Fields:
    """Return a copy without one field."""
    return {number: value for number, value in base.items() if number != key}


def empty(kind: str) -> Any:
    """Return the empty value of a field type."""
    if kind in ("context", "import"):
        return {}
    if kind in ("usage", "policy", "ascending", "rows", "predecessor"):
        return []
    fixed = kind[0] == "b" and kind[1:].isdigit()
    return b"" if fixed or kind in ("point", "uuid7") else ""


def flags(suite: Suite, *names: str, valid: str) -> None:
    """Explain the flags of a file of bodies; `valid` are the requirements of its valid cases."""
    suite.flag("Valid", "BASIC", "A body that must be accepted.", "None.", valid)
    for name in names:
        suite.flag(name, *MEANING[name])


MEANING = {
    "Encoding": (
        "MALLEABILITY",
        "The bytes are not canonical.",
        "Two byte strings with two hashes stand for one body.",
        "BODY-1 ENC-3 ENC-8 ENC-15 ENC-16",
    ),
    "Shape": ("STRUCTURE", "The outermost value is not a map.", "Nothing to read.", "BODY-2"),
    "Missing": (
        "STRUCTURE",
        "A required field is absent.",
        "The body does not say what its type is for.",
        "BODY-3 BODY-8",
    ),
    "Type": (
        "STRUCTURE",
        "A value of another type.",
        "Readers convert it in different ways.",
        "BODY-4",
    ),
    "Empty": (
        "STRUCTURE",
        "An empty value.",
        "Absent and empty would be two ways to say one thing.",
        "BODY-5",
    ),
    "Value": (
        "RANGE",
        "A length, number, range or character outside the table.",
        "Fields that are compared or shown could be anything.",
        "BODY-6",
    ),
    "Unknown": (
        "STRUCTURE",
        "A field below 64 that version 1 does not have.",
        "A later meaning could be smuggled past readers of today.",
        "ENC-21",
    ),
    "Extension": (
        "STRUCTURE",
        "Extension fields: kept, limited, never an error for being unknown.",
        "A reader that refuses them cannot read later logs.",
        "ENC-22 ENC-23",
    ),
    "UnknownValue": (
        "STRUCTURE",
        "An enumeration value without a name.",
        "A reader that refuses it cannot read later logs.",
        "ENC-20",
    ),
}
