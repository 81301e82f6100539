"""Frozen value classes that are quick to define and quick to make.

`dataclass(frozen=True)` sets every attribute through a name look-up and compiles
five methods per class when the module is imported. Values of this package are
made by the dozen for each verification, so their `__init__` fills the slots
directly; it is compiled when the first value is made, and the other methods are
shared. In all else these are dataclasses.

The slots are filled while the value is of a twin of its class, with the same layout
and nothing that refuses a change: the interpreter sets such a slot in a twelfth of
the time that a call of the slot's setter takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar, cast, dataclass_transform

P = ParamSpec("P")
T = TypeVar("T")


class Frozen:
    """What all value classes share: no change after `__init__`, equality by fields."""

    __slots__ = ()

    def __setattr__(self, name: str, new: object) -> None:
        """Refuse every change: what was checked stays as it was."""
        raise FrozenInstanceError(f"cannot assign to {name}")

    def __delattr__(self, name: str) -> None:
        """Refuse every change."""
        raise FrozenInstanceError(f"cannot delete {name}")

    def __eq__(self, other: object) -> bool:
        """Return whether the other object is of this class and has equal fields."""
        read = _reader_of(type(self))
        return type(other) is type(self) and bool(read(self) == read(other))

    def __hash__(self) -> int:
        """Return a hash over all fields."""
        return hash((type(self), _reader_of(type(self))(self)))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return how to make the value again: a copy is filled by `__init__`, and checked."""
        return _make_again, (type(self), {f.name: getattr(self, f.name) for f in fields(self)})  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """Show the fields that are present."""
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self) if f.repr)  # type: ignore[arg-type]
        shown = ", ".join(f"{name}={value!r}" for name, value in pairs if value not in (None, ()))
        return f"{type(self).__name__}({shown})"


def _make_again(cls: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 - one of the class
    return cls(**values)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Turn a class into a frozen, slotted, keyword-only dataclass with a quick `__init__`."""
    shared = ("__setattr__", "__delattr__", "__eq__", "__hash__", "__repr__", "__reduce__")
    for name in shared:
        setattr(cls, name, getattr(Frozen, name))
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)

    def lay_out() -> Callable[..., None]:
        lines = ["    self.__post_init__()"] if hasattr(made, "__post_init__") else []
        return lay_out_init(made, lines, {})

    return init_at_first_use(made, lay_out)


def init_at_first_use(cls: type[T], lay_out: Callable[[], Callable[..., None]]) -> type[T]:
    """Give a class an `__init__` that is laid out when the first value is made."""

    def __init__(self: object, **values: object) -> None:  # noqa: N807 - it becomes that method
        init = lay_out()
        cls.__init__ = init  # type: ignore[method-assign]
        init(self, **values)

    cls.__init__ = __init__  # type: ignore[method-assign]
    cls.__init_subclass__ = classmethod(_refuse_subclass)  # type: ignore[assignment, method-assign]
    return cls


def _refuse_subclass(cls: type[Any]) -> None:
    """Refuse a class below a value class: its `__init__` would make a value of the one above.

    Raises:
        TypeError: always.
    """
    above = cls.__mro__[1].__name__
    raise TypeError(f"{cls.__name__}: {above} is a value class and has no subclasses")


def lay_out_init(cls: type[Any], lines: list[str], scope: dict[str, Any]) -> Callable[..., None]:
    """Return an `__init__` with the parameters of a slotted dataclass, which fills its slots.

    Args:
        cls: the dataclass; it has no subclasses.
        lines: what else the function does, once the slots are filled.
        scope: names for these lines.
    """
    parameters = ["self", *_parameters(cls, scope)]
    scope["change"] = object.__setattr__
    filling = lay_out_filling(cls, {slot.name: slot.name for slot in fields(cls)}, scope)
    opening = [f"def __init__({', '.join(parameters)}):", "    change(self, '__class__', Twin)"]
    return define("__init__", [*opening, *filling, *lines], scope)


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that makes values as their class does, in half the time.

    A call of a class packs keyword arguments into a dictionary; a call of a function
    does not. For values of which each call that is metered makes one.

    Args:
        cls: a class that `value` has made.
    """
    made, scope = cast("type[Any]", cls), dict[str, Any]()
    opening = f"def make({', '.join(_parameters(made, scope))}):"
    filling = lay_out_filling(made, {slot.name: slot.name for slot in fields(made)}, scope)
    lines = ["    self.__post_init__()"] if hasattr(made, "__post_init__") else []
    return define(
        "make", [opening, "    self = Twin()", *filling, *lines, "    return self"], scope
    )


def _parameters(cls: type[Any], scope: dict[str, Any]) -> list[str]:
    """Return a parameter for each field of a dataclass, all by keyword.

    Args:
        cls: the dataclass.
        scope: gets the defaults.
    """
    parameters = ["*"] if fields(cls) else []
    for slot in fields(cls):
        scope[f"default_{slot.name}"] = slot.default
        has_default = slot.default is not MISSING
        parameters.append(f"{slot.name}=default_{slot.name}" if has_default else slot.name)
    return parameters


def lay_out_filling(cls: type[Any], values: dict[str, str], scope: dict[str, Any]) -> list[str]:
    """Return lines that fill the slots of `self`, an object of `Twin`, and make it one of `cls`.

    Args:
        cls: a slotted dataclass.
        values: an expression for each of its fields.
        scope: gets the names that the lines use.
    """
    scope |= {"cls": cls, "Twin": _twin_of(cls)}  # type: ignore[arg-type]
    lines = [f"    self.{name} = {value}" for name, value in values.items()]
    return [*lines, "    self.__class__ = cls"]


@cache
def _twin_of(cls: type[Any]) -> type[Any]:
    """Return a class with the layout of a slotted dataclass whose objects can be changed."""
    members = {"__slots__": cls.__slots__, "__module__": cls.__module__}
    setters = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, cls.__bases__, members | setters)


def define(name: str, lines: list[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that some lines of source define.

    The source holds names and numbers of our own classes, nothing from outside.
    """
    exec("\n".join(lines), scope)  # noqa: S102 - nothing from outside is in the lines
    function: Callable[..., Any] = scope[name]
    return function


_READERS: dict[type[Any], Callable[[Any], Any]] = {}


def _reader_of(cls: type[Any]) -> Callable[[Any], Any]:
    """Return what gives all fields of a value at once; made once per class."""
    reader = _READERS.get(cls)
    if reader is None:
        names = [slot.name for slot in fields(cls) if slot.compare]
        reader = _READERS[cls] = attrgetter(*names) if names else type
    return reader
