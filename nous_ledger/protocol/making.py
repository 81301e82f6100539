"""Objects of a field table made of few fields, or of another object by a change.

A class's own `__init__` looks at every field of its table. Whoever makes the same kind
of object again and again knows which fields are there, and which were checked when the
object was made that they come from: here only the others are checked. Rules between
fields are checked in full.

Spec:
    PROTOCOL.md, section "Bodies".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, TypeVar

from nous_ledger.protocol.layouts import lay_out_checks
from nous_ledger.protocol.values import define, lay_out_filling

if TYPE_CHECKING:
    from nous_ledger.protocol.fields import MapShape

M = TypeVar("M", bound="MapShape")


def making(cls: type[M], given: Sequence[str]) -> Callable[..., M]:
    """Return a function that makes an object of some fields; the others are absent.

    It does what `cls(**given)` does and raises the same.

    Args:
        cls: the object's class.
        given: what the function takes, in this order; all required fields, no extensions.
    """
    values = {f.name: f.name if f.name in given else repr(f.default) for f in fields(cls)}  # type: ignore[arg-type]
    absent = {f.name for f in fields(cls) if f.default is MISSING}.difference(given)  # type: ignore[arg-type]
    assert not absent, "what is required is given"  # noqa: S101
    return _lay_out(cls, [], given, values)


def changing(cls: type[M], changed: Sequence[str]) -> Callable[..., M]:
    """Return a function that makes an object like another one but for some fields.

    It does what `dataclasses.replace(object, **changed)` does and raises the same.

    Args:
        cls: the object's class.
        changed: what the function takes after the object, in this order; no extensions.
    """
    values = {f.name: f.name if f.name in changed else f"like.{f.name}" for f in fields(cls)}  # type: ignore[arg-type]
    return _lay_out(cls, ["like"], changed, values)


def _lay_out(
    cls: type[M], first: list[str], given: Sequence[str], values: dict[str, str]
) -> Callable[..., M]:
    checks, scope = lay_out_checks(cls, given, maybe_absent=True)
    filling = lay_out_filling(cls, values, scope)
    if first:  # how many extensions an object may have depends on its other fields
        checks.insert(-1, "    if like.extensions: check_extensions(self, like.extensions)")
    lines = [f"def make({', '.join([*first, *given])}):", "    self = Twin()", *filling]
    return define("make", [*lines, *checks, "    return self"], scope)
