"""nous-v2: the records of the existing protocol, checked as its code wrote them."""

import json
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from vectors.generate.rules.checks import MAX_UINT, reject, require
from vectors.generate.rules.curve import P256
from vectors.generate.rules.primitives import sha256

TEXTS = ("timestamp", "user_hash", "provider", "model")
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)
TIMESTAMP = re.compile(r"\d{4}-(\d\d)-(\d\d)T([01]\d|2[0-3])(:[0-5]\d){2}\.\d{3}Z", re.ASCII)
USER_HASH = re.compile(r"[0-9a-f]{32}")
SIGNATURE = re.compile(r"[0-9a-f]{128}")
MEMBERS = ("id", *TEXTS, *COUNTS, "leaf_hash", "receipt_sig")
MAX_TEXT = 4_096
SEPARATORS = 8
Row = dict[str, Any]


def preimage(row: Row) -> str:
    """Return the text that the leaf is the hash of."""
    model = row["model"].rpartition("/")[2] if row.get("model") else "unknown"
    parts = [*(row[name] for name in TEXTS[:3]), model, *(str(row[name]) for name in COUNTS)]
    return "|".join(parts)


def leaf(row: Row) -> str:
    """Return the leaf hash in hex."""
    return sha256(preimage(row).encode()).hex()


def bag(peaks: list[str]) -> str:
    """Return the root of peaks: joined left to right by a bar; no count, no domain tag."""
    if not peaks:
        return ""
    return peaks[0] if len(peaks) == 1 else sha256("|".join(peaks).encode()).hex()


def peaks_of(leaves: list[str]) -> list[str]:
    """Return the peaks after appending the leaves one by one."""
    peaks: list[tuple[int, str]] = []
    for item in leaves:
        height, node = 0, item
        while peaks and peaks[-1][0] == height:
            height, node = height + 1, _node(peaks.pop()[1], node)
        peaks.append((height, node))
    return [node for _, node in peaks]


def verify_row(row: Row, key: tuple[int, int], original: str | None = None) -> None:
    """Refuse a record; the first rule that does not hold gives the code."""
    row = {"model": None} | {name: row[name] for name in MEMBERS if name in row}
    require(len(row) == len(MEMBERS), "legacy-format")
    for name in ("leaf_hash", "receipt_sig"):
        require(isinstance(row[name], str), "legacy-format")
    for text in row.values():
        if isinstance(text, str):
            require(len(text) <= MAX_TEXT, "legacy-format")
            require(not any("\ud800" <= char <= "\udfff" for char in text), "legacy-format")
    require(type(row["id"]) is int and 0 <= row["id"] <= MAX_UINT, "legacy-format")
    code = "legacy-type-confused"
    row["model"] = row["model"] if row["model"] is not None else "unknown"
    require(all(isinstance(row[name], str) for name in TEXTS), code)
    require(_is_time(row["timestamp"]), code)
    require(USER_HASH.fullmatch(row["user_hash"]), code)
    for name in COUNTS:
        require(type(row[name]) is int and 0 <= row[name] <= MAX_UINT, code)
    require(leaf(row) == row["leaf_hash"], "legacy-leaf")
    require(preimage(row).count("|") == SEPARATORS, "legacy-ambiguous")
    require(row["receipt_sig"], "legacy-unsigned")
    verify_signature(row["leaf_hash"], row["receipt_sig"], key)
    if original is not None and original != row["receipt_sig"]:
        flipped = P256.n - int(row["receipt_sig"][64:], 16)
        same = original == row["receipt_sig"][:64] + f"{flipped:064x}"
        require(not same, "legacy-malleated")


def _is_time(text: str) -> bool:
    """Say whether a text is a time of a day that exists."""
    found = TIMESTAMP.fullmatch(text)
    year, month, day = (int(part) for part in text[:10].split("-")) if found else (0, 0, 0)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = {2: 28 + leap, 4: 30, 6: 30, 9: 30, 11: 30}
    return 1 <= month <= 12 and 1 <= day <= days.get(month, 31)


def summary_bytes(summary: Row) -> bytes:
    """Return what a summary's signature is over: compact JSON in this order of members."""
    rows = [
        {name: row[name] for name in ("provider", "model", "tokens", "calls")}
        for row in summary["models"]
    ]
    members = {name: summary[name] for name in ("p", "v", "type", "user")}
    members |= {name: summary[name] for name in ("total_tokens", "total_calls")}
    members |= {"models": rows, "ts": summary["ts"]}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def verify_summary(summary: Row, signature: str, key: tuple[int, int]) -> None:
    """Refuse a summary that the key did not sign."""
    require(signature, "legacy-unsigned")
    verify_signature(summary_bytes(summary).decode(), signature, key)


def verify_signature(leaf_hex: str, signature: str, key: tuple[int, int]) -> None:
    """Refuse unless the P-256 key signed the 64 ASCII bytes of the leaf."""
    code = "legacy-signature"
    require(SIGNATURE.fullmatch(signature), code)
    r, s = int(signature[:64], 16), int(signature[64:], 16)
    require(0 < r < P256.n and 0 < s < P256.n, code)
    public = ec.EllipticCurvePublicNumbers(*key, ec.SECP256R1()).public_key()
    der = utils.encode_dss_signature(r, s)
    try:
        public.verify(der, leaf_hex.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        reject(code)


def verify_root(leaves: list[str], root: str, count: int) -> None:
    """Refuse a root that exactly `count` leaves do not give."""
    expected = bag(peaks_of(leaves))
    require(count == len(leaves), "legacy-root")
    require(root == expected or (not count and root == "empty"), "legacy-root")


def path_of(leaves: list[str], index: int) -> tuple[list[str], int]:
    """Return the siblings from a leaf to its peak, and which peak that is."""
    count, first, number = len(leaves), 0, 0
    for height in reversed(range(count.bit_length())):
        size = 1 << height
        if count & size:
            if index < first + size:
                return _siblings(leaves[first : first + size], index - first), number
            first, number = first + size, number + 1
    raise AssertionError  # an index beyond the leaves


def _siblings(level: list[str], index: int) -> list[str]:
    """Return the siblings on the way up a perfect tree."""
    path = []
    while len(level) > 1:
        path.append(level[index ^ 1])
        level = [_node(*level[at : at + 2]) for at in range(0, len(level), 2)]
        index >>= 1
    return path


def _node(left: str, right: str) -> str:
    """Return the hash of two nodes."""
    return sha256(f"{left}|{right}".encode()).hex()


def verify_inclusion(
    leaf_hash: str, where: tuple[int, int], path: list[str], peaks: list[str], root: str
) -> None:
    """Refuse a path that does not lead to its peak, or peaks that do not lead to the root."""
    index, count = where
    require(index < count, "legacy-format")
    shape, number = path_of([""] * count, index)
    require(len(peaks) == count.bit_count() and len(path) == len(shape), "legacy-format")
    position = index - sum(size for size in _sizes(count)[:number])
    node = leaf_hash
    for sibling in path:
        node = _node(sibling, node) if position & 1 else _node(node, sibling)
        position >>= 1
    require(node == peaks[number] and bag(peaks) == root, "legacy-root")


def _sizes(count: int) -> list[int]:
    """Return the leaves of each mountain, tallest first."""
    return [1 << h for h in reversed(range(count.bit_length())) if count >> h & 1]


def verify_snapshot(leaves: list[str], root: str, count: int) -> int:
    """Return how many leaves a root does not cover; it may be of another moment."""
    require(count <= len(leaves), "stale")
    verify_root(leaves[:count], root, count)
    return len(leaves) - count


def verify_set(rows: list[Row]) -> None:
    """Refuse rows that share a leaf in a way that leaves open which one was meant."""
    for at, row in enumerate(rows):
        for other in rows[at + 1 :]:
            if row["leaf_hash"] == other["leaf_hash"]:
                ours, theirs = row["receipt_sig"], other["receipt_sig"]
                require(ours != theirs, "legacy-ambiguous")
                require(ours[:64] != theirs[:64], "legacy-malleated")
