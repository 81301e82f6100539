"""The program of a process that counts tokens; `nous_ledger.gateway.counting` starts it.

    standard input   again and again some texts: `HEADER`, the encoding as JSON, the length
                     of each text in bytes (4 bytes, big-endian), the texts in UTF-8
    standard output  `GREETING`, before which nobody sends it a text; for each request an
                     `ANSWER` and, where texts cannot be counted here, why, in UTF-8

Answers come in the order of the requests. An engine is loaded when the first text needs
it. Nothing is kept of a text, and nothing is read but vocabularies. The process ends
when its input does, as when the process that started it is killed.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, BinaryIO, Final

from nous_ledger.reconcile.counting import count_each
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.estimate import claude_range
from nous_ledger.reconcile.tokenizers import Encoding

GREETING: Final = b"nous-ledger/1 counts\n"
HEADER: Final = struct.Struct(">?III")
"""Whether a range is asked for, bytes of the encoding, number of texts, bytes of them all."""
ANSWER: Final = struct.Struct(">BQQH")
"""What became of a request, the range of the tokens, bytes of the message that follows."""
COUNTED: Final = 0
UNCOUNTABLE: Final = 1
"""There is no count of these texts."""
NOT_HERE: Final = {2: "no-tokenizer", 3: "wrong-vocabulary"}
"""Codes of errors: there is no count of any text in this encoding."""
MAX_MESSAGE_BYTES: Final = 2_000

_OUTCOMES: Final = {code: outcome for outcome, code in NOT_HERE.items()}


def find_range(encoding: Encoding, texts: Sequence[str], *, ranged: bool) -> tuple[int, int] | None:
    """Return the smallest and the largest number of tokens that texts may have.

    Args:
        encoding: what they are counted in.
        texts: each is counted by itself.
        ranged: the range of `claude-range/1` is asked for, of one text in the encoding
            that it is drawn from; else both numbers are the count.

    Returns:
        None if the texts have no count.

    Raises:
        RecountError: as `engine_for`.
    """
    tokens = count_each(encoding, texts)
    if tokens is None:
        return None
    return claude_range("".join(texts), tokens) if ranged else (tokens, tokens)


def write_encoding(encoding: Encoding) -> bytes:
    """Return an encoding as requests name it."""
    fields = asdict(encoding) | {"vocabulary": encoding.vocabulary.hex()}
    return json.dumps(fields, separators=(",", ":")).encode()


def write_request(encoding: bytes, texts: Iterable[str], *, ranged: bool = False) -> bytes:
    """Return a request for `find_range`.

    Args:
        encoding: as `write_encoding` gives it.
        texts: any text; what is no Unicode, an unpaired surrogate, stays what it is.
        ranged: as `find_range`.
    """
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = struct.pack(f">{len(parts)}I", *map(len, parts))
    header = HEADER.pack(ranged, len(encoding), len(parts), sum(map(len, parts)))
    return b"".join((header, encoding, lengths, *parts))


@cache
def _read_encoding(data: bytes) -> Encoding:
    fields: dict[str, Any] = json.loads(data)
    return Encoding(
        **fields
        | {"vocabulary": bytes.fromhex(fields["vocabulary"]), "shown": tuple(fields["shown"])}
    )


def _read_texts(asked: BinaryIO, number: int, size: int) -> Sequence[str] | None:
    """Return the texts of a request, None if the input ended before them."""
    packed = asked.read(4 * number)
    data = asked.read(size)
    if len(packed) < 4 * number or len(data) < size:
        return None
    texts, at = [], 0
    for length in struct.unpack(f">{number}I", packed):
        texts.append(data[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    return texts


def _answer(encoding: Encoding, texts: Sequence[str], *, ranged: bool) -> bytes:
    try:
        found = find_range(encoding, texts, ranged=ranged)
    except RecountError as error:
        message = error.message.encode()[:MAX_MESSAGE_BYTES]
        return ANSWER.pack(_OUTCOMES[error.code], 0, 0, len(message)) + message
    return ANSWER.pack(UNCOUNTABLE, 0, 0, 0) if found is None else ANSWER.pack(COUNTED, *found, 0)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Count what is asked for until there is no more."""
    answers.write(GREETING)
    answers.flush()
    while len(header := asked.read(HEADER.size)) == HEADER.size:
        ranged, length, number, size = HEADER.unpack(header)
        encoding = asked.read(length)
        texts = _read_texts(asked, number, size)
        if texts is None:
            return
        answers.write(_answer(_read_encoding(encoding), texts, ranged=ranged))
        answers.flush()


def main() -> None:  # pragma: no cover - runs in a process that is not traced
    """Serve the process at the other end of the pipes."""
    # Ctrl-C, and whoever ends a group of processes, is for the one that started it: that
    # one still ends its calls, and this one ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a text must not reach a disk
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":  # pragma: no cover - runs in a process that is not traced
    main()
