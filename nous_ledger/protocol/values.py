"""Frozen value classes that are quick to make.

`dataclass(frozen=True)` sets every attribute through a name look-up. Values of
this package are made by the dozen for each verification, so `value` lays out an
`__init__` that fills the slots directly. In all else these are dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Turn a class into a frozen, slotted, keyword-only dataclass with a quick `__init__`."""
    made = dataclass(frozen=True, slots=True, kw_only=True, init=False)(cls)
    lines = [f"    set_{slot.name}(self, {slot.name})" for slot in fields(made)]  # type: ignore[arg-type]
    if hasattr(made, "__post_init__"):
        lines.append("    self.__post_init__()")
    made.__init__ = lay_out_init(made, lines, {})  # type: ignore[method-assign]
    return made


def lay_out_init(cls: type[Any], lines: list[str], scope: dict[str, Any]) -> Callable[..., None]:
    """Return an `__init__` with the parameters of a slotted dataclass.

    Args:
        cls: the dataclass.
        lines: body of the function; may call `set_NAME(self, value)` for each field.
        scope: further names for the body.
    """
    parameters = ["self", "*"]
    for slot in fields(cls):
        scope[f"default_{slot.name}"] = slot.default
        has_default = slot.default is not MISSING
        parameters.append(f"{slot.name}=default_{slot.name}" if has_default else slot.name)
        scope[f"set_{slot.name}"] = getattr(cls, slot.name).__set__
    return define("__init__", [f"def __init__({', '.join(parameters)}):", *lines], scope)


def define(name: str, lines: list[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """Return the function that some lines of source define.

    The source holds names and numbers of our own classes, nothing from outside.
    """
    exec("\n".join(lines), scope)  # noqa: S102 - nothing from outside is in the lines
    function: Callable[..., Any] = scope[name]
    return function
