"""The transport hooks of httpx and httpx2, for threads and for tasks, over real sockets."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.gateway.recording import ContentFolder
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.protocol.hashing import commit_request, commit_response
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.registries import METERING
from nous_ledger.protocol.verify import verify_bundle
from tests.architecture.repository import ROOT
from tests.integration.embed_program import CHAT, Program, upstream
from tests.integration.embedding import (
    A_STREAM,
    EVENTS,
    REQUEST,
    WHOLE,
    Heard,
    only_receipt,
)
from tests.integration.gateway.rig import (
    RawUpstream,
    answer,
    counts,
    says,
    status,
)


@pytest.fixture(params=["httpx", "httpx2", "httpx async", "httpx2 async"])
def program(request: pytest.FixtureRequest) -> Program:
    library, _, kind = request.param.partition(" ")
    return Program(library, bool(kind))


@pytest.fixture
def log(folder: Path) -> Iterator[Ledger]:
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


def test_a_whole_answer(log: Ledger, program: Program) -> None:
    heard = Heard()
    with upstream(says(answer(WHOLE, headers=("x-request-id: req-1",)))) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url}, on_receipt=heard)
        assert program.run(writer, url + CHAT) == WHOLE
    receipt = only_receipt(log)
    assert (status(receipt), receipt.http_status) == ("complete", 200)
    assert sorted(counts(receipt).values(), key=str) == [1, 8]
    assert receipt.provider_total == 9
    assert (receipt.model_requested, receipt.model_served) == ("gpt-demo", "gpt-demo-1")
    assert (receipt.provider, receipt.provider_request_id) == ("custom", "req-1")
    assert receipt.subject == log.subject(2, b"sk-made-up")
    (opening,) = heard.openings
    assert receipt.request_commitment == commit_request(opening, REQUEST)
    assert receipt.response_commitment == commit_response(opening, WHOLE)
    assert heard.logged[0].receipt == receipt


def test_a_stream(log: Ledger, program: Program) -> None:
    heard = Heard()
    with upstream(says(A_STREAM)) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url}, on_receipt=heard)
        assert program.run(writer, url + CHAT) == b"".join(EVENTS)
    receipt = only_receipt(log)
    assert (status(receipt), receipt.streamed) == ("complete", 1)
    assert receipt.metering == METERING["final"]
    assert receipt.provider_total == 9
    assert receipt.response_commitment == commit_response(heard.openings[0], b"".join(EVENTS))


def test_content_codings_are_taken_off(log: Ledger, program: Program) -> None:
    heard = Heard()
    packed = answer(gzip.compress(WHOLE), headers=("Content-Encoding: gzip",))
    headers = {"content-encoding": "gzip", "accept-encoding": "br, gzip, zstd"}
    with RawUpstream(says(packed)) as running:
        writer = ReceiptWriter(log, upstreams={"openai": running.url}, on_receipt=heard)
        request = gzip.compress(REQUEST)
        assert program.run(writer, running.url + CHAT, content=request, headers=headers) == WHOLE
        (seen,) = running.seen
    assert seen.body == request
    assert seen.values("accept-encoding") == ["gzip"]
    receipt = only_receipt(log)
    assert receipt.request_commitment == commit_request(heard.openings[0], REQUEST)
    assert receipt.response_commitment == commit_response(heard.openings[0], WHOLE)
    assert receipt.provider_total == 9


def test_a_coding_that_cannot_be_taken_off_costs_the_count_and_not_the_receipt(
    log: Ledger, program: Program
) -> None:
    packed = answer(b"\x0b\x02\x80", headers=("Content-Encoding: zstd-2",))
    with upstream(says(packed)) as url:
        got = program.run(ReceiptWriter(log, upstreams={"openai": url}), url + CHAT)
    assert got == b"\x0b\x02\x80"
    receipt = only_receipt(log)
    assert (receipt.response_commitment, receipt.metering) == (None, METERING["none"])


def test_header_fields_pass_as_they_are(log: Ledger) -> None:
    hook, library = Program("httpx2", is_async=False)._modules()
    fields = ("Set-Cookie: a=1", "Set-Cookie: b=2", "X-Odd: caf\xe9")
    with (
        upstream(says(answer(WHOLE, headers=fields))) as url,
        library.Client() as bare,
        library.Client(
            transport=hook.Transport(ReceiptWriter(log, upstreams={"openai": url}))
        ) as hooked,
    ):
        plain, seen = (client.post(url + CHAT, content=REQUEST) for client in (bare, hooked))
    assert seen.headers.raw == plain.headers.raw
    assert (seen.http_version, seen.reason_phrase) == (plain.http_version, plain.reason_phrase)
    assert status(only_receipt(log)) == "complete"


def test_content_is_kept(log: Ledger, program: Program, tmp_path: Path) -> None:
    with upstream(says(A_STREAM)) as url:
        keeper = ContentFolder(tmp_path / "calls")
        program.run(ReceiptWriter(log, upstreams={"openai": url}, recorder=keeper), url + CHAT)
    (kept,) = (tmp_path / "calls").iterdir()
    opening = bytes.fromhex((kept / "opening.hex").read_text())
    receipt = only_receipt(log)
    assert commit_request(opening, (kept / "request.body").read_bytes()) == (
        receipt.request_commitment
    )
    assert commit_response(opening, (kept / "response.body").read_bytes()) == (
        receipt.response_commitment
    )


@pytest.mark.parametrize("target", ["/v1/models", "/v2/elsewhere", "/"])
def test_what_is_no_call_passes_untouched(log: Ledger, program: Program, target: str) -> None:
    with RawUpstream(says(answer(b"[]"))) as running:
        writer = ReceiptWriter(log, upstreams={"openai": running.url})
        headers = {"accept-encoding": "br"}
        got = program.run(writer, running.url + target, method="GET", content=None, headers=headers)
        assert got == b"[]"
        assert running.seen[0].values("accept-encoding") == ["br"]
    assert not [row for row in log.receipts() if row.receipt]
    assert not log.open_intents()


def test_a_place_that_is_not_configured_is_none(log: Ledger, program: Program) -> None:
    with upstream(says(answer(WHOLE))) as url:
        assert program.run(ReceiptWriter(log), url + CHAT) == WHOLE
    assert not [row for row in log.receipts() if row.receipt]


def test_calls_that_nobody_ended_get_receipts_when_the_writer_closes(log: Ledger) -> None:
    hook, library = Program("httpx2", is_async=False)._modules()
    with upstream(says(A_STREAM)) as url:
        with ReceiptWriter(log, upstreams={"openai": url}) as writer:
            transport = hook.Transport(writer)
            response = transport.handle_request(
                library.Request("POST", url + CHAT, content=REQUEST)
            )
            assert len(log.open_intents()) == 1
        response.close()
        transport.close()
    assert status(only_receipt(log)) == "gateway_interrupted"


def test_no_call_without_its_draft(log: Ledger, program: Program) -> None:
    log.close()
    with RawUpstream(says(answer(WHOLE))) as running:
        writer = ReceiptWriter(log, upstreams={"openai": running.url})
        with pytest.raises(LedgerUseError):
            program.run(writer, running.url + CHAT)
        assert running.seen == []
        assert writer.failures == 1
        open_writer = ReceiptWriter(log, upstreams={"openai": running.url}, fail_open=True)
        assert program.run(open_writer, running.url + CHAT) == WHOLE
        assert open_writer.failures == 2


def test_a_callback_that_fails_costs_nothing(log: Ledger, program: Program) -> None:
    def fails(*_: object) -> None:
        raise ValueError

    with upstream(says(answer(WHOLE))) as url:
        writer = ReceiptWriter(log, upstreams={"openai": url}, on_receipt=fails)
        assert program.run(writer, url + CHAT) == WHOLE
    assert status(only_receipt(log)) == "complete"


def test_the_example_counts_what_the_sdk_counts(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    output = subprocess.run(
        [sys.executable, ROOT / "examples/embed_httpx.py", folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.count("SDK: ") == 2
    with Ledger.open(folder / "ledger", read_only=True) as ledger:
        receipts = [row.receipt for row in ledger.receipts() if row.receipt]
    for receipt in receipts:
        used = counts(receipt)
        inputs = used["input_uncached"] or 0
        outputs = (receipt.provider_total or 0) - inputs
        assert f"SDK: {inputs} in, {outputs} out" in output
        assert inputs * outputs > 0
    policy = parse_policy((folder / "policy.txt").read_bytes())
    for number in (1, 2):
        proof = (folder / f"receipt-{number}.tlog-proof").read_bytes()
        assert verify_bundle(proof, policy).exit_code() == 0
        assert len(bytes.fromhex((folder / f"opening-{number}.hex").read_text())) == 32
