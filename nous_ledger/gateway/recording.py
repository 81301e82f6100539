"""Keeping the content of calls, for who wants to check it against the receipts later.

The gateway keeps no content by itself. Given a recorder it hands over what it commits
to, while it passes: opening, request, the request as forwarded where it was altered,
and the pieces of the response, all without content codings.

    FOLDER/<receipt id>/opening.hex     the call's secret, 64 hex digits
                        request.body    as the client sent it
                        forwarded.body  as it was forwarded, if that differs
                        response.body   as the client received it

Whoever has these can read the call and prove what was said in it, so the folders are
0700 and the files 0600.

Spec:
    PROTOCOL.md COMM-1 to COMM-5.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from uuid import UUID

_log: Final = logging.getLogger("nous_ledger.gateway")

OPENING_NAME: Final = "opening.hex"
REQUEST_NAME: Final = "request.body"
FORWARDED_NAME: Final = "forwarded.body"
RESPONSE_NAME: Final = "response.body"

PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600


class Recording(Protocol):
    """What is kept of one call. Nothing here may raise: a call does not depend on it."""

    def response(self, piece: bytes) -> None:
        """Take the next piece of what the client receives."""

    def end(self) -> None:
        """Take that no more comes; called at least once."""


class Recorder(Protocol):
    """Keeps content of calls; called on the gateway's event loop, so it must be quick."""

    def begin(
        self, receipt_id: bytes, opening: bytes, request: bytes | None, forwarded: bytes | None
    ) -> Recording:
        """Start to keep a call; nothing here may raise.

        Args:
            receipt_id: the call's UUID, 16 bytes.
            opening: the call's secret for commitments, 32 bytes.
            request: the request as the client sent it; None where that is not committed to.
            forwarded: the request as forwarded, if it was altered.
        """


class ContentFolder:
    """Keeps calls in a folder, one folder each; may be used by several threads.

    What cannot be written (a full disk, say) costs the copy and not the call.

    Attributes:
        failures: how many calls could not be kept whole.
    """

    def __init__(self, folder: Path) -> None:
        """Keep calls below a folder, which is made if it is not there.

        Raises:
            OSError: it cannot be made.
        """
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self.folder = folder
        self.failures = 0
        self._lock = threading.Lock()

    def begin(
        self, receipt_id: bytes, opening: bytes, request: bytes | None, forwarded: bytes | None
    ) -> Recording:
        """Write what is known when a call begins."""
        saved = _SavedCall(self, self.folder / str(UUID(bytes=receipt_id)))
        saved.begin(opening, request, forwarded)
        return saved

    def failed(self, error: OSError) -> None:
        """Note a call that could not be kept."""
        _log.error("the content of a call is not kept: %s", error.strerror)
        with self._lock:
            self.failures += 1


class _SavedCall:
    def __init__(self, owner: ContentFolder, folder: Path) -> None:
        self._owner = owner
        self._folder = folder
        self._file: BinaryIO | None = None

    def begin(self, opening: bytes, request: bytes | None, forwarded: bytes | None) -> None:
        bodies = {REQUEST_NAME: request, FORWARDED_NAME: forwarded}
        try:
            self._folder.mkdir(mode=PRIVATE_FOLDER)
            with self._create(OPENING_NAME) as file:
                file.write(f"{opening.hex()}\n".encode())
            for name, body in bodies.items():
                if body is not None:
                    with self._create(name) as file:
                        file.write(body)
            self._file = self._create(RESPONSE_NAME)
        except OSError as error:
            self._owner.failed(error)

    def response(self, piece: bytes) -> None:
        if self._file is not None:
            try:
                self._file.write(piece)
            except OSError as error:
                self._fail(error)

    def end(self) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._fail(error)
            self._file = None

    def _fail(self, error: OSError) -> None:
        """Give up the response: a part of it would look like one that does not fit."""
        with contextlib.suppress(OSError):
            (self._folder / RESPONSE_NAME).unlink()
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
        self._owner.failed(error)

    def _create(self, name: str) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        return os.fdopen(os.open(self._folder / name, flags, PRIVATE_FILE), "wb")
