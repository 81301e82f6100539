"""Bounds of input: what a request's own text and images explain of the reported tokens.

    prompt/1+ENCODING   the formula that is published for chats: counted tokens, and three
                        for each message
    prompt-bytes/1      no token without a byte of the request
    image-input/1       images that are reported apart, by their provider's formula
    video-input/1       videos likewise: a token for 1024 pixels of a frame

A provider may add text that nobody else sees: instructions of its own, a preamble for
tools, words about safety. So these methods never speak against a report. They are used
only where the reported sum lies in their range, and there they say that the caller's own
request explains it; elsewhere the input stays UNVERIFIABLE.

Spec:
    PROTOCOL.md BND-10 to BND-19, BND-22.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.protocol.label import INPUT_UNSPLIT, UNVERIFIABLE, Bucket
from nous_ledger.protocol.registries import API, INPUT_SPLIT_KINDS, KIND
from nous_ledger.reconcile.buckets import bounded
from nous_ledger.reconcile.media import (
    METHOD_IMAGE_INPUT,
    METHOD_IMAGE_OUTPUT,
    Range,
    image_range,
    made_images,
)
from nous_ledger.reconcile.media_size import size_of_data
from nous_ledger.reconcile.media_video import video_range
from nous_ledger.reconcile.prompt_shapes import Prompt, read_prompt
from nous_ledger.reconcile.tally import utf8_length
from nous_ledger.reconcile.tokenizers import Encoding, TokenizerTable

METHOD_PROMPT: Final = "prompt/1"
METHOD_PROMPT_BYTES: Final = "prompt-bytes/1"
METHOD_VIDEO_INPUT: Final = "video-input/1"
PER_MESSAGE: Final = 3
TOOL_PREAMBLE: Final = 600
"""Most tokens that a provider is known to write before descriptions of tools, rounded up."""

_UNCACHED: Final = KIND["input_uncached"]
_TEXT_INPUT: Final = INPUT_SPLIT_KINDS | {INPUT_UNSPLIT}
_COUNTED: Final = frozenset({_UNCACHED, INPUT_UNSPLIT})
_IMAGES: Final = KIND["input_image"]
_VIDEOS: Final = KIND["input_video"]
_APART: Final = frozenset({_IMAGES, _VIDEOS})
_CHAT: Final = API["openai.chat"]
_IMAGES_API: Final = API["openai.images"]
_MADE: Final = (KIND["output_image"], KIND["output_unsplit"])
_FORMULA_PROVIDERS: Final = frozenset({"openai", "azure-openai"})

CountTexts = Callable[[Encoding, list[str]], int | None]
"""Counts the tokens of texts, each by itself; None if that cannot be done here."""

Counted = tuple[Encoding, list[str]]
"""Texts whose tokens are asked for, and what they are to be counted in."""
Steps = Generator[Counted, int | None, tuple[Bucket, ...]]
"""Labelling that asks for counts on its way, and gets None for what cannot be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """What bounds the input of one call.

    Attributes:
        provider: name of the provider, as in the receipt.
        api: wire format.
        model: the model that answered, else the one asked for.
        fields: members of the request body.
        length: bytes of the request body.
        upstream: host and port, as in the receipt.
        prompt: what the request gives to read, where it was read before.
    """

    provider: str
    api: int
    model: str | None
    fields: Mapping[str, Any]
    length: int
    upstream: str | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """A range of the whole input, and the method that gives it."""

    lower: int
    upper: int
    method: str


def bound_input(
    usage: Iterable[Bucket], evidence: InputEvidence, table: TokenizerTable, count: CountTexts
) -> tuple[Bucket, ...]:
    """Return the buckets with the input that the request explains BOUNDED.

    Args:
        usage: labelled buckets; only UNVERIFIABLE ones change.
        evidence: the request, and who answered it.
        table: which encoding a model has.
        count: counts texts in an encoding.
    """
    return run_steps(input_steps(usage, evidence, table), count)


def run_steps(steps: Steps, count: CountTexts) -> tuple[Bucket, ...]:
    """Return what steps come to, with a function that counts what they ask for."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(count(*asked))
    except StopIteration as done:
        found: tuple[Bucket, ...] = done.value
        return found


def input_steps(usage: Iterable[Bucket], evidence: InputEvidence, table: TokenizerTable) -> Steps:
    """Do as `bound_input`, and leave the counting to whoever goes through the steps.

    Args:
        usage: labelled buckets; only UNVERIFIABLE ones change.
        evidence: the request, and who answered it.
        table: which encoding a model has.

    Yields:
        What is to be counted; sent back is the count, None if that cannot be done here.

    Returns:
        The buckets.
    """
    buckets = tuple(usage)
    if evidence.api == _IMAGES_API:
        return _label_made(buckets, evidence)
    reported = {b.kind: b.reported or 0 for b in buckets if b.label == UNVERIFIABLE}
    text = {kind: tokens for kind, tokens in reported.items() if kind in _TEXT_INPUT}
    counted = text.keys() & _COUNTED
    prompt = None
    if counted or not _APART.isdisjoint(reported):
        prompt = evidence.prompt or read_prompt(evidence.api, evidence.fields)
    if prompt is None:
        return buckets
    images = _image_range(prompt, evidence)
    apart = _IMAGES in reported
    found = _videos(prompt, reported.get(_VIDEOS))
    # Videos that are not reported apart are in the sum, and nothing bounds them there.
    if counted and (images is not None or apart) and (not prompt.videos or _VIDEOS in reported):
        within = (0, 0) if apart or images is None else images
        explained = yield from _explain(prompt, evidence, within, table)
        whole = sum(text.values())
        if explained.lower <= whole <= explained.upper:
            found |= _split(text, whole, explained)
    if apart and prompt.images and images is not None:
        lower, upper = images
        if lower <= reported[_IMAGES] <= upper:
            found[_IMAGES] = (lower, upper, METHOD_IMAGE_INPUT)
    return tuple(_with(bucket, found.get(bucket.kind)) for bucket in buckets)


def bound_by_bytes(usage: tuple[Bucket, ...], length: int) -> tuple[Bucket, ...]:
    """Do as `bound_input` for a request of nothing but messages of text, uncounted.

    Args:
        usage: labelled buckets; only UNVERIFIABLE ones change.
        length: bytes of the request body.
    """
    text = {
        bucket.kind: bucket.reported or 0
        for bucket in usage
        if bucket.kind in _TEXT_INPUT and bucket.label == UNVERIFIABLE
    }
    whole = sum(text.values())
    if whole > length or _COUNTED.isdisjoint(text):
        return usage
    found = []
    for bucket in usage:
        kind = bucket.kind
        if kind in text:
            upper = length - whole + text[kind] if kind in _COUNTED else length
            found.append(bounded(kind, bucket.reported, 0, upper, METHOD_PROMPT_BYTES))
        else:
            found.append(bucket)
    return tuple(found)


def _videos(prompt: Prompt, reported: int | None) -> dict[int, tuple[int, int, str]]:
    """Return the range of videos that are reported apart, if it explains what was reported."""
    ranges = [video_range(data) for data in prompt.videos if reported is not None]
    most = sum(found[1] for found in ranges if found is not None)
    if reported is None or not ranges or None in ranges or reported > most:
        return {}
    return {_VIDEOS: (0, most, METHOD_VIDEO_INPUT)}


def _with(bucket: Bucket, bound: tuple[int, int, str] | None) -> Bucket:
    if bound is None or bucket.label != UNVERIFIABLE:
        return bucket
    return bounded(bucket.kind, bucket.reported, *bound)


def _split(
    text: Mapping[int, int], whole: int, explained: _Explained
) -> dict[int, tuple[int, int, str]]:
    """Return a range for each part of an input whose sum is explained.

    What was cached is between nothing and all of it; what was not is what they leave.
    """
    found = {}
    for kind, tokens in text.items():
        others = whole - tokens
        lower, upper = 0, explained.upper
        if kind in _COUNTED:
            lower, upper = max(0, explained.lower - others), explained.upper - others
        found[kind] = (lower, upper, explained.method)
    return found


def _explain(
    prompt: Prompt,
    evidence: InputEvidence,
    images: Range,
    table: TokenizerTable,
) -> Generator[Counted, int | None, _Explained]:
    """Return the range of the whole input: by the formula where its tokens can be counted."""
    preamble = TOOL_PREAMBLE if prompt.tools else 0
    least, most = images
    encoding = _encoding(evidence, table)
    tokens = None if encoding is None else (yield encoding, prompt.texts)
    if encoding is None or tokens is None:
        upper = max(0, evidence.length - prompt.media_bytes) + preamble + most
        return _Explained(lower=least, upper=upper, method=METHOD_PROMPT_BYTES)
    expected = PER_MESSAGE * (prompt.messages + 1) + prompt.names + tokens
    slack = 1 + prompt.parts
    beside = 0
    if not prompt.plain:
        counted = sum(map(utf8_length, prompt.texts))
        beside = max(0, evidence.length - counted - prompt.media_bytes) + preamble
    return _Explained(
        lower=max(0, expected - slack + least),
        upper=expected + slack + beside + most,
        method=f"{METHOD_PROMPT}+{encoding.name}",
    )


def uses_formula(api: int, provider: str) -> bool:
    """Return whether a formula is published for the prompts of a format at a provider."""
    return api == _CHAT and provider in _FORMULA_PROVIDERS


def _encoding(evidence: InputEvidence, table: TokenizerTable) -> Encoding | None:
    """Return the encoding that the published formula is to be counted with."""
    if not uses_formula(evidence.api, evidence.provider):
        return None
    rule = table.rule(evidence.provider, evidence.model, evidence.upstream)
    return None if rule is None else rule.encoding


def _image_range(prompt: Prompt, evidence: InputEvidence) -> Range | None:
    """Return the tokens that all images may count; None if one of them is of no known formula."""
    least = most = 0
    for detail, data in prompt.images:
        size = None if data is None else size_of_data(data)
        found = image_range(evidence.provider, evidence.model, detail, size)
        if found is None:
            return None
        least, most = least + found[0], most + found[1]
    return least, most


def _label_made(buckets: tuple[Bucket, ...], evidence: InputEvidence) -> tuple[Bucket, ...]:
    """Label the tokens of images that were made."""
    made = made_images(evidence.provider, evidence.model, evidence.fields)
    kinds = {b.kind for b in buckets}
    kind = next((kind for kind in _MADE if kind in kinds), None)
    if made is None or kind is None:
        return buckets
    return tuple(
        _with(b, (*made, METHOD_IMAGE_OUTPUT))
        if b.kind == kind and made[0] <= (b.reported or 0) <= made[1]
        else b
        for b in buckets
    )
