"""Where texts of calls were kept: folders of content, logs of other systems, JSON lines.

Every reader yields `CallText`s and `RowFault`s in the order of its source, and holds one
of them at a time. What a text says about its receipt is for `evidence`.

    folder    what `run --save` and the recorder of an embedding program keep
    jsonl     lines of {receipt_id or request_id, request, response, opening}
    bedrock   model invocation logs of Amazon Bedrock, with their bodies
    litellm   spend logs of LiteLLM, where it stores prompts and responses
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final
from uuid import UUID

from nous_ledger.gateway.providers import (
    API_CHAT,
    API_COMPLETIONS,
    API_CONVERSE,
    API_MESSAGES,
    API_RESPONSES,
)
from nous_ledger.gateway.recording import OPENING_NAME, REQUEST_NAME, RESPONSE_NAME
from nous_ledger.protocol.errors import FormatError, InputError
from nous_ledger.protocol.hashing import OPENING_LENGTH
from nous_ledger.protocol.values import value
from nous_ledger.reconcile.exports.lines import read_lines
from nous_ledger.reconcile.exports.rows import RowError, RowFault
from nous_ledger.reconcile.jsontext import Located, parse_json

MAX_TEXT: Final = 64 * 1024 * 1024
"""Longest line, or file of a folder, that is read, in bytes."""
CALLS_NAME: Final = "calls"

_CUT_BY_LITELLM: Final = b"litellm_truncated"


@value
class CallText:
    """What was kept of one call.

    Attributes:
        line: line of the file, or number of the call in a folder, from 1.
        source: what kept it, as in the `source` of a reconciliation.
        receipt_id: id of its receipt, 16 bytes; None if only the provider's is known.
        request_ids: ids that the provider may have given the call.
        request: request body; None if it was not kept.
        response: response body.
        opening: the call's secret, 32 bytes; None if it was not kept.
        api: wire format in which it was kept; None for that of the call.
        as_value: the response was kept as a JSON value, not byte for byte.
    """

    line: int
    source: str
    receipt_id: bytes | None = None
    request_ids: tuple[str, ...] = ()
    request: bytes | None = None
    response: bytes
    opening: bytes | None = None
    api: int | None = None
    as_value: bool = False


Kept = CallText | RowFault
_LineReader = Callable[[int, Located], CallText]


def list_calls(folder: Path) -> list[Path]:
    """Return the folders of the calls that a folder holds, by their ids.

    Raises:
        InputError: it holds no call.
    """
    calls = folder / CALLS_NAME if (folder / CALLS_NAME).is_dir() else folder
    found = sorted(path for path in calls.iterdir() if _is_call(path))
    if not found:
        raise InputError(
            "input", f"{folder} holds no calls", hint="make some with `nous-ledger run --save`"
        )
    return found


def read_folder(folder: Path) -> Iterator[Kept]:
    """Yield the calls of a folder that `run --save` or a recorder filled, by their ids.

    Raises:
        InputError: it holds no call.
    """
    for number, path in enumerate(list_calls(folder), start=1):
        try:
            yield _saved(number, path)
        except RowError as error:
            yield RowFault(line=number, message=f"{path.name}: {error}")
        except OSError as error:
            yield RowFault(line=number, message=f"{path.name}: {error.strerror}")


def read_texts(stream: IO[bytes], name: str) -> Iterator[Kept]:
    """Yield the calls of a log or of JSON lines.

    Args:
        stream: the file, at its beginning.
        name: its format, one of TEXT_FORMATS.
    """
    read = _READERS[name]
    for line, data in read_lines(stream, MAX_TEXT):
        if isinstance(data, RowFault):
            yield data
        elif data.strip():
            try:
                yield read(line, parse_json(data.strip()))
            except RowError as error:
                yield RowFault(line=line, message=str(error))
            except FormatError:
                yield RowFault(line=line, message="no JSON object")


def guess_text_format(start: bytes) -> str | None:
    """Return the format that the first bytes of a file show; None if none is certain."""
    signs = {
        "bedrock": (b'"modelId"', b'"requestId"'),
        "litellm": (b'"request_id"', b'"call_type"'),
        "jsonl": (b'"response"',),
    }
    return next((n for n, marks in signs.items() if all(mark in start for mark in marks)), None)


def _is_call(path: Path) -> bool:
    try:
        return str(UUID(path.name)) == path.name and path.is_dir()
    except ValueError:
        return False


def _saved(number: int, path: Path) -> CallText:
    if not (path / RESPONSE_NAME).exists():
        raise RowError("no response was kept")
    request = path / REQUEST_NAME
    return CallText(
        line=number,
        source="folder/1",
        receipt_id=UUID(path.name).bytes,
        request=_file(request) if request.exists() else None,
        response=_file(path / RESPONSE_NAME),
        opening=_opening(_file(path / OPENING_NAME).decode("ascii", "replace").strip()),
    )


def _file(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise RowError(f"{path.name} is longer than {MAX_TEXT} bytes")
    return data


def _read_jsonl(line: int, row: Located) -> CallText:
    receipt_id, opening = _text(row, "receipt_id"), _text(row, "opening")
    response, as_value = _body(row, "response")
    if response is None:
        raise RowError("response is missing")
    return CallText(
        line=line,
        source="jsonl/1",
        receipt_id=_uuid(receipt_id) if receipt_id else None,
        request_ids=_ids(_text(row, "request_id")),
        request=_body(row, "request")[0],
        response=response,
        opening=_opening(opening) if opening else None,
        api=_api_of(row.member("response")) if as_value else None,
        as_value=as_value,
    )


def _read_bedrock(line: int, row: Located) -> CallText:
    answer = row.at("output", "outputBodyJson")
    if answer is None:
        raise RowError("output.outputBodyJson is missing: the log keeps no text of this call")
    asked = row.at("input", "inputBodyJson")
    converse = _text(row, "operation").startswith("Converse")
    return CallText(
        line=line,
        source="bedrock-log/1",
        request_ids=_ids(_text(row, "requestId")),
        request=None if asked is None else asked.wire,
        response=answer.wire,
        api=API_CONVERSE if converse else _api_of(answer),
        as_value=True,
    )


def _read_litellm(line: int, row: Located) -> CallText:
    answer, asked = row.member("response"), row.member("proxy_server_request")
    if answer is None or not isinstance(answer.value, dict) or not answer.value:
        raise RowError("response is missing: LiteLLM was not told to store it")
    if _CUT_BY_LITELLM in answer.wire:
        raise RowError("LiteLLM cut the response short")
    named = answer.value.get("id")
    return CallText(
        line=line,
        source="litellm-log/1",
        request_ids=_ids(_text(row, "request_id"), named if isinstance(named, str) else ""),
        request=asked.wire if asked is not None and isinstance(asked.value, dict) else None,
        response=answer.wire,
        api=_api_of(answer),
        as_value=True,
    )


_READERS: Final[dict[str, _LineReader]] = {
    "jsonl": _read_jsonl,
    "bedrock": _read_bedrock,
    "litellm": _read_litellm,
}
TEXT_FORMATS: Final = ("folder", *_READERS)
"""Names of what texts are read from."""


def _api_of(answer: Located | None) -> int | None:
    """Return the wire format that a response shows; None where it shows none."""
    found = answer.value if answer is not None and isinstance(answer.value, dict) else {}
    kind, form = found.get("type"), found.get("object")
    if form == "response":
        return API_RESPONSES
    if form == "text_completion":
        return API_COMPLETIONS
    if isinstance(form, str) and form.startswith("chat.completion"):
        return API_CHAT
    return API_MESSAGES if kind == "message" and isinstance(found.get("content"), list) else None


def _body(row: Located, name: str) -> tuple[bytes | None, bool]:
    """Return a body, and whether it was kept as a JSON value instead of text."""
    found = row.member(name)
    if found is None or found.value is None:
        return None, False
    if isinstance(found.value, str):
        try:
            return found.value.encode(), False
        except UnicodeEncodeError as error:
            raise RowError(f"{name} is no text that UTF-8 can hold") from error
    return found.wire, True


def _text(row: Located, name: str) -> str:
    found = row.value.get(name) if isinstance(row.value, dict) else None
    if not isinstance(row.value, dict) or (found is not None and not isinstance(found, str)):
        raise RowError(f"{name} is no text" if isinstance(row.value, dict) else "no JSON object")
    return found or ""


def _ids(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _uuid(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError as error:
        raise RowError(f"receipt_id is no UUID: {text[:40]!r}") from error


def _opening(text: str) -> bytes:
    try:
        opening = bytes.fromhex(text)
    except ValueError:
        opening = b""
    if len(opening) != OPENING_LENGTH:
        raise RowError("opening is not 64 hex digits")
    return opening
