"""RPC servers that misbehave: a proxy before a real node that drops, delays or alters answers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Tamper = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None]
"""Gets a request and the node's answer; returns the answer to give, or None to drop it."""


def honest(_request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return answer


class Proxy:
    """A server in front of a node.

    Attributes:
        tamper: what it does to answers; may be changed while it runs.
        methods: what it was asked for, in order.
    """

    def __init__(self, port: int) -> None:
        self.tamper: Tamper = honest
        self.methods: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                proxy.methods.append(request["method"])
                node = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                node.request("POST", "/", body, {"Content-Type": "application/json"})
                answer = proxy.tamper(request, json.loads(node.getresponse().read()))
                node.close()
                self.close_connection = True
                if answer is None:
                    return  # the connection ends without an answer
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def proxied(port: int, tamper: Tamper = honest) -> Iterator[Proxy]:
    """Run a proxy before the node on a port."""
    proxy = Proxy(port)
    proxy.tamper = tamper
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def dropping(*methods: str) -> Tamper:
    """Let the node do what was asked, and never tell."""

    def tamper(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
        return None if request["method"] in methods else answer

    return tamper


def lying_about_blocks(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Say that transactions stand in blocks that do not exist."""
    if request["method"] == "eth_getTransactionReceipt" and answer.get("result"):
        answer["result"]["blockHash"] = "0x" + "66" * 32
    if request["method"] == "eth_getBlockByNumber" and answer.get("result"):
        answer["result"]["hash"] = "0x" + "66" * 32
    return answer


def denying_receipts(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Say that no transaction was ever mined."""
    if request["method"] == "eth_getTransactionReceipt":
        answer["result"] = None
    return answer
