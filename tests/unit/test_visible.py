"""What counts as model output that the caller got."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE
from nous_ledger.protocol.registries import KIND
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.labels import label_counts
from nous_ledger.reconcile.tally import VisibleOutput, VisibleReader, utf8_length
from nous_ledger.reconcile.visible import ChatReader, MessagesReader, ResponsesReader


def _body(reader: VisibleReader, body: object) -> tuple[int, int, int, bool]:
    reader.add_body(parse_json(json.dumps(body, ensure_ascii=False).encode()))
    return _numbers(reader.result())


def _events(reader: VisibleReader, events: list[Any]) -> tuple[int, int, int, bool]:
    for event in events:
        reader.add_event(parse_json(json.dumps(event).encode()))
    return _numbers(reader.result())


def _numbers(visible: VisibleOutput) -> tuple[int, int, int, bool]:
    return visible.utf8_bytes, visible.choices, visible.tool_calls, visible.text_only


def test_utf8_length() -> None:
    assert utf8_length("é€😀") == 9
    assert utf8_length("\ud800") == 3
    assert utf8_length(None) == utf8_length(5) == 0


def _chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": i, "message": m} for i, m in enumerate(messages)]}


CALL = {"index": 0, "function": {"name": "get", "arguments": '{"a":1}'}}
CHAT_BODIES = [
    ({}, (0, 0, 0, True)),
    (_chat({"content": None}), (0, 1, 0, True)),
    (_chat({"content": "né"}), (3, 1, 0, True)),
    (_chat({"content": "ab"}, {"content": "c", "refusal": "no"}), (5, 2, 0, True)),
    (_chat({"content": None, "refusal": "no"}), (2, 1, 0, True)),
    (_chat({"content": "x", "reasoning_content": "hidden"}), (1, 1, 0, True)),
    (_chat({"tool_calls": [CALL, {**CALL, "index": 1}]}), (20, 1, 2, False)),
    (_chat({"tool_calls": [{"custom": {"name": "n", "input": "abc"}}]}), (4, 1, 1, False)),
    (_chat({"function_call": {"name": "f", "arguments": "{}"}}), (3, 1, 1, False)),
    (_chat({"content": None, "audio": {"data": "AAAA", "transcript": "hi"}}), (2, 1, 0, False)),
    (_chat({"content": [{"type": "text", "text": "ab"}, "c"]}), (3, 1, 0, True)),
    (_chat({"content": [{"type": "image_url"}, 7]}), (0, 1, 0, False)),
    (_chat({"content": 7}), (0, 1, 0, False)),
    ({"choices": [None, 5, {"index": "x", "message": "y"}]}, (0, 1, 0, True)),
    ({"choices": {"a": 1}}, (0, 0, 0, True)),
]


@pytest.mark.parametrize(("body", "expected"), CHAT_BODIES)
def test_chat_bodies(body: dict[str, Any], expected: tuple[int, int, int, bool]) -> None:
    assert _body(ChatReader(), body) == expected


def test_chat_stream_counts_as_the_body_does() -> None:
    def chunk(index: int, **delta: object) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": delta}]}

    first = {"index": 0, "id": "c1", "function": {"name": "get", "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": part}} for part in ('{"a"', ":1}")]
    events = [
        chunk(0, role="assistant", content=""),
        chunk(0, content="n"),
        chunk(1, content="c"),
        chunk(0, content="é"),
        chunk(1, tool_calls=[first]),
        *[chunk(1, tool_calls=[part]) for part in rest],
        {"choices": [], "usage": {"prompt_tokens": 1}},
    ]
    body = _chat({"content": "né"}, {"content": "c", "tool_calls": [CALL]})
    assert _events(ChatReader(), events) == _body(ChatReader(), body) == (14, 2, 1, False)


def _blocks(*blocks: object) -> dict[str, Any]:
    return {"type": "message", "content": list(blocks)}


TOOL = {"type": "tool_use", "id": "t", "name": "get"}
MESSAGE_BODIES = [
    ({}, (0, 0, 0, True)),
    (_blocks(), (0, 1, 0, True)),
    (_blocks({"type": "text", "text": "né"}), (3, 1, 0, True)),
    (
        _blocks({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}),
        (1, 1, 0, True),
    ),
    (_blocks({"type": "redacted_thinking", "data": "xx"}), (0, 1, 0, True)),
    # The wire has {"a": 1} with a space: its bytes count as they came.
    (_blocks({**TOOL, "input": {"a": 1}}), (3 + 8, 1, 1, False)),
    (_blocks({**TOOL, "input": {}}), (3, 1, 1, False)),
    (_blocks({"type": "server_tool_use", "name": "s", "input": {"q": "é"}}), (1 + 11, 1, 1, False)),
    (_blocks({"type": "web_search_tool_result", "content": [{"title": "t"}]}), (0, 1, 0, False)),
    (_blocks(None, 5, {"type": 7}), (0, 1, 0, False)),
    ({"content": "text"}, (0, 0, 0, True)),
]


@pytest.mark.parametrize(("body", "expected"), MESSAGE_BODIES)
def test_messages_bodies(body: dict[str, Any], expected: tuple[int, int, int, bool]) -> None:
    assert _body(MessagesReader(), body) == expected


def test_messages_stream() -> None:
    def start(index: int, block: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def delta(index: int, **fields: str) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    events = [
        {"type": "message_start", "message": {"content": []}},
        start(0, {"type": "thinking", "thinking": ""}),
        delta(0, type="thinking_delta", thinking="hidden"),
        start(1, {"type": "text", "text": ""}),
        delta(1, type="text_delta", text="né"),
        start(2, {**TOOL, "input": {}}),
        delta(2, type="input_json_delta", partial_json='{"a"'),
        delta(2, type="input_json_delta", partial_json=": 1}"),
        {"type": "content_block_stop", "index": 2},
    ]
    assert _events(MessagesReader(), events) == (3 + 3 + 8, 1, 1, False)


MESSAGE = {
    "type": "message",
    "content": [{"type": "output_text", "text": "né"}, {"type": "refusal", "refusal": "no"}],
}
RESPONSE_OUTPUTS = [
    ([], (0, 1, 0, True)),
    ([MESSAGE], (5, 1, 0, True)),
    ([{"type": "reasoning", "summary": [{"text": "hidden"}]}, MESSAGE], (5, 1, 0, True)),
    ([{"type": "function_call", "name": "get", "arguments": '{"a":1}'}], (10, 1, 1, False)),
    ([{"type": "custom_tool_call", "name": "n", "input": "abc"}], (4, 1, 1, False)),
    ([{"type": "computer_call", "action": {"type": "click", "x": 1}}], (25, 1, 1, False)),
    ([{"type": "code_interpreter_call", "code": "1+1", "outputs": "9"}], (3, 1, 1, False)),
    ([{"type": "web_search_call", "action": None}], (0, 1, 1, False)),
    ([{"type": "function_call_output", "output": "x"}], (0, 1, 0, False)),
    ([{"type": "mcp_list_tools", "name": "x"}], (0, 1, 0, False)),
    (
        [{"type": "message", "content": [{"type": "output_audio", "transcript": "hi"}]}],
        (2, 1, 0, False),
    ),
    ([None, 7, {"name": "x"}], (0, 1, 0, False)),
]


@pytest.mark.parametrize(("output", "expected"), RESPONSE_OUTPUTS)
def test_responses(output: list[Any], expected: tuple[int, int, int, bool]) -> None:
    assert _body(ResponsesReader(), {"output": output}) == expected
    items = [
        {"type": "response.output_item.done", "output_index": i, "item": item}
        for i, item in enumerate(output)
    ]
    end = {"type": "response.completed", "response": {"output": output}}
    assert _events(ResponsesReader(), [*items, end]) == expected
    if output:  # the stream broke off before its terminal event
        assert _events(ResponsesReader(), items) == expected


def test_a_response_without_output_leaves_what_was_seen() -> None:
    done = {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE}
    end = {"type": "response.completed", "response": {"output": []}}
    assert _events(ResponsesReader(), [done, end]) == (5, 1, 0, True)


@pytest.mark.parametrize(
    ("reader", "body", "applicable"),
    [
        (ChatReader, {}, False),
        (ChatReader, {"choices": None}, False),
        (ChatReader, {"choices": []}, True),
        (MessagesReader, {}, False),
        (MessagesReader, {"content": "text"}, False),
        (MessagesReader, {"content": []}, True),
        (MessagesReader, _blocks({"type": "web_search_tool_result"}), True),
        (MessagesReader, _blocks({"type": "text", "text": "a"}, {"type": "hologram"}), False),
        (ResponsesReader, {}, False),
        (ResponsesReader, {"output": None}, False),
        (ResponsesReader, {"output": []}, True),
        (ResponsesReader, {"output": [MESSAGE, {"type": "hologram"}]}, False),
        (ResponsesReader, {"output": [MESSAGE, {"no": "type"}]}, False),
    ],
)
def test_the_method_applies_only_to_output_that_is_known_in_full(
    reader: Callable[[], VisibleReader], body: dict[str, Any], applicable: bool
) -> None:
    made = reader()
    _body(made, body)
    assert made.result().applicable is applicable


def test_a_response_that_broke_off_before_its_first_item_was_done_is_not_known_in_full() -> None:
    reader = ResponsesReader()
    _events(reader, [{"type": "response.output_text.delta", "delta": "Hel"}])
    assert not reader.result().applicable
    _events(reader, [{"type": "response.completed", "response": {"output": []}}])
    assert not reader.result().applicable


def test_of_several_terminal_events_the_last_one_counts() -> None:
    reader = ResponsesReader()
    terminal = [
        {"type": "response.completed", "response": {"output": output}}
        for output in ([MESSAGE, MESSAGE], [MESSAGE])
    ]
    assert _events(reader, terminal) == (5, 1, 0, True)


THINKING: list[tuple[Callable[[], VisibleReader], dict[str, Any]]] = [
    (ChatReader, _chat({"content": "a", "reasoning_content": "hm"})),
    (ChatReader, _chat({"content": "a", "reasoning": "hm"})),
    (MessagesReader, _blocks({"type": "thinking", "thinking": ""})),
    (MessagesReader, _blocks({"type": "redacted_thinking", "data": "x"})),
    (ResponsesReader, {"output": [{"type": "reasoning", "summary": []}]}),
    (ResponsesReader, {"output": [{"type": "compaction"}]}),
]


@pytest.mark.parametrize(("reader", "body"), THINKING)
def test_thinking_is_noticed(reader: Callable[[], VisibleReader], body: dict[str, Any]) -> None:
    made = reader()
    _body(made, body)
    assert made.result().thinking
    plain = ChatReader()
    _body(plain, _chat({"content": "a", "reasoning_content": "", "reasoning": None}))
    assert not plain.result().thinking


def test_labels() -> None:
    """LBL-8, LBL-11: exact bounds, else unverifiable."""
    visible = VisibleOutput(
        utf8_bytes=100, choices=1, tool_calls=1, text_only=False, thinking=False, applicable=True
    )
    counts = [(KIND["input_uncached"], 9), (KIND["output_visible"], 40), (KIND["reasoning"], 7)]
    labelled = label_counts(counts, visible, hidden_ruled_out=False)
    assert [bucket.label for bucket in labelled] == [UNVERIFIABLE, BOUNDED, UNVERIFIABLE]
    assert (labelled[1].lower, labelled[1].upper, labelled[1].method) == (1, 132, "bytes/1")
    unseen = label_counts(counts, None, hidden_ruled_out=True)
    assert {bucket.label for bucket in unseen} == {UNVERIFIABLE}


@pytest.mark.parametrize("ruled_out", [True, False])
@pytest.mark.parametrize("thinking", [True, False])
def test_an_unsplit_output_is_bounded_only_without_thinking(
    ruled_out: bool, thinking: bool
) -> None:
    """LBL-9: the request ruled it out and none came."""
    visible = VisibleOutput(
        utf8_bytes=9, choices=1, tool_calls=0, text_only=True, thinking=thinking, applicable=True
    )
    (bucket,) = label_counts([(KIND["output_unsplit"], 4)], visible, hidden_ruled_out=ruled_out)
    assert bucket.label == (BOUNDED if ruled_out and not thinking else UNVERIFIABLE)


_NAMES = st.sampled_from(
    [
        "choices",
        "message",
        "delta",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "type",
        "text",
        "input",
        "output",
        "item",
        "response",
        "index",
        "content_block",
        "refusal",
        "audio",
        "output_index",
        "action",
    ]
)
_KINDS = st.sampled_from(
    [
        "text",
        "message",
        "tool_use",
        "content_block_start",
        "content_block_delta",
        "response.completed",
        "response.output_item.done",
        "message_start",
        "function_call",
    ]
)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | _KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(_TREES, max_size=4))
def test_no_shape_raises(values: list[object]) -> None:
    for make in (ChatReader, MessagesReader, ResponsesReader):
        reader: VisibleReader = make()
        _events(reader, values)
        for value in values:
            _body(reader, value)
        assert reader.result().utf8_bytes >= 0
