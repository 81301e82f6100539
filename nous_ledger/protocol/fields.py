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
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from operator import is_
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.extensions import check_extensions, read_extensions
from nous_ledger.protocol.kinds import Kind
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.values import Frozen, define, init_at_first_use, lay_out_init

S = TypeVar("S", bound="Shape")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a field table."""

    key: int
    name: str
    kind: Kind
    required: bool = False


def _read(field: Field, item: Value) -> Any:
    try:
        return field.kind.from_wire(item)
    except (BodyError, EncodingError) as error:
        raise _within(field.name, error) from None


def _within(name: str, error: BodyError | EncodingError) -> BodyError | EncodingError:
    """Return the same error with the field's name before its message."""
    return type(error)(error.code, f"{name}: {error.message}", hint=error.hint, field=name)


def lay_out_wire(
    fields: tuple[Field, ...], given: tuple[str, ...] = ()
) -> Callable[..., dict[int, Any]]:
    """Return a function that gives an object's map, without its extensions.

    Args:
        fields: the object's field table.
        given: fields of which the function is told the value, whatever the object says.
    """
    scope: dict[str, Any] = {}
    lines = [f"def to_wire({', '.join(['self', *given])}):", "    wire = {}"]
    for number, field in enumerate(fields):
        scope[f"to_wire{number}"] = field.kind.to_wire
        value = "v" if field.kind.plain else f"to_wire{number}(v)"
        lines += [
            f"    v = {field.name}" if field.name in given else f"    v = self.{field.name}",
            f"    if v is not None: wire[{field.key}] = {value}",
        ]
    return define("to_wire", [*lines, "    return wire"], scope)


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
    _to_wire: ClassVar[Callable[[Any], dict[int, Any]]]
    _read: ClassVar[Callable[[dict[int, Any]], Any]]
    _known_keys: ClassVar[Callable[[tuple[int, ...]], tuple[int, ...] | None]]
    extensions: tuple[tuple[int, Value], ...]

    def __init_subclass__(cls) -> None:
        """Lay the field table out, by name and by key."""
        super().__init_subclass__()
        cls.NAMES = {field.key: field.name for field in cls.FIELDS}
        cls.READERS = tuple((field.name, field) for field in cls.FIELDS if not field.kind.plain)
        cls.REQUIRED = frozenset(field.key for field in cls.FIELDS if field.required)
        cls._to_wire = _wire_at_first_use(cls)
        cls._read = _read_at_first_use(cls)
        cls._known_keys = staticmethod(lru_cache(maxsize=256)(partial(_check_keys, cls)))

    def to_wire(self) -> dict[int, Any]:
        """Return the map with ascending keys, absent fields left out."""
        wire = self._to_wire()
        if self.extensions:
            wire.update(self.extensions)
        return wire

    @classmethod
    def from_wire(cls, value: Value) -> Self:
        """Return the value of a decoded map.

        Raises:
            BodyError: wrong-type, missing-field, empty-value, bad-value, ...
            EncodingError: unknown-field; unsorted and forbidden-type if `decode` is not its source.
        """
        if type(value) is not dict:
            raise BodyError("wrong-type", "expected a map")
        keys = cls._known_keys(tuple(value))
        if keys is None or not all(map(is_, value, keys)):
            return cls._read_slowly(value)
        if None in value.values():  # it would pass for a field that is absent
            raise _nil()
        return cast("Self", cls._read(value))

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
                known[name] = _read(field, known[name])
        if not value.keys() >= cls.REQUIRED:
            missing = ", ".join(sorted(names[key] for key in cls.REQUIRED - value.keys()))
            raise BodyError("missing-field", f"required: {missing}")
        return cls(**known)


def _wire_at_first_use(cls: type[MapShape]) -> Callable[[Any], dict[int, Any]]:
    def to_wire(shape: MapShape) -> dict[int, Any]:
        cls._to_wire = lay_out_wire(cls.FIELDS)
        return cls._to_wire(shape)

    return to_wire


def _check_keys(cls: type[MapShape], keys: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the keys of a map if it has all that it needs and no extension.

    Most maps of a shape have the same keys as others, so answers are kept. True and 1.0
    are found under the same name as 1: whoever asks must compare the answer by identity.
    """
    good = cls.NAMES.keys() >= {*keys} >= cls.REQUIRED and {int}.issuperset(map(type, keys))
    return keys if good and [*keys] == sorted(keys) else None


def _nil() -> EncodingError:
    return EncodingError("forbidden-type", "nil has no encoding")


def _read_at_first_use(cls: type[MapShape]) -> Callable[[dict[int, Any]], Any]:
    def read(value: dict[int, Any]) -> Any:
        cls._read = staticmethod(_lay_out_read(cls))
        return cls._read(value)

    return staticmethod(read)


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
        return cls(**{field.name: _read(field, item) for field, item in pairs})


@dataclass_transform(kw_only_default=True, frozen_default=True)
def table_class(cls: type[S]) -> type[S]:
    """Turn a Shape into a frozen, slotted, keyword-only dataclass that checks itself."""
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    return init_at_first_use(made, lambda: _lay_out_init(made))


def _lay_out_init(cls: type[Shape]) -> Callable[..., None]:
    """Return an `__init__` that checks all fields, then the rules between them."""
    lines, scope = _lay_out_checks(cls)
    return lay_out_init(cls, lines, scope)


def _lay_out_read(cls: type[MapShape]) -> Callable[[dict[int, Any]], Any]:
    """Return a function that makes an object of a decoded map without extensions.

    It does what `__init__` does, without keyword arguments.
    """
    checks, scope = _lay_out_checks(cls)
    scope |= {"new": object.__new__, "cls": cls, "read": _read}
    lines = ["def read_map(value):", "    self, get, extensions = new(cls), value.get, ()"]
    for number, field in enumerate(cls.FIELDS):
        lines.append(f"    {field.name} = get({field.key})")
        if not field.kind.plain:
            scope[f"field_{number}"] = field
            reading = f"{field.name} = read(field_{number}, {field.name})"
            lines.append(f"    if {field.name} is not None: {reading}")
    for slot in fields(cls):  # type: ignore[arg-type]
        scope[f"set_{slot.name}"] = getattr(cls, slot.name).__set__
    return define("read_map", [*lines, *checks, "    return self"], scope)


def _lay_out_checks(cls: type[Shape]) -> tuple[list[str], dict[str, Any]]:
    """Return lines that fill and check an object, and the names that they use.

    For each field a cheap guard comes first; what does not pass it goes to the
    kind's own `check`, which decides.
    """
    scope: dict[str, Any] = {"check": _checker(cls.FIELDS), "check_extensions": check_extensions}
    lines = [f"    set_{slot.name}(self, {slot.name})" for slot in fields(cls)]  # type: ignore[arg-type]
    for number, field in enumerate(cls.FIELDS):
        scope[f"known_{number}"] = field.kind.known()
        guard = field.kind.guard(field.name, f"known_{number}")
        absent = "" if field.required else f"{field.name} is None or "
        lines.append(f"    if not ({absent}{guard}): check({number}, {field.name})")
    if issubclass(cls, MapShape):
        lines.append("    if extensions != (): check_extensions(self, extensions)")
    return [*lines, "    self.check_rules()"], scope


def _checker(table: tuple[Field, ...]) -> Callable[[int, object], None]:
    def check(number: int, value: object) -> None:
        field = table[number]
        if value is None:
            raise BodyError("missing-field", f"{field.name} is required")
        try:
            field.kind.check(value)
        except (BodyError, EncodingError) as error:
            raise _within(field.name, error) from None

    return check
