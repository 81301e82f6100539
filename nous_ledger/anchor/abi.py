"""Calls, answers and errors of the anchor contract in the EVM's call encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.errors import AnchorUseError, ChainError
from nous_ledger.protocol.hashing import keccak256

SELECTOR: Final = 4
_PANIC: Final = bytes.fromhex("4e487b71")
_MESSAGE: Final = bytes.fromhex("08c379a0")


def encode_call(function: str, *args: object) -> bytes:
    """Return the calldata of a call: selector and arguments.

    Args:
        function: its name.
        args: Python values; structs as tuples.

    Raises:
        AnchorUseError: extra-missing.
    """
    entry = _entries("function")[function]
    types = [_type_of(parameter) for parameter in entry["inputs"]]
    encoded: bytes = _library().encode(types, args)
    return selector_of(entry) + encoded


def decode_result(function: str, data: bytes, name: str) -> tuple[Any, ...]:
    """Return what a call gave back.

    Args:
        function: its name.
        data: the answer.
        name: of the server, for messages.

    Raises:
        AnchorUseError: extra-missing.
        ChainError: rpc-unreachable, if it is not of the declared types.
    """
    types = [_type_of(parameter) for parameter in _entries("function")[function]["outputs"]]
    library = _library()
    try:
        return tuple(library.decode(types, data))
    except (library.exceptions.DecodingError, OverflowError, ValueError) as error:
        raise ChainError(
            "rpc-unreachable", f"{name} answered a call with something else"
        ) from error


def error_name(data: bytes) -> str:
    """Return the name of the contract's error in a revert; empty for none of them."""
    entry = _errors().get(data[:SELECTOR])
    return "" if entry is None else str(entry["name"])


def describe_revert(data: bytes) -> str:
    """Return an error of the contract as text, with its arguments.

    Raises:
        AnchorUseError: extra-missing.
    """
    library = _library()
    entry = _errors().get(data[:SELECTOR])
    try:
        if entry is not None:
            types = [_type_of(parameter) for parameter in entry["inputs"]]
            values = library.decode(types, data[SELECTOR:])
            pairs = zip(entry["inputs"], values, strict=True)
            shown = ", ".join(f"{parameter['name']}={_shown(value)}" for parameter, value in pairs)
            return f"{entry['name']}({shown})"
        if data[:SELECTOR] == _MESSAGE:
            return str(library.decode(["string"], data[SELECTOR:])[0])[:200]
    except (library.exceptions.DecodingError, OverflowError, ValueError):
        pass
    return f"reverted with 0x{data[:68].hex()}" if data else "reverted without a reason"


def selector_of(entry: Mapping[str, Any]) -> bytes:
    """Return the first 4 bytes of the hash of a signature."""
    types = ",".join(_type_of(parameter) for parameter in entry["inputs"])
    return keccak256(f"{entry['name']}({types})".encode("ascii"))[:SELECTOR]


@lru_cache(maxsize=4)
def _entries(kind: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in load_artifact().abi if entry["type"] == kind}


@lru_cache(maxsize=1)
def _errors() -> dict[bytes, dict[str, Any]]:
    return {selector_of(entry): entry for entry in _entries("error").values()}


def _type_of(parameter: Mapping[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    members: Sequence[Mapping[str, Any]] = parameter["components"]
    return f"({','.join(map(_type_of, members))}){kind.removeprefix('tuple')}"


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _library() -> ModuleType:
    try:
        import eth_abi  # noqa: PLC0415 - it takes long to load, and only writers need it
        import eth_abi.exceptions  # noqa: PLC0415
    except ImportError as error:
        raise AnchorUseError("extra-missing", "eth-abi is not installed") from error
    return eth_abi
