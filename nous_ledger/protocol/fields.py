"""Field tables of bodies: how one field is checked, encoded and shown.

Every body is a frozen dataclass with a table that gives each field its key and
its kind. The table is laid out once per class into two straight-line functions,
one that makes and checks and one that encodes, as the standard library lays out
the `__init__` of a dataclass: a receipt is made for every call that is metered.

Spec:
    PROTOCOL.md, sections "Encoding" and "Bodies".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.extensions import read_extensions
from nous_ledger.protocol.kinds import Kind
from nous_ledger.protocol.layouts import KnownKeys, lay_out_checked_init, read_field
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.values import Frozen, define, init_at_first_use

S = TypeVar("S", bound="Shape")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a field table."""

    key: int
    name: str
    kind: Kind
    required: bool = False


def lay_out_wire(
    fields: tuple[Field, ...], given: tuple[str, ...] = ()
) -> Callable[..., dict[int, Any]]:
    """Return a function that gives an object's map: ascending keys, absent fields left out.

    Args:
        fields: the object's field table.
        given: fields of which the function is told the value, whatever the object says.
    """
    lines = [f"def to_wire({', '.join(['self', *given])}):", "    wire = {}"]
    for field in fields:
        read = field.name if field.name in given else f"self.{field.name}"
        if field.required:  # what it is was checked when the object was made
            lines.append(f"    wire[{field.key}] = {field.kind.wire(read)}")
            continue
        lines += [
            f"    v = {read}",
            f"    if v is not None: wire[{field.key}] = {field.kind.wire('v')}",
        ]
    lines += ["    if self.extensions: wire.update(self.extensions)", "    return wire"]
    return define("to_wire", lines, {})


class Shape(Frozen):
    """Base of everything that has a field table.

    A subclass is a frozen dataclass whose attributes are the table's names.
    Making one checks every field, so a value of a subclass is always valid by
    itself. What depends on its record is checked by `check_body_in_record`.
    """

    __slots__ = ()

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    NESTED: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Note which fields hold further tables."""
        cls.NESTED = tuple(field.name for field in cls.FIELDS if not field.kind.plain)

    def check_rules(self) -> None:
        """Raise BodyError if fields contradict each other."""


class MapShape(Shape):
    """A map with numbered fields and room for extensions."""

    __slots__ = ()

    DEPTH: ClassVar[int] = 1
    """How deep this map stands in its body; the body itself has depth 1."""
    NAMES: ClassVar[dict[int, str]] = {}
    READERS: ClassVar[tuple[tuple[str, Field], ...]] = ()
    REQUIRED: ClassVar[frozenset[int]] = frozenset()
    _known_keys: ClassVar[Callable[..., KnownKeys | None]]
    extensions: tuple[tuple[int, Value], ...]

    def __init_subclass__(cls) -> None:
        """Lay the field table out, by name and by key."""
        super().__init_subclass__()
        cls.NAMES = {field.key: field.name for field in cls.FIELDS}
        cls.READERS = tuple((field.name, field) for field in cls.FIELDS if not field.kind.plain)
        cls.REQUIRED = frozenset(field.key for field in cls.FIELDS if field.required)
        cls._known_keys = staticmethod(
            lru_cache(maxsize=256, typed=True)(partial(_check_keys, cls))
        )

    def to_wire(self) -> dict[int, Any]:
        """Return the map with ascending keys, absent fields left out."""
        cls = type(self)
        cls.to_wire = lay_out_wire(cls.FIELDS)  # type: ignore[method-assign]
        return cls.to_wire(self)

    @classmethod
    def from_wire(cls, value: Value) -> Self:
        """Return the value of a decoded map.

        Raises:
            BodyError: wrong-type, missing-field, empty-value, bad-value, ...
            EncodingError: unknown-field; unsorted and forbidden-type if `decode` is not its source.
        """
        if type(value) is not dict:
            raise BodyError("wrong-type", "expected a map")
        known = cls._known_keys(*value)
        if known is None:
            return cls._read_slowly(value)
        try:
            made: Self = known.read(value)
        except (BodyError, EncodingError):
            if None in value.values():
                raise _nil() from None
            raise
        return made

    @classmethod
    def _read_slowly(cls, value: dict[int, Value]) -> Self:
        """Return the value of a map with extensions or rare keys; raise for what is wrong."""
        names = cls.NAMES
        if not {int}.issuperset(map(type, value)) or [*value] != sorted(value):
            raise EncodingError("unsorted", "the keys of a map are ascending numbers")
        if None in value.values():
            raise _nil()
        if not value and cls.DEPTH > 1:  # a body itself stands in no field
            raise BodyError("empty-value", "an empty map is left out instead")
        known: dict[str, Any] = {names[key]: item for key, item in value.items() if key in names}
        if len(known) != len(value):
            known["extensions"] = read_extensions(value, names)
        for name, field in cls.READERS:
            if name in known:
                known[name] = read_field(field, known[name])
        if not value.keys() >= cls.REQUIRED:
            missing = ", ".join(sorted(names[key] for key in cls.REQUIRED - value.keys()))
            raise BodyError("missing-field", f"required: {missing}")
        return cls(**known)


def _check_keys(cls: type[MapShape], *keys: int) -> KnownKeys | None:
    """Return how to read a map of some keys if it has all that it needs and no extension.

    Most maps of a shape have the same keys as others, so answers are kept, by the types
    of the keys too: True and 1.0 are equal to 1, and no keys.
    """
    good = cls.NAMES.keys() >= {*keys} >= cls.REQUIRED and {int}.issuperset(map(type, keys))
    return KnownKeys(cls, keys) if good and [*keys] == sorted(keys) else None


def _nil() -> EncodingError:
    return EncodingError("forbidden-type", "nil has no encoding")


class RowShape(Shape):
    """An array of fixed length: the table's order is the array's."""

    __slots__ = ()

    def to_wire(self) -> tuple[Any, ...]:
        """Return the row."""
        return tuple(field.kind.to_wire(getattr(self, field.name)) for field in self.FIELDS)

    @classmethod
    def from_wire(cls, value: Value) -> Self:
        """Return the value of a decoded row.

        Raises:
            BodyError: wrong-type, bad-value, or any rule of the row's fields.
        """
        if type(value) is not tuple:
            raise BodyError("wrong-type", "expected an array")
        if len(value) != len(cls.FIELDS):
            code = "bad-value" if value else "empty-value"
            raise BodyError(code, f"expected an array of {len(cls.FIELDS)} items")
        pairs = zip(cls.FIELDS, value, strict=True)
        return cls(**{field.name: read_field(field, item) for field, item in pairs})


@dataclass_transform(kw_only_default=True, frozen_default=True)
def table_class(cls: type[S]) -> type[S]:
    """Turn a Shape into a frozen, slotted, keyword-only dataclass that checks itself."""
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    return init_at_first_use(made, lambda: lay_out_checked_init(made))
