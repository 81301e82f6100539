"""Straight-line functions that make and check objects of a field table.

Of a map of common keys an object is made by a function for just these keys: it
looks for no field that is not there. Such a function costs as much as reading some
dozens of maps, so it is laid out once that many were read.

Spec:
    PROTOCOL.md, sections "Encoding" and "Bodies".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.extensions import check_extensions
from nous_ledger.protocol.kinds import ListOf, Nested
from nous_ledger.protocol.values import define, lay_out_filling, lay_out_init

if TYPE_CHECKING:
    from nous_ledger.protocol.fields import Field, MapShape, Shape
    from nous_ledger.protocol.strict import Value

_COMMON: Final = 32
"""Maps of the same keys after which a function for just these keys pays."""


class KnownKeys:
    """How maps of some keys are read, which are all in the table and all that it demands.

    Attributes:
        keys: ascending.
        read: returns the object of such a map; what it raises of a map with a value of
            None may speak of another fault.
    """

    __slots__ = ("_cls", "_uses", "keys", "read")

    def __init__(self, cls: type[MapShape], keys: tuple[int, ...]) -> None:
        """Read maps of some keys one by one, until they prove to be common."""
        self.keys = keys
        self.read: Callable[[dict[int, Any]], Any] = self._read_rare
        self._cls = cls
        self._uses = 0

    def _read_rare(self, value: dict[int, Any]) -> Any:
        self._uses += 1
        if self._uses >= _COMMON and self.keys:
            self.read = lay_out_read(self._cls, self.keys)
        names = self._cls.NAMES
        known = {names[key]: item for key, item in value.items()}
        if None in value.values():  # it would pass for a field that is absent
            raise BodyError("missing-field", "a field is there and has no value")
        for name, field in self._cls.READERS:
            if name in known:
                known[name] = read_field(field, known[name])
        return self._cls(**known)


def read_field(field: Field, item: Value) -> Any:
    """Return the value of a field from a decoded one.

    Raises:
        BodyError, EncodingError: what is wrong with it, with the field's name.
    """
    try:
        return field.kind.from_wire(item)
    except (BodyError, EncodingError) as error:
        raise _within(field.name, error) from None


def lay_out_checked_init(cls: type[Shape]) -> Callable[..., None]:
    """Return an `__init__` that checks all fields, then the rules between them."""
    return lay_out_init(cls, *lay_out_checks(cls))


def lay_out_read(cls: type[MapShape], keys: tuple[int, ...]) -> Callable[[dict[int, Any]], Any]:
    """Return a function that makes an object of a decoded map.

    It does what `__init__` does, without keyword arguments.

    Args:
        cls: the object's class.
        keys: the keys of the map; in the table, ascending, and all that are required.
    """
    present = [cls.NAMES[key] for key in keys]
    checks, scope = lay_out_checks(cls, present)
    scope["read"] = read_field
    lines = ["def read_map(value):", f"    {', '.join(present)}, = value.values()"]
    for number, field in enumerate(cls.FIELDS):
        if field.name in present and not field.kind.plain:
            scope[f"field_{number}"] = field
            lines += _reading(number, field, scope)
    values = {s.name: s.name if s.name in present else repr(s.default) for s in fields(cls)}  # type: ignore[arg-type]
    filling = lay_out_filling(cls, values, scope)
    lines += ["    self = Twin()", *filling, *checks, "    return self"]
    return define("read_map", lines, scope)


def _reading(number: int, field: Field, scope: dict[str, Any]) -> list[str]:
    """Return lines that read a nested field; a fault is found again and named by its kind."""
    name, kind = field.name, field.kind
    slowly = f"{name} = read(field_{number}, {name})"
    if not (isinstance(kind, ListOf) and isinstance(kind.item, Nested)):
        return [f"    {slowly}"]
    scope[f"read_item_{number}"] = kind.item.shape.from_wire
    return [
        f"    if type({name}) is tuple:",
        f"        try: {name} = tuple([read_item_{number}(item) for item in {name}])",
        f"        except Exception: {slowly}",
        f"    else: {slowly}",
    ]


def lay_out_checks(
    cls: type[Shape], present: Sequence[str] | None = None, *, maybe_absent: bool = False
) -> tuple[list[str], dict[str, Any]]:
    """Return lines that check an object, and the names that they use.

    For each field a cheap guard comes first; what does not pass it goes to the
    kind's own `check`, which decides.

    Args:
        cls: the object's class.
        present: names of the fields that are there, and no others; None if that is
            for the object to show.
        maybe_absent: those that are not required may be absent all the same.
    """
    scope: dict[str, Any] = {"check": _checker(cls.FIELDS), "check_extensions": check_extensions}
    lines: list[str] = []
    for number, field in enumerate(cls.FIELDS):
        scope[f"known_{number}"] = field.kind.known()
        guard = field.kind.guard(field.name, f"known_{number}")
        if (present is None or maybe_absent) and not field.required:
            guard = f"{field.name} is None or {guard}"
        if present is None or field.name in present:
            lines.append(f"    if not ({guard}): check({number}, {field.name})")
    if present is None and hasattr(cls, "extensions"):
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


def _within(name: str, error: BodyError | EncodingError) -> BodyError | EncodingError:
    """Return the same error with the field's name before its message."""
    return type(error)(error.code, f"{name}: {error.message}", hint=error.hint, field=name)
