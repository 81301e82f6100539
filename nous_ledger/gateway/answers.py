"""The gateway's own answers, in the shape of the provider that was called.

A client library raises the same exceptions for them as for the provider's own
errors, and its retries do what they should: a call whose outcome is unknown or
that cannot succeed is not repeated blindly.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from nous_ledger.protocol.registries import STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which the gateway answers instead of the upstream.

    Attributes:
        http_status: status of the response.
        status: receipt status; meaningless where no receipt can be written.
        code: stable machine-readable code.
        message: what happened, for people.
        openai_type: error type in OpenAI's shape.
        anthropic_type: error type in Anthropic's shape.
        should_retry: what client libraries are told; None leaves it to them.
        retry_after_s: seconds after which another attempt may go better; None for no word.
        closes: the connection is closed after it; what may still come is not read.
    """

    http_status: int
    status: int
    code: str
    message: str
    openai_type: str
    anthropic_type: str
    should_retry: bool | None = None
    retry_after_s: int | None = None
    closes: bool = False

    def body(self, shape: str) -> bytes:
        """Return the JSON body.

        Args:
            shape: whose error shape, as the provider table names it.
        """
        message = f"nous-ledger: {self.message}"
        openai = {"message": message, "type": self.openai_type, "param": None, "code": self.code}
        shapes: dict[str, object] = {
            "anthropic": {
                "type": "error",
                "error": {"type": self.anthropic_type, "message": message},
            },
            "google": {
                "error": {
                    "code": self.http_status,
                    "message": message,
                    "status": _GOOGLE_STATUS.get(self.http_status, "UNAVAILABLE"),
                }
            },
            "aws": {"message": message},
            "cohere": {"message": message},
            "mistral": {"object": "error", **openai},
            "ollama": {"error": message},
        }
        return json.dumps(shapes.get(shape, {"error": openai})).encode()

    def headers(self, length: int) -> list[tuple[bytes, bytes]]:
        """Return the header fields of the response."""
        fields = [
            (b"content-type", b"application/json"),
            (b"content-length", str(length).encode()),
        ]
        if self.should_retry is not None:
            fields.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        if self.retry_after_s is not None:
            fields.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.closes:
            fields.append((b"connection", b"close"))
        return fields


_GOOGLE_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    504: "DEADLINE_EXCEEDED",
}

UNREACHABLE: Final = Answer(
    http_status=502,
    status=STATUS["upstream_unreachable"],
    code="upstream_unreachable",
    message="the upstream could not be reached or closed the connection without an answer",
    openai_type="server_error",
    anthropic_type="api_error",
)
TIMED_OUT: Final = Answer(
    http_status=504,
    status=STATUS["timeout"],
    code="upstream_timeout",
    message="the upstream did not answer in time",
    openai_type="server_error",
    anthropic_type="timeout_error",
    should_retry=False,  # the upstream may still be at work on it, and bill it
)
TOO_LARGE: Final = Answer(
    http_status=413,
    status=STATUS["refused"],
    code="request_too_large",
    message="the request body is larger than this gateway accepts",
    openai_type="invalid_request_error",
    anthropic_type="request_too_large",
    should_retry=False,
)
BAD_PATH: Final = Answer(
    http_status=400,
    status=STATUS["refused"],
    code="path_refused",
    message=(
        "the path has dot segments, backslashes, control characters or repeated escapes, or is"
        " too long; servers differ in what they make of it, so it is not forwarded"
    ),
    openai_type="invalid_request_error",
    anthropic_type="invalid_request_error",
    should_retry=False,
)
BAD_FIELD: Final = Answer(
    http_status=400,
    status=STATUS["refused"],
    code="field_refused",
    message=(
        "a header field's value is not UTF-8, or fields came after the body; they could not go on"
        " as they came, so the call is not forwarded"
    ),
    openai_type="invalid_request_error",
    anthropic_type="invalid_request_error",
    should_retry=False,
)
BAD_WALLET: Final = Answer(
    http_status=400,
    status=STATUS["refused"],
    code="wallet_refused",
    message="a wallet is named once, as 0x and 40 hex digits",
    openai_type="invalid_request_error",
    anthropic_type="invalid_request_error",
    should_retry=False,
)
ADDRESS_REFUSED: Final = Answer(
    http_status=403,
    status=STATUS["refused"],
    code="upstream_address_refused",
    message="the upstream's name stands for an address that callers may not be led to",
    openai_type="invalid_request_error",
    anthropic_type="permission_error",
    should_retry=False,
)
UNMETERED_REFUSED: Final = Answer(
    http_status=403,
    status=STATUS["refused"],
    code="unmetered_refused",
    message="this gateway forwards no calls that it cannot meter, and this path is none it meters",
    openai_type="invalid_request_error",
    anthropic_type="permission_error",
    should_retry=False,
)
LEDGER_DOWN: Final = Answer(
    http_status=503,
    status=STATUS["refused"],
    code="ledger_unavailable",
    message="the ledger cannot be written, so the call was not forwarded",
    openai_type="server_error",
    anthropic_type="api_error",
    should_retry=False,
)
SHUTTING_DOWN: Final = Answer(
    http_status=503,
    status=STATUS["gateway_interrupted"],
    code="gateway_shutting_down",
    message="the gateway is shutting down",
    openai_type="server_error",
    anthropic_type="api_error",
)

# What is not admitted: no call, so no receipt.

MISDIRECTED: Final = Answer(
    http_status=400,
    status=STATUS["refused"],
    code="misdirected",
    message=(
        "the gateway does not answer under the name in this request's Host field; use 127.0.0.1,"
        " or start it with --allow-host NAME"
    ),
    openai_type="invalid_request_error",
    anthropic_type="invalid_request_error",
    should_retry=False,
    closes=True,
)
CROSS_SITE: Final = Answer(
    http_status=403,
    status=STATUS["refused"],
    code="cross_site",
    message=(
        "web pages of other sites may not make calls; start the gateway with"
        " --allow-origin ORIGIN to allow one"
    ),
    openai_type="invalid_request_error",
    anthropic_type="permission_error",
    should_retry=False,
    closes=True,
)
NO_TOKEN: Final = Answer(
    http_status=401,
    status=STATUS["refused"],
    code="client_token_missing",
    message="this gateway asks its callers for a token of its own, in the header nous-client-token",
    openai_type="invalid_request_error",
    anthropic_type="authentication_error",
    should_retry=False,
    closes=True,
)
UPSTREAM_REFUSED: Final = Answer(
    http_status=403,
    status=STATUS["refused"],
    code="upstream_refused",
    message=(
        "the upstream that x-nous-upstream names is not allowed here; it works for paths under"
        " /custom/ and hosts of --allow-upstream"
    ),
    openai_type="invalid_request_error",
    anthropic_type="permission_error",
    should_retry=False,
    closes=True,
)
TOO_MANY_REFUSALS: Final = Answer(
    http_status=429,
    status=STATUS["refused"],
    code="too_many_refusals",
    message="too many requests from this address were refused",
    openai_type="rate_limit_error",
    anthropic_type="rate_limit_error",
    should_retry=False,
    retry_after_s=60,
    closes=True,
)
BODY_LATE: Final = Answer(
    http_status=408,
    status=STATUS["refused"],
    code="request_timeout",
    message="the rest of the request did not come in time",
    openai_type="invalid_request_error",
    anthropic_type="invalid_request_error",
    closes=True,
)
