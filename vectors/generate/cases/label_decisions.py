"""label_decisions.json: what a call looked like, and the labels that its counts get."""

import base64
import json
from typing import Any

from vectors.generate.callcases import (
    GPT,
    MESSAGES,
    PLAIN,
    SAID,
    TURNS,
    Adder,
    made,
    ollama,
    picture,
    pictures,
    portrait,
    usage_of,
    vendors,
)
from vectors.generate.closedcases import Closed
from vectors.generate.closedcases import closed as add_closed
from vectors.generate.rules import closed, decisions, terms
from vectors.generate.suite import Json, Suite
from vectors.generate.termcases import Terms
from vectors.generate.termcases import terms as add_terms

FLAGS = (
    ("Plain", "The honest plain call: EXACT output, explained input.", "LBL-5 BND-13 BND-14"),
    ("UnknownModel", "A model that the table does not know.", "TOK-4 BND-15"),
    ("FineTuned", "A fine-tuned model is another model.", "TOK-4"),
    ("Tools", "Tools in the request, or in the answer.", "TOK-5 BND-7 BND-12"),
    ("Parts", "Content in parts, with images or files.", "BND-12 BND-16 BND-17 BND-18 BND-22"),
    ("Cached", "A prompt that was read from a cache or written to one.", "BND-10 BND-11"),
    ("Refusal", "A refusal told apart.", "TOK-5"),
    ("Truncated", "An answer cut by a length limit.", "LBL-5 BND-6"),
    ("Choices", "Several answers.", "TOK-5 BND-5"),
    (
        "Logprobs",
        "Log probabilities, and other members that change how text becomes tokens.",
        "TOK-5",
    ),
    ("Reasoning", "Hidden thinking, with and without a split.", "LBL-5 BND-2 BND-6 BND-8"),
    ("Interrupted", "A stream that did not reach its end.", "LBL-10 BND-1"),
    ("Contract", "What the request allowed, kept and broken.", "BND-3 BND-4 BND-5 BND-6"),
    ("HiddenText", "Text that the provider adds is not held against it.", "BND-10"),
    ("Made", "Images that a model made.", "BND-19"),
    ("Terms", "What a request takes, in each api.", "BND-5 BND-6"),
    ("Prompts", "Several prompts in one request, each with its answers.", "BND-5 BND-6 BND-9"),
    ("Spellings", "Two spellings of one member.", "BND-5"),
    ("More", "What makes a provider generate more than answers.", "BND-7"),
    ("Ceiling", "A declared decode ceiling.", "BND-9"),
    ("Least", "Two methods for one bucket.", "BND-2"),
    ("Closed", "What a request may hold besides text, in each api.", "BND-12 BND-15 BND-16"),
)


def check(case: Json) -> Json:
    """Give the labels."""
    return {"buckets": decisions.decide(case)}


def check_terms(case: Json) -> Json:
    """Give the labels by the request and the time alone."""
    return {"buckets": terms.label(case)}


def check_input(case: Json) -> Json:
    """Give the labels by the request's bytes alone."""
    return {"buckets": closed.label(case)}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "label_decisions",
        "label-decisions",
        "9.8 Output that is not shown, input, media",
        "A call of this provider and api, answered by this model, with this request and",
        "response, whose usage says `reported` (kind, tokens), gets exactly these `buckets`.",
        "`model` is null where the response names none; then `model_requested` is M.",
        "The vocabulary o200k_base is there, and no decode ceiling is declared.",
        "Terms: `reported` are counts that no method of 9.4, 9.6 or 9.7 labels; of a response",
        "nothing is known but that it ended `ceiling[1]` milliseconds after the request came, and",
        "`ceiling[0]` tokens a second are declared, null where none are; M is `model`.",
        "Input: of the response nothing is known but that its usage says `reported`, of input and",
        "media; M is `model`, for which no image or video has a range.",
    )
    for name, description, ids in FLAGS:
        effect = "Honest counts that are called wrong, or others that are called right."
        suite.flag(name, "BASIC", description, effect, ids)
    add = Adder(suite.group("Decisions", check))
    for part in (plain, models, tools, parts, cached, others, answers, reasoning):
        part(add)
    for part in (interrupted, contract, hidden_text, vendors, made):
        part(add)
    add_terms(Terms(suite.group("Terms", check_terms)))
    add_closed(Closed(suite.group("Input", check_input)))
    return suite


def plain(add: Adder) -> None:
    """Cases of plain calls."""
    add.chat("Plain", "an honest plain call", PLAIN)
    add.chat("Plain", "the answer billed with one token more", [*PLAIN[:2], [16, 10], [17, 0]])
    add.chat("Plain", "three tokens too many: above", [*PLAIN[:2], [16, 12], [17, 0]])
    add.chat("Plain", "without details of the input", [[8, 22], [16, 9], [17, 0]])
    add.chat("Plain", "one token less of input", [[8, 21], [16, 9], [17, 0]])
    add.chat("Plain", "two tokens less of input", [[8, 20], [16, 9], [17, 0]])
    turns = [{**TURNS[1], "name": "Ann"}]
    add.chat("Plain", "a name", [[8, 17], [16, 9], [17, 0]], asks={"messages": turns})
    add.chat("Plain", "at another provider", PLAIN, provider="azure-openai")
    add.chat("Plain", "a broken request", PLAIN, asks={"messages": "x"})
    delta = [{"index": 0, "delta": {"role": "assistant", "content": ""}}]
    chunks = [
        [{"index": 0, "delta": {"content": text}}]
        for text in ("The Loire is the longest", " river of France.")
    ]
    ending = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    events: list[Json] = [
        {"model": GPT, "choices": found, "usage": None} for found in (delta, *chunks, ending)
    ]
    events.append({"model": GPT, "choices": [], "usage": usage_of(PLAIN)})
    asks: Json = {"model": "gpt-4o", "messages": TURNS, "stream": True}
    asks["stream_options"] = {"include_usage": True}
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    add.add("Plain", "streamed", asks, text, reported=PLAIN, streamed=True)


def models(add: Adder) -> None:
    """Cases of models that are not in the table."""
    for name in ("gpt-9-turbo", "gpt-4o-2024-08-06-preview-x", "GPT-4O", "openai/gpt-4o", "o200k"):
        add.chat("UnknownModel", f"{name} at a known provider", PLAIN, model=name)
    for provider in ("custom", "openrouter", "groq"):
        add.chat("UnknownModel", f"a known model at {provider}", PLAIN, provider=provider)
    for name in ("ft:gpt-4o-2024-08-06:acme::BTz3c0Oe", "ft:gpt-4o-mini-2024-07-18:acme:x:y"):
        add.chat("FineTuned", name, PLAIN, model=name)
    add.chat("FineTuned", "its base model, plain", PLAIN, model="gpt-4o-mini-2024-07-18")


def tools(add: Adder) -> None:
    """Cases of tools."""
    tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}
    call = {"index": 0, "id": "c", "function": {"name": "get", "arguments": '{"city":"Paris"}'}}
    called = {"content": None, "tool_calls": [call]}
    with_tool: Json = {"asks": {"tools": [tool], "max_tokens": 100}}
    add.chat("Tools", "offered, not used", [[8, 60], [16, 9], [17, 0]], **with_tool)
    how: Json = {"says": called, "anomalies": [12], "end": "tool_calls", **with_tool}
    add.chat("Tools", "called", [[8, 60], [16, 15], [17, 0]], **how)
    add.chat("Tools", "hidden parts beside a call", [[8, 60], [16, 15], [17, 30]], **how)
    counts = [[8, 900], [16, 9], [17, 0]]
    add.chat("Tools", "more input than tools and a preamble explain", counts, **with_tool)
    add.chat("Tools", "none after all", PLAIN, asks={"tools": [], "tool_choice": None})
    search: Json = {"asks": {"tools": [{"type": "web_search"}], "max_tokens": 10}}
    add.chat("Tools", "one that the provider runs", [[8, 40], [16, 9], [17, 500]], **search)
    function: Json = {"asks": {"functions": [{"name": "get"}], "function_call": "auto"}}
    add.chat("Tools", "in the older form", [[8, 40], [16, 9], [17, 0]], **function)
    told = [*TURNS, {"role": "assistant", "content": None, "tool_calls": [call]}, TURNS[1]]
    add.chat(
        "Tools", "called in an earlier turn", [[8, 50], [16, 9], [17, 0]], asks={"messages": told}
    )
    begun = [*TURNS, {"role": "assistant", "content": "The Loire."}]
    counts = [[8, 29], [16, 9], [17, 0]]
    add.chat("Tools", "an answer that the caller began", counts, asks={"messages": begun})


def parts(add: Adder) -> None:
    """Cases of content in parts."""
    text = {"type": "text", "text": "Which fox is this?"}
    url = f"data:image/png;base64,{picture(1024, 1024)}"

    def ask(comment: str, counts: list[list[int]], part: Any, **how: Any) -> None:
        turns = [{"role": "user", "content": [text, part]}]
        add.chat("Parts", comment, [*counts, [16, 9], [17, 0]], asks={"messages": turns}, **how)

    def image(found: str = url, **more: Any) -> Json:
        return {"type": "image_url", "image_url": {"url": found, **more}}

    ask("two texts", [[8, 20]], {"type": "text", "text": "Draw a fox."})
    ask("an image in high detail", [[8, 12 + 765]], image(detail="high"))
    ask("an image in low detail", [[8, 12 + 85]], image(detail="low"))
    ask("an image in low detail, billed as high", [[8, 12 + 765]], image(detail="low"))
    ask("an image of unstated detail", [[8, 12 + 765]], image())
    ask("an image reported apart", [[8, 12], [33, 765]], image(detail="high"))
    ask("an image reported apart, too large", [[8, 12], [33, 935]], image(detail="high"))
    ask("an image behind a URL", [[8, 12 + 1105]], image("https://example.com/fox.png"))
    jpeg = f"data:image/jpeg;base64,{portrait()}"
    ask("a JPEG", [[8, 12 + 765]], image(jpeg, detail="high"))
    ask("data that is no image", [[8, 12 + 1445]], image("data:image/png;base64,AAAA"))
    for width, height, tokens in (
        (3000, 1000, 1445), (2048, 2048, 765), (512, 512, 765), (512, 512, 254),
        (100, 5000, 2805), (100, 5000, 2806), (65_535, 1, 765), (769, 768, 765),
    ):  # fmt: skip
        url = f"data:image/png;base64,{picture(width, height)}"
        counts = [[8, 12], [33, tokens]]
        ask(f"{width} by {height} pixels, {tokens} apart", counts, image(url, detail="high"))
    ask("of no known size, the most", [[8, 12], [33, 2805]], image("https://example.com/a.png"))
    ask("of no known size, more", [[8, 12], [33, 2806]], image("https://example.com/a.png"))
    for name, (kind, data) in pictures().items():
        url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        ask(name, [[8, 12], [33, 765]], image(url, detail="high"))
    ask("patches", [[8, 50 + 1659]], image(), model="gpt-4.1-mini-2025-04-14")
    ask("an image of a model without formula", [[8, 500]], image(), model="gpt-9-turbo")
    ask("a file", [[8, 900]], {"type": "file", "file": {"file_id": "file-1"}})
    ask("sound", [[8, 60]], {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})
    spoken = {"content": None, "audio": {"id": "a", "transcript": SAID}}
    counts = [[1, 22], [2, 0], [16, 9], [17, 0]]
    add.chat("Parts", "an answer that is spoken", counts, says=spoken, anomalies=[12])


def cached(add: Adder) -> None:
    """Cases of cached prompts."""
    for fresh, read, written in ((2, 20, 0), (0, 22, 0), (5, 7, 10), (22, 0, 0)):
        counts = [[1, fresh], [2, read], [3, written], [16, 9], [17, 0]]
        add.chat("Cached", f"{fresh} new, {read} read, {written} written", counts)
    add.chat("Cached", "more than all", [[1, 22], [2, 22], [16, 9], [17, 0]])
    asks = {"model": "claude-sonnet-4-5", "max_tokens": 50, "system": "You are terse."}
    asks["messages"] = TURNS[1:]
    body: Json = {"type": "message", "model": "claude-sonnet-4-5-20250929", "role": "assistant"}
    body |= {"content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn"}
    claude: Json = {"provider": "anthropic", "model": body["model"], "api": MESSAGES}
    for fresh, read in ((3, 20), (3, 2000)):
        usage = {"input_tokens": fresh, "cache_read_input_tokens": read}
        usage |= {"cache_creation_input_tokens": 0, "output_tokens": 12}
        counts = [[1, fresh], [2, read], [3, 0], [18, 12]]
        body_now = {**body, "usage": usage}
        comment = f"Claude: {fresh} new, {read} read"
        add.add("Cached", comment, asks, body_now, reported=counts, **claude)


def others(add: Adder) -> None:
    """Cases of refusals, choices, log probabilities, and members like them."""
    refused = {"content": None, "refusal": "I cannot help with that."}
    add.chat("Refusal", "a refusal", [*PLAIN[:2], [16, 6], [17, 0]], says=refused)
    add.chat("Refusal", "a refusal beside an answer", PLAIN, says={"refusal": "No."})
    add.chat("Refusal", "none", PLAIN, says={"refusal": None})
    second = {
        "index": 1,
        "message": {"role": "assistant", "content": SAID},
        "finish_reason": "stop",
    }
    two = [*PLAIN[:2], [16, 18], [17, 0]]
    add.chat("Choices", "two asked for, two came", two, asks={"n": 2}, more=[second])
    add.chat("Choices", "two asked for, one came", PLAIN, asks={"n": 2})
    add.chat("Choices", "two came unasked", two, more=[second])
    add.chat("Choices", "one asked for", PLAIN, asks={"n": 1})
    thought = [[1, 22], [2, 0], [16, 18], [17, 170]]
    add.chat(
        "Choices",
        "hidden of two, under a cap of each",
        thought,
        asks={"n": 2, "max_completion_tokens": 100},
        more=[second],
    )
    for members in (
        {"logprobs": True},
        {"top_logprobs": 3},
        {"logit_bias": {"50256": -100}},
        {"response_format": {"type": "json_object"}},
        {"stop": ["\n"]},
        {"prediction": {"type": "content", "content": SAID}},
    ):
        add.chat("Logprobs", f"{next(iter(members))}", PLAIN, asks=members)
    quiet = {"logprobs": False, "logit_bias": {}, "response_format": {"type": "text"}}
    add.chat("Logprobs", "none of them", [[8, 30], [16, 9], [17, 0]], asks=quiet | {"stop": None})


def answers(add: Adder) -> None:
    """Cases of answers that were cut."""
    asks: Json = {"asks": {"max_tokens": 3}, "says": {"content": "The Loire."}}
    cut = [*PLAIN[:2], [16, 3], [17, 0]]
    add.chat("Truncated", "by its length", cut, status=8, end="length", **asks)
    add.chat("Truncated", "a plain end at the same length", cut, **asks)
    add.chat("Truncated", "by a filter", cut, status=8, end="content_filter", **asks)
    add.chat(
        "Truncated",
        "in its thinking",
        [*PLAIN[:2], [16, 0], [17, 4]],
        status=8,
        end="length",
        asks={"max_completion_tokens": 3},
        says={"content": ""},
    )


def reasoning(add: Adder) -> None:
    """Cases of hidden thinking."""
    o3: Json = {"model": "o3-2025-04-16", "asks": {"max_completion_tokens": 200}}
    add.chat("Reasoning", "split, under a cap", [[8, 22], [16, 9], [17, 120]], **o3)
    add.chat("Reasoning", "not split, under a cap", [[8, 22], [18, 129]], **o3)
    add.chat("Reasoning", "not split, no cap", [[8, 22], [18, 129]], model=o3["model"])
    add.chat("Reasoning", "split, no cap", [[8, 22], [16, 9], [17, 120]], model=o3["model"])
    add.chat("Reasoning", "of a model that is not said to think", [[8, 22], [16, 9], [17, 5]])
    deep: Json = {"provider": "deepseek", "model": "deepseek-reasoner"}
    traced: Json = {"says": {"reasoning_content": "The user asks for a river."}, **deep}
    add.chat("Reasoning", "a whole trace", [[8, 22], [16, 9], [17, 6]], **traced)
    add.chat("Reasoning", "more than a whole trace can be", [[8, 22], [16, 9], [17, 43]], **traced)
    add.chat("Reasoning", "a trace that did not come", [[8, 22], [16, 9], [17, 6]], **deep)
    hidden: Json = {**deep, "says": {"reasoning_content": "\u00dc\u4e16"}}
    add.chat("Reasoning", "none apart beside a trace", [[8, 22], [16, 20], [17, 0]], **hidden)
    add.chat("Reasoning", "a trace counted in bytes", [[8, 22], [16, 9], [17, 22]], **hidden)
    add.chat("Reasoning", "not split, a whole trace", [[8, 22], [18, 60]], **traced)
    add.chat("Reasoning", "not split, more than both", [[8, 22], [18, 101]], **traced)
    ollama(add)
    other: Json = {**traced, "provider": "groq"}
    add.chat("Reasoning", "a trace that may be a summary", [[8, 22], [16, 9], [17, 6]], **other)


def interrupted(add: Adder) -> None:
    """Cases of streams that broke off."""
    used = {"input_tokens": 20, "output_tokens": 1}
    message = {"model": "claude-sonnet-4-5-20250929", "usage": used}
    start = {"type": "message_start", "message": message}
    text = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    said = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": SAID},
    }
    ending = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 12},
    }
    asks = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": TURNS[1:], "stream": True}
    claude: Json = {"provider": "anthropic", "model": "claude-sonnet-4-5-20250929", "api": MESSAGES}

    def stream(comment: str, counts: list[list[int]], *events: Json, **how: Any) -> None:
        body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
        add.add("Interrupted", comment, asks, body, reported=counts, streamed=True, **claude, **how)

    whole = (start, text, said, {"type": "content_block_stop", "index": 0}, ending)
    stream("whole", [[1, 20], [18, 12]], *whole, {"type": "message_stop"})
    stream("broken off by the upstream", [[1, 20]], start, text, said, status=3, metering=2)
    stream("the client hung up", [[1, 20], [18, 12]], *whole, {"type": "message_stop"}, status=1)
    chunk = {"model": GPT, "choices": [{"index": 0, "delta": {"content": SAID}}]}
    body = f"data: {json.dumps(chunk)}\n\n"
    asks_chat = {"model": "gpt-4o", "messages": TURNS, "stream": True, "max_tokens": 50}
    how: Json = {"streamed": True, "metering": 0, "reported": []}
    add.add("Interrupted", "before any usage", asks_chat, body, status=3, **how)
    usage = {"model": GPT, "choices": [], "usage": usage_of(PLAIN)}
    body += f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n"
    how = {"streamed": True, "reported": PLAIN}
    add.add("Interrupted", "all came, but the client was gone", asks_chat, body, status=1, **how)


def contract(add: Adder) -> None:
    """Cases of caps on output."""

    def hidden(comment: str, tokens: int, **asks: Any) -> None:
        counts = [[8, 22], [16, 9], [17, tokens]]
        add.chat("Contract", comment, counts, model="o3-2025-04-16", asks=asks)

    hidden("all that was allowed", 91, max_completion_tokens=100)
    hidden("with the token that ends it", 92, max_completion_tokens=100)
    hidden("more than was allowed: outside", 93, max_completion_tokens=100)
    hidden("the newer member counts", 93, max_completion_tokens=200, max_tokens=5)
    hidden("the older one where the newer is null", 93, max_completion_tokens=None, max_tokens=5)
    for cap in (0, -5, 100.0, "100", True, 2**53):
        hidden(f"a cap of {cap!r}", 93, max_completion_tokens=cap)
    hidden("the largest cap", 93, max_completion_tokens=2**53 - 2)
    hidden(
        "a prediction, whose rejected tokens may not be capped",
        93,
        max_completion_tokens=100,
        prediction={"type": "content", "content": "x"},
    )
    for answers_ in (0, 129, "2", 2.0):
        hidden(f"{answers_!r} answers", 93, max_completion_tokens=100, n=answers_)
    counts = [[8, 22], [18, 101]]
    add.chat("Contract", "unsplit, all allowed", counts, model="o3", asks={"max_tokens": 100})
    counts = [[8, 22], [18, 102]]
    add.chat("Contract", "unsplit, outside", counts, model="o3", asks={"max_tokens": 100})
    how: Json = {"provider": "custom", "model": "o3", "asks": {"max_tokens": 100}}
    add.chat("Contract", "a provider whose cap may leave thinking out", counts, **how)


def hidden_text(add: Adder) -> None:
    """Cases of text that a provider adds."""
    for tokens in (23, 24, 60, 400, 100_000):
        add.chat("HiddenText", f"{tokens} tokens of input", [[8, tokens], [16, 9], [17, 0]])
    for tokens in (22, 200, 400):
        counts = [[8, tokens], [16, 9], [17, 0]]
        add.chat("HiddenText", f"{tokens} tokens of input by bytes", counts, model="gpt-9-turbo")
    asks = {"web_search_options": {"search_context_size": "low"}}
    add.chat("HiddenText", "pages that were searched", [[8, 22], [16, 9], [17, 0]], asks=asks)
