"""Verification of nous-v2, the protocol that came before this one.

A nous-v2 gateway hashes nine fields into a leaf, signs the leaf's hex digits
with P-256 and keeps the leaves in a tree whose root it states without signing
it. What can be checked is checked here; what that protocol leaves open is
reported under its own code, never as valid and never as tampering:

- legacy-unsigned: the record carries no signature;
- legacy-malleated: the signature is the twin (r, n - s) of another one for the
  same leaf. The protocol has no low-s rule, so one signature alone is accepted
  in either form, and only a set or an earlier copy can show this;
- legacy-ambiguous: another record has the same leaf;
- legacy-type-confused: a number field is not an integer in 0..2^53-1, or time
  or user hash are not of their form.

Spec:
    PROTOCOL.md, section "Legacy: nous-v2".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.legacy_record import (
    LegacyNumber,
    LegacyRecord,
    format_legacy_number,
    legacy_ambiguity,
    legacy_confusions,
    legacy_leaf,
    legacy_model,
    legacy_preimage,
    parse_legacy_record,
)
from nous_ledger.protocol.legacy_report import LegacyFinding, LegacyReport, report_legacy
from nous_ledger.protocol.legacy_summary import (
    LegacyModelUse,
    LegacySummary,
    encode_legacy_summary,
    parse_legacy_summary,
)
from nous_ledger.protocol.legacy_tree import (
    LegacyInclusion,
    LegacyReading,
    LegacyRoot,
    legacy_node,
    legacy_peaks,
    legacy_root,
    verify_legacy_inclusion,
    verify_legacy_root,
)

__all__ = [
    "LegacyFinding",
    "LegacyInclusion",
    "LegacyModelUse",
    "LegacyNumber",
    "LegacyPublicKey",
    "LegacyReading",
    "LegacyRecord",
    "LegacyReport",
    "LegacyRoot",
    "LegacySummary",
    "audit_legacy",
    "encode_legacy_summary",
    "format_legacy_number",
    "legacy_ambiguity",
    "legacy_confusions",
    "legacy_leaf",
    "legacy_model",
    "legacy_node",
    "legacy_peaks",
    "legacy_preimage",
    "legacy_root",
    "parse_legacy_key",
    "parse_legacy_record",
    "parse_legacy_summary",
    "verify_legacy_inclusion",
    "verify_legacy_record",
    "verify_legacy_root",
    "verify_legacy_summary",
]

LegacyPublicKey = NewType("LegacyPublicKey", bytes)
"""A P-256 public key as an uncompressed point: 04 || x || y, 65 bytes."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")
# 32 bytes are 42 base64url digits and one whose two lowest bits are zero.
_COORDINATE: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_NOTHING_KNOWN: Final[Mapping[str, str]] = MappingProxyType({})


def parse_legacy_key(jwk: Mapping[str, object]) -> LegacyPublicKey:
    """Return the key in the `pubkey` object of `GET /api/pubkey`.

    The host under audit serves this object: compare it with a copy kept from
    before, or every record it ever signed is only as good as today's answer.

    Raises:
        LegacyError: legacy-format: not a P-256 JWK, or not a point of the curve.
    """
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise LegacyError("legacy-format", "the key is not a P-256 JWK")
    key = LegacyPublicKey(b"\x04" + _coordinate(jwk, "x") + _coordinate(jwk, "y"))
    _load(key)
    return key


def verify_legacy_record(
    record: LegacyRecord, public_key: LegacyPublicKey, *, known_signature: str = ""
) -> LegacyRecord:
    """Return the record if its signed leaf stands for it and for nothing else.

    Spec:
        PROTOCOL.md V2-2 to V2-8.

    Args:
        record: the record as served.
        public_key: the gateway's key, from a source other than the host under audit.
        known_signature: signature of the same record as seen before, or "".

    Raises:
        LegacyError: the first that applies of legacy-type-confused, legacy-leaf,
            legacy-ambiguous, legacy-unsigned, legacy-signature (not 128
            lower-case hex digits, or made by another key), legacy-malleated.
    """
    for code, detail in _examine(record, _load(public_key), known_signature):
        raise LegacyError(code, detail, record_id=record.id)
    return record


def verify_legacy_summary(
    summary: LegacySummary, signature: str, public_key: LegacyPublicKey
) -> LegacySummary:
    """Return the summary after checking its signature.

    Spec:
        PROTOCOL.md V2-13.

    Raises:
        LegacyError: legacy-signature, or legacy-unsigned for "".
    """
    if not signature:
        raise LegacyError("legacy-unsigned", "the summary carries no signature")
    _verify_signature(encode_legacy_summary(summary), signature, _load(public_key))
    return summary


def audit_legacy(
    records: Sequence[LegacyRecord],
    root: str,
    count: int,
    public_key: LegacyPublicKey,
    *,
    known: Mapping[str, str] = _NOTHING_KNOWN,
    trusted: LegacyRoot | None = None,
) -> LegacyReport:
    """Return what can be said about a whole nous-v2 log.

    Spec:
        PROTOCOL.md V2-1 to V2-12.

    Args:
        records: all records in the order of the tree, first fetched or later
            than the root: an append between the two requests is honest.
        root: `merkle_root` of `GET /api/chain`.
        count: `leaf_count` of the same answer.
        public_key: the gateway's key, from a source other than the host under audit.
        known: signatures seen before, by leaf hash.
        trusted: a root that an earlier audit established. Without it a log that
            was rewritten or cut as a whole cannot be told from an honest one.

    Raises:
        LegacyError: legacy-format: the public key is not a point of the curve.
    """
    key = _load(public_key)
    examined = [tuple(_examine(record, key, known.get(record.leaf_hash, ""))) for record in records]
    return report_legacy(records, examined, root, count, trusted)


def _examine(
    record: LegacyRecord, key: EllipticCurvePublicKey, known_signature: str
) -> Iterator[tuple[str, str]]:
    """Yield (code, reason) for everything that applies, in the order of PROTOCOL.md.

    All of it is yielded, so that an altered record cannot pass for one that is
    only ambiguous or badly typed.
    """
    for reason in legacy_confusions(record):
        yield "legacy-type-confused", reason
    if legacy_leaf(record) != record.leaf_hash:
        yield "legacy-leaf", "the fields hash to another leaf"
    if reason := legacy_ambiguity(record):
        yield "legacy-ambiguous", reason
    if not record.receipt_sig:
        yield "legacy-unsigned", "the record carries no signature"
        return
    try:
        _verify_signature(record.leaf_hash.encode(), record.receipt_sig, key)
    except LegacyError as error:
        yield error.code, error.message
    else:
        if _are_twins(record.receipt_sig, known_signature):
            yield "legacy-malleated", "the signature is the twin of the one seen before"


def _verify_signature(message: bytes, signature: str, key: EllipticCurvePublicKey) -> None:
    if not _SIGNATURE.fullmatch(signature):
        raise LegacyError("legacy-signature", "the signature is not 128 lower-case hex digits")
    der = encode_dss_signature(int(signature[:64], 16), int(signature[64:], 16))
    try:
        key.verify(der, message, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise LegacyError("legacy-signature", "the signature does not verify") from error


def _are_twins(signature: str, known: str) -> bool:
    if not _SIGNATURE.fullmatch(known) or known[:64] != signature[:64]:
        return False
    return int(known[64:], 16) + int(signature[64:], 16) == _ORDER


def _load(public_key: LegacyPublicKey) -> EllipticCurvePublicKey:
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key)
    except ValueError as error:
        raise LegacyError("legacy-format", "the public key is not a point of P-256") from error


def _coordinate(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or not _COORDINATE.fullmatch(text):
        raise LegacyError("legacy-format", f"{name} is not 32 bytes in unpadded base64url")
    return base64.urlsafe_b64decode(text + "=")
