"""A small C2SP witness on loopback, independent of the library that it tests.

It keeps what it cosigned in a file, checks signatures and consistency proofs by code
of its own, and can be told to misbehave.
"""

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Handler = http.server.BaseHTTPRequestHandler
Misbehave = Callable[[Handler, bytes], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the witness."""

    status: int
    body: bytes = b""
    kind: str = "text/plain"


class Witness:
    """One witness for one log."""

    def __init__(self, state: Path, name: str, origin: str, log_key: bytes, clock: Any) -> None:
        """Remember in a file.

        Args:
            state: the file; may be there from an earlier run.
            name: key name.
            origin: origin of the log that it knows.
            log_key: its Ed25519 key, 32 bytes.
            clock: the time in milliseconds.
        """
        self.name, self.origin, self.clock = name, origin, clock
        self._state, self._log_key = state, Ed25519PublicKey.from_public_bytes(log_key)
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        self._lock = threading.Lock()
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._key_id = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
        self.vkey = f"{name}+{self._key_id.hex()}+{base64.b64encode(bytes([4]) + public).decode()}"
        self.requests: list[tuple[int, int]] = []  # old size and status of each

    @property
    def size(self) -> int:
        """Leaves that it cosigned last."""
        return int(self._load()[0])

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer a request as the specification has it."""
        old, proof, text, signatures = self._parse(body)
        with self._lock:
            reply = self._decide(old, proof, text, signatures)
        self.requests.append((old, reply.status))
        return reply

    def cosign(self, text: str, *, time: int | None = None, name: str | None = None) -> bytes:
        """Return a cosignature line over any text."""
        at = self.clock() // 1000 if time is None else time
        message = f"cosignature/v1\ntime {at}\n{text}".encode()
        raw = self._key_id + at.to_bytes(8, "big") + self._key.sign(message)
        return f"— {name or self.name} {base64.b64encode(raw).decode()}\n".encode()

    def _parse(self, body: bytes) -> tuple[int, list[bytes], str, list[tuple[str, bytes]]]:
        head, _, rest = body.decode().partition("\n\n")
        first, *hashes = head.split("\n")
        assert first.startswith("old ")
        assert str(int(first[4:])) == first[4:]
        assert len(hashes) <= 63
        text, _, lines = rest.partition("\n\n")
        assert lines.endswith("\n")
        pairs = [line.split(" ") for line in lines[:-1].split("\n")]
        assert all(pair[0] == "—" for pair in pairs)
        signatures = [(name, base64.b64decode(data, validate=True)) for _, name, data in pairs]
        proof = [base64.b64decode(line, validate=True) for line in hashes]
        return int(first[4:]), proof, text + "\n", signatures

    def _decide(
        self, old: int, proof: list[bytes], text: str, signatures: list[tuple[str, bytes]]
    ) -> Reply:
        origin, count, root64, end = text.split("\n")
        size, root = int(count), base64.b64decode(root64, validate=True)
        assert end == ""
        if origin != self.origin:
            return Reply(404)
        if not any(name == origin and self._signed(text, data[4:]) for name, data in signatures):
            return Reply(403)
        return Reply(400) if old > size else self._extend(old, proof, text, (size, root))

    def _extend(self, old: int, proof: list[bytes], text: str, new: tuple[int, bytes]) -> Reply:
        size, root = new
        last_size, last_root = self._load()
        if old != last_size:
            return Reply(409, f"{last_size}\n".encode(), "text/x.tlog.size")
        if old == size and root != last_root:
            return Reply(409)
        good = not proof if old in (0, size) else consistent(old, last_root, size, root, proof)
        if not good:
            return Reply(422)
        self._state.write_text(json.dumps([size, root.hex()]))
        return Reply(200, self.cosign(text))

    def _signed(self, text: str, signature: bytes) -> bool:
        try:
            self._log_key.verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True

    def _load(self) -> tuple[int, bytes]:
        if not self._state.exists():
            return 0, b""
        size, root = json.loads(self._state.read_text())
        return size, bytes.fromhex(root)


def consistent(m: int, first: bytes, n: int, second: bytes, proof: list[bytes]) -> bool:
    """Return whether a proof leads from one root to the other: RFC 9162, 2.1.4.2."""

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    path = [first, *proof] if m & (m - 1) == 0 else list(proof)
    if not path:
        return False
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for item in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(item, fr), node(item, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, item)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr, sn) == (first, second, 0)


class WitnessServer:
    """A witness behind HTTP on loopback, for as long as a `with` lasts.

    Attributes:
        witness: who answers.
        misbehave: what is done with a connection instead, once the request was read.
        url: submission prefix.
        asked: requests that came in.
    """

    def __init__(self, witness: Witness, *, prefix: str = "/w") -> None:
        self.witness = witness
        self.misbehave: Misbehave | None = None
        self.asked = 0
        self._prefix = prefix
        outer = self

        class _Handler(Handler):
            def do_POST(self) -> None:
                outer.asked += 1
                outer.serve(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, handler: Handler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if self.misbehave is not None:
            self.misbehave(handler, body)
            return
        right = handler.path == f"{self._prefix}/add-checkpoint"
        reply = self.witness.add_checkpoint(body) if right else Reply(404)
        send(handler, reply)

    @property
    def line(self) -> str:
        """The `witness` line of this witness in a policy."""
        return f"witness {self.witness.name} {self.witness.vkey} {self.url}\n"


def send(handler: Handler, reply: Reply) -> None:
    """Send an answer."""
    handler.send_response(reply.status)
    handler.send_header("content-type", reply.kind)
    handler.send_header("content-length", str(len(reply.body)))
    handler.end_headers()
    handler.wfile.write(reply.body)
