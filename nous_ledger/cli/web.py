"""Reading from a gateway over HTTP: bounded, without redirects, with short waits."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import IO, Final
from urllib.parse import urlsplit

from nous_ledger.protocol.errors import FormatError, InputError, UnavailableError
from nous_ledger.protocol.note import MAX_NOTE_BYTES

IDLE_SECONDS: Final = 10
MAX_ERROR_BYTES: Final = 4096


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0913 - the library's signature
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        """Follow nothing: the answer must come from the host that was named."""


def fetch(url: str, limit: int, headers: dict[str, str] | None = None) -> bytes:
    """Return the body of a GET request.

    Args:
        url: an http or https address.
        limit: most bytes of the body.
        headers: further request headers; their values never reach a message.

    Raises:
        InputError: the address is not http or https.
        UnavailableError: unreachable (also for every status other than 200).
        FormatError: json-format, the body is longer than the limit.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("input", f"{url} is not an http or https address")
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - checked above
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=IDLE_SECONDS) as answer:
            data: bytes = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(MAX_ERROR_BYTES).decode("utf-8", "replace")
        printable = "".join(c for c in text if c.isprintable())[:200]
        raise UnavailableError(
            "unreachable", f"{url} answered {error.code}: {printable or error.reason}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise UnavailableError("unreachable", f"{url} could not be read: {reason}") from error
    if len(data) > limit:
        raise FormatError("json-format", f"{url} answered with more than {limit} bytes")
    return data


__all__ = ["MAX_NOTE_BYTES", "fetch"]
