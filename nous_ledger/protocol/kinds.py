"""Kinds of fields: what the values of one field may be.

A kind checks a value (`check` decides and names the fault), turns it into its
encodable form and back, and offers a guard: a cheap expression
that is true only for good values.

Spec:
    PROTOCOL.md, section "Bodies".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

from nous_ledger.protocol.encoding import MAX_ITEMS, check_text
from nous_ledger.protocol.errors import BodyError, EncodingError
from nous_ledger.protocol.registries import Registry
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.types import MAX_UINT


class Kind(Protocol):
    """How the values of a field look."""

    plain: bool
    """Whether values are encoded as they are."""

    def check(self, value: Any) -> None:
        """Raise BodyError or EncodingError unless the value may stand in the field."""

    def guard(self, v: str, known: str) -> str:
        """Return an expression over two names that is true only for a good value `v`."""

    def known(self) -> Any:
        """Return what the guard's second name stands for."""

    def to_wire(self, value: Any) -> Any:
        """Return the encodable form of a checked value."""

    def wire(self, v: str) -> str:
        """Return an expression over a name that is the encodable form of its checked value."""

    def from_wire(self, value: Value) -> Any:
        """Return the field's value from a decoded one."""


class Plain:
    """Base of kinds whose values are encoded as they are."""

    plain = True

    def known(self) -> Any:
        """Return nothing: the guard needs no help."""
        return None

    def to_wire(self, value: Any) -> Any:
        """Return the value itself."""
        return value

    def wire(self, v: str) -> str:
        """Return the value itself."""
        return v

    def from_wire(self, value: Value) -> Any:
        """Return the value itself; it is checked when its body is made."""
        return value


class Uint(Plain):
    """An unsigned integer within a range."""

    def __init__(self, low: int = 0, high: int = MAX_UINT) -> None:
        """Set the range, both ends included."""
        self.low = low
        self.high = high

    def guard(self, v: str, known: str) -> str:
        """Return the range check."""
        return f"type({v}) is int and {self.low} <= {v} <= {self.high}"

    def check(self, value: Any) -> None:
        """Raise wrong-type, int-range or bad-value unless the value is an integer in range."""
        if type(value) is not int or value < 0:
            raise BodyError("wrong-type", "expected an unsigned integer")
        if value > MAX_UINT:
            raise EncodingError("int-range", f"{value} is larger than 2^53-1")
        if not self.low <= value <= self.high:
            raise BodyError("bad-value", f"{value} is outside {self.low}..{self.high}")


class Enum(Uint):
    """An open enumeration: any unsigned integer, some of which have names."""

    def __init__(self, registry: Registry) -> None:
        """Set the names."""
        super().__init__()
        self.registry = registry


class Bytes(Plain):
    """A byte string of one length, optionally with a rule."""

    def __init__(self, length: int, rule: Callable[[bytes], bool] | None = None) -> None:
        """Set length and rule."""
        self.length = length
        self.rule = rule

    def guard(self, v: str, known: str) -> str:
        """Return the length check, then the rule."""
        rule = f" and {known}({v})" if self.rule else ""
        return f"type({v}) is bytes and len({v}) == {self.length}{rule}"

    def known(self) -> Any:
        """Return the rule."""
        return self.rule

    def check(self, value: Any) -> None:
        """Raise wrong-type, empty-value or bad-value unless the bytes fit."""
        if type(value) is not bytes:
            raise BodyError("wrong-type", "expected a byte string")
        if len(value) != self.length:
            code = "bad-value" if value else "empty-value"
            raise BodyError(code, f"expected {self.length} bytes, not {len(value)}")
        if self.rule is not None and not self.rule(value):
            raise BodyError("bad-value", "the bytes do not follow the field's rule")


class Text(Plain):
    """A string of 1..max_bytes UTF-8 bytes, optionally of one form."""

    def __init__(self, max_bytes: int, form: str | None = None) -> None:
        """Set the length and the form, a regular expression for the whole text."""
        self.max_bytes = max_bytes
        self.form = form
        # Hosts and providers repeat, so answers are kept; the form is compiled when first used.
        self.has_form = lru_cache(maxsize=256)(lambda text: bool(re.fullmatch(form or "", text)))

    def guard(self, v: str, known: str) -> str:
        """Return a check that printable ASCII of the right length passes."""
        form = f"{known}({v})" if self.form else f"{v}.isascii() and {v}.isprintable()"
        return f"type({v}) is str and 0 < len({v}) <= {self.max_bytes} and {form}"

    def known(self) -> Any:
        """Return the check of the form."""
        return self.has_form

    def check(self, value: Any) -> None:
        """Raise wrong-type, empty-value, bad-string, limit or bad-value unless it fits."""
        if type(value) is not str:
            raise BodyError("wrong-type", "expected a string")
        if not value:
            raise BodyError("empty-value", "an empty string is left out instead")
        check_text(value)
        if len(value.encode("utf-8")) > self.max_bytes:
            raise BodyError("bad-value", f"longer than {self.max_bytes} bytes")
        if self.form is not None and not self.has_form(value):
            raise BodyError("bad-value", f"{value[:80]!r} does not have the field's form")


class Nested:
    """A map or row with a table of its own."""

    plain = False

    def __init__(self, shape: type[Any]) -> None:
        """Set the class, a MapShape or RowShape."""
        self.shape = shape

    def guard(self, v: str, known: str) -> str:
        """Return the class check."""
        return f"type({v}) is {known}"

    def known(self) -> Any:
        """Return the class."""
        return self.shape

    def check(self, value: Any) -> None:
        """Raise wrong-type unless the value is of the nested class."""
        if type(value) is not self.shape:
            raise BodyError("wrong-type", f"expected {self.shape.__name__}")

    def to_wire(self, value: Any) -> Any:
        """Return the encodable form of the nested value."""
        return value.to_wire()

    def wire(self, v: str) -> str:
        """Return the encodable form of the nested value."""
        return f"{v}.to_wire()"

    def from_wire(self, value: Value) -> Any:
        """Return the nested value."""
        return self.shape.from_wire(value)


class ListOf:
    """An array whose items are all of one kind."""

    def __init__(self, item: Kind, high: int, *, low: int = 1, ascending: bool = False) -> None:
        """Set the items' kind, the length's range, and whether items ascend strictly."""
        self.item = item
        self.low = low
        self.high = high
        self.ascending = ascending
        self.plain = item.plain

    def guard(self, v: str, known: str) -> str:
        """Return a check that tuples of plain nested values pass; others go to `check`."""
        if self.ascending or not isinstance(self.item, Nested):
            return "False"
        sized = f"{self.low} <= len({v}) <= {self.high}"
        return f"type({v}) is tuple and {sized} and {known}.issuperset(map(type, {v}))"

    def known(self) -> Any:
        """Return the set of the nested class."""
        return frozenset({self.item.shape}) if isinstance(self.item, Nested) else None

    def check(self, value: Any) -> None:
        """Raise unless the value is a tuple of good items in the demanded order."""
        if type(value) is not tuple:
            raise BodyError("wrong-type", "expected an array")
        if len(value) < self.low:
            raise BodyError("empty-value", "an empty array is left out instead")
        if len(value) > MAX_ITEMS:
            raise EncodingError("limit", f"{len(value)} items are more than {MAX_ITEMS}")
        if len(value) > self.high:
            raise BodyError("bad-value", f"{len(value)} items are more than {self.high}")
        for item in value:
            self.item.check(item)
        if self.ascending and any(a >= b for a, b in pairwise(value)):
            raise BodyError("bad-order", "the items are not strictly ascending")

    def to_wire(self, value: Any) -> Any:
        """Return the encodable items."""
        return value if self.plain else tuple([self.item.to_wire(item) for item in value])

    def wire(self, v: str) -> str:
        """Return the encodable items."""
        return v if self.plain else f"tuple([{self.item.wire('item')} for item in {v}])"

    def from_wire(self, value: Value) -> Any:
        """Return the items."""
        if type(value) is not tuple:
            raise BodyError("wrong-type", "expected an array")
        return value if self.plain else tuple([self.item.from_wire(item) for item in value])
