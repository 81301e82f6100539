"""Vocabulary files: where they lie, whether they are the right ones, and what counts with them.

A file is read, bounded, from an installed package (none of whose code is run) or from
where the operator says. Its hash is checked before any engine sees it, and covers what
decides a count and nothing else: the same vocabulary with other special tokens, or
written down in another way, has the same hash.

Spec:
    PROTOCOL.md TOK-1 to TOK-3, TOK-8 to TOK-10.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import (
    RANKS,
    TEKKEN,
    TOKENIZER_JSON,
    TOKENIZERS,
    Encoding,
)

Engine = Callable[[str], int | None]
"""Counts the tokens of a text; None for a text of which no count can be stated."""

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Longest vocabulary file that is read."""

MAX_SPACES: Final = 4096
"""Longest run of white space that is counted; the engine's patterns fail on very long ones."""

_SPACES: Final = re.compile(r"\s+")
# Byte-level vocabularies write each byte as a letter: those that print as themselves, the
# others from U+0100 on.
_PRINTED: Final = (*range(33, 127), *range(161, 173), *range(174, 256))
_BYTE_OF: Final = {chr(byte): byte for byte in _PRINTED} | {
    chr(256 + place): byte
    for place, byte in enumerate(byte for byte in range(256) if byte not in _PRINTED)
}
_NO_NORMALIZER: Final = (None, {"type": "Sequence", "normalizers": []})
_NFC: Final = {"type": "NFC"}


def hash_ranks(tokens: Iterable[bytes]) -> bytes:
    """Return the hash of a vocabulary in ranks: its tokens in their order (TOK-1)."""
    digest = hashlib.sha256()
    for rank, token in enumerate(tokens):
        digest.update(b"%b %d\n" % (base64.b64encode(token), rank))
    return digest.digest()


def hash_tokenizer_json(document: dict[str, Any]) -> bytes:
    """Return the hash of a parsed `tokenizer.json`: of what decides a count (TOK-8)."""
    model = document["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    deciding = {
        "merges": merges,
        "normalizer": document.get("normalizer"),
        "pre_tokenizer": document.get("pre_tokenizer"),
        "vocab": model["vocab"],
    }
    text = json.dumps(deciding, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def hash_file(path: Path) -> tuple[str, bytes]:
    """Return the form of a vocabulary file, told by its content, and its hash.

    Raises:
        InputError: it cannot be read, or is of no form that is known.
    """
    data = _read_bounded(path)
    try:
        if not data.lstrip().startswith(b"{"):
            return RANKS, hash_ranks(_ranks(data))
        document = json.loads(data)
        if isinstance(document.get("model"), dict):
            return TOKENIZER_JSON, hash_tokenizer_json(document)
        return TEKKEN, hash_ranks(_tekken(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("input", f"{path} is no vocabulary file of a known form") from error


def find_file(encoding: Encoding) -> Path:
    """Return where an encoding's file lies.

    Raises:
        RecountError: no-tokenizer: its package is not installed, or there is no such file.
    """
    path = Path(encoding.file)
    if encoding.package:
        # Found without running any of the package's code.
        try:
            spec = find_spec(encoding.package)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise _absent(encoding, f"{encoding.package.replace('_', '-')} is not installed")
        path = Path(spec.submodule_search_locations[0]) / encoding.file
    if not path.is_file():
        raise _absent(encoding, f"there is no file {path}")
    return path


def read_engine(encoding: Encoding) -> Engine:
    """Return what counts in an encoding whose vocabulary is a file.

    Raises:
        RecountError: no-tokenizer: file or engine is not there, or cannot be used;
            wrong-vocabulary: the file holds another one than the table names.
    """
    data = _read(encoding, find_file(encoding))
    make = _tokenizers_engine if encoding.engine == TOKENIZERS else _tiktoken_engine
    try:
        return make(encoding, data)
    except ImportError as error:
        raise _absent(encoding, f"the engine {encoding.engine} is not installed") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _absent(encoding, f"its file is not of the form {encoding.form}") from error


def _tiktoken_engine(encoding: Encoding, data: bytes) -> Engine:
    import tiktoken  # noqa: PLC0415 - an extra

    if encoding.form == TOKENIZER_JSON:
        document = json.loads(data)
        _check(encoding, hash_tokenizer_json(document))
        ranks = _byte_level(document["model"]["vocab"])
    else:
        tokens = _tekken(data) if encoding.form == TEKKEN else _ranks(data)
        _check(encoding, hash_ranks(tokens))
        ranks = {token: rank for rank, token in enumerate(tokens)}
    # Without their names special tokens are ordinary text.
    engine = tiktoken.Encoding(
        encoding.name, pat_str=encoding.pattern, mergeable_ranks=ranks, special_tokens={}
    )
    return _guarded(engine.encode_ordinary, encoding.shown, nfc=encoding.nfc)


def _tokenizers_engine(encoding: Encoding, data: bytes) -> Engine:
    from tokenizers import Tokenizer  # noqa: PLC0415 - an extra

    document = json.loads(data)
    _check(encoding, hash_tokenizer_json(document))
    nfc = _needs_nfc(encoding, document)
    plain = document | {"added_tokens": [], "truncation": None, "padding": None}
    try:
        tokenizer = Tokenizer.from_str(json.dumps(plain, ensure_ascii=False))
    except Exception as error:
        raise ValueError(str(error)) from error  # the engine has no class of its own for it

    def encode(text: str) -> Sequence[int]:
        ids: Sequence[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    return _guarded(encode, encoding.shown, nfc=nfc)


def _read(encoding: Encoding, path: Path) -> bytes:
    try:
        return _read_bounded(path)
    except InputError as error:
        raise _absent(encoding, error.message) from error


def _read_bounded(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError("input", f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError("input", f"{path} has more than {MAX_FILE_BYTES} bytes")
    return data


def _ranks(data: bytes) -> list[bytes]:
    """Return the tokens of a file of `base64 rank` lines, which holds every rank once."""
    by_rank: dict[int, bytes] = {}
    for line in data.splitlines():
        if line:
            token, _, rank = line.partition(b" ")
            by_rank[int(rank)] = base64.b64decode(token, validate=True)
    return [by_rank[rank] for rank in range(len(by_rank))]


def _tekken(data: bytes) -> list[bytes]:
    """Return the tokens in use of a file `tekken.json`: what special ones leave of the size."""
    document = json.loads(data)
    config = document["config"]
    count = config["default_vocab_size"] - config["default_num_special_tokens"]
    return [
        base64.b64decode(row["token_bytes"], validate=True) for row in document["vocab"][:count]
    ]


def _byte_level(vocab: dict[str, int]) -> dict[bytes, int]:
    """Return ranks of the tokens that are bytes; others are names of special ones."""
    return {
        bytes(_BYTE_OF[letter] for letter in token): rank
        for token, rank in vocab.items()
        if all(letter in _BYTE_OF for letter in token)
    }


def _needs_nfc(encoding: Encoding, document: dict[str, Any]) -> bool:
    """Return whether a text is composed first; refuse what is no byte-level byte-pair coding."""
    model, normalizer = document["model"], document.get("normalizer")
    if model.get("type") != "BPE" or model.get("byte_fallback") or model.get("dropout"):
        raise _absent(encoding, "its model is no byte-level byte-pair coding")
    if normalizer not in _NO_NORMALIZER and normalizer != _NFC:
        raise _absent(encoding, "its tokenizer changes a text before it counts")
    if not _is_byte_level(document.get("pre_tokenizer")):
        raise _absent(encoding, "its pre-tokenizer is not split and byte level alone")
    return bool(normalizer == _NFC)


def _is_byte_level(pre_tokenizer: object) -> bool:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return True
        case {"type": "Sequence", "pretokenizers": [*splits, last]}:
            return _is_byte_level(last) and all(
                isinstance(split, dict) and split.get("type") == "Split" for split in splits
            )
        case _:
            return False


def _check(encoding: Encoding, found: bytes) -> None:
    if found != encoding.vocabulary:
        raise RecountError(
            "wrong-vocabulary",
            f"{encoding.name}: the vocabulary found has the hash {found.hex()}, "
            f"not {encoding.vocabulary.hex()}",
        )


def _guarded(
    encode: Callable[[str], Sequence[int]], shown: tuple[str, ...], *, nfc: bool
) -> Engine:
    """Return what counts texts, except those that may stand for several counts (TOK-9)."""

    def count(text: str) -> int | None:
        if nfc and not unicodedata.is_normalized("NFC", text):
            return None
        if any(name in text for name in shown) or _is_spacious(text):
            return None
        return len(encode(text))

    return count


def _is_spacious(text: str) -> bool:
    return len(text) > MAX_SPACES and any(
        found.end() - found.start() > MAX_SPACES for found in _SPACES.finditer(text)
    )


def _absent(encoding: Encoding, why: str) -> RecountError:
    return RecountError("no-tokenizer", f"{encoding.name}: {why}")
