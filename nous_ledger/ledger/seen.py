"""Heads of a log that others hold: published, witnessed, served.

A head that is there was signed by this log, so its ledger must have what it covers.
One that cannot be read, or that is not shown to be of this log, says nothing: that is
a notice and never a reason to refuse.

A database that was put back may not know the newest keys of its log. A head of the
next epoch is recognised by the key that the database committed to, one of a later
epoch by the Ed25519 key, as far as that was kept.

Spec:
    PROTOCOL.md HEAD-1 to HEAD-6, HEAD-9, ID-2.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.ledger.highwater import behind, forked
from nous_ledger.ledger.identity import read_history
from nous_ledger.ledger.store import Store, View
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.eip712 import head_digest
from nous_ledger.protocol.errors import HeadError, InputError, LedgerError, UnavailableError
from nous_ledger.protocol.hashing import next_key_hash
from nous_ledger.protocol.head import (
    HeadSignature,
    decode_head_signature,
    only_line,
    verify_head_signature,
    verify_text_signature,
)
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.note import MAX_NOTE_BYTES, Note, parse_note
from nous_ledger.protocol.signing import recover
from nous_ledger.protocol.types import LeafIndex
from nous_ledger.protocol.vkey import ed25519_vkey, head_vkey

WAIT_S: Final = 5.0
"""Seconds that all sources together have to answer."""
CHECKPOINT_NAME: Final = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenHead:
    """A head that was found elsewhere and is of this log.

    Attributes:
        source: where.
        checkpoint: what it says.
        epoch: the key epoch that signed it.
        timestamp: seconds; when it was signed.
        fault: what it shows to be wrong with the database; None if it agrees.
    """

    source: str
    checkpoint: Checkpoint
    epoch: int
    timestamp: int
    fault: LedgerError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the sources said.

    Attributes:
        heads: the heads that were found.
        notices: which sources said nothing, and why.
    """

    heads: tuple[SeenHead, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def fault(self) -> LedgerError | None:
        """The first fault that a head shows."""
        return next((head.fault for head in self.heads if head.fault is not None), None)


def check_source(source: str) -> str:
    """Return a source if it is a path, or an http or https URL without credentials.

    Raises:
        InputError: it is neither.
    """
    if "://" not in source:
        if source and "\0" not in source:
            return source
        raise InputError("input", "a source is a published folder or the URL of a checkpoint")
    with contextlib.suppress(ValueError):
        parts = urlsplit(source)
        plain = "@" not in parts.netloc and not parts.fragment
        if plain and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return source
    # It is not repeated: it may hold a password.
    raise InputError("input", "the URL of a checkpoint is http or https, without credentials")


def look_elsewhere(store: Store, sources: Sequence[str], *, wait_s: float = WAIT_S) -> Seen:
    """Return what the heads in some places say of a database.

    Args:
        store: the database.
        sources: published folders, files and URLs of checkpoints.
        wait_s: seconds that all of them together have to answer.

    Raises:
        StoreContentError: store-corrupt, if the key events are damaged.
    """
    if not sources:
        return Seen()
    answers = tuple(_read_all(sources, wait_s))
    heads: list[SeenHead] = []
    notices: list[str] = []
    with store.read() as view:
        history = read_history(view)
        for source, answer in answers:
            try:
                heads.append(_compare(view, history, source, _answered(answer)))
            except LedgerError as error:
                why = f"could not compare the ledger with {source}: {error.message}"
                notices.append(why)
    return Seen(heads=tuple(heads), notices=tuple(notices))


def _answered(answer: bytes | UnavailableError) -> bytes:
    if isinstance(answer, UnavailableError):
        raise answer
    return answer


def _compare(view: View, history: KeyHistory, source: str, data: bytes) -> SeenHead:
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    signature = _verified(note, checkpoint, history, view.leaf_count())
    return SeenHead(
        source=source,
        checkpoint=checkpoint,
        epoch=signature.epoch,
        timestamp=signature.timestamp,
        fault=_fault(view, checkpoint, source),
    )


def _fault(view: View, seen: Checkpoint, source: str) -> LedgerError | None:
    leaf_count = view.leaf_count()
    if seen.leaf_count > leaf_count:
        return behind(leaf_count, seen.leaf_count, f"the head at {source}")
    root = read_root(view.nodes, seen.leaf_count)
    if root != seen.root:
        return forked(seen.leaf_count, seen.root, root, f"the head at {source}")
    return None


def _verified(
    note: Note, checkpoint: Checkpoint, history: KeyHistory, leaf_count: int
) -> HeadSignature:
    """Return the signature of a head after making sure that this log made it."""
    origin = history.genesis.origin or ""
    if checkpoint.origin != origin:
        raise HeadError("head-origin", f"the head there is of {checkpoint.origin}")
    line = only_line(note, head_vkey(origin, history.log_id))
    signature = decode_head_signature(line.payload)
    covered = min(checkpoint.leaf_count, leaf_count)
    first = history.epoch_at(LeafIndex(max(covered - 1, 0)))
    last = first if checkpoint.leaf_count <= leaf_count else signature.epoch
    if not first <= signature.epoch <= last:
        raise HeadError("head-epoch", f"the head there is of epoch {signature.epoch}")
    if signature.epoch <= history.epoch:
        key = history.epochs[signature.epoch].secp256k1
        return verify_head_signature(checkpoint, history.log_id, signature, key)
    if signature.epoch == history.epoch + 1:
        digest = head_digest(
            history.log_id,
            signature.epoch,
            checkpoint.leaf_count,
            checkpoint.root,
            signature.timestamp,
        )
        if next_key_hash(recover(digest, signature.signature)) == history.next_hash:
            return signature
    text_key = ed25519_vkey(origin, history.epochs[history.epoch].ed25519)
    verify_text_signature(note.text, text_key, only_line(note, text_key))
    return signature


@dataclass(slots=True)
class _Answers:
    """What has come in, while some sources are still being read."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    found: dict[str, bytes | UnavailableError] = field(default_factory=dict)

    def put(self, source: str, deadline: float) -> None:
        answer: bytes | UnavailableError
        try:
            answer = _read(source, deadline)
        except UnavailableError as error:
            answer = error
        with self.lock:
            self.found[source] = answer


def _read_all(
    sources: Sequence[str], wait_s: float
) -> Iterator[tuple[str, bytes | UnavailableError]]:
    """Yield the bytes at each source, or why there are none; all are read at once."""
    deadline = time.monotonic() + wait_s
    answers = _Answers()
    threads = [
        # A daemon: a disk or server that hangs must hold up neither this nor the exit.
        threading.Thread(target=answers.put, args=(source, deadline), daemon=True)
        for source in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    with answers.lock:
        found = dict(answers.found)
    for source in sources:
        late = UnavailableError("unreachable", f"no answer within {wait_s:g} s")
        yield source, found.get(source, late)


def _read(source: str, deadline: float) -> bytes:
    try:
        if "://" in source:
            data = _fetch(check_source(source), deadline)
        else:
            path = Path(source)
            with (path / CHECKPOINT_NAME if path.is_dir() else path).open("rb") as file:
                data = file.read(MAX_NOTE_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError, LedgerError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise UnavailableError("unreachable", f"it cannot be read ({why})") from error
    if len(data) > MAX_NOTE_BYTES:
        raise UnavailableError("unreachable", "what is there is longer than a head")
    return data


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the answer must come from the host that was named."""

    def redirect_request(self, *_: object) -> None:
        """Take no other address."""


def _fetch(url: str, deadline: float) -> bytes:
    # What serves this machine is not asked for through a proxy of another one.
    local = _is_loopback(urlsplit(url).hostname or "")
    proxies = [urllib.request.ProxyHandler({})] if local else []
    opener = urllib.request.build_opener(_NoRedirects, *proxies)
    timeout = max(0.1, deadline - time.monotonic())
    try:
        with opener.open(url, timeout=timeout) as answer:
            data: bytes = answer.read(MAX_NOTE_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    return data


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
