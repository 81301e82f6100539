"""Genesis, rotation and close: body type 0.

Spec:
    PROTOCOL.md, section "Key event" (BODY-11 to BODY-15).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from nous_ledger.protocol.errors import BodyError
from nous_ledger.protocol.fields import Field, MapShape, RowShape, table_class
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.kinds import Bytes, Enum, Nested, Text, Uint
from nous_ledger.protocol.registries import KEY_EVENT_KIND, KEY_REASON
from nous_ledger.protocol.signing import is_curve_point

if TYPE_CHECKING:
    from nous_ledger.protocol.strict import Value

ORIGIN_FORM: Final = r"[a-z0-9](?:[a-z0-9._~/-]{0,253}[a-z0-9])?"

GENESIS: Final = 0
ROTATE: Final = 1
CLOSE: Final = 2
_SUSPECT_REASONS: Final = (1, 2)
_REASON_CLOSED: Final = 4


@table_class
class Predecessor(RowShape):
    """The log that a genesis continues, up to its last good head."""

    log_id: bytes
    count: int
    root: bytes

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(0, "log_id", Bytes(32), required=True),
        Field(1, "count", Uint(), required=True),
        Field(2, "root", Bytes(32), required=True),
    )


@table_class
class KeyEvent(MapShape):
    """Genesis, rotation or close: body type 0, always public, without salt."""

    kind: int
    origin: str | None = None
    secp256k1: bytes
    ed25519: bytes
    next_hash: bytes | None = None
    max_merge_delay_s: int | None = None
    heartbeat_s: int | None = None
    reason: int | None = None
    suspect_from: int | None = None
    rotation_sig: bytes | None = None
    predecessor: Predecessor | None = None
    extensions: tuple[tuple[int, Value], ...] = ()

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(1, "kind", Enum(KEY_EVENT_KIND), required=True),
        Field(2, "origin", Text(255, ORIGIN_FORM)),
        Field(3, "secp256k1", Bytes(33, is_curve_point), required=True),
        Field(4, "ed25519", Bytes(32), required=True),
        Field(5, "next_hash", Bytes(32)),
        Field(6, "max_merge_delay_s", Uint()),
        Field(7, "heartbeat_s", Uint()),
        Field(8, "reason", Enum(KEY_REASON)),
        Field(9, "suspect_from", Uint()),
        Field(10, "rotation_sig", Bytes(65)),
        Field(11, "predecessor", Nested(Predecessor)),
    )

    def check_rules(self) -> None:
        """Raise BodyError unless the fields fit the kind."""
        genesis_only = (self.origin, self.max_merge_delay_s, self.heartbeat_s)
        if self.kind == GENESIS:
            _demand("genesis", present=(*genesis_only, self.next_hash))
            _demand("genesis", absent=(self.reason, self.suspect_from, self.rotation_sig))
        elif self.kind in (ROTATE, CLOSE):
            name = KEY_EVENT_KIND.name_of(self.kind)
            _demand(name, present=(self.reason,), absent=(*genesis_only, self.predecessor))
            if (self.suspect_from is None) == (self.reason in _SUSPECT_REASONS):
                raise BodyError("field-conflict", "suspect_from is present iff reason is 1 or 2")
            if self.kind == ROTATE:
                self._check_rotate()
            else:
                _demand("close", absent=(self.next_hash,))

    def _check_rotate(self) -> None:
        _demand("rotate", present=(self.next_hash, self.rotation_sig))
        if self.next_hash == ZERO_HASH or self.reason == _REASON_CLOSED:
            raise BodyError("field-conflict", "a rotate commits to a next key and is not a close")


def _demand(
    name: str, *, present: tuple[object, ...] = (), absent: tuple[object, ...] = ()
) -> None:
    if any(value is None for value in present) or any(value is not None for value in absent):
        raise BodyError("field-conflict", f"the fields present do not fit a {name}")
