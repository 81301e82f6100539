"""Finding a model's offsets: answers whose tokens are known, beside a re-count of their text.

Servers of open weights tell which tokens they generated. What they count of an answer
less what a re-count of its text finds is the model's offset, and noise: text does not
always fall into the tokens that it was written in. An offset fits if what exceeds it and
what falls short of it stay, on average, within the allowances of the stream audit.

Spec:
    PROTOCOL.md AUD-4, TOK-4.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, TypeGuard

from nous_ledger.protocol.label import MAX_OFFSET
from nous_ledger.reconcile.counting import counter_for
from nous_ledger.reconcile.exports.rows import RowFault
from nous_ledger.reconcile.tokenizers import Encoding

ENOUGH: Final = 200
"""Answers from which on one offset can be pinned."""
MAX_FAULTS: Final = 100
"""Lines in error that are listed; further ones are counted."""
MAX_MODELS: Final = 8
FURTHEST: Final = 20
"""Differences beyond this are counted together."""

# The allowances of the stream audit (PROTOCOL.md 9.5), exactly.
_KAPPA: Final = Fraction(2, 100)
_RHO: Final = Fraction(1, 1000)
_KAPPA_UNDER: Final = Fraction(2, 100)
_RHO_UNDER: Final = Fraction(2, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer.

    Attributes:
        text: what the server showed.
        generated: tokens that it generated, by their ids.
        reported: tokens that it reported; None where it reported none.
        model: its name, where it is told.
    """

    text: str
    generated: int
    reported: int | None = None
    model: str | None = None


@dataclass(slots=True, kw_only=True)
class Calibration:
    """What the answers of a file say.

    Attributes:
        encoding: what was counted in.
        answers: answers that were counted again.
        uncounted: answers of whose text no count can be stated.
        generated: tokens that were generated.
        counted: tokens that the re-counts found.
        differences: answers by generated less counted, clipped to +-FURTHEST.
        reports: answers by reported less counted, likewise.
        models: names that the answers gave.
        faults: lines in error, the first MAX_FAULTS of them.
        fault_count: lines in error.
    """

    encoding: Encoding
    answers: int = 0
    uncounted: int = 0
    generated: int = 0
    counted: int = 0
    differences: Counter[int] = field(default_factory=Counter)
    reports: Counter[int] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)
    faults: list[RowFault] = field(default_factory=list)
    fault_count: int = 0

    def take(self, rows: Iterable[tuple[int, bytes | RowFault]]) -> None:
        """Take the lines of a file.

        Args:
            rows: number and bytes of each line, or what is wrong with it.

        Raises:
            RecountError: the encoding cannot be counted in here.
        """
        for number, row in rows:
            if isinstance(row, RowFault):
                self._fault(row)
            elif row.strip():
                try:
                    samples = read_samples(row)
                except ValueError as error:
                    self._fault(RowFault(line=number, message=str(error)))
                    continue
                for sample in samples:
                    self._add(sample)

    def offsets(self) -> tuple[int, int] | None:
        """Return the narrowest range of offsets that explains the answers; None without one.

        Where there are reports they count, because it is they that an audit sees.
        """
        found = self.reports or self.differences
        if not found:
            return None
        ranges = [
            (high - low, abs(low) + abs(high), low, high)
            for low in range(-MAX_OFFSET, MAX_OFFSET + 1)
            for high in range(low, MAX_OFFSET + 1)
            if self._explains(found, low, high)
        ]
        return min(ranges)[2:] if ranges else None

    @property
    def pinned(self) -> bool:
        """Whether one offset can be pinned: it explains enough answers by itself."""
        offsets = self.offsets()
        found = self.reports or self.differences
        return offsets is not None and offsets[0] == offsets[1] and found.total() >= ENOUGH

    def drift(self) -> tuple[Fraction, Fraction]:
        """Return generated tokens beyond, and short of, the commonest difference per counted."""
        if not self.counted:
            return Fraction(0), Fraction(0)
        (usual, _), *_ = self.differences.most_common(1)
        over = sum(max(d - usual, 0) * n for d, n in self.differences.items())
        under = sum(max(usual - d, 0) * n for d, n in self.differences.items())
        return Fraction(over, self.counted), Fraction(under, self.counted)

    def _explains(self, found: Mapping[int, int], low: int, high: int) -> bool:
        answers = sum(found.values())
        mean = Fraction(self.counted, self.answers)
        over = Fraction(sum(max(d - high, 0) * n for d, n in found.items()), answers)
        under = Fraction(sum(max(low - d, 0) * n for d, n in found.items()), answers)
        return over <= _KAPPA + _RHO * mean and under <= _KAPPA_UNDER + _RHO_UNDER * mean

    def _add(self, sample: Sample) -> None:
        counter = counter_for(self.encoding)
        counter.feed(sample.text)
        counted = counter.result()
        if counted is None:
            self.uncounted += 1
            return
        self.answers += 1
        self.generated += sample.generated
        self.counted += counted
        self.differences[_clipped(sample.generated - counted)] += 1
        if sample.reported is not None:
            self.reports[_clipped(sample.reported - counted)] += 1
        if sample.model is not None and len(self.models) < MAX_MODELS:
            self.models.add(sample.model)

    def _fault(self, fault: RowFault) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


def _clipped(difference: int) -> int:
    return max(-FURTHEST, min(FURTHEST, difference))


def read_samples(line: bytes) -> list[Sample]:
    """Return the answers of one JSON object, however its server writes them.

    Raises:
        ValueError: it is no JSON object, or nothing that is known to hold token ids.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of a line, not of a caller
    model = fields.get("model")
    model = model if isinstance(model, str) and 0 < len(model) <= 256 else None
    for read in (_openai, _llama_cpp, _ollama, _generic):
        if (found := read(fields, model)) is not None:
            return found
    raise ValueError("holds no text with token ids of a form that is known")


def _openai(fields: dict[str, Any], model: str | None) -> list[Sample] | None:
    """Read an answer of vLLM with `return_token_ids`: each choice has its ids."""
    choices = fields.get("choices")
    if not isinstance(choices, list):
        return None
    samples = []
    for choice in choices:
        if not isinstance(choice, dict) or not _is_ids(choice.get("token_ids")):
            raise ValueError("a choice has no token_ids: ask for return_token_ids")
        message = choice.get("message")
        text = message.get("content") if isinstance(message, dict) else choice.get("text")
        samples.append(Sample(text=_text(text), generated=len(choice["token_ids"]), model=model))
    usage = fields.get("usage")
    total = _whole(usage.get("completion_tokens")) if isinstance(usage, dict) else None
    if len(samples) == 1 and total is not None:
        only = samples[0]
        return [Sample(text=only.text, generated=only.generated, reported=total, model=model)]
    return samples


def _llama_cpp(fields: dict[str, Any], model: str | None) -> list[Sample] | None:
    """Read an answer of llama.cpp with `return_tokens`."""
    if "content" not in fields or not _is_ids(fields.get("tokens")):
        return None
    reported = _whole(fields.get("tokens_predicted"))
    generated = len(fields["tokens"])
    text = _text(fields["content"])
    return [Sample(text=text, generated=generated, reported=reported, model=model)]


def _ollama(fields: dict[str, Any], model: str | None) -> list[Sample] | None:
    """Read an answer of Ollama, whose `context` is prompt and answer without the end."""
    context, response = fields.get("context"), fields.get("response")
    if response is None or not _is_ids(context):
        return None
    prompt, reported = _whole(fields.get("prompt_eval_count")), _whole(fields.get("eval_count"))
    if prompt is None or reported is None:
        raise ValueError("prompt_eval_count or eval_count is missing")
    generated = len(context) - prompt
    if reported - generated not in (0, 1):
        raise ValueError("context is not prompt and answer: part of the prompt was cached")
    return [Sample(text=_text(response), generated=reported, reported=reported, model=model)]


def _generic(fields: dict[str, Any], model: str | None) -> list[Sample] | None:
    if "text" not in fields or not _is_ids(fields.get("token_ids")):
        return None
    reported = _whole(fields.get("reported"))
    generated = len(fields["token_ids"])
    text = _text(fields["text"])
    return [Sample(text=text, generated=generated, reported=reported, model=model)]


def _is_ids(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("the text of an answer is not text")  # noqa: TRY004 - of a line
    return value


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def suggested_row(found: Calibration) -> str:
    """Return the row for a table of tokenizers that the answers support; empty without one."""
    if (offsets := found.offsets()) is None:
        return ""
    names = "|".join(sorted(map(_escaped, found.models))) or "MODEL"
    lines = [
        "[[models]]",
        'providers = ["custom"]',
        'upstreams = ["HOST:PORT"]',
        f"names = '{names}'",
        f'encoding = "{found.encoding.name}"',
        f"offsets = [{offsets[0]}, {offsets[1]}]",
        'hidden = "none"',
    ]
    return "\n".join([*lines, "pinned = true"] if found.pinned else lines)


def _escaped(name: str) -> str:
    """Return a name as a regular expression that fits into a literal of TOML."""
    return "".join(
        letter
        if letter.isascii() and (letter.isalnum() or letter in "-_/:@")
        else f"\\{letter}"
        if letter in ".+*?()[]{}^$|\\"
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 0x10000
        else f"\\U{ord(letter):08x}"
        for letter in name
    )
