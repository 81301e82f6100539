"""bodies_statement.json: totals over a range of one subject's receipts."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import SALT, SUBJECT, changed
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Suite

KINDS = [[1, 120, 0, 0, 120], [16, 40, 10, 30, 0]]


def row(**changes: Any) -> list[Any]:
    """Return a row; changes by position, as p3=5."""
    result: list[Any] = ["openai", "gpt-4o-mini-2024-07-18", 1, 3, 1, KINDS]
    for name, value in changes.items():
        result[int(name[1:])] = value
    return result


def statement(**changes: Any) -> dict[int, Any]:
    """Return a statement over the receipts 2 to 6 of a subject."""
    rows = [row(p0="anthropic", p1="claude-sonnet-4-5", p3=2, p4=0), row()]
    body = {0: SALT, 1: SUBJECT, 2: 2, 3: 6, 4: sha256(b"the last receipt"), 5: 7, 6: rows}
    return changed(body, changes)


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_statement",
        "statement-body",
        "7.7 Statement (type 4)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, "UnknownValue", valid="ENC-26 ENC-18")
    suite.flag(
        "Order",
        "MALLEABILITY",
        "Rows or kinds that do not ascend strictly, compared as bytes.",
        "A row counts twice.",
        "STMT-5 BODY-9 ENC-18",
    )
    suite.flag(
        "Sums",
        "FORGERY",
        "Calls that do not fit the range.",
        "Receipts that no row accounts for.",
        "STMT-1 STMT-2 STMT-3",
    )
    suite.flag(
        "Index",
        "FORGERY",
        "A count above the statement's own index.",
        "A statement over what is not logged yet.",
        "STMT-4 BODY-10",
    )
    builder = Builder(suite, bodies.STATEMENT)
    valid(builder)
    base = statement()
    builder.encoding(base)
    builder.required(base)
    builder.typed(base)
    builder.lengths(base)
    builder.extensions(base)
    for part in (rows, orders, sums):
        part(builder)
    return suite


def valid(builder: Builder) -> None:
    """Bodies that must be accepted."""
    add = builder.valid
    add("two rows", statement())
    one = [row(p3=1, p4=0)]
    add("one call", statement(f2=0, f3=0, f6=one))
    add("all calls unmetered, no kinds", statement(f6=[row(p3=5, p4=5, p5=[])]))
    add("a row without calls", statement(f6=[row(p0="a", p3=0, p4=0, p5=[]), row(p3=5)]))
    add("sums at their largest", statement(f6=[row(p3=5, p5=[[1, *[2**53 - 1] * 4]])]))
    many = [row(p1=f"model-{n:02}", p3=1, p4=0) for n in range(64)]
    add("64 rows", statement(f2=0, f3=63, f6=[[*r[:5], []] for r in many]))
    same = [row(p2=1, p3=2, p4=0), row(p2=2, p3=3)]
    add("rows that differ in source", statement(f6=same))
    bytes_order = [row(p1="z", p3=2, p4=0), row(p1="é", p3=3)]
    add("models in the order of bytes", statement(f6=bytes_order), "Order")
    astral = [row(p1="\uffee", p3=2, p4=0), row(p1="\U00010000", p3=3)]
    add("U+FFEE before U+10000: bytes, not UTF-16", statement(f6=astral), "Order")
    unknown = [row(p2=9, p3=5, p5=[[77, 1, 1, 1, 1]])]
    add("unknown source and kind", statement(f6=unknown), "UnknownValue")
    add("computed at its own index", statement(f5=7), "Index", index=7)
    add("computed at an empty log", statement(f5=0), "Index", index=7)


def rows(builder: Builder) -> None:
    """Faults inside the rows."""
    add = builder.invalid
    add("a row of 5", "bad-value", statement(f6=[row(p3=5)[:5]]), "Value")
    add("a row of 7", "bad-value", statement(f6=[[*row(p3=5), 0]]), "Value")
    add("a row that is a map", "wrong-type", statement(f6=[{1: "openai"}]), "Type")
    add("provider in capitals", "bad-value", statement(f6=[row(p0="OpenAI", p3=5)]), "Value")
    add("provider empty", "empty-value", statement(f6=[row(p0="", p3=5)]), "Empty")
    add("provider a bin", "wrong-type", statement(f6=[row(p0=b"openai", p3=5)]), "Type")
    add("model of 257 bytes", "bad-value", statement(f6=[row(p1="m" * 257, p3=5)]), "Value")
    add("model empty", "empty-value", statement(f6=[row(p1="", p3=5)]), "Empty")
    add("calls as text", "wrong-type", statement(f6=[row(p3="5")]), "Type")
    add("kinds a number", "wrong-type", statement(f6=[row(p3=5, p5=0)]), "Type")
    add(
        "an entry of kinds of 4", "bad-value", statement(f6=[row(p3=5, p5=[[1, 2, 3, 4]])]), "Value"
    )
    kinds: list[Any] = [[1, 2, 3, 4, "5"]]
    add("a sum as text", "wrong-type", statement(f6=[row(p3=5, p5=kinds)]), "Type")
    add("65 rows", "limit", statement(f6=[row(p1=f"m{n:02}") for n in range(65)]), "Encoding")


def orders(builder: Builder) -> None:
    """Rows and kinds out of order."""
    add = builder.invalid
    low, high = row(p0="a", p3=2, p4=0), row(p0="b", p3=3)
    add("rows descend by provider", "bad-order", statement(f6=[high, low]), "Order")
    low, high = row(p1="a", p3=2, p4=0), row(p1="b", p3=3)
    add("rows descend by model", "bad-order", statement(f6=[high, low]), "Order")
    low, high = row(p2=1, p3=2, p4=0), row(p2=2, p3=3)
    add("rows descend by source", "bad-order", statement(f6=[high, low]), "Order")
    add("one row twice", "bad-order", statement(f6=[row(p3=2), row(p3=3)]), "Order")
    utf16 = [row(p1="\U00010000", p3=2, p4=0), row(p1="\uffee", p3=3)]
    add("U+10000 before U+FFEE: the order of UTF-16", "bad-order", statement(f6=utf16), "Order")
    kinds = [[16, 1, 0, 0, 1], [1, 1, 0, 0, 1]]
    add("kinds descend", "bad-order", statement(f6=[row(p3=5, p5=kinds)]), "Order")
    kinds = [[1, 1, 0, 0, 1], [1, 1, 0, 0, 1]]
    add("one kind twice", "bad-order", statement(f6=[row(p3=5, p5=kinds)]), "Order")


def sums(builder: Builder) -> None:
    """Sums and indices."""
    add = builder.invalid
    add("one call too few", "total-mismatch", statement(f6=[row(p3=4)]), "Sums")
    add("one call too many", "total-mismatch", statement(f6=[row(p3=6)]), "Sums")
    add("the range one longer", "total-mismatch", statement(f3=7), "Sums")
    add("more unmetered than calls", "field-conflict", statement(f6=[row(p3=5, p4=6)]), "Sums")
    add("first_seq above last_seq", "field-conflict", statement(f2=7), "Sums")
    empty = statement(f2=7, f6=[row(p3=0, p4=0, p5=[])])
    add("first_seq one above last_seq and no calls", "field-conflict", empty, "Sums")
    add("count one above the index", "index-order", statement(f5=8), "Index", index=7)
    add("count far above the index", "index-order", statement(f5=2**53 - 1), "Index", index=7)
