r"""A proxy of one's own, made with Starlette, that writes a receipt of every call.

    python examples/embed_asgi.py FOLDER [BASE_URL]

Makes a log in FOLDER if there is none and serves http://127.0.0.1:8790/openai/v1,
before an OpenAI-compatible server at BASE_URL; without that a stand-in on this machine
answers. Then, in another shell:

    curl http://127.0.0.1:8790/openai/v1/chat/completions -i \
      -H 'authorization: Bearer sk-made-up' -H 'content-type: application/json' \
      -d '{"model": "gpt-demo", "messages": [{"role": "user", "content": "Hi"}]}'
"""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.embed.asgi import ReceiptMiddleware
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.ledger import Ledger

PASSED_ON = ("authorization", "content-type", "accept", "accept-encoding")
PASSED_BACK = ("content-type", "content-encoding", "x-request-id")


def make_proxy(base_url: str) -> Starlette:
    """Return a proxy that knows nothing of receipts."""

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(base_url=base_url, timeout=600) as client:
            app.state.client = client
            yield

    async def forward(request: Request) -> Response:
        client: httpx2.AsyncClient = request.app.state.client
        asked = client.build_request(
            request.method,
            f"/{request.path_params['path']}",
            content=await request.body(),
            headers={name: request.headers[name] for name in PASSED_ON if name in request.headers},
        )
        answer = await client.send(asked, stream=True)
        return StreamingResponse(
            answer.aiter_raw(),
            answer.status_code,
            {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers},
            background=BackgroundTask(answer.aclose),
        )

    routes = [Route("/openai/{path:path}", forward, methods=["GET", "POST"])]
    return Starlette(routes=routes, lifespan=life)


def with_receipts(proxy: Starlette, writer: ReceiptWriter) -> ReceiptMiddleware:
    """Return the proxy with a receipt for every call below /openai."""
    return ReceiptMiddleware(proxy, writer, mounts={"/openai": "openai"})


def open_log(folder: Path) -> Ledger:
    """Return the log, made if it is not there; its next key belongs on another machine."""
    if (folder / "ledger").exists():
        return Ledger.open(folder / "ledger")
    folder.mkdir(parents=True, exist_ok=True)
    return Ledger.create(folder / "ledger", next_key_out=folder / "next.key")


def main(folder: Path, base_url: str) -> None:
    """Serve until interrupted."""
    with (
        open_log(folder) as ledger,
        ReceiptWriter(ledger, upstreams={"openai": base_url}) as writer,
    ):
        uvicorn.run(with_receipts(make_proxy(base_url), writer), host="127.0.0.1", port=8790)


if __name__ == "__main__":
    with contextlib.ExitStack() as exits:
        url = sys.argv[2] if len(sys.argv) > 2 else exits.enter_context(DemoUpstream()).url
        main(Path(sys.argv[1]), url)
