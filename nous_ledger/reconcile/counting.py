"""Counting tokens again, piece by piece, with an engine whose vocabulary was checked.

A byte-pair tokenizer first cuts a text into words and then merges bytes within each,
so a text may be counted in parts that end where every cut it could make is certain:
behind a letter that is followed by a space or a plain mark. Parts are counted when
they have grown long; what is held meanwhile is bounded, and how the text arrived in
pieces changes nothing.

Spec:
    PROTOCOL.md LBL-4, TOK-1 to TOK-3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Final

from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import TOKTOK, Encoding
from nous_ledger.reconcile.vocabularies import Engine, hash_ranks, read_engine

PART_CHARACTERS: Final = 16 * 1024
"""A part is counted when it is this long."""
PIECES_HELD: Final = 256
"""Small pieces, and characters of a large one, after which lengths are added up."""
MAX_PART_CHARACTERS: Final = 1024 * 1024
"""Longest part without a certain cut; a longer one is not counted."""

# A letter ends a word wherever one of these follows: none continues a word, none is part
# of a contraction. Letters that every version of Unicode knows, so no engine's table of
# characters can differ from another's.
_CERTAIN_CUT: Final = re.compile(
    "[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u0410-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5"
    '\uac00-\ud7a3](?=[ \n,.;:!?()"\u3001\u3002\uff0c\uff01\uff1f\uff1a\uff1b])'
)


@cache
def engine_for(encoding: Encoding) -> Engine:
    """Return what counts the tokens of a text in an encoding.

    It returns None for a text of which no count can be stated.

    Raises:
        RecountError: no-tokenizer: engine or vocabulary is not there or cannot be used;
            wrong-vocabulary: it is another one than the table names.
    """
    return _toktok_engine(encoding) if encoding.engine == TOKTOK else read_engine(encoding)


def counter_for(encoding: Encoding) -> TokenCounter:
    """Return a counter of one text in an encoding.

    Raises:
        RecountError: as `engine_for`.
    """
    # Where words end is known of our own encodings only; others are counted in one go.
    return TokenCounter(engine_for(encoding), in_parts=not encoding.own)


def count_each(encoding: Encoding, texts: Iterable[str]) -> TokenCount | None:
    """Return the tokens of texts, each by itself; None for texts that cannot be counted.

    Raises:
        RecountError: as `engine_for`.
    """
    engine, tokens = engine_for(encoding), 0
    for text in texts:
        counter = TokenCounter(engine, in_parts=not encoding.own)
        counter.feed(text)
        if (found := counter.result()) is None:
            return None
        tokens += found
    return TokenCount(tokens)


def _toktok_engine(encoding: Encoding) -> Engine:
    try:
        from toktok._toktok import BUILTIN_ENCODINGS, Tokenizer  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise RecountError("no-tokenizer", "the engine is not installed") from error
    if encoding.name not in BUILTIN_ENCODINGS:
        raise RecountError("no-tokenizer", f"the engine knows no {encoding.name}")
    tokenizer = Tokenizer(encoding.name, "")
    found = hash_ranks(tokenizer.token_byte_values())
    if found != encoding.vocabulary:
        raise RecountError(
            "wrong-vocabulary",
            f"{encoding.name}: the engine's vocabulary has the hash {found.hex()}, "
            f"not {encoding.vocabulary.hex()}",
        )
    count: Engine = tokenizer.count
    return count


class TokenCounter:
    """Counts one text that arrives in pieces.

    Attributes:
        overlong: there is no count: a part grew too long without a certain cut, or the
            engine has none for what was in it.
    """

    __slots__ = ("_engine", "_enough", "_held", "_in_parts", "_tokens", "overlong")

    def __init__(self, engine: Engine, *, in_parts: bool = True) -> None:
        """Start with an empty text.

        Args:
            engine: as `engine_for` gives it.
            in_parts: the text may be counted in parts, because the encoding always cuts
                behind a letter that a space or plain mark follows.
        """
        self._engine = engine
        self._held: list[str] = []
        self._enough = PART_CHARACTERS
        self._tokens = 0
        self._in_parts = in_parts
        self.overlong = False

    def feed(self, piece: str) -> None:
        """Take the next characters of the text."""
        held = self._held
        held.append(piece)
        # Adding up lengths at every small piece would take longer than counting tokens.
        if len(held) >= PIECES_HELD or len(piece) >= PIECES_HELD:
            self._gather()

    def result(self) -> TokenCount | None:
        """Return the tokens of the whole text; None if it cannot be counted."""
        if self._held and not self.overlong:
            self._count("".join(self._held))
            self._held = []
        return None if self.overlong else TokenCount(self._tokens)

    def _count(self, part: str) -> None:
        try:
            tokens = self._engine(part)
        except UnicodeEncodeError:  # an unpaired surrogate, which no tokenizer sees
            tokens = None
        if tokens is None:
            self.overlong = True
        else:
            self._tokens += tokens

    def _gather(self) -> None:
        text = "".join(self._held)
        if self.overlong:
            text = ""
        self._held = self._after_parts(text) if len(text) >= self._enough else [text]

    def _after_parts(self, text: str) -> list[str]:
        """Count what can be counted of a text that is long enough; return the rest."""
        cut = 0
        # From the end backwards, in growing windows: the last certain cut is seldom far.
        window = 48 if self._in_parts else 2 * len(text)
        while cut == 0 and window < 2 * len(text):
            start = max(0, len(text) - window)
            for match in _CERTAIN_CUT.finditer(text, start):
                cut = match.end()
            window *= 4
        if cut:
            self._count(text[:cut])
            text = text[cut:]
        self.overlong |= len(text) > MAX_PART_CHARACTERS
        # Twice what no cut was found in, or looking again at each piece would be quadratic.
        self._enough = max(PART_CHARACTERS, 2 * len(text))
        return [] if self.overlong else [text]
