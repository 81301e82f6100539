"""A nous-v2 gateway on loopback, with the records that one really made; and its liars."""

import base64
import copy
import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_DATA = Path(__file__).parents[2] / "data" / "nous_v2_basic.json"
BASIC: dict[str, Any] = json.loads(_DATA.read_text("utf-8"))
FIELDS = (
    "timestamp",
    "user_hash",
    "provider",
    "model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)
Row = dict[str, Any]


def gateway_key() -> EllipticCurvePrivateKey:
    """The private key of the gateway that made the records."""
    text = BASIC["gateway_private_jwk_TEST_ONLY"]["d"]
    return derive_private_key(int.from_bytes(_from_base64url(text), "big"), SECP256R1())


def rows(count: int = 21) -> list[Row]:
    """The first records of the gateway, as its API serves them."""
    found: list[Row] = copy.deepcopy(BASIC["records"][:count])
    for row in found:
        row.pop("leaf_preimage", None)
    return found


def remade(row: Row, **changes: Any) -> Row:
    """A record with other fields, a leaf that fits them, and a signature over it."""
    new = {**row, **changes}
    leaf = hashlib.sha256("|".join(str(new[name]) for name in FIELDS).encode()).hexdigest()
    return {**new, "leaf_hash": leaf, "receipt_sig": sign(leaf)}


def sign(leaf: str) -> str:
    r, s = decode_dss_signature(gateway_key().sign(leaf.encode(), ECDSA(SHA256())))
    return f"{r:064x}{s:064x}"


def root(leaves: list[str]) -> str:
    """The root by the gateway's own rules, as the API serves it."""
    peaks: list[tuple[int, str]] = []
    for leaf in leaves:
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            joined = f"{peaks.pop()[1]}|{node}"
            node, height = hashlib.sha256(joined.encode()).hexdigest(), height + 1
        peaks.append((height, node))
    hashes = [node for _, node in peaks]
    if len(hashes) < 2:
        return hashes[0] if hashes else "empty"
    return hashlib.sha256("|".join(hashes).encode()).hexdigest()


class Gateway:
    """What the gateway holds.

    Attributes:
        rows: its records.
        key: what it states as its key.
        chain: what it states as its chain; None for the one of its records.
        answers: answers in place of its own, by path.
        between: called after each answer with the path.
        asked: paths that were asked for, with their queries.
    """

    def __init__(self, records: list[Row] | None = None) -> None:
        self.rows = rows() if records is None else records
        self.key: dict[str, Any] = BASIC["pubkey_response"]
        self.chain: tuple[str, int] | None = None
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.between: Callable[[str], None] = lambda _path: None
        self.asked: list[str] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/api/pubkey":
            return self.key
        if path == "/api/chain":
            leaves = [row["leaf_hash"] for row in self.rows]
            stated, count = self.chain or (root(leaves), len(leaves))
            data = {"merkle_root": stated, "leaf_count": count, "peak_count": count.bit_count()}
            return {"ok": True, "data": data}
        after, limit = int(query["after"][0]), int(query["limit"][0])
        page = [row for row in self.rows if row["id"] > after][:limit]
        # As the gateway has it: an exactly full last page says that there is more.
        return {"ok": True, "data": page, "has_more": len(page) == limit}


class GatewayServer:
    """A gateway behind HTTP on loopback, for as long as a `with` lasts."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

        class _Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # in two pieces, each answer would wait for an acknowledgement

            def do_GET(self) -> None:
                gateway.asked.append(self.path)
                parts = urlsplit(self.path)
                other = gateway.answers.get(parts.path)
                if other is not None:
                    other(self)
                else:
                    send_json(self, gateway.answer(parts.path, parse_qs(parts.query)))
                gateway.between(parts.path)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def send_json(handler: http.server.BaseHTTPRequestHandler, answer: Any) -> None:
    send_bytes(handler, json.dumps(answer).encode())


def send_bytes(handler: http.server.BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
