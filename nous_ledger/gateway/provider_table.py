"""The table of providers: read from `providers.toml`, checked, made into routes.

What the members of the file mean is said at its top. A fault in it names the
place: it is found when the gateway is imported, never during a call.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

from nous_ledger.gateway.paths import CallShape, MeteredPath, compile_template, read_path
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.registries import API

ERROR_SHAPES: Final = ("openai", "anthropic", "google", "aws", "cohere", "mistral", "ollama")
CREDENTIALS: Final = (
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "query:key",
    "sigv4",
)
"""Where a credential may stand; `identity` looks at all of these."""

UNMETERED: Final = CallShape(api=API["other"], operation="other")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_FIELD: Final = re.compile(r"[a-z0-9-]+")
_HOST: Final = re.compile(r"[a-z0-9*.-]+")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_PATH_MEMBERS: Final = {"path": str, "method": str, "api": str, "operation": str, "stream": bool}
_ROUTE_MEMBERS: Final = {
    "base_url": str,
    "hosts": list,
    "formats": list,
    "request_id": str,
    "credentials": list,
    "errors": str,
    "include_usage": str,
    "include_usage_from": str,
    "include_usage_not_with": list,
    "cost": list,
}
_REQUIRED: Final = ("formats", "request_id", "credentials", "errors", "include_usage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One provider as the gateway knows it.

    Attributes:
        name: first path segment, and the provider's name in receipts.
        base_url: where the provider serves its API; empty if that depends on the account.
        hosts: patterns of hosts that are the provider's own.
        paths: metered paths, the first that fits counts.
        request_id_header: response header with the provider's id of the call.
        credentials: where its credentials stand.
        errors: shape of its error bodies.
        asks_for_usage: streams that do not ask for their usage are made to.
        asks_from: first api-version for which that is so; empty for all.
        asks_not_with: request members beside which it is not.
        cost: where in the usage the price in US dollars stands; empty for nowhere.
    """

    name: str
    base_url: str
    hosts: tuple[re.Pattern[str], ...]
    paths: tuple[MeteredPath, ...]
    request_id_header: str
    credentials: tuple[str, ...]
    errors: str
    asks_for_usage: bool
    asks_from: str
    asks_not_with: tuple[str, ...]
    cost: tuple[str, ...]

    def shape(self, method: str, path: str) -> CallShape | None:
        """Return what a call is, `UNMETERED` if it is not metered, None if it is refused.

        Args:
            method: HTTP method.
            path: path as it is forwarded, without its query.
        """
        text = read_path(path)
        if text is None:
            return None
        for metered in self.paths:
            if metered.method == method and (match := metered.pattern.fullmatch(text)):
                model = match.groupdict().get("model")
                return replace(metered.shape, model=model and _text(model))
        return UNMETERED

    def may_ask(self, query: bytes) -> bool:
        """Return whether a stream with this query may be made to tell its usage."""
        if not self.asks_from or not self.asks_for_usage:
            return self.asks_for_usage
        named = dict(parse_qsl(query.decode("latin-1")))
        version = _DATE.match(named.get("api-version", ""))
        return version is None or version.group() >= self.asks_from


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def load_table(text: str) -> Mapping[str, Route]:
    """Return the routes of a provider table, by name.

    Args:
        text: the table as TOML.

    Raises:
        InputError: not TOML, or a member is unknown, missing or of a wrong form.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _fault("the table", str(error)) from error
    _members("the table", table, {"formats": dict, "providers": dict})
    formats = {
        name: tuple(_paths(f"formats.{name}", rows))
        for name, rows in table.get("formats", {}).items()
    }
    routes = {name: _route(name, row, formats) for name, row in table.get("providers", {}).items()}
    return MappingProxyType(routes)


def _paths(place: str, rows: object) -> Iterator[MeteredPath]:
    for row in rows if isinstance(rows, list) else [rows]:
        fields = _members(place, row, _PATH_MEMBERS, ("path", "api", "operation"))
        try:
            yield MeteredPath(
                method=fields.get("method", "POST"),
                pattern=compile_template(fields["path"]),
                shape=CallShape(
                    api=API[fields["api"]],
                    operation=fields["operation"],
                    stream=fields.get("stream", False),
                ),
            )
        except InputError as error:
            raise _fault(place, str(error)) from error


def _route(name: str, row: object, formats: Mapping[str, tuple[MeteredPath, ...]]) -> Route:
    place = f"providers.{name}"
    fields = _members(place, row, _ROUTE_MEMBERS, _REQUIRED)
    _one_of(place, [name], _NAME)
    _one_of(place, fields["formats"], formats)
    _one_of(place, fields["credentials"], CREDENTIALS)
    _one_of(place, [fields["errors"]], ERROR_SHAPES)
    _one_of(place, [fields["include_usage"]], ("ask", "never"))
    _one_of(place, [fields["request_id"]], _FIELD)
    hosts = _one_of(place, fields.get("hosts", []), _HOST)
    asks_from = fields.get("include_usage_from", "")
    _one_of(place, [asks_from] if asks_from else [], _DATE)
    return Route(
        name=name,
        base_url=fields.get("base_url", ""),
        hosts=tuple(re.compile(re.escape(h).replace(r"\*", "[a-z0-9-]+")) for h in hosts),
        paths=tuple(path for family in fields["formats"] for path in formats[family]),
        request_id_header=fields["request_id"],
        credentials=tuple(fields["credentials"]),
        errors=fields["errors"],
        asks_for_usage=fields["include_usage"] == "ask",
        asks_from=asks_from,
        asks_not_with=_one_of(place, fields.get("include_usage_not_with", [])),
        cost=_one_of(place, fields.get("cost", [])),
    )


def _members(
    place: str, row: object, known: Mapping[str, type], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a table whose members all are known, of their type, and there if required."""
    if not isinstance(row, dict):
        raise _fault(place, "it is not a table")
    for key, value in row.items():
        if key not in known:
            raise _fault(place, f"{key!r} is not one of {', '.join(known)}")
        if not isinstance(value, known[key]):
            raise _fault(place, f"{key!r} is not a {known[key].__name__}")
    for key in required:
        if key not in row:
            raise _fault(place, f"{key!r} is missing")
    return row


def _one_of(place: str, values: list[Any], allowed: Any = None) -> tuple[str, ...]:  # noqa: ANN401 - a pattern or a container
    """Return values that are all strings, of an allowed form or among the allowed ones."""
    for value in values:
        fits = isinstance(value, str) and (
            allowed is None
            or (allowed.fullmatch(value) if isinstance(allowed, re.Pattern) else value in allowed)
        )
        if not fits:
            raise _fault(place, f"{value!r} is not known here")
    return tuple(values)


def _fault(place: str, what: str) -> InputError:
    return InputError("input", f"providers.toml, {place}: {what}")
