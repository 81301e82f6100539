"""Which path is which call, however it is written.

A call is forwarded with its path byte for byte as it came. Which format it is
metered by is decided on a lenient reading of that path: escapes undone, empty
segments and path parameters dropped, case ignored. Servers differ in what they
tolerate; whatever one of them may take for a metered call is metered, so no
spelling of a path is billed and not counted.

Paths that a server may resolve to another place (dot segments, backslashes) and
those that no reading settles (control characters, a fragment, escapes of escapes
of escapes, thousands of bytes) are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from nous_ledger.protocol.errors import InputError

MAX_PATH_BYTES: Final = 2_048
"""Longest path that is forwarded; the longest of a provider's is a few hundred bytes."""

_MAX_ESCAPES: Final = 3
_REFUSED: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_TEMPLATE: Final = re.compile(r"/\*\*(?=/)|\{model\*?\}")
_WILDCARDS: Final = {
    "/**": r"(?:/.*)?",
    "{model}": r"(?P<model>[^/]+)",
    "{model*}": r"(?P<model>.+)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallShape:
    """What a path says of a call.

    Attributes:
        api: wire format.
        operation: what is done, in the words of the OpenTelemetry conventions.
        model: the model that the path names, if it names one.
        stream: the answer is a stream, even if its content type is plain JSON.
    """

    api: int
    operation: str
    model: str | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredPath:
    """One path of one wire format.

    Attributes:
        method: HTTP method.
        pattern: matches the lenient reading of a path as a whole.
        shape: what such a path says of a call.
    """

    method: str
    pattern: re.Pattern[str]
    shape: CallShape


def compile_template(template: str) -> re.Pattern[str]:
    """Return a pattern for a path template of the provider table.

    >>> bool(compile_template("/**/chat/completions").fullmatch("/v1/Chat/Completions"))
    True

    Raises:
        InputError: it does not begin with a slash or holds another wildcard.
    """
    literal = _TEMPLATE.sub("", template)
    if not template.startswith("/") or re.search(r"[*{}%;\\?#]", literal):
        raise InputError("input", f"{template!r} is not a path template")
    parts = re.split(r"(/\*\*(?=/)|\{model\*?\})", template)
    return re.compile("".join(_WILDCARDS.get(p, re.escape(p)) for p in parts), re.IGNORECASE)


def read_path(path: str) -> str | None:
    """Return the lenient reading of a path, or None if it is refused.

    Args:
        path: as it stands in the request, without its query.

    >>> read_path("/v1//chat%2Fcompletions;x=1/")
    '/v1/chat/completions'
    >>> read_path("/v1/%2e%2e/chat/completions") is None
    True
    """
    if len(path) > MAX_PATH_BYTES or "#" in path:
        return None
    text = path
    for _ in range(_MAX_ESCAPES):
        text = unquote_to_bytes(text.encode("latin-1")).decode("latin-1")
    if unquote_to_bytes(text.encode("latin-1")).decode("latin-1") != text:
        return None
    if _REFUSED.search(text):
        return None
    text = re.split(r"[?#]", text, maxsplit=1)[0]  # what some servers take for their end
    segments = [segment.partition(";")[0].strip() for segment in text.split("/")]
    if any(segment in (".", "..") for segment in segments):
        return None
    return "/" + "/".join(filter(None, (segment.rstrip(". ") for segment in segments)))
