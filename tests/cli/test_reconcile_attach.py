"""`nous-ledger reconcile attach`: evidence from folders and logs, for a real ledger."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from nous_ledger.gateway.recording import ContentFolder
from nous_ledger.ledger import Appended, Ledger
from nous_ledger.protocol.hashing import commit_request, commit_response, opening_hash
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from tests.cli.harness import Call
from tests.cli.sample import START_MS, Clock, make_draft

MINI = "gpt-4o-mini-2024-07-18"
ANSWER = "A log is a list that only grows: what stands in it stays."
TOKENS = 15  # of ANSWER by o200k_base
OPENING = bytes(range(32))
REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a log?"}]}


def response(text: str = ANSWER, **changes: Any) -> dict[str, Any]:
    """Return a chat completion."""
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "model": MINI,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": 12 + TOKENS},
    } | changes


def stream(text: str = ANSWER) -> bytes:
    """Return the same answer as events."""
    chunks = [
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]}
        for piece in (text[:7], text[7:30], text[30:])
    ]
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def unlabelled(reported: int = TOKENS) -> tuple[Bucket, ...]:
    return (
        Bucket(kind=1, reported=12, label=3),
        Bucket(kind=16, reported=reported, label=3),
        Bucket(kind=17, reported=0, label=3),
    )


def draft(number: int, body: bytes, **changes: Any) -> Receipt:
    """Return a receipt whose labels say nothing yet, of a call with REQUEST and this answer."""
    values: dict[str, Any] = {
        "model_requested": "gpt-4o-mini",
        "model_served": MINI,
        "usage": unlabelled(),
        "provider_total": None,
        "provider_request_id": f"req-{number}",
        "request_commitment": commit_request(OPENING, json.dumps(REQUEST).encode()),
        "response_commitment": commit_response(OPENING, body),
    }
    return make_draft(random.Random(number), START_MS + number, **(values | changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A ledger, and its receipts by the name of their case."""

    folder: Path
    logged: dict[str, Appended]

    def later(self, name: str) -> list[tuple[int, int, int | None, str]]:
        """Return label, upper, count and source of what was attached to its visible output."""
        with Ledger.open(self.folder, read_only=True) as ledger:
            ledger.reconciled()
            found = ledger.reconciliations(self.logged[name].index)
        evidence = [] if found is None else [e for e in found.evidence if e.bucket.kind == 16]
        return [(e.bucket.label, e.bucket.upper or 0, e.bucket.count, e.source) for e in evidence]


WHOLE = json.dumps(response()).encode()
CASES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "whole": (WHOLE, {}),
    "streamed": (stream(), {"streamed": 1}),
    "cut short": (WHOLE, {"status": 8}),
    "broken off": (WHOLE, {"status": 3}),
    "tuned": (WHOLE, {"model_served": "ft:gpt-4o-mini:acme::1"}),
    "tools": (WHOLE, {"anomalies": (12,)}),
    "no commitment": (WHOLE, {"request_commitment": None, "response_commitment": None}),
    "other text": (json.dumps(response("Another answer.")).encode(), {}),
}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    logged = {}
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        for number, (name, (body, changes)) in enumerate(CASES.items()):
            receipt = draft(number, body, **changes)
            logged[name] = ledger.append(receipt, opening_hash=opening_hash(OPENING))
    return Made(folder=tmp_path / "ledger", logged=logged)


def keep(folder: Path, receipt: Receipt, body: bytes) -> None:
    """Keep a call as the gateway and embedding programs do."""
    request = json.dumps(REQUEST).encode()
    recording = ContentFolder(folder / "calls").begin(receipt.id, OPENING, request, None)
    recording.response(body[:5])
    recording.response(body[5:])
    recording.end()


@pytest.fixture
def session(tmp_path: Path, made: Made) -> Path:
    """A folder with the text of every call; of one the text of another call."""
    for name, (body, _) in CASES.items():
        keep(tmp_path / "session", made.logged[name].receipt, WHOLE if "other" in name else body)
    return tmp_path / "session"


def test_a_folder_of_calls(nous: Call, made: Made, session: Path) -> None:
    """RCON-4, LBL-6: EXACT where the call allows it, bounds elsewhere, refusals told."""
    found = nous("reconcile", "attach", session, "--ledger", made.folder)
    assert found.code == 1
    assert "commitment-mismatch: the response is not the one" in found.err
    assert "8 rows: evidence for 6 logged, 0 known" in found.out
    assert "not all of the response reached the caller" in found.out
    exact = [(1, TOKENS + 1, TOKENS, "folder/1 checked")]
    assert made.later("whole") == made.later("streamed") == exact
    bounded = [(2, len(ANSWER) + 16, None, "folder/1 checked")]
    for name in ("cut short", "tuned", "tools"):
        assert made.later(name) == bounded, name
    assert made.later("no commitment") == [(1, TOKENS + 1, TOKENS, "folder/1 unchecked")]
    assert made.later("broken off") == made.later("other text") == []


def test_attaching_twice_adds_nothing(nous: Call, made: Made, session: Path) -> None:
    """RCON-5."""
    nous("reconcile", "attach", session, "--ledger", made.folder)
    with Ledger.open(made.folder, read_only=True) as ledger:
        before = ledger.leaf_count()
    again = nous("reconcile", "attach", session, "--ledger", made.folder, "--json")
    assert (again.json["receipts"], again.json["known"]) == (0, 6)
    with Ledger.open(made.folder, read_only=True) as ledger:
        assert ledger.leaf_count() == before


def test_a_dry_run_logs_nothing(nous: Call, made: Made, session: Path) -> None:
    with Ledger.open(made.folder, read_only=True) as ledger:
        before = ledger.leaf_count()
    found = nous("reconcile", "attach", session, "--ledger", made.folder, "--dry-run", "--json")
    assert found.code == 1
    assert (found.json["receipts"], found.json["records"]) == (6, None)
    assert found.json["unchecked"] == 1
    methods = {item["method"] for item in found.json["buckets"]}
    assert {"o200k_base/1", "bytes/1", "prompt/1+o200k_base"} <= methods  # of input, too
    visible = [item for item in found.json["buckets"] if item["kind"] == "output_visible"]
    assert [(item["label"], item["count"]) for item in visible] == [("EXACT", 3), ("BOUNDED", 3)]
    with Ledger.open(made.folder, read_only=True) as ledger:
        assert ledger.leaf_count() == before


def lines(path: Path, *rows: object) -> Path:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def test_json_lines(nous: Call, made: Made, tmp_path: Path) -> None:
    ids = {name: str(UUID(bytes=one.receipt.id)) for name, one in made.logged.items()}
    texts = {"request": json.dumps(REQUEST), "response": WHOLE.decode()}
    path = lines(
        tmp_path / "texts.jsonl",
        texts | {"receipt_id": ids["whole"], "opening": OPENING.hex()},
        texts | {"request_id": "req-1", "response": stream().decode()},
        {"request_id": "req-2", "response": response()},
        texts | {"receipt_id": ids["other text"], "opening": OPENING.hex()},
        texts | {"receipt_id": ids["tools"], "opening": bytes(32).hex()},
        texts | {"request_id": "req-77"},
        texts,
        {"request_id": "req-1"},
        {"receipt_id": "1", "response": ""},
        "{half a row",
        "[1]",
    )
    found = nous("reconcile", "attach", path, "--ledger", made.folder, "--json")
    assert found.code == 1
    assert [(fault["line"], fault["code"]) for fault in found.json["faults"]] == [
        (4, "commitment-mismatch"),
        (5, "commitment-mismatch"),
        *((line, "row") for line in (7, 8, 9, 10, 11)),
    ]
    assert found.json["unmatched"] == {"no receipt has this request id": 1}
    assert made.later("whole") == [(1, TOKENS + 1, TOKENS, "jsonl/1 checked")]
    assert made.later("streamed") == [(1, TOKENS + 1, TOKENS, "jsonl/1 unchecked")]
    # The request is not known, so what it asked for is not either.
    assert made.later("cut short") == [(2, len(ANSWER) + 16, None, "jsonl/1 unchecked")]


def test_logs_of_litellm(nous: Call, made: Made, tmp_path: Path) -> None:
    base = {"call_type": "acompletion", "proxy_server_request": REQUEST, "response": response()}
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = response()
    calls["choices"][0]["message"]["tool_calls"] = [tool]
    path = lines(
        tmp_path / "spend.jsonl",
        base | {"request_id": "req-0"},
        base | {"request_id": "req-1"},
        base | {"request_id": "req-2", "response": {}},
        base | {"request_id": "req-3", "response": response("x (litellm_truncated 9 chars)")},
        base | {"request_id": "req-5", "response": calls},
        base | {"request_id": "req-4", "response": {"type": "message", "content": []}},
    )
    found = nous("reconcile", "attach", path, "--ledger", made.folder, "--json")
    assert [fault["line"] for fault in found.json["faults"]] == [3, 4]
    assert found.json["nothing_to_say"] == {
        "tool calls were kept in other bytes": 1,
        "it was kept in another format than the call's": 1,
    }
    exact = [(1, TOKENS + 1, TOKENS, "litellm-log/1 unchecked")]
    assert made.later("whole") == made.later("streamed") == exact


def test_evidence_of_an_opening_replaces_that_of_a_log(
    nous: Call, made: Made, session: Path, tmp_path: Path
) -> None:
    """RCON-5: and not the other way round."""
    row = {"call_type": "x", "request_id": "req-0", "proxy_server_request": REQUEST}
    log = lines(tmp_path / "spend.jsonl", row | {"response": response()})
    nous("reconcile", "attach", log, "--ledger", made.folder).good()
    nous("reconcile", "attach", session, "--ledger", made.folder)
    assert made.later("whole") == [(1, TOKENS + 1, TOKENS, "folder/1 checked")]
    known = nous("reconcile", "attach", log, "--ledger", made.folder)
    assert (known.code, "nothing new" in known.out) == (0, True)
    lines(log, row | {"response": response("Something else altogether.")})
    denied = nous("reconcile", "attach", log, "--ledger", made.folder)
    assert denied.code == 1
    assert "already-reconciled" in denied.err
    assert made.later("whole") == [(1, TOKENS + 1, TOKENS, "folder/1 checked")]


def test_logs_of_bedrock(nous: Call, tmp_path: Path) -> None:
    """A Converse call, and one of which the log has the body elsewhere."""
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": TOKENS, "totalTokens": 12 + TOKENS},
    }
    changes = {"provider": "bedrock", "api": 9, "model_served": "amazon.nova-lite-v1:0"}
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        logged = ledger.append(draft(1, b"", **changes))
    asked = {"messages": [{"role": "user", "content": [{"text": "What is a log?"}]}]}
    row = {
        "schemaType": "ModelInvocationLog",
        "timestamp": "2026-09-21T14:13:21Z",
        "requestId": "req-1",
        "operation": "Converse",
        "modelId": "amazon.nova-lite-v1:0",
        "input": {"inputBodyJson": asked, "inputTokenCount": 12},
        "output": {"outputBodyJson": answer, "outputTokenCount": TOKENS},
    }
    path = lines(tmp_path / "log.jsonl", row, row | {"output": {"outputBodyS3Path": "s3://b/k"}})
    found = nous("reconcile", "attach", path, "--ledger", tmp_path / "ledger", "--json")
    assert [fault["line"] for fault in found.json["faults"]] == [2]
    with Ledger.open(tmp_path / "ledger", read_only=True) as ledger:
        ledger.reconciled()
        later = ledger.reconciliations(logged.index)
    told = [] if later is None else [(e.bucket.method, e.source) for e in later.evidence]
    assert ("bytes/1", "bedrock-log/1 unchecked") in told


def test_a_text_that_does_not_fit_the_labels_of_its_receipt(nous: Call, tmp_path: Path) -> None:
    """What the receipt says by the same method stands against the text."""
    usage = (
        Bucket(kind=1, reported=12, label=3),
        Bucket(kind=16, reported=TOKENS, label=2, lower=1, upper=99, method="bytes/1"),
    )
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        ledger.append(draft(1, WHOLE, usage=usage))
    path = lines(tmp_path / "t.jsonl", {"request_id": "req-1", "response": WHOLE.decode()})
    found = nous("reconcile", "attach", path, "--ledger", tmp_path / "ledger")
    assert (found.code, "label-range" in found.err) == (1, True)


def test_what_cannot_be_told_or_is_not_there(nous: Call, made: Made, tmp_path: Path) -> None:
    attach = ("reconcile", "attach", "--ledger", made.folder)
    plain = lines(tmp_path / "x", "{}")
    nous(*attach, plain).failed(2, "--format")
    nous(*attach, plain, "--format", "folder").failed(2, "no folder")
    nous(*attach, tmp_path, "--format", "jsonl").failed(2, "is a folder")
    (tmp_path / "empty").mkdir()
    nous(*attach, tmp_path / "empty").failed(2, "holds no calls")
    nous(*attach, tmp_path / "none").failed(2, "none")


def test_a_bundle_of_evidence_is_verified(nous: Call, made: Made, session: Path) -> None:
    nous("reconcile", "attach", session, "--ledger", made.folder)
    with Ledger.open(made.folder) as ledger:
        index = ledger.leaf_count() - 1
        (session / "trust.policy").write_bytes(ledger.policy_text())
        (session / "evidence.tlog-proof").write_bytes(ledger.prove(index))
    policy = ("--policy", session / "trust.policy")
    found = nous("verify", session / "evidence.tlog-proof", *policy).good()
    assert "folder/1" in found.out
    assert "reconciliation" in found.out


def test_a_receipt_is_shown_with_its_evidence(nous: Call, made: Made, session: Path) -> None:
    nous("reconcile", "attach", session, "--ledger", made.folder)
    index = made.logged["whole"].index
    shown = nous("receipts", "show", index, "--ledger", made.folder).good().out
    assert f"output_visible EXACT by o200k_base/1, {TOKENS} to {TOKENS + 1}" in shown
    told = nous("receipts", "show", index, "--ledger", made.folder, "--json").json
    assert [claim["source"] for claim in told["reconciliations"]] == ["folder/1 checked"]


def test_a_range_where_tokens_are_only_estimated(nous: Call, tmp_path: Path) -> None:
    """EST-2: as the gateway has it while a call passes."""
    answer = {"type": "message", "model": "claude-sonnet-4-5-20250929", "stop_reason": "end_turn"}
    body = json.dumps(answer | {"content": [{"type": "text", "text": ANSWER}]}).encode()
    asked = REQUEST | {"thinking": {"type": "disabled"}}
    changes = {"provider": "anthropic", "api": 7, "model_served": answer["model"]}
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        ledger.append(draft(1, body, **changes))
    row = {"request_id": "req-1", "request": json.dumps(asked), "response": body.decode()}
    path = lines(tmp_path / "t.jsonl", row)
    found = nous("reconcile", "attach", path, "--ledger", tmp_path / "ledger", "--json")
    methods = {b["method"] for b in found.json["buckets"] if b["kind"] == "output_visible"}
    assert (found.code, methods) == (0, {"claude-range/1"})
