"""The text that a caller got from two relatives of OpenAI's chat completions.

openai.completions   the text of each choice
mistral.chat         messages, whose content may be an array of chunks

A choice that ended for a reason that is not known here may hide what was generated, so
nothing is known in full then.

Spec:
    PROTOCOL.md LBL-8; section "bytes/1".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.tally import FRAMES_PER_CALL, TallyReader
from nous_ledger.reconcile.visible import is_filled, number_of, objects_of

_COMPLETION_ENDS: Final = ("stop", "length", "eos")
_MISTRAL_ENDS: Final = ("stop", "length", "model_length", "tool_calls")


class ChoicesReader(TallyReader, ABC):
    """What the formats with an array of choices share."""

    ends: tuple[str, ...] = ()
    """Reasons to end for which all that was generated is shown."""
    frames_per_call = FRAMES_PER_CALL

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self._take(body, "message")

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        self._take(event, "delta")

    def _take(self, body: Located, part: str) -> None:
        choices = body.value.get("choices") if isinstance(body.value, dict) else None
        self._tally.seen |= isinstance(choices, list)
        calls = False
        for position, choice in objects_of(choices):
            self._tally.choice(number_of(choice, position))
            reason = choice.get("finish_reason")
            self._tally.unseen |= isinstance(reason, str) and reason not in self.ends
            calls |= self._choice(choice, part)
        if calls and (found := body.member("choices")) is not None:
            self._calls(found, part)

    @abstractmethod
    def _choice(self, choice: dict[str, Any], part: str) -> bool:
        """Take one choice; return whether it has tool calls."""

    def _calls(self, choices: Located, part: str) -> None:
        """Take the tool calls of choices of which some have any."""

    def _thinks(self, holder: dict[str, Any]) -> None:
        self._tally.thinking |= any(
            isinstance(holder.get(name), str) and holder.get(name) != ""
            for name in ("reasoning_content", "reasoning")
        )


class CompletionsReader(ChoicesReader):
    """Visible output of OpenAI's text completions."""

    ends = _COMPLETION_ENDS

    def _choice(self, choice: dict[str, Any], part: str) -> bool:  # noqa: ARG002 - the text stands in the choice itself
        self._tally.answer(choice.get("text"))
        self._thinks(choice)
        return False


class MistralReader(ChoicesReader):
    """Visible output of Mistral's chat, fill-in-the-middle and agents."""

    ends = _MISTRAL_ENDS

    def _choice(self, choice: dict[str, Any], part: str) -> bool:
        # What a server's own tools did comes as further messages, or as those of a tool.
        self._tally.unknown |= is_filled(choice.get("messages"))
        if not isinstance(message := choice.get(part), dict):
            return False
        self._tally.unknown |= is_filled(role := message.get("role")) and role != "assistant"
        self._content(message.get("content"))
        self._thinks(message)
        return bool(objects_of(message.get("tool_calls")))

    def _content(self, content: object) -> None:
        if not isinstance(content, list):
            self._tally.answer(content)
            return
        for chunk in content:
            kind = chunk.get("type") if isinstance(chunk, dict) else None
            if not isinstance(chunk, dict):
                self._tally.answer(chunk)
            elif kind == "text":
                self._tally.answer(chunk.get("text"))
            elif kind == "thinking":
                self._tally.thinking = True
            else:
                self._tally.unknown = True

    def _calls(self, choices: Located, part: str) -> None:
        for position, choice in enumerate(choices.items()):
            if (calls := choice.at(part, "tool_calls")) is not None:
                key = number_of(choice.value, position)
                for place, call in enumerate(calls.items()):
                    self._call(key, place, call)

    def _call(self, choice: int, place: int, call: Located) -> None:
        """Take one tool call; its arguments may be JSON or a string of it."""
        if not isinstance(call.value, dict):
            return
        name = call.value.get("id")
        named = name if isinstance(name, str) else None
        self._tally.call((choice, number_of(call.value, place), named))
        function = call.member("function")
        if function is not None and isinstance(function.value, dict):
            self._tally.text(function.value.get("name"))
            self._tally.argument(function, "arguments", FRAMES_PER_CALL)
