"""A server on loopback that answers as it is told, well or badly."""

import socket
import threading
from types import TracebackType
from typing import Self


class Answering:
    """Takes connections one after the other and gives each the same bytes.

    Attributes:
        url: its base URL.
        requests: what it was sent, request by request.
    """

    def __init__(self, answer: bytes, *, hold: bool = False) -> None:
        """Prepare to answer.

        Args:
            answer: everything that is sent.
            hold: keep the connection open and silent afterwards.
        """
        self._answer = answer
        self._hold = hold
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        with socket.create_connection(self._listener.getsockname()):
            pass  # so that `accept` returns
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._ended.is_set():
                    return
                self.requests.append(connection.recv(65_536))
                try:
                    connection.sendall(self._answer)
                except OSError:
                    continue  # the client had enough
                if self._hold:
                    self._ended.wait(30)


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer with its length."""
    fields = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers)
    return "".join(f"{field}\r\n" for field in fields).encode("latin-1") + b"\r\n" + body
