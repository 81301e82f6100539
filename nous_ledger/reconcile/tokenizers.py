"""The table of tokenizers: which vocabulary a model has, and what is known of its counts.

What the members of `tokenizers.toml` mean is said at its top. The table is data: it
claims nothing that a receipt does not carry (method, vocabulary's hash, range), so a
receipt reads the same where another table, or none, is installed. An operator's own
table comes before this one: it says where files lie, and adds encodings and models.

Spec:
    PROTOCOL.md LBL-4, LBL-5, TOK-1, TOK-4.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.label import MAX_OFFSET

TOKTOK: Final = "toktok"
TIKTOKEN: Final = "tiktoken"
TOKENIZERS: Final = "tokenizers"
RANKS: Final = "ranks"
TEKKEN: Final = "tekken"
TOKENIZER_JSON: Final = "tokenizer.json"

MAX_TABLE_BYTES: Final = 256 * 1024
"""Longest table of an operator."""

_NAME: Final = re.compile(r"(?!bytes$)[a-z0-9._-]+")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_HIDDEN: Final = ("none", "split")
_REQUIRED: Final = {"providers", "names", "encoding", "offsets", "hidden"}
_MEMBERS: Final = _REQUIRED | {"pinned", "upstreams"}
_CUSTOM: Final = "custom"
_BROKERS: Final = frozenset({"openrouter"})
_ENCODING_MEMBERS: Final[Mapping[str, type]] = {
    "vocabulary": str,
    "engine": str,
    "form": str,
    "package": str,
    "file": str,
    "path": str,
    "pattern": str,
    "nfc": bool,
    "shown": list,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A vocabulary and what counts with it.

    Attributes:
        name: first part of the method in a label.
        vocabulary: its hash, 32 bytes.
        engine: which engine counts.
        form: what its file is; empty where the engine has it within.
        package: installed package that carries the file.
        file: path of the file below the package, or of its own where there is no package.
        pattern: how a text is cut into words, where the file does not say it.
        nfc: the vendor's tokenizer composes a text first.
        shown: names of tokens that decoders show as text.
        own: an operator's encoding, of which nothing but its file is known.
    """

    name: str
    vocabulary: bytes
    engine: str
    form: str = ""
    package: str = ""
    file: str = ""
    pattern: str = ""
    nfc: bool = False
    shown: tuple[str, ...] = ()
    own: bool = False


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
        upstreams: hosts as receipts name them; empty for all of the providers'.
    """

    providers: frozenset[str]
    names: re.Pattern[str]
    encoding: Encoding
    lowest: int
    highest: int
    thinks: bool
    pinned: bool
    upstreams: frozenset[str] = frozenset()

    def method(self) -> str:
        """Return the method that an EXACT bucket by this rule names."""
        return f"{self.encoding.name}/1+split" if self.thinks else f"{self.encoding.name}/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerTable:
    """Encodings by name, and the rules in order of precedence."""

    encodings: Mapping[str, Encoding]
    rules: tuple[ModelRule, ...]

    def rule(
        self, provider: str, model: str | None, upstream: str | None = None
    ) -> ModelRule | None:
        """Return the rule for a model that answered; None where nothing is known.

        Args:
            provider: name of the provider, as in the receipt.
            model: the name under which the model answered.
            upstream: host[:port] that was called, as in the receipt.
        """
        if model is None:
            return None
        for rule in self.rules:
            if (
                provider in rule.providers
                and (not rule.upstreams or upstream in rule.upstreams)
                and rule.names.fullmatch(model)
            ):
                return rule
        return None


@cache
def builtin_table() -> TokenizerTable:
    """Return the table that comes with this release."""
    text = files("nous_ledger.reconcile").joinpath("tokenizers.toml").read_text("utf-8")
    return read_table(tomllib.loads(text))


def extended_table(data: bytes, folder: Path) -> TokenizerTable:
    """Return the built-in table with an operator's before it.

    Args:
        data: the operator's table, TOML in UTF-8.
        folder: what its paths are relative to.

    Raises:
        InputError: not TOML; or as `read_table`; or it gives a name of the built-in
            table another meaning than where its file lies.
    """
    try:
        document = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _wrong(f"not TOML in UTF-8: {error}") from error
    base = builtin_table()
    table = read_table(document, base=base.encodings, folder=folder)
    # Rules name the encodings as they are now, with the files that the operator has.
    rules = (replace(rule, encoding=table.encodings[rule.encoding.name]) for rule in base.rules)
    return TokenizerTable(encodings=table.encodings, rules=(*table.rules, *rules))


def read_table(
    document: Mapping[str, Any],
    *,
    base: Mapping[str, Encoding] | None = None,
    folder: Path | None = None,
) -> TokenizerTable:
    """Return the table that a parsed TOML document holds.

    Args:
        document: the table.
        base: encodings that the table adds to, if it is an operator's.
        folder: what an operator's paths are relative to.

    Raises:
        InputError: a member is missing, unknown, or of the wrong form; names the place.
    """
    for member in document.keys() - {"encodings", "models"}:
        raise _wrong(f"{member}: no such member")
    encodings = dict(base or {})
    for name, fields in _tables("encodings", document.get("encodings", {})):
        known = (base or {}).get(name)
        if known is not None:
            encodings[name] = _relocated(name, known, fields, folder or Path())
        else:
            encodings[name] = _encoding(name, fields, None if base is None else folder or Path())
    rules = tuple(
        _rule(f"models[{number}]", fields, encodings, own=base is not None)
        for number, fields in enumerate(_list("models", document.get("models", [])))
    )
    return TokenizerTable(encodings=encodings, rules=rules)


def _tables(place: str, value: object) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(value, dict):
        raise _wrong(f"{place}: a table")
    for name, fields in value.items():
        if not isinstance(fields, dict):
            raise _wrong(f"{place}.{name}: a table")
    return list(value.items())


def _list(place: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(fields, dict) for fields in value):
        raise _wrong(f"{place}: a list of tables")
    return value


def _relocated(name: str, known: Encoding, fields: Mapping[str, Any], folder: Path) -> Encoding:
    if fields.keys() != {"path"} or not isinstance(fields["path"], str) or not known.form:
        raise _wrong(
            f"encodings.{name}: of an encoding that this release knows only `path` can be set, and"
            " only where it reads a file: a name never changes its meaning"
        )
    return replace(known, package="", file=str(folder / fields["path"]))


def _encoding(name: str, fields: Mapping[str, Any], folder: Path | None) -> Encoding:
    """Return an encoding; `folder` is that of an operator's table, None for our own."""
    place = f"encodings.{name}"
    if not _NAME.fullmatch(name) or len(name) > 48:
        raise _wrong(f"{place}: a name is up to 48 of [a-z0-9._-], and not bytes")
    for member, value in fields.items():
        if not isinstance(value, _ENCODING_MEMBERS.get(member, type(None))):
            raise _wrong(f"{place}.{member}: no such member, or of a wrong form")
    shown = fields.get("shown", [])
    if not all(isinstance(text, str) and text for text in shown):
        raise _wrong(f"{place}.shown: a list of names of tokens")
    if not _HASH.fullmatch(fields.get("vocabulary", "")):
        raise _wrong(f"{place}.vocabulary: 64 lower-case hex digits")
    _check_source(place, fields, own=folder is not None)
    return Encoding(
        name=name,
        vocabulary=bytes.fromhex(fields["vocabulary"]),
        engine=fields["engine"],
        form=fields.get("form", ""),
        package=fields.get("package", ""),
        file=str(folder / fields["path"]) if folder is not None else fields.get("file", ""),
        pattern=fields.get("pattern", ""),
        nfc=fields.get("nfc", False),
        shown=tuple(shown),
        own=folder is not None,
    )


def _check_source(place: str, fields: Mapping[str, Any], *, own: bool) -> None:
    """Check that engine, form and what they need go together."""
    optional = {"nfc", "shown"}
    match fields.get("engine"), fields.get("form"):
        case "toktok", None if not own:
            needed, optional = {"vocabulary", "engine"}, set()
        case "tokenizers", "tokenizer.json":
            needed, optional = {"vocabulary", "engine", "form"}, {"shown"}
        case "tiktoken", form if form in (RANKS, TEKKEN) or (form == TOKENIZER_JSON and not own):
            needed = {"vocabulary", "engine", "form", "pattern"}
        case _:
            raise _wrong(
                f"{place}: engine tiktoken with form ranks or tekken, or tokenizers with"
                " tokenizer.json"
            )
    if "form" in fields:
        needed |= {"path"} if own else {"package", "file"}
    if not needed <= fields.keys() <= needed | optional:
        raise _wrong(f"{place}: has {', '.join(sorted(needed))}")


def _rule(
    place: str, fields: Mapping[str, Any], encodings: Mapping[str, Encoding], *, own: bool
) -> ModelRule:
    if not _REQUIRED <= fields.keys() <= _MEMBERS:
        more = "pinned and upstreams may be left out"
        raise _wrong(f"{place}: has {', '.join(sorted(_MEMBERS))}; {more}")
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
        names = re.compile(fields["names"], re.ASCII)  # `\d` is a digit of ASCII
    except (re.error, TypeError) as error:
        raise _wrong(f"{place}.names: no regular expression ({error})") from error
    providers, upstreams = _hosts(place, fields, own=own)
    return ModelRule(
        providers=providers,
        names=names,
        encoding=encodings[fields["encoding"]],
        lowest=lowest,
        highest=highest,
        thinks=fields["hidden"] == "split",
        pinned=pinned,
        upstreams=upstreams,
    )


def _hosts(
    place: str, fields: Mapping[str, Any], *, own: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Return providers and upstreams; whose model answers must be known (TOK-4)."""
    found = []
    for member in ("providers", "upstreams"):
        value = fields.get(member, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise _wrong(f"{place}.{member}: a list of text")
        found.append(frozenset(value))
    providers, upstreams = found
    if providers & _BROKERS:
        raise _wrong(f"{place}.providers: of a broker it is not known whose model answers")
    if _CUSTOM in providers and not (own and upstreams):
        raise _wrong(f"{place}.providers: custom only in an operator's table, with upstreams")
    return providers, upstreams


def _wrong(text: str) -> InputError:
    return InputError("input", f"table of tokenizers: {text}")
