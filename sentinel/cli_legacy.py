"""`nous-sentinel --legacy nous-v2 URL`: audit a gateway of the protocol before this one."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from nous_ledger.protocol.errors import FormatError, InputError, LedgerError
from sentinel.audit.legacy_wire import parse_json, parse_key_answer
from sentinel.cli_options import read_file
from sentinel.sources import is_url
from sentinel.state import State
from sentinel.state_file import default_state
from sentinel.terminal import progress_bar

if TYPE_CHECKING:
    from nous_ledger.protocol.legacy import LegacyPublicKey
    from sentinel.legacy import LegacyWatcher

_MAX_KEY_BYTES = 64 * 1024
_LONG = 10_000


def open_legacy(
    stack: ExitStack,
    url: str,
    *,
    state_file: Path | None,
    key_file: Path | None,
    stopping: threading.Event,
) -> LegacyWatcher:
    """Return what audits a gateway, a round at a time.

    Args:
        stack: closes what is opened.
        url: address of the gateway.
        state_file: what is remembered; None for the default.
        key_file: file with the gateway's key as a JWK; None to trust the first one seen.
        stopping: ends waiting early.

    Raises:
        InputError: the address is no URL, or there is no such key file.
        FormatError: json-format (the file holds no key).
        StateError, MissingExtraError: as their own.
    """
    from sentinel.legacy import LegacyOptions, LegacyWatcher, name_of  # noqa: PLC0415 - aiohttp
    from sentinel.legacy_gateway import LegacyGateway  # noqa: PLC0415

    if not is_url(url):
        raise InputError(
            "input", "a nous-v2 gateway is audited over HTTP", hint="name it as https://…"
        )
    key = None if key_file is None else read_key(key_file)
    gateway = stack.enter_context(LegacyGateway(url))
    state = stack.enter_context(State.held(state_file or default_state(name_of(gateway.name))))
    options = LegacyOptions(
        key=key,
        progress=stack.enter_context(progress_bar("auditing", "records", at_least=_LONG)),
        wait=stopping.wait,
    )
    return LegacyWatcher(state, gateway, options)


def read_key(path: Path) -> LegacyPublicKey:
    """Return the P-256 key in a file: a JWK, or what `GET /api/pubkey` answered.

    Raises:
        InputError: there is no such file.
        FormatError: json-format.
        UnavailableError: unreachable (it cannot be read).
    """
    data = read_file(path, _MAX_KEY_BYTES)
    try:
        return parse_key_answer(parse_json(data))
    except LedgerError as error:
        raise FormatError(
            "json-format",
            f"{path} holds no P-256 key: {error.message}",
            hint="it is the JWK that the gateway states at /api/pubkey, got from elsewhere",
        ) from error
