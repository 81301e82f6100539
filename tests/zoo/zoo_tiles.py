"""Tiles that are cut, stretched, moved, mixed or missing."""

from collections.abc import Callable, Iterator

from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.site import (
    NOT_THERE,
    Choice,
    Reply,
    Request,
    Script,
    Site,
    altered,
    but,
    tiles,
    view_of,
)
from tests.zoo.tree import prefixed
from tests.zoo.zoo_history import begun

LONG = 300
"""Records of a log that has a full tile and a partial one."""


def _grown(now_s: int, bend: Callable[[Site], Site]) -> Iterator[Round]:
    """After an honest round the log grows, and its new tiles are bent: nothing can be checked."""
    log = begun(now_s)
    yield honest(view_of(log))
    site = view_of(log.grow(3))
    yield unchecked(bend(site), "source/unreachable")
    yield honest(site)


@behaviour
def truncated_entries(now_s: int) -> Iterator[Round]:
    """An entry bundle ends in the middle of a record."""
    return _grown(now_s, lambda site: altered(site, tiles("entries"), lambda data: data[:-50]))


@behaviour
def entries_one_too_few(now_s: int) -> Iterator[Round]:
    """An entry bundle has a record less than its name says."""
    return _grown(now_s, lambda site: altered(site, tiles("entries"), lambda data: data[:-122]))


@behaviour
def entries_longer_than_asked(now_s: int) -> Iterator[Round]:
    """An entry bundle has a record more than its name says."""
    return _grown(
        now_s, lambda site: altered(site, tiles("entries"), lambda data: data + data[-122:])
    )


@behaviour
def entries_of_another_length(now_s: int) -> Iterator[Round]:
    """A length in an entry bundle is not that of a record."""
    return _grown(
        now_s, lambda site: altered(site, tiles("entries"), lambda data: b"\0\x77" + data[2:])
    )


@behaviour
def no_entries_at_all(now_s: int) -> Iterator[Round]:
    """An entry bundle is empty."""
    return _grown(now_s, lambda site: altered(site, tiles("entries"), lambda _: b""))


@behaviour
def truncated_bodies(now_s: int) -> Iterator[Round]:
    """A bodies bundle ends in the middle of a body."""
    return _grown(now_s, lambda site: altered(site, tiles("bodies"), lambda data: data[:-9]))


@behaviour
def bodies_one_too_many(now_s: int) -> Iterator[Round]:
    """A bodies bundle has a body more than its name says."""
    return _grown(now_s, lambda site: altered(site, tiles("bodies"), lambda data: data + b"\0\0"))


@behaviour
def body_too_long(now_s: int) -> Iterator[Round]:
    """A body is longer than any body may be."""

    def stretched(_: bytes) -> bytes:
        return b"\x80\x01" + bytes(32_769)

    return _grown(now_s, lambda site: altered(site, tiles("bodies"), stretched))


@behaviour
def bodies_that_are_not_served(now_s: int) -> Iterator[Round]:
    """There are records, and no bodies: a log that shows them to nobody."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield unchecked(but(view_of(log.grow(3)), tiles("bodies"), NOT_THERE), "source/unreachable")


@behaviour
def bodies_in_another_order(now_s: int) -> Iterator[Round]:
    """Bodies stand at each other's places."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.grow(3)

    def turned(_: bytes) -> bytes:
        bodies = [entry.served for entry in log.entries]
        bodies[-1], bodies[-2] = bodies[-2], bodies[-1]
        return b"".join(map(prefixed, bodies))

    yield caught(altered(view_of(log), tiles("bodies"), turned), "body/body-hash")


@behaviour
def tiles_that_disagree(now_s: int) -> Iterator[Round]:
    """The entries are not those that the head's root and the hash tiles were made of."""
    log = begun(now_s)
    other = log.fork()
    yield honest(view_of(log))
    head = head_of(log.grow(3))
    lies = view_of(other.grow(3, subjects=1), head)
    yield caught(lies, "tree/root-mismatch")


@behaviour
def entries_of_before_that_changed(now_s: int) -> Iterator[Round]:
    """In the tile of new records an old one is another, though the head is honest."""
    log = begun(now_s)
    yield honest(view_of(log))
    site = view_of(log.grow(3))
    other = log.fork()
    other.change(2, status=2)
    lies = view_of(other, b"")
    yield caught(but_from(site, tiles("entries", "bodies"), lies), "tree/root-mismatch")


def but_from(site: Site, choice: Choice, other: Site) -> Site:
    """Return a site that answers some requests as another one does."""
    return lambda request: other(request) if choice(request) else site(request)


@behaviour
def entry_swapped_by_the_network(now_s: int) -> Iterator[Round]:
    """One byte of a new record is changed on its way."""
    log = begun(now_s)
    yield honest(view_of(log))
    site = view_of(log.grow(3))

    def bent(data: bytes) -> bytes:
        return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]

    yield caught(altered(site, tiles("entries"), bent), "tree/root-mismatch")


@behaviour
def partial_tile_that_is_no_beginning(now_s: int) -> Iterator[Round]:
    """The partial tile of before and the full one that it became do not begin alike."""
    log = Forger(now_s - 200).grow(LONG // 2)
    yield honest(view_of(log))
    other = log.fork()
    other.change(140, status=2)
    yield caught(view_of(other.grow(LONG // 2)), "head/fork")


@behaviour
def tile_of_a_larger_tree(now_s: int) -> Iterator[Round]:
    """A partial tile is answered with the full one of its number."""
    log = Forger(now_s - 200).grow(LONG)
    small = head_of(log, 200)
    site, full = view_of(log, small), view_of(log)

    def serve(request: Request) -> Reply | Script:
        tile = request.tile
        if tile is None or tile.width == 256:
            return site(request)
        return full(Request(request.number, request.path.partition(".p/")[0]))

    yield unchecked(serve, "source/unreachable")


@behaviour
def partial_tile_that_became_full(now_s: int) -> Iterator[Round]:
    """The partial tile of a head is gone, the full one is there: a log that went on."""
    log = Forger(now_s - 200).grow(LONG)
    small = head_of(log, 200)

    def partial(request: Request) -> bool:
        return request.path.endswith(".p/200")

    yield honest(but(view_of(log, small), partial, NOT_THERE))


@behaviour
def half_of_the_tiles_fail(now_s: int) -> Iterator[Round]:
    """Every second tile is answered with an error of the server: a partial outage."""
    log = Forger(now_s - 200).grow(LONG)
    failure = Reply(b"oops", 500)

    def every_second(request: Request) -> bool:
        return request.tile is not None and request.tile.index % 2 == 1

    yield unchecked(but(view_of(log), every_second, failure), "source/unreachable")
    yield honest(view_of(log))


@behaviour
def second_tile_is_the_first(now_s: int) -> Iterator[Round]:
    """The first entry bundle is served in the place of the second one."""
    log = Forger(now_s - 200).grow(520)
    site = view_of(log)

    def serve(request: Request) -> Reply | Script:
        tile = request.tile
        if tile is None or tile.index != 1:
            return site(request)
        return site(Request(request.number, request.path.replace("/001", "/000")))

    yield caught(serve, "tree/root-mismatch")
