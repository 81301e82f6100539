"""Tells a URL of new findings; it never holds up the audit, and never fails it.

Each finding is one POST of JSON. The signature covers the time and the exact body, so
that a receiver can refuse what is old or altered:

    nous-sentinel-signature: t=<Unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>." + body)>

What was delivered is remembered in the state, so a finding is told at least once, also
across restarts.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from nous_ledger.protocol.errors import InputError

SIGNATURE: Final = "nous-sentinel-signature"
MAX_WAITING: Final = 256
"""Findings that may wait for their delivery; more wait in the state."""
FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 300.0
_TIMEOUT_S: Final = 10.0
_MAX_ANSWER: Final = 4_096
_LAST_S: Final = 5.0
"""How long a sentinel that ends waits for what is on its way."""


class _Message(NamedTuple):
    number: int
    body: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: findings go where they were meant to go."""

    def redirect_request(self, *_: object) -> None:
        """Take no other address."""


class Webhook:
    """Delivers findings in their order from a thread of its own.

    Attributes:
        delivered: number of the last finding that was delivered; 0 before any.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        clock: Callable[[], float] = time.time,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start to deliver.

        Args:
            url: https, or http to this machine.
            secret: key of the signatures.
            clock: time in seconds, for the signatures.
            warn: is told of failures.

        Raises:
            InputError: the URL is of another form.
        """
        self._url = _checked(url)
        self._secret = secret.encode("ascii")
        self._clock = clock
        self._warn = warn
        self.delivered = self._queued = 0
        self._messages: queue.Queue[_Message | None] = queue.Queue(MAX_WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def offer(self, number: int, finding: dict[str, Any]) -> bool:
        """Take a finding to be delivered; return whether there was room for it.

        Args:
            number: of the finding; those up to the last one taken are passed over.
            finding: as plain values.
        """
        if number <= self._queued:
            return True
        with contextlib.suppress(queue.Full):
            self._messages.put_nowait(_Message(number, json.dumps(finding).encode()))
            self._queued = number
            return True
        return False

    def close(self) -> None:
        """Deliver what waits, for a few seconds at most."""
        with contextlib.suppress(queue.Full):
            self._messages.put(None, timeout=_LAST_S)
        self._thread.join(_LAST_S)
        self._ending.set()

    def _run(self) -> None:
        while (message := self._messages.get()) is not None:
            delay = FIRST_DELAY_S
            while (failure := self._post(message.body)) is not None:
                self._warn(f"the webhook did not take finding {message.number}: {failure}")
                if self._ending.wait(delay):
                    return
                delay = min(2 * delay, LONGEST_DELAY_S)
            self.delivered = message.number

    def _post(self, body: bytes) -> str | None:
        """Send one message; return why it did not arrive, or None."""
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self._url,
            data=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "nous-sentinel",
                SIGNATURE: sign(self._secret, int(self._clock()), body),
            },
        )
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_S) as answer:
                answer.read(_MAX_ANSWER)
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answered {error.code}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return type(getattr(error, "reason", error)).__name__
        return None


def sign(secret: bytes, now: int, body: bytes) -> str:
    """Return the value of the signature header.

    Args:
        secret: shared with the receiver.
        now: Unix seconds.
        body: exactly what is sent.
    """
    code = hmac.new(secret, b"%d." % now + body, hashlib.sha256).hexdigest()
    return f"t={now},v1={code}"


def _checked(url: str) -> str:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = host == "localhost"
        with contextlib.suppress(ValueError):
            local = local or ipaddress.ip_address(host).is_loopback
        private = parts.scheme == "https" or (parts.scheme == "http" and local)
        if host and private and "@" not in parts.netloc and not parts.fragment:
            return url
    # The address is not repeated where it is refused: it may hold a password.
    raise InputError(
        "input",
        "the address of a webhook is an https URL without credentials, or http to this machine",
        hint="for example https://alerts.example/nous-sentinel",
    )
