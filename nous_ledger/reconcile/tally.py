"""What a reader of visible output adds up, and what it says at the end.

Spec:
    PROTOCOL.md LBL-8; section "bytes/1".
"""

from __future__ import annotations

from typing import Final, Protocol

from nous_ledger.protocol.values import maker, value
from nous_ledger.reconcile.jsontext import Located

MAX_PARTS: Final = 65_536
"""Most choices, and most tool calls, that are counted."""
FRAMES_PER_CALL: Final = 4
"""How often the allowance of a part, and the arguments, of a call count that is written anew."""
MAX_KEPT: Final = 1024 * 1024
"""Most characters of an answer that are kept to be counted in tokens."""


@value
class VisibleOutput:
    """How much model output a caller got.

    Attributes:
        utf8_bytes: length of the visible text in UTF-8 bytes.
        choices: alternatives that were returned; 1 for formats without alternatives.
        tool_calls: tool calls in all of them.
        frames_per_call: how many times the allowance of a part stands for the frame of a
            tool call; more than 1 where the provider writes calls anew.
        text_only: whether the output held nothing but text, refusals and thinking.
        thinking: whether there was thinking, in whatever form.
        thinking_bytes: length of what was shown of it as strings, in UTF-8 bytes.
        applicable: whether this is all of the output, by what is known of the format.
        text: the answer, where a reader was asked to keep it and it is one choice of
            nothing but plain text; None otherwise, and where it is too long.
    """

    utf8_bytes: int
    choices: int
    tool_calls: int
    text_only: bool
    thinking: bool
    applicable: bool
    frames_per_call: int = 1
    text: str | None = None
    thinking_bytes: int = 0


_new_output: Final = maker(VisibleOutput)


class VisibleReader(Protocol):
    """Collects the visible output of one call."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""

    def add_text(self, length: int, text: str = "") -> None:
        """Take some text of events like one that was taken before.

        Args:
            length: its UTF-8 bytes.
            text: itself, if the reader keeps text.
        """

    def keep_text(self) -> None:
        """Keep what is to come, so that its tokens can be counted."""

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""


def utf8_length(value: object) -> int:
    """Return the UTF-8 length of a string; 0 for anything else.

    A lone surrogate, which JSON can escape but UTF-8 cannot hold, counts 3.
    """
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


class Tally:
    """What has been counted so far."""

    def __init__(self, frames_per_call: int = 1) -> None:
        """Start with nothing."""
        self.frames_per_call = frames_per_call
        self.text_bytes = 0
        self.choices: set[object] = set()
        self.calls: set[object] = set()
        self.text_only = True
        self.thinking = False
        self.thinking_bytes = 0
        self.seen = False  # the format's holder of output was there
        self.unknown = False  # there was output of an unknown kind
        self.unseen = False  # some of the output may not have been shown
        self.kept: list[str] | None = None  # the answer, if all of it is plain text
        self.kept_characters = 0

    def answer(self, value: object) -> None:
        """Count a string of the answer itself, and keep it if it is to be kept."""
        if isinstance(value, str) and value:
            self.text_bytes += utf8_length(value)
            if self.kept is not None:
                self.keep(value)

    def keep(self, text: str) -> None:
        """Keep some text of the answer, up to the bound."""
        self.kept_characters += len(text)
        if self.kept is not None and self.kept_characters <= MAX_KEPT:
            self.kept.append(text)
        else:
            self.kept = None

    def text(self, value: object) -> None:
        """Count a string beside the answer; whatever else it is, is passed over."""
        if length := utf8_length(value):
            self.text_bytes += length
            self.kept = None

    def thought(self, value: object) -> None:
        """Note that there was thinking if a string of it is not empty."""
        if length := utf8_length(value):
            self.thinking = True
            self.thinking_bytes += length

    def choice(self, key: object) -> None:
        """Count a choice once."""
        self.seen = True
        if len(self.choices) < MAX_PARTS:
            self.choices.add(key)

    def call(self, key: object) -> None:
        """Count a tool call once."""
        self.text_only = False
        if len(self.calls) < MAX_PARTS:
            self.calls.add(key)

    def next_call(self) -> None:
        """Count one more tool call."""
        self.call(len(self.calls))

    def argument(self, holder: Located, key: str, times: int = 1) -> None:
        """Count a model-written member: a string's bytes, or a value's bytes on the wire.

        Args:
            holder: the object that has it.
            key: its name.
            times: how many times over its bytes count.
        """
        value = holder.value.get(key)
        if isinstance(value, str):
            self.text(value)
            self.text_bytes += (times - 1) * utf8_length(value)
        elif value is not None and (found := holder.member(key)) is not None:
            self.text_bytes += times * len(found.wire)

    def output(self) -> VisibleOutput:
        """Return the result."""
        return _new_output(
            utf8_bytes=self.text_bytes,
            choices=len(self.choices),
            tool_calls=len(self.calls),
            text_only=self.text_only and not self.unknown,
            thinking=self.thinking,
            applicable=self.seen and not (self.unknown or self.unseen),
            frames_per_call=self.frames_per_call,
            text=None if self.kept is None else self._plain_answer(),
            thinking_bytes=self.thinking_bytes,
        )

    def _plain_answer(self) -> str | None:
        plain = self.text_only and not self.calls and len(self.choices) == 1
        return "".join(self.kept) if plain and self.kept is not None else None


class TallyReader:
    """What readers share that add up as they go; `VisibleReader` says what each does."""

    frames_per_call = 1

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._tally = Tally(self.frames_per_call)

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""
        return self._tally.output()

    def add_text(self, length: int, text: str = "") -> None:
        """Take some text of events like one that was taken before."""
        self._tally.text_bytes += length
        if text:
            self._tally.keep(text)

    def keep_text(self) -> None:
        """Keep what is to come, so that its tokens can be counted."""
        self._tally.kept = []
