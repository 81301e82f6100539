"""Bounds of input: what a request explains of what was reported (BND-10 to BND-16)."""

import base64
import json
import struct
from typing import Any

import pytest

from nous_ledger.gateway.bounds import count_texts
from nous_ledger.protocol.label import Bucket, Verdict, verdict
from nous_ledger.reconcile.prompt import InputEvidence, bound_input
from nous_ledger.reconcile.prompt_shapes import MAX_IMAGES, read_prompt
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table
from tests.unit.test_media import movie, track

CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, IMAGES, MESSAGES, GEMINI, CONVERSE = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
)
COHERE, OLLAMA_CHAT, OLLAMA, MISTRAL = 10, 11, 12, 13
PLAIN: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Name the longest river of France."},
    ],
}
NO_TABLE = TokenizerTable(encodings={}, rules=())
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + struct.pack(">II", 1024, 1024) + bytes(4)
).decode()
URL = f"data:image/png;base64,{PNG}"

Found = dict[int, tuple[int | None, int | None, str | None]]


def label(fields: Any, *counts: tuple[int, int], **how: Any) -> Found:
    given = {"provider": "openai", "api": CHAT, "model": "gpt-4o-2024-08-06", **how}
    table = given.pop("table", builtin_table())
    evidence = InputEvidence(fields=fields, length=len(json.dumps(fields)), **given)
    usage = tuple(Bucket(kind=kind, reported=tokens, label=3) for kind, tokens in counts)
    found = bound_input(usage, evidence, table, count_texts)
    assert [(b.kind, b.reported) for b in found] == list(counts)
    assert all(verdict(b, 1) in (Verdict.OK, Verdict.UNCHECKABLE) for b in found)
    return {b.kind: (b.lower, b.upper, b.method) for b in found if b.label == 2}


@pytest.mark.parametrize(
    ("reported", "explained"), [(20, False), (21, True), (22, True), (23, True), (24, False)]
)
def test_the_formula_of_chats(reported: int, *, explained: bool) -> None:
    """BND-13, BND-14: 3 + 2·3 + tokens of roles and contents (13) are 22, and one either way."""
    found = label(PLAIN, (8, reported), (16, 3))
    assert found == ({8: (21, 23, "prompt/1+o200k_base")} if explained else {})


def test_names_and_parts_count() -> None:
    named = {"messages": [{"role": "user", "name": "Ann", "content": "hello"}]}
    assert label(named, (8, 10)) == {8: (9, 11, "prompt/1+o200k_base")}
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "world"}]
    assert label({"messages": [{"role": "user", "content": parts}]}, (8, 9)) == {
        8: (6, 12, "prompt/1+o200k_base")
    }


@pytest.mark.parametrize(
    ("uncached", "read", "written"), [(22, 0, 0), (2, 20, 0), (0, 22, 0), (5, 7, 10)]
)
def test_a_cached_prompt_is_never_flagged(uncached: int, read: int, written: int) -> None:
    """BND-11: what was cached is between nothing and all, the rest is what that leaves."""
    found = label(PLAIN, (1, uncached), (2, read), (3, written))
    method = "prompt/1+o200k_base"
    others = read + written
    assert found == {
        1: (max(0, 21 - others), 23 - others, method),
        2: (0, 23, method),
        3: (0, 23, method),
    }


def test_more_than_the_request_explains_is_not_accused() -> None:
    """BND-10: text that a provider adds leaves the input without ground truth, not outside."""
    assert label(PLAIN, (1, 400), (2, 22)) == {}


def test_without_vocabulary_or_formula_bytes_explain() -> None:
    """BND-15."""
    length = len(json.dumps(PLAIN))
    others: tuple[dict[str, Any], ...] = (
        {"table": NO_TABLE},
        {"model": "gpt-9"},
        {"model": "ft:gpt-4o-2024-08-06:acme::x"},
        {"provider": "custom"},
        {"provider": "openrouter"},
    )
    for how in others:
        assert label(PLAIN, (8, 100), **how) == {8: (0, length, "prompt-bytes/1")}
    assert label(PLAIN, (8, length + 1), table=NO_TABLE) == {}


def test_tools_widen_the_range() -> None:
    """BND-14: every byte beside what is counted may be a token, and there may be a preamble."""
    tools = [{"type": "function", "function": {"name": "get", "parameters": {}}}]
    fields = {**PLAIN, "tools": tools}
    counted = sum(len(m["role"] + m["content"]) for m in PLAIN["messages"])
    rest = len(json.dumps(fields)) - counted
    assert label(fields, (8, 60)) == {8: (21, 23 + rest + 600, "prompt/1+o200k_base")}
    assert label(fields, (8, 5)) == {}


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_schema"}},
        {"functions": [{"name": "f"}]},
        {"messages": [*PLAIN["messages"], {"role": "assistant", "tool_calls": [{"id": "c"}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]},
    ],
)
def test_what_is_beside_plain_text_widens_it_too(more: dict[str, Any]) -> None:
    assert label({**PLAIN, **more}, (8, 50))[8][2] == "prompt/1+o200k_base"


def picture(**image: Any) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": URL, "detail": "high", **image}}
    text = {"type": "text", "text": "hello"}
    return {"messages": [{"role": "user", "content": [text, part]}]}


def test_images_in_the_prompt_add_their_range() -> None:
    """BND-14, BND-16: 3 + 3 + 2 tokens of text, and 765 of 1024 by 1024 pixels."""
    fields = picture()
    rest = len(json.dumps(fields)) - len("userhello") - len(URL)
    assert label(fields, (1, 773), (2, 0))[1] == (
        8 - 2 + 765,
        8 + 2 + rest + 765,
        "prompt/1+o200k_base",
    )
    length = len(json.dumps(fields)) - len(URL)
    assert label(fields, (8, 773), table=NO_TABLE) == {8: (765, length + 765, "prompt-bytes/1")}
    upper = label(picture(url="https://example.com/a.png"), (8, 400))[8][1]
    assert upper is not None
    assert upper > 1445
    assert label(fields, (8, 773), model="gpt-9") == {}


def test_images_that_are_reported_apart() -> None:
    """BND-17: a bucket of their own, and nothing of them in the text."""
    found = label(picture(), (8, 9), (33, 765))
    assert found[33] == (765, 765, "image-input/1")
    assert found[8][0] == 6
    assert 33 not in label(picture(), (8, 9), (33, 766))
    assert label(PLAIN, (8, 22), (33, 85)).keys() == {8}
    assert label(picture(), (8, 9), (33, 765), model="gpt-9").keys() == {8}
    gemini = {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}],
    }
    how = {"provider": "gemini", "api": GEMINI, "model": "gemini-2.5-pro"}
    assert label(gemini, (1, 4), (33, 258), **how) == {
        1: (0, len(json.dumps(gemini)) - len(PNG), "prompt-bytes/1"),
        33: (64, 1032, "image-input/1"),
    }


def test_videos_that_are_reported_apart() -> None:
    """BND-15, BND-22: in a sum with text nothing bounds them."""
    film = movie(track(320, 240, 30))
    fields = part(inlineData={"mimeType": "video/mp4", "data": film})
    how = {"provider": "gemini", "api": GEMINI, "model": "gemini-2.5-pro"}
    length = len(json.dumps(fields)) - len(film)
    assert label(fields, (1, 4), (34, 258), **how) == {
        1: (0, length, "prompt-bytes/1"),
        34: (0, 2250, "video-input/1"),
    }
    assert label(fields, (1, 4), (34, 2251), **how).keys() == {1}
    assert label(fields, (1, 4), **how) == {}
    other = part(inlineData={"mimeType": "video/webm", "data": PNG})
    assert label(other, (1, 4), (34, 258), **how).keys() == {1}
    assert label(part(text="a"), (1, 4), (34, 258), **how).keys() == {1}


def test_images_that_are_made() -> None:
    """BND-19."""
    fields = {"model": "gpt-image-1", "prompt": "a fox", "size": "1024x1024", "quality": "low"}
    how = {"api": IMAGES, "model": "gpt-image-1"}
    assert label(fields, (8, 9), (18, 272), **how) == {18: (272, 272, "image-output/1")}
    assert label(fields, (8, 9), (18, 0), (36, 272), **how) == {36: (272, 272, "image-output/1")}
    assert label(fields, (18, 273), **how) == {}


def test_counts_that_are_no_whole_are_left() -> None:
    """BND-11: caches alone, tool results of the provider, audio."""
    assert label(PLAIN, (2, 22)) == {}
    assert label(PLAIN, (8, 22), (9, 5), (32, 5)).keys() == {8}


def user(*parts: Any, **message: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts), **message}]}


def said(item: Any) -> dict[str, Any]:
    return {"input": [item]}


def part(**members: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [members]}]}


RESULT = {"type": "tool_result", "content": [{"type": "text", "text": "a"}]}
CLOSED = [
    (CHAT, PLAIN),
    (CHAT, {**PLAIN, "web_search_options": None, "plugins": [], "tools": None}),
    (CHAT, user({"type": "image_url", "image_url": "https://example.com/a.png"})),
    (COHERE, {**PLAIN, "documents": [{"data": {"text": "a"}}]}),
    (OLLAMA_CHAT, {**PLAIN, "options": {"num_ctx": 5}}),
    (MISTRAL, user({"type": "thinking", "thinking": []})),
    (RESPONSES, {"input": "hello", "instructions": "x", "conversation": None}),
    (RESPONSES, said({"role": "user", "content": "a"})),
    (RESPONSES, said({"type": "function_call_output", "output": "a"})),
    (RESPONSES, said({"type": "message", "content": [{"type": "input_text", "text": "a"}]})),
    (RESPONSES, said({"type": "message", "content": [{"type": "input_image", "image_url": URL}]})),
    (COMPLETIONS, {"prompt": ["a", [1, 2]], "echo": True}),
    (EMBEDDINGS, {"input": [[1, 2], [3]]}),
    (OLLAMA, {"prompt": "a", "context": [1, 2]}),
    (MESSAGES, {"system": "s", "messages": [{"role": "user", "content": "a"}]}),
    (MESSAGES, user(RESULT, {"type": "image", "source": {"type": "base64", "data": PNG}})),
    (MESSAGES, {**user(), "tools": [{"name": "get"}]}),
    (GEMINI, {**part(text="a", thoughtSignature="x"), "systemInstruction": {"parts": []}}),
    (GEMINI, part(functionResponse={"name": "f", "response": {}})),
    (GEMINI, part(text="a", fileData=None, inlineData=None)),
    (GEMINI, part(inlineData={"mimeType": "image/png", "data": PNG}, videoMetadata={})),
    (CONVERSE, {"messages": [{"content": [{"text": "a", "image": None}]}]}),
    (RESPONSES, said({"type": None, "content": "a"})),
    (CONVERSE, {"messages": [{"content": [{"text": "a"}, {"cachePoint": {}}]}], "system": []}),
]
OPEN = [
    (0, PLAIN),
    (IMAGES, {"prompt": "a"}),
    *((CHAT, {**PLAIN, name: {"a": 1}}) for name in ("web_search_options", "data_sources")),
    (CHAT, {"messages": None}),
    (CHAT, {"messages": "a"}),
    (CHAT, {"messages": ["a"]}),
    (CHAT, {"messages": [{"content": "a"}]}),
    (CHAT, {**PLAIN, "tools": [{"type": "web_search"}]}),
    (CHAT, user({"type": "file", "file": {"file_id": "f"}})),
    (CHAT, user({"type": "input_audio", "input_audio": {}})),
    (CHAT, user({"type": "text", "text": 5})),
    (CHAT, user("a")),
    (CHAT, user({"type": "image_url", "image_url": {"url": 5}})),
    (CHAT, user(*[{"type": "image_url", "image_url": URL}] * (MAX_IMAGES + 1))),
    (CHAT, user(audio={"id": "a"})),
    (OLLAMA_CHAT, user(images=["aaaa"])),
    (RESPONSES, {}),
    (RESPONSES, {"input": "a", "previous_response_id": "r"}),
    (RESPONSES, {"input": "a", "conversation": "c"}),
    (RESPONSES, {"input": "a", "prompt": {"id": "p"}}),
    (RESPONSES, {"input": "a", "instructions": [{}]}),
    (RESPONSES, said({"type": "item_reference", "id": "r"})),
    (RESPONSES, said({"type": ["message"]})),
    (RESPONSES, said({"type": "message", "content": [{"type": {}}]})),
    (MESSAGES, user({"type": ["text"]})),
    (CHAT, user({"type": ["text"]})),
    (RESPONSES, said({"type": "message", "content": [{"type": "input_file"}]})),
    (RESPONSES, said({"type": "message", "content": [{"type": "input_image", "file_id": "f"}]})),
    (RESPONSES, {"input": "a", "tools": [{"type": "file_search"}]}),
    (COMPLETIONS, {"prompt": None}),
    (COMPLETIONS, {"prompt": [True]}),
    (EMBEDDINGS, {"input": [{"type": "image"}]}),
    (OLLAMA, {"prompt": "a", "images": ["aaaa"]}),
    (MESSAGES, user({"type": "document", "source": {"type": "text", "data": "a"}})),
    (MESSAGES, user({"type": "image", "source": {"type": "file", "file_id": "f"}})),
    (MESSAGES, user({"type": "tool_result", "content": [RESULT]})),
    (MESSAGES, {**user(), "tools": [{"type": "web_search_20250305"}]}),
    (MESSAGES, {**user(), "container": "c"}),
    (GEMINI, {}),
    (GEMINI, part(fileData={"fileUri": "x"})),
    (GEMINI, part(inlineData={"mimeType": "image/png", "data": PNG}, fileData={"fileUri": "x"})),
    (
        GEMINI,
        part(
            inlineData={"mimeType": "image/png", "data": PNG},
            inline_data={"mime_type": "image/png", "data": PNG},
        ),
    ),
    (GEMINI, part(text="a", videoMetadata={})),
    (GEMINI, part(inlineData={"mimeType": "audio/wav", "data": "aaaa"})),
    (GEMINI, part(functionResponse={"parts": [{}]})),
    (GEMINI, {**part(text="a"), "cachedContent": "x"}),
    (GEMINI, {**part(text="a"), "tools": [{"urlContext": {}}]}),
    (CONVERSE, {"messages": [{"content": [{"document": {}}]}]}),
    (CONVERSE, {"messages": [{"content": [{"toolResult": {"content": [{"image": {}}]}}]}]}),
    (CONVERSE, {"messages": [], "system": [{"a": 1}]}),
]


@pytest.mark.parametrize(("api", "fields"), CLOSED)
def test_closed_requests(api: int, fields: dict[str, Any]) -> None:
    """BND-12: all that the model reads stands there."""
    assert read_prompt(api, fields) is not None


@pytest.mark.parametrize(("api", "fields"), OPEN)
def test_open_requests(api: int, fields: dict[str, Any]) -> None:
    """BND-12: files, searches, earlier responses, and whatever is not known."""
    assert read_prompt(api, fields) is None
