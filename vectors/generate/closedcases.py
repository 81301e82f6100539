"""Requests that hold all that a model reads, and requests that do not, in each api."""

import json
from typing import Any

from vectors.generate.rules.decisions_input import OPENING
from vectors.generate.suite import Group, Json

CHATS, BARE = (1, 10, 11, 13), (3, 4, 12)
DATA = "data:image/png;base64,AAAA"
INLINE = {"mimeType": "image/png", "data": "AAAA"}
WRONG: tuple[Any, ...] = (None, {}, 1.5, True, "x", [1.5], [None], [[None]])
UNSET: tuple[Any, ...] = (None, False, 0, 0.0, "", [], {})
FUNCTIONS: tuple[Any, ...] = ([], [{"name": "f"}], {}, ["f"])
TEXTS: tuple[Any, ...] = (5, ["a", "b"], [1, 2, 3], [[1, 2], [3]], ["a", [4]], [])
PROMPTS: tuple[Any, ...] = (*TEXTS, [[["a"]]], [{}])
# By api: the least request that is closed.
LEAST: dict[int, Json] = {
    **{api: {"messages": [{"role": "user", "content": "Which?"}]} for api in CHATS},
    2: {"input": "Which fox is this?"},
    **{api: {"prompt": "Which fox is this?"} for api in BARE},
    7: {"messages": [{"role": "user", "content": "Which fox is this?"}]},
    8: {"contents": [{"role": "user", "parts": [{"text": "Which fox is this?"}]}]},
    9: {"messages": [{"role": "user", "content": [{"text": "Which fox is this?"}]}]},
}
OWN: dict[int, Any] = {7: [{"name": "f"}, {"type": "custom"}]}
OWN[8] = [{"functionDeclarations": []}, {"function_declarations": [], "googleSearch": None}]
SERVED: dict[int, Any] = {
    7: [{"type": "function"}],
    8: [{"functionDeclarations": [], "urlContext": {}}],
}


class Closed:
    """Adds cases."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def add(self, comment: str, api: int, asks: Any, **how: Any) -> None:
        """Add a request."""
        facts = {"provider": "custom", "model": "m", "api": api, "reported": [[8, 20]]} | how
        self.group.valid(f"api {api}: {comment}", "Closed", **facts, request=json.dumps(asks))


def closed(add: Closed) -> None:
    """Add all cases."""
    for api, asks in LEAST.items():
        add.add("closed", api, asks)
        add.add("more tokens than bytes", api, asks, reported=[[8, 2000]])
        add.add("partly cached", api, asks, reported=[[1, 5], [2, 15]])
        for name in OPENING.split():
            add.add(f"{name} is set", api, {**asks, name: {"a": 1}})
        name = next(iter(asks))
        for wrong in WRONG:
            add.add(f"{name} is {wrong!r}", api, {**asks, name: wrong})
        add.add(f"{name} is missing", api, {"model": "m"})
        _tools(add, api, asks)
    for unset in UNSET:
        add.add(f"{unset!r} sets nothing", 1, {**LEAST[1], "plugins": unset, "container": unset})
    for part in (_chats, _responses, _bare, _claude, _gemini, _bedrock, _many):
        part(add)


def _tools(add: Closed, api: int, asks: Json) -> None:
    own: Any = OWN.get(api, [{"type": "function"}, {"type": "custom"}])
    served: Any = SERVED.get(api, [{"type": "function"}, {"type": "web_search"}])
    if api == 9:
        own, served = [{"toolSpec": {}}, {"cachePoint": {}}], [{"toolSpec": {}, "systemTool": {}}]
    for comment, tools in (
        ("its own tools", own), ("a tool of another's", served), ("no tools", []),
        ("tools that are no array", {"a": 1}), ("a tool that is no object", [*own, "f"]),
    ):  # fmt: skip
        named = {"toolConfig": {"tools": tools}} if api == 9 else {"tools": tools}
        add.add(comment, api, {**asks, **named})


def _chats(add: Closed) -> None:
    for api in CHATS:

        def ask(comment: str, api: int = api, counts: Any = None, **message: Any) -> None:
            asks = {"messages": [{"role": "user", "content": "Which?"} | message]}
            add.add(comment, api, asks, reported=counts or [[8, 20]])

        image: Any
        ask("no content", content=None)
        ask("a name", name="Ann")
        ask("a name that is no string", name=5)
        ask("no role", role=None)
        ask("a role that is no string", role=["user"])
        ask("sound", audio={"id": "a"})
        ask("no sound", audio={})
        ask("images of Ollama", images=["AAAA"])
        ask("members that are not named", tool_calls=[{"function": {"arguments": "{}"}}])
        ask("content of a number", content=5)
        texts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]
        ask("parts", content=[*texts, {"type": "thinking", "thinking": [{"type": "text"}]}])
        ask("a part without text", content=[{"type": "text"}])
        ask("a part without type", content=[{"text": "a"}])
        ask("a part that is a string", content=["a"])
        ask("a file", content=[*texts, {"type": "file", "file": {"file_id": "f"}}])
        ask("a document", content=[{"type": "document", "document": {}}])
        for comment, image in (
            ("an image", {"url": DATA, "detail": "low"}), ("an image by its URL alone", DATA),
            ("an image elsewhere", {"url": "https://example.com/a.png"}),
        ):  # fmt: skip
            parts = [*texts, {"type": "image_url", "image_url": image}]
            ask(comment, content=parts, counts=[[8, 20], [33, 5]])
            ask(f"{comment}, not apart", content=parts)
        ask("an image without URL", content=[{"type": "image_url", "image_url": {}}])
        for functions in FUNCTIONS:
            add.add(f"functions {functions!r}", api, {**LEAST[api], "functions": functions})


def _responses(add: Closed) -> None:
    def ask(comment: str, given: Any, counts: Any = None, **more: Any) -> None:
        add.add(comment, 2, {"input": given, **more}, reported=counts or [[8, 20]])

    part = {"type": "input_text", "text": "Which fox is this?"}
    message = {"role": "user", "content": [part, {"type": "output_text", "text": "A fox."}]}
    ask("instructions", "Which fox?", instructions="Be terse.")
    ask("instructions that are items", "Which fox?", instructions=[message])
    ask("a prompt by its name", "Which fox is this?", prompt={"id": "p"})
    ask("messages", [message, {"type": "message", "role": "user", "content": "Which?"}])
    kinds = ("function_call", "custom_tool_call", "reasoning")
    ask("calls and thinking", [message, *({"type": kind} for kind in kinds)])
    results = [{"type": f"{kind}_output", "output": "x"} for kind in kinds[:2]]
    ask("results", [message, *results, {"type": "function_call_output", "output": [part]}])
    file = {"type": "input_file", "file_id": "f"}
    ask("a result with a file", [{"type": "function_call_output", "output": [file]}])
    ask("a file", [{"role": "user", "content": [part, file]}])
    for kind in ("item_reference", "web_search_call", "computer_call_output", "mcp_call", ["a"]):
        ask(f"an item {kind!r}", [message, {"type": kind, "id": "i"}])
    image = {"type": "input_image", "image_url": DATA, "detail": "low"}
    ask("an image", [{"content": [part, image]}], counts=[[8, 20], [33, 5]])
    kept = {"type": "input_image", "file_id": "f"}
    ask("an image that was kept", [{"content": [part, kept]}], counts=[[8, 20], [33, 5]])
    ask("content of a number", [{"content": 5}])


def _bare(add: Closed) -> None:
    for api in BARE:
        for prompt in PROMPTS:
            add.add(f"prompt {prompt!r}", api, {"prompt": prompt, "user": "somebody"})
        add.add("input before prompt", api, {"prompt": {}, "input": "Which fox is this?"})
        add.add("prompt where input is null", api, {"prompt": "Which fox?", "input": None})
        add.add("input that is none", api, {"prompt": "Which fox is this?", "input": [True]})
        add.add("images of Ollama", api, {**LEAST[api], "images": ["AAAA"]})


def _claude(add: Closed) -> None:
    def ask(comment: str, *blocks: Any, counts: Any = None, **more: Any) -> None:
        asks = {"messages": [{"role": "user", "content": list(blocks)}], **more}
        add.add(comment, 7, asks, reported=counts or [[8, 20]])

    text = {"type": "text", "text": "Which fox is this?"}
    ask("system", text, system="Be terse.")
    ask("system in blocks", text, system=[text])
    ask("system that is a number", text, system=5)
    ask("thinking", text, {"type": "thinking"}, {"type": "redacted_thinking"}, {"type": "tool_use"})
    result = {"type": "tool_result", "content": [text]}
    ask("results", result, {"type": "tool_result", "content": "x"}, {"type": "tool_result"})
    ask("a result in a result", {"type": "tool_result", "content": [result]})
    for kind in ("document", "search_result", "server_tool_use", "web_search_tool_result", None):
        ask(f"a block {kind!r}", text, {"type": kind})
    both = [[8, 20], [33, 5]]
    for source in (
        {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "data": 5}, {"type": "file", "file_id": "f"}, None,
    ):  # fmt: skip
        ask(f"an image {source!r}", text, {"type": "image", "source": source}, counts=both)
    block = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    ask("an image in a result", {"type": "tool_result", "content": [block]}, counts=both)


def _gemini(add: Closed) -> None:
    def ask(comment: str, *parts: Any, counts: Any = None, **more: Any) -> None:
        asks = {"contents": [{"role": "user", "parts": list(parts)}], **more}
        add.add(comment, 8, asks, reported=counts or [[8, 20]])

    text = {"text": "Which fox is this?"}
    add.add("contents that are an object", 8, {"contents": {"parts": [text]}})
    add.add("contents without parts", 8, {"contents": [{"role": "user"}]})
    for name in ("systemInstruction", "system_instruction"):
        ask(f"{name}", text, **{name: {"parts": [text]}})
        ask(f"{name} with a file", text, **{name: {"parts": [{"fileData": {}}]}})
    ask("thoughts", {**text, "thought": True, "thoughtSignature": "AA"}, {"thought_signature": "A"})
    ask("calls", {"functionCall": {}}, {"function_call": {}}, {"functionResponse": {"parts": []}})
    ask("a result with parts", {"function_response": {"parts": [{}]}})
    for name in ("fileData", "executableCode", "codeExecutionResult"):
        ask(f"{name}", text, {name: {}})
        ask(f"{name} that is null", text, {name: None})
    images, films = [[8, 20], [33, 5]], [[8, 20], [34, 5]]
    ask("an image", text, {"inlineData": INLINE}, counts=images)
    ask("an image, not apart", text, {"inlineData": INLINE})
    spelt = {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}
    ask("an image in the other spelling", text, spelt, counts=images)
    ask("an image in both spellings", text, {"inlineData": INLINE, **spelt}, counts=images)
    ask("an image without data", {"inlineData": {"mimeType": "image/png"}}, counts=images)
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}
    ask("sound", text, sound, counts=images)
    film = {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}
    ask("a video", text, {**film, "videoMetadata": {"fps": 1}}, counts=films)
    ask("a video, not apart", text, film)
    ask("words of a video without one", {**text, "video_metadata": {}}, counts=films)


def _bedrock(add: Closed) -> None:
    def ask(comment: str, *blocks: Any, **more: Any) -> None:
        add.add(comment, 9, {"messages": [{"role": "user", "content": list(blocks)}], **more})

    text = {"text": "Which fox is this?"}
    ask("system", text, system=[text, {"cachePoint": {}}, {"guardContent": {}}])
    ask("system that is a string", text, system="Be terse.")
    ask("calls and thinking", text, {"toolUse": {}}, {"reasoningContent": {}})
    ask("results", {"toolResult": {"content": [{"text": "x"}, {"json": {}}]}}, {"toolResult": None})
    for name in ("image", "document", "video", "citationsContent"):
        ask(f"{name}", text, {name: {}})
        ask(f"{name} in a result", text, {"toolResult": {"content": [{name: {}}]}})
    ask("a member that is null", {**text, "image": None})
    ask("no content", system=[])


def _many(add: Closed) -> None:
    part = {"type": "image_url", "image_url": "https://example.com/a.png"}
    for number in (256, 257):
        asks = {"messages": [{"role": "user", "content": [part] * number}]}
        add.add(f"{number} images", 1, asks, reported=[[8, 20], [33, 5]])
        parts = [{"inlineData": INLINE}] * 200
        parts += [{"inlineData": {**INLINE, "mimeType": "video/mp4"}}] * (number - 200)
        counts = [[8, 20], [33, 5], [34, 5]]
        comment = f"{number} images and videos"
        add.add(comment, 8, {"contents": [{"parts": parts}]}, reported=counts)
