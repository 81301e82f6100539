"""What a reader gets: replies of an honest log, and ways to put others in their place.

A site is a function of the request. `view_of` is what an honest server of a log shows;
everything else takes a site and returns another that lies, fails or changes in time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.tiles import Tile, TileKind, parse_tile_path
from tests.zoo.forger import Entry, Forger
from tests.zoo.heads import head_of
from tests.zoo.tree import tile_bytes

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Request:
    """What a reader asked for.

    Attributes:
        number: how many requests came before it.
        path: without the leading slash.
        headers: names in lower case.
    """

    number: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tile(self) -> Tile | None:
        """The tile that the path names, if it names one."""
        try:
            return parse_tile_path(self.path)
        except LedgerError:
            return None


@dataclass(frozen=True, slots=True)
class Reply:
    """A well-formed answer."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", BYTES),)


Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes any bytes as the answer; the connection is closed after it."""
Site = Callable[[Request], Reply | Script]
Choice = Callable[[Request], bool]

NOT_THERE = Reply(b"not there\n", 404, (("content-type", TEXT),))


@dataclass(frozen=True, slots=True)
class View:
    """An honest server of a log as it was at a moment; two that serve the same are equal.

    Attributes:
        checkpoint: what it shows as its head.
        entries: the leaves that it has tiles of.
    """

    checkpoint: bytes
    entries: tuple[Entry, ...]

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        if request.path == "checkpoint":
            return Reply(self.checkpoint, headers=(("content-type", TEXT),))
        tile = request.tile
        data = tile_bytes(self.entries, tile) if tile else None
        return NOT_THERE if data is None else Reply(data)


def view_of(log: Forger, head: bytes | None = None, *, covered: int | None = None) -> View:
    """Return an honest server of a log as it is now.

    Args:
        log: whose leaves are shown.
        head: what it shows as its head; by default a new one over all leaves.
        covered: leaves of which it has tiles; by default all.
    """
    checkpoint = head_of(log) if head is None else head
    return View(checkpoint, tuple(log.entries[:covered]))


def heads(request: Request) -> bool:
    """Choose requests for the head."""
    return request.path == "checkpoint"


def tiles(*kinds: str) -> Choice:
    """Return what chooses requests for tiles: `hashes`, `entries`, `bodies`, or all of them."""
    wanted = [TileKind(kind) for kind in kinds] or list(TileKind)

    def choose(request: Request) -> bool:
        return request.tile is not None and request.tile.kind in wanted

    return choose


def everything(_request: Request) -> bool:
    """Choose every request."""
    return True


def but(site: Site, choice: Choice, answer: Reply | Script) -> Site:
    """Return a site that gives one answer to some requests."""
    return lambda request: answer if choice(request) else site(request)


def altered(site: Site, choice: Choice, work: Callable[[bytes], bytes]) -> Site:
    """Return a site that changes the bytes of good answers to some requests."""

    def serve(request: Request) -> Reply | Script:
        reply = site(request)
        if not choice(request) or not isinstance(reply, Reply) or reply.status != 200:
            return reply
        return Reply(work(reply.body), headers=reply.headers)

    return serve


def switching(choose: Callable[[int], Site], count: Choice = heads) -> Site:
    """Return a site that shows another one as time goes by.

    Args:
        choose: what is shown after so many counted requests, from 1.
        count: which requests are counted.
    """
    seen = 0

    def serve(request: Request) -> Reply | Script:
        nonlocal seen
        seen += count(request)
        return choose(seen)(request)

    return serve
