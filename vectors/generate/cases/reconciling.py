"""reconciling.json: what becomes evidence, and what of it a log takes in."""

from typing import Any

from vectors.generate.actors import (
    OPENING,
    bounded_bucket,
    exact_bucket,
    exact_receipt,
    receipt,
)
from vectors.generate.cases.reconciled import PLAIN, Fields, claim
from vectors.generate.rules import bodies, primitives, reconciled
from vectors.generate.rules.msgpack import pack
from vectors.generate.suite import Group, Json, Suite, unhex

ASKED = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Which river?"}]}'
SAID = (
    b'{"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"The Loire."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":4,"total_tokens":16}}'
)
COMMITTED = {
    "f23": primitives.commitment("request", OPENING, ASKED),
    "f24": primitives.commitment("response", OPENING, SAID),
}
CHECKED, UNCHECKED = "folder/1 checked", "folder/1 unchecked"


def source(case: Json) -> Json:
    """Say how the source of a text's evidence ends."""
    named = reconciled.read(bodies.RECEIPT, unhex(case["receipt"]))
    return {"ends": reconciled.source_end(named, case["opening"], case["texts"])}


def taken(case: Json) -> Json:
    """Say which buckets a log takes in."""
    claims = [(one["index"], unhex(one["body"])) for one in case["claims"]]
    kinds = reconciled.taken(unhex(case["receipt"]), claims, unhex(case["claim"]))
    return {"kinds": kinds}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "reconciling",
        "reconciling",
        "7.5 Reconciliation (type 2)",
        "Sources: evidence is made from `texts`, kept with this opening or, where it is null,",
        "without one, of a call with `receipt`; `ends` is the last word of its source, null if",
        "it must not become evidence.",
        "Taken: `claims` of `receipt` are in the log, each at its leaf; `kinds` are those of the",
        "buckets of `claim` that the log takes in.",
    )
    effect = "A count looks better founded than it is."
    suite.flag("Sources", "BASIC", "Which texts were compared.", effect, "RCON-4")
    suite.flag("Taken", "BASIC", "What says something new.", effect, "RCON-5")
    sources(suite.group("Sources", source))
    logged(suite.group("Taken", taken))
    return suite


def sources(group: Group) -> None:
    """Texts with and without what they can be compared with."""

    def add(comment: str, *, opening: bytes | None = OPENING, request: bytes | None = ASKED,
            response: bytes = SAID, **changes: Any) -> None:  # fmt: skip
        texts = {"response": response.decode()}
        if request is not None:
            texts["request"] = request.decode()
        body = pack(receipt(f18=PLAIN, **{**COMMITTED, **changes})).hex()
        opened = None if opening is None else opening.hex()
        group.valid(comment, "Sources", receipt=body, opening=opened, texts=texts)

    add("both texts, both compared")
    add("the response alone", request=None)
    add("the response alone, of a receipt that commits to it alone", request=None, f23=None)
    add("without the opening", opening=None)
    add("the response alone, without the opening", opening=None, request=None)
    add("without the opening, a text that is another", opening=None, response=SAID + b" ")
    add("no commitment to the request", f23=None)
    add("no commitment to the response", f24=None)
    add("no commitment to the response, which is alone", request=None, f24=None)
    add("no commitments", f23=None, f24=None)
    add("another response", response=SAID.replace(b"Loire", b"Seine"))
    add("a byte more in the response", response=SAID + b"\n")
    add("another request", request=ASKED.replace(b"Which", b"What"))
    add("another request beside a response that fits", request=ASKED + b" ")
    add("another response beside no commitment to the request", f23=None, response=SAID + b" ")
    add("the opening of another call", opening=bytes(32))


def logged(group: Group) -> None:
    """What a log takes in beside what it has."""

    def add(comment: str, new: tuple[str | None, *tuple[Fields, ...]],
            *old: tuple[str | None, *tuple[Fields, ...]], body: Any = None) -> None:  # fmt: skip
        body = body or receipt(f18=PLAIN)
        made = [
            {"index": 5 + number, "body": claim(body, *usage, source=named)}
            for number, (named, *usage) in enumerate(old)
        ]
        named, *usage = new
        facts = {"receipt": pack(body).hex(), "claims": made}
        group.valid(comment, "Taken", **facts, claim=claim(body, *usage, source=named))

    exact, other = exact_bucket(), exact_bucket(f8=5, f4=5, f5=6)
    wide, narrow = bounded_bucket(), bounded_bucket(f4=3, f5=6)
    asked = {1: 1, 2: 12, 3: 2, 4: 1, 5: 90, 6: "prompt-bytes/1"}
    for named in (CHECKED, UNCHECKED, None):
        add(f"the first, {named}", (named, exact))
        add(f"what the receipt has, {named}", (named, exact), body=exact_receipt())
        add(f"checked after {named}", (CHECKED, exact), (named, exact))
        add(f"unchecked after {named}", (UNCHECKED, exact), (named, exact))
        add(f"without source after {named}", (None, exact), (named, exact))
        add(f"another count, checked, after {named}", (CHECKED, other), (named, exact))
        add(f"another count, unchecked, after {named}", (UNCHECKED, other), (named, exact))
        add(f"another method after {named}", (UNCHECKED, exact_bucket(f6="x/1")), (named, exact))
        add(f"another label after {named}", (UNCHECKED, wide), (named, exact))
        add(f"another range after {named}", (UNCHECKED, narrow), (named, wide))
    add("one bucket of two is new", (CHECKED, asked, exact), (CHECKED, exact))
    add("the other one is", (CHECKED, asked, exact), (CHECKED, asked))
    add("both are", (CHECKED, asked, exact), (UNCHECKED, asked, exact))
    add("neither is", (CHECKED, asked, exact), (CHECKED, asked), (CHECKED, exact))
    add("neither is, of one before", (UNCHECKED, asked, exact), (CHECKED, asked, exact))
    add("one of a method that was replaced", (CHECKED, exact), (CHECKED, exact), (CHECKED, other))
    add("one that counts again", (CHECKED, exact), (CHECKED, other), (CHECKED, exact))
    add(
        "unchecked after checked after unchecked",
        (UNCHECKED, exact),
        (UNCHECKED, exact),
        (CHECKED, exact),
    )
    add("unchecked against a later one", (UNCHECKED, exact), (UNCHECKED, exact), (CHECKED, other))
    add("an unknown source is not checked", ("folder/2", exact), (CHECKED, exact))
    add("a source that is but a word of it", ("checked", other), (CHECKED, exact))
