"""The table of tokenizers: which vocabulary a model has, and what is known of its counts.

What the members of `tokenizers.toml` mean is said at its top. The table is data: it
claims nothing that a receipt does not carry (method, vocabulary's hash, range), so a
receipt reads the same where another table, or none, is installed.

Spec:
    PROTOCOL.md LBL-4, LBL-5, TOK-1, TOK-4.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.label import MAX_OFFSET

_NAME: Final = re.compile(r"(?!bytes$)[a-z0-9._-]+")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_ENGINES: Final = ("toktok",)
_HIDDEN: Final = ("none", "split")
_MEMBERS: Final = {"providers", "names", "encoding", "offsets", "hidden", "pinned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A vocabulary and what counts with it.

    Attributes:
        name: first part of the method in a label.
        vocabulary: SHA-256 of the tokens in the order of their ranks, 32 bytes.
        engine: which engine counts.
    """

    name: str
    vocabulary: bytes
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """What is known of how some models' visible output is counted.

    Attributes:
        providers: names of providers in receipts.
        names: matches the whole name of a model that answered.
        encoding: its vocabulary.
        lowest: smallest admissible offset of reported against counted, in tokens.
        highest: largest admissible offset, in tokens.
        thinks: the model's output may hold hidden tokens.
        pinned: one offset holds for every answer.
    """

    providers: frozenset[str]
    names: re.Pattern[str]
    encoding: Encoding
    lowest: int
    highest: int
    thinks: bool
    pinned: bool

    def method(self) -> str:
        """Return the method that an EXACT bucket by this rule names."""
        return f"{self.encoding.name}/1+split" if self.thinks else f"{self.encoding.name}/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerTable:
    """Encodings by name, and the rules in order of precedence."""

    encodings: Mapping[str, Encoding]
    rules: tuple[ModelRule, ...]

    def rule(self, provider: str, model: str | None) -> ModelRule | None:
        """Return the rule for a model that answered; None where nothing is known.

        Args:
            provider: name of the provider, as in the receipt.
            model: the name under which the model answered.
        """
        if model is None:
            return None
        for rule in self.rules:
            if provider in rule.providers and rule.names.fullmatch(model):
                return rule
        return None


@cache
def builtin_table() -> TokenizerTable:
    """Return the table that comes with this release."""
    text = files("nous_ledger.reconcile").joinpath("tokenizers.toml").read_text("utf-8")
    return read_table(tomllib.loads(text))


def read_table(document: Mapping[str, Any]) -> TokenizerTable:
    """Return the table that a parsed TOML document holds.

    Raises:
        InputError: a member is missing, unknown, or of the wrong form; names the place.
    """
    for member in document.keys() - {"encodings", "models"}:
        raise _wrong(f"{member}: no such member")
    encodings = {
        name: _encoding(name, fields) for name, fields in document.get("encodings", {}).items()
    }
    rules = tuple(
        _rule(f"models[{number}]", fields, encodings)
        for number, fields in enumerate(document.get("models", ()))
    )
    return TokenizerTable(encodings=encodings, rules=rules)


def _encoding(name: str, fields: Mapping[str, Any]) -> Encoding:
    place = f"encodings.{name}"
    if not _NAME.fullmatch(name) or len(name) > 48:
        raise _wrong(f"{place}: a name is up to 48 of [a-z0-9._-], and not bytes")
    if fields.keys() != {"vocabulary", "engine"} or fields["engine"] not in _ENGINES:
        raise _wrong(f"{place}: has vocabulary and engine, and the engine is one of {_ENGINES}")
    if not _HASH.fullmatch(str(fields["vocabulary"])):
        raise _wrong(f"{place}.vocabulary: 64 lower-case hex digits")
    return Encoding(
        name=name, vocabulary=bytes.fromhex(fields["vocabulary"]), engine=fields["engine"]
    )


def _rule(place: str, fields: Mapping[str, Any], encodings: Mapping[str, Encoding]) -> ModelRule:
    if not _MEMBERS - {"pinned"} <= fields.keys() <= _MEMBERS:
        raise _wrong(f"{place}: has {', '.join(sorted(_MEMBERS))}; pinned may be left out")
    match fields["offsets"]:
        case [int(lowest), int(highest)] if -MAX_OFFSET <= lowest <= highest <= MAX_OFFSET:
            pass
        case _:
            raise _wrong(f"{place}.offsets: two integers from -8 to 8, the smaller first")
    pinned = fields.get("pinned", False)
    if fields["hidden"] not in _HIDDEN or not isinstance(pinned, bool):
        raise _wrong(f"{place}: hidden is one of {_HIDDEN}, pinned is true or false")
    if pinned and lowest != highest:
        raise _wrong(f"{place}: where one offset is pinned both offsets are the same")
    if fields["encoding"] not in encodings:
        raise _wrong(f"{place}.encoding: no encoding of that name stands in the table")
    try:
        names = re.compile(fields["names"])
    except (re.error, TypeError) as error:
        raise _wrong(f"{place}.names: no regular expression ({error})") from error
    return ModelRule(
        providers=frozenset(map(str, fields["providers"])),
        names=names,
        encoding=encodings[fields["encoding"]],
        lowest=lowest,
        highest=highest,
        thinks=fields["hidden"] == "split",
        pinned=pinned,
    )


def _wrong(text: str) -> InputError:
    return InputError("input", f"table of tokenizers: {text}")
