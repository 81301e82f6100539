"""The read API described: an OpenAPI 3.1 document, a page of HTML, a table of Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Any, Final

from nous_ledger import __version__
from nous_ledger.gateway.api_schemas import SCHEMAS, of
from nous_ledger.gateway.api_table import (
    EVERYONE,
    JSON,
    OPERATIONS,
    PARTS,
    ROUTES,
    ApiRoute,
    schema_of,
)

_MEANINGS: Final = {
    400: "something in the request is wrong",
    401: "no credential was shown",
    403: "not for who asks",
    404: "not there, or no head covers it yet",
    409: "well formed, but not possible by what the log holds",
    413: "the body is too long",
    415: "the body is not sent as application/json",
    500: "the ledger is damaged",
    503: "the ledger cannot be read or written now, or a long log is still being read",
}
_SECURITY: Final[dict[str, Any]] = {
    "credential": {
        "type": "http",
        "scheme": "bearer",
        "description": "the credential that the caller's calls carry, or an auditor token",
    },
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "client-token": {"type": "apiKey", "in": "header", "name": "nous-client-token"},
    "opening": {"type": "apiKey", "in": "header", "name": "nous-opening"},
}


def make_document() -> dict[str, Any]:
    """Return the OpenAPI document of the read API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nous-ledger read API",
            "version": __version__,
            "summary": "Heads, proofs, receipts, statements and bindings of one log",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": part, "description": title} for part, title in PARTS.items()],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": _SECURITY},
    }


def _operation(route: ApiRoute) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.part],
        "summary": route.text,
        "description": f"For {route.who}.",
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.text,
                "required": parameter.required or parameter.place == "path",
                "schema": parameter.schema,
            }
            for parameter in route.parameters
        ],
        "responses": {str(status): answer for status, answer in _answers(route)},
        "security": list(_security(route)),
    }
    if route.body:
        operation["requestBody"] = {"content": {JSON: {"schema": of(route.body)}}}
    return operation


def _answers(route: ApiRoute) -> Iterator[tuple[int, dict[str, Any]]]:
    schema = schema_of(route) if route.media == JSON else {"type": "string"}
    content = {route.media: {"schema": schema}}
    yield route.status, {"description": route.text, "content": content}
    error = {JSON: {"schema": of("Error")}}
    for status in (*route.errors, 500, 503):
        if route.part == OPERATIONS and status == 503:
            yield status, {"description": "the same, where it is not so", "content": content}
        else:
            yield status, {"description": _MEANINGS[status], "content": error}


def _security(route: ApiRoute) -> Iterator[dict[str, list[str]]]:
    if route.who == EVERYONE or "everyone" in route.who:
        yield {}
    if route.who != EVERYONE:
        for name in ("credential", "x-api-key", "client-token"):
            yield {name: []}
    if any(parameter.name == "nous-opening" for parameter in route.parameters):
        yield {"opening": []}


def make_table(parts: Iterable[str] = tuple(PARTS)) -> str:
    """Return the routes of some parts as a Markdown table."""
    lines = ["| path | answer | for |", "|---|---|---|"]
    lines += [
        f"| `{route.method} {route.template}` | {route.text} | {route.who} |"
        for part in parts
        for route in ROUTES
        if route.part == part
    ]
    return "\n".join(lines) + "\n"


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}"
    "h3{font-size:1rem;margin:1.5rem 0 .25rem}code{font-family:ui-monospace,monospace}"
    "p{margin:.25rem 0}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{text-align:left;vertical-align:top;padding:.15rem .75rem .15rem 0;font-size:.9rem}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}a{color:#8ab4f8}}"
)
PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Content security policy of the page: nothing but its own style is loaded."""


def make_page() -> str:
    """Return the API as one page of HTML that loads nothing from anywhere."""
    parts = "".join(
        f"<h2>{_text(title)}</h2>{''.join(_route(r) for r in ROUTES if r.part == part)}"
        for part, title in PARTS.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>nous-ledger read API</title><style>{_STYLE}</style></head><body>"
        f"<h1>nous-ledger read API</h1><p>Version {_text(__version__)}. The same for programs:"
        ' <a href="/openapi.json">openapi.json</a>. Errors are'
        ' <code>{"error": {"code", "message", "hint"}}</code>.</p>'
        f"{parts}</body></html>\n"
    )


def _route(route: ApiRoute) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(p.name)}</code></td><td>{p.place}</td><td>{_text(p.text)}</td></tr>"
        for p in route.parameters
    )
    body = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>body</td><td></td></tr>"
        for name in (SCHEMAS[route.body]["properties"] if route.body else ())
    )
    table = f"<table>{rows}{body}</table>" if rows or body else ""
    errors = ", ".join(str(status) for status in route.errors)
    ends = f" Errors: {errors}." if errors else ""
    return (
        f"<h3><code>{route.method} {_text(route.template)}</code></h3>"
        f"<p>{_text(route.text)}. For {_text(route.who)}.{ends}</p>{table}"
    )


def _text(text: str) -> str:
    return html.escape(text)
