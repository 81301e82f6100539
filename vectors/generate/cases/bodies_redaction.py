"""bodies_redaction.json: bodies that are gone, and why."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import SALT, changed
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies
from vectors.generate.suite import Suite


def redaction(**changes: Any) -> dict[int, Any]:
    """Return a redaction of two bodies."""
    return changed({0: SALT, 1: [2, 5], 2: 1}, changes)


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_redaction",
        "redaction-body",
        "7.8 Redaction (type 5)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, "UnknownValue", valid="ENC-26")
    suite.flag(
        "Order", "MALLEABILITY", "Indices not ascending.", "A body is named twice.", "RED-2 BODY-9"
    )
    suite.flag(
        "Index",
        "FORGERY",
        "An index that is not below the record's own.",
        "Bodies are declared gone before they exist.",
        "RED-1 BODY-10",
    )
    builder = Builder(suite, bodies.REDACTION)
    builder.valid("two bodies", redaction())
    for reason in (2, 3, 4):
        builder.valid(f"reason {reason}", redaction(f2=reason))
    for reason in (0, 5):
        builder.valid(f"unknown reason {reason}", redaction(f2=reason), "UnknownValue")
    builder.valid("64 indices", redaction(f1=list(range(64))))
    builder.valid("largest index", redaction(f1=[2**53 - 1]))
    builder.valid("up to the record before", redaction(f1=[0, 6]), "Index", index=7)
    base = redaction()
    builder.encoding(base)
    builder.required(base)
    builder.typed(base)
    builder.lengths(base)
    builder.extensions(base)
    add = builder.invalid
    add("indices descend", "bad-order", redaction(f1=[5, 2]), "Order")
    add("an index twice", "bad-order", redaction(f1=[5, 5]), "Order")
    add("an index as text", "wrong-type", redaction(f1=["5"]), "Type")
    add("65 indices", "limit", redaction(f1=list(range(65))), "Encoding")
    add("its own index", "index-order", redaction(f1=[2, 7]), "Index", index=7)
    add("a later index", "index-order", redaction(f1=[8]), "Index", index=7)
    return suite
