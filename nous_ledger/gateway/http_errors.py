"""How the read API answers what it cannot do, and how it reads what it is sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from nous_ledger.ledger import LedgerUseError
from nous_ledger.protocol.errors import (
    BodyError,
    InputError,
    LedgerError,
    ProofError,
    SignatureError,
    UnavailableError,
)

ALWAYS_ASK: Final = {"cache-control": "no-cache"}
PRIVATE: Final = {"cache-control": "no-store"}

MAX_JSON_BYTES: Final = 16_384
"""Longest request body that the read API takes."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

_IN_CONFLICT: Final = frozenset({"nonce-used", "not-bound", "log-closed", "withheld", "time-order"})
"""Codes of what is well formed, and may not be by what the log holds."""


class HttpError(Exception):
    """An answer other than 200 that is no error of the ledger."""

    def __init__(self, status: int, code: str, message: str, hint: str = "") -> None:
        """Make an error.

        Args:
            status: status of the response.
            code: stable machine-readable code.
            message: what is the matter, for people.
            hint: what to do; may be empty.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint


async def answer(handler: Handler, request: Request) -> Response:
    """Return what a handler answers, errors in the form of the read API."""
    response = await _answer_or_error(handler, request)
    response.headers["x-content-type-options"] = "nosniff"
    return response


async def _answer_or_error(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except HttpError as error:
        return error_response(error.status, error.code, str(error), error.hint)
    except ProofError as error:  # no such leaf
        return error_response(404, "not-found", error.message, error.hint)
    except LedgerError as error:
        return error_response(_status_of(error), error.code, error.message, error.hint)


def _status_of(error: LedgerError) -> int:
    if error.code in _IN_CONFLICT:
        return 409
    if isinstance(error, UnavailableError) or (
        isinstance(error, LedgerUseError) and error.code in ("read-only", "closed")
    ):
        return 503
    return 400 if isinstance(error, InputError | SignatureError | BodyError) else 500


def error_response(status: int, code: str, message: str, hint: str) -> Response:
    """Return an error in the form of the read API."""
    content: dict[str, Any] = {"error": {"code": code, "message": message, "hint": hint}}
    headers = dict(PRIVATE)
    if code == "index-building":
        headers["retry-after"] = "5"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(content, status, headers=headers)


async def wrong_method(request: Request, error: Exception) -> Response:
    """Answer a request whose path is right and whose method is not."""
    response = error_response(405, "input", f"{request.method} is not for this path", "")
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)  # which methods are
    return response


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries; an empty body is an empty object.

    Raises:
        HttpError: 413, the body is longer than 16,384 bytes; 415, it is not said to be JSON.
        InputError: it is no JSON object, or a member stands in it twice.
    """
    data = b""
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_JSON_BYTES:
                raise HttpError(413, "input", f"the body is longer than {MAX_JSON_BYTES} bytes")
    except ClientDisconnect as error:
        raise InputError("input", "the body ended early") from error
    if not data:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpError(415, "input", "the body is sent as application/json")
    try:
        value = json.loads(data, object_pairs_hook=_members)
    except (ValueError, RecursionError) as error:
        raise InputError("input", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise InputError("input", "the body is a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InputError("input", "an object has two members of one name")
    return members


def check_members(value: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return an object none of whose members is unknown.

    Raises:
        InputError: one is.
    """
    if unknown := sorted(value.keys() - known):
        raise InputError("input", f"the body has a member that is not known: {unknown[0]!r}"[:120])
    return value


def number_of(text: str, name: str, low: int, high: int) -> int:
    """Return a decimal number of a query.

    Raises:
        InputError: it is none, or out of range.
    """
    if text.isascii() and text.isdigit() and len(text) <= 16 and low <= int(text) <= high:
        return int(text)
    raise InputError("input", f"{name} is a number of {low}..{high}")


def bytes_of(text: object, name: str, length: int) -> bytes:
    """Return bytes that are given in hex, with or without 0x.

    Raises:
        InputError: they are not, or of another length.
    """
    try:
        if isinstance(text, str) and text.isascii() and not any(map(str.isspace, text)):
            value = bytes.fromhex(text.removeprefix("0x"))
            if len(value) == length:
                return value
    except ValueError:
        pass
    raise InputError("input", f"{name} is {length} bytes in hex")
