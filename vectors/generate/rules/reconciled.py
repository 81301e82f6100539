"""Later evidence: what fits its receipt, and which bucket counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from vectors.generate.rules import bodies, fields, labels
from vectors.generate.rules.checks import RuleError, require
from vectors.generate.rules.primitives import commitment, sha256

Named = Mapping[str, Any]


def read(kind: int, raw: bytes) -> Named:
    """Return a body with its fields by name, those of its buckets too."""
    body = fields.named(bodies.decode(kind, raw), bodies.FIELDS[kind])
    usage = [fields.named(bucket, bodies.BUCKET_FIELDS) for bucket in body.get("usage", [])]
    return {**body, "usage": usage}


def check(claim: Named, receipt: Named) -> None:
    """Refuse evidence that does not fit its receipt (RCON-1, LBL-6)."""
    own = {bucket["kind"]: bucket.get("reported") for bucket in receipt["usage"]}
    for bucket in claim["usage"]:
        kind = bucket["kind"]
        require(kind in own and own[kind] == bucket.get("reported"), "field-conflict")
    others = [b for b in receipt["usage"] if b["label"] != labels.EXACT]
    labels.check_exact_allowed(receipt, [*others, *claim["usage"]])


def usage_after(receipt_body: bytes, claims: Sequence[tuple[int, bytes]]) -> list[dict[str, Any]]:
    """Return each bucket as it stands after evidence, with the leaf that made it so."""
    receipt = read(bodies.RECEIPT, receipt_body)
    counting: dict[tuple[int, str], tuple[int, Named]] = {}
    for index, body in sorted(claims):
        claim = read(bodies.RECONCILIATION, body)
        try:
            require(claim["body_hash"] == sha256(receipt_body), "reference")
            check(claim, receipt)
        except RuleError:
            continue
        for bucket in claim["usage"]:
            if bucket["label"] in (labels.EXACT, labels.BOUNDED):
                counting[bucket["kind"], bucket.get("method", "")] = (index, bucket)
    return [
        _shown(*_best(own, [(i, b) for i, b in counting.values() if b["kind"] == own["kind"]]))
        for own in receipt["usage"]
    ]


def _best(own: Named, later: Sequence[tuple[int, Named]]) -> tuple[int | None, Named]:
    if own["label"] not in (labels.BOUNDED, labels.UNVERIFIABLE):
        return None, own
    exact = [(index, b) for index, b in later if b["label"] == labels.EXACT]
    if exact:
        return max(exact, key=lambda one: one[0])
    candidates: list[tuple[int, int, int | None, Named]] = []
    if own["label"] == labels.BOUNDED:
        candidates.append((own["upper"] - own["lower"], 0, None, own))
    for index, bucket in later:
        if bucket["label"] == labels.BOUNDED:
            width = bucket["upper"] - bucket["lower"]
            candidates.append((width, 2**53 - index, index, bucket))
    if not candidates:
        return None, own
    best = min(candidates, key=lambda one: one[:2])
    return best[2], best[3]


def _shown(index: int | None, bucket: Named) -> dict[str, Any]:
    kept = ("kind", "label", "lower", "upper", "method", "count")
    return {name: bucket[name] for name in kept if name in bucket} | {"evidence": index}


def source_end(receipt: Named, opening: str | None, texts: Mapping[str, str]) -> str | None:
    """Return how a source ends (RCON-4), None where a text differs from its commitment."""
    compared = []
    for which, text in texts.items():
        fixed = receipt.get(f"{which}_commitment")
        compared.append(opening is not None and fixed is not None)
        if compared[-1] and commitment(which, bytes.fromhex(opening or ""), text.encode()) != fixed:
            return None
    return "checked" if all(compared) else "unchecked"


def taken(receipt_body: bytes, claims: Sequence[tuple[int, bytes]], new: bytes) -> list[int]:
    """Return the kinds of the buckets that a log takes in (RCON-5)."""
    receipt, claim = read(bodies.RECEIPT, receipt_body), read(bodies.RECONCILIATION, new)
    check(claim, receipt)
    counting: dict[Any, tuple[Named, bool]] = {}
    for _, body in sorted(claims):
        old = read(bodies.RECONCILIATION, body)
        for bucket in old["usage"]:
            counting[bucket["kind"], bucket["method"]] = bucket, _is_checked(old)
    return [
        bucket["kind"] for bucket in claim["usage"] if _is_new(bucket, claim, receipt, counting)
    ]


def _is_new(
    bucket: Named, claim: Named, receipt: Named, counting: Mapping[Any, tuple[Named, bool]]
) -> bool:
    if bucket in receipt["usage"]:
        return False
    if (bucket["kind"], bucket["method"]) not in counting:
        return True
    before, was_checked = counting[bucket["kind"], bucket["method"]]
    if before == bucket:
        return _is_checked(claim) and not was_checked
    return _is_checked(claim) or not was_checked


def _is_checked(claim: Named) -> bool:
    return str(claim.get("source", "")).endswith(" checked")
