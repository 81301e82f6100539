"""What a request body asks for, and the one rule by which it is altered.

A stream of chat or text completions tells its usage only on request. Where the
client did not ask, and the provider table says that the provider takes the
question, the gateway adds `stream_options.include_usage` and later takes the
extra usage chunk out of what the client gets. Nothing else of the body changes,
not even its white space; the receipt commits to both versions.

Spec:
    PROTOCOL.md COMM-2, LBL-9, BND-5.
"""

from __future__ import annotations

import re
from typing import Any, Final

from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import API_CHAT, API_COMPLETIONS, API_OTHER
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.values import maker, value
from nous_ledger.reconcile.exact import is_plain_request
from nous_ledger.reconcile.hidden import NOTHING_KNOWN, Allowance, read_allowance
from nous_ledger.reconcile.jsontext import Located, parse_json
from nous_ledger.reconcile.prompt_shapes import Prompt
from nous_ledger.reconcile.usual import begins_answer, read_usual, usual_allowance
from nous_ledger.reconcile.visible_request import rules_out_hidden, shows_all

MAX_SEPARATORS: Final = 1_000_000
"""Bound of a request that is read; more than the longest context holds, even as numbers."""
SHORT_BYTES: Final = 32 * 1024
"""A request up to this length is looked at faster than a thread is asked to."""

_ASK: Final = '"include_usage":true'
_QUESTION: Final = f'"stream_options":{{{_ASK}}}'
ASKING_APIS: Final = frozenset({API_CHAT, API_COMPLETIONS})
# Uploads come as forms; only the short field `model` of one is read.
_FORM_START: Final = re.compile(rb"--([^\r\n]{1,200})\r\n")
_FORM_MODEL: Final = re.compile(rb'[^\r\n]*; ?name="?model"?\r\n(?:[^\r\n]+\r\n){0,4}\r\n')


@value
class RequestFacts:
    """What matters of a request.

    Attributes:
        model: the model asked for, if path or body name one.
        hidden_ruled_out: the request leaves no room for hidden thinking.
        all_shown: it leaves no room for output that is not shown.
        altered: the body to forward instead, if the include_usage rule applies.
        plain: it asks for one choice of plain text and nothing beside it.
        allowance: how much it takes.
        prompt: what it gives to read, where that is seen at once: in a short request of
            the usual shape.
    """

    model: str | None = None
    hidden_ruled_out: bool = False
    all_shown: bool = False
    altered: bytes | None = None
    plain: bool = False
    allowance: Allowance = NOTHING_KNOWN
    prompt: Prompt | None = None


_new_facts: Final = maker(RequestFacts)


def read_request(
    shape: CallShape,
    body: bytes | None,
    *,
    may_ask: bool = True,
    not_with: tuple[str, ...] = (),
) -> RequestFacts:
    """Return what matters of a request.

    Args:
        shape: what its path says; of an unmetered call nothing is read.
        body: the body without content codings, None if they could not be removed.
        may_ask: the provider takes the question for usage.
        not_with: members beside which it does not.
    """
    if shape.api == API_OTHER or not body:
        return RequestFacts(model=shape.model, all_shown=shows_all(shape.api, None))
    try:
        request = parse_json(body, max_separators=MAX_SEPARATORS)
    except FormatError:
        model = shape.model or _form_model(body)
        return RequestFacts(model=model, all_shown=shows_all(shape.api, None))
    is_object = isinstance(request.value, dict)
    fields: dict[str, Any] = request.value if is_object else {}
    given = fields.get("model")
    model = shape.model or (given if isinstance(given, str) else None)
    altered = None
    if may_ask and fields.get("stream") is True and shape.api in ASKING_APIS:
        altered = _ask_for_usage(request, not_with)
    prompt = read_usual(shape.api, fields) if len(body) <= SHORT_BYTES else None
    if prompt is not None:
        return _new_facts(
            model=model,
            all_shown=True,
            altered=altered,
            plain=not begins_answer(fields),
            allowance=usual_allowance(shape.api, fields),
            prompt=prompt,
        )
    return RequestFacts(
        model=model,
        hidden_ruled_out=rules_out_hidden(shape.api, fields),
        all_shown=shows_all(shape.api, fields if is_object else None),
        altered=altered,
        plain=is_object and is_plain_request(fields),
        allowance=read_allowance(shape.api, fields) if is_object else NOTHING_KNOWN,
    )


def _ask_for_usage(request: Located, not_with: tuple[str, ...]) -> bytes | None:
    """Return the body with include_usage, None if it asks already or cannot be made to.

    Args:
        request: a request for a stream.
        not_with: members beside which the provider does not take the question.
    """
    fields = request.value
    if any(name in fields for name in not_with):
        return None
    if "stream_options" not in fields:
        return _insert(request, _QUESTION)
    given = fields["stream_options"]
    if isinstance(given, dict) and given.get("include_usage") is True:
        return None  # as nearly every client does that asks for a stream
    try:
        options = request.member("stream_options")
    except FormatError:
        return None  # nested so deep that no upstream reads it
    return None if options is None else ask_among(options)


def put_question(*, others: bool) -> bytes:
    """Return the member that asks for usage, as the first of an object."""
    return f"{_QUESTION}{',' if others else ''}".encode()


def ask_among(options: Located) -> bytes | None:
    """Return a text with include_usage in it, None if it asks already or cannot be made to.

    Args:
        options: the value of `stream_options` in the text.
    """
    given = options.value
    if given is None:
        return _replace(options, f"{{{_ASK}}}")
    # What else stands there is wrong, and the upstream will say so.
    if not isinstance(given, dict) or given.get("include_usage") is True:
        return None
    asked = options.member("include_usage")
    return _insert(options, _ASK) if asked is None else _replace(asked, "true")


def _insert(target: Located, member: str) -> bytes:
    """Return the text with a first member added to an object."""
    rest = target.text[target.start + 1 :]
    comma = "," if target.value else ""
    return f"{target.text[: target.start + 1]}{member}{comma}{rest}".encode()


def _replace(target: Located, value: str) -> bytes:
    return f"{target.text[: target.start]}{value}{target.text[target.end :]}".encode()


def _form_model(body: bytes) -> str | None:
    """Return the field `model` of a form, None if the body is none or lacks it."""
    if (start := _FORM_START.match(body)) is None:
        return None
    mark = b"--" + start.group(1)
    at = 0
    while (at := body.find(mark, at)) >= 0:
        at += len(mark) + 2
        if head := _FORM_MODEL.match(body, at):
            value, end, _ = body[head.end() : head.end() + 1_024].partition(b"\r\n" + mark)
            return value.decode("utf-8", "replace") if end else None
    return None
