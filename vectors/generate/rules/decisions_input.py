"""Which labels input and images get by 9.8: what the request explains of what was reported.

Tokens are not counted here: `TOKENS` has the counts, by o200k_base, of the texts that the
cases use.
"""

from typing import Any

from vectors.generate.rules.imagesize import dimensions, video_tokens
from vectors.generate.rules.terms import OPENAI, own_tools

Json = dict[str, Any]
Range = tuple[int, int]

TOKENS = {
    "user": 1,
    "system": 1,
    "assistant": 1,
    "Ann": 1,
    "You are terse.": 4,
    "Name the longest river of France.": 7,
    "The Loire.": 3,
    "The Loire is the longest river of France.": 9,
    "Draw a fox.": 4,
    "Which fox is this?": 5,
}
KNOWN = ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4.1-mini-2025-04-14")
OPENING = (
    "web_search_options data_sources search_parameters plugins previous_response_id conversation"
    " mcp_servers container images cachedContent cached_content promptVariables"
)


class OpenError(Exception):
    """The request does not hold all that the model reads."""


def bounded(lower: int, upper: int, method: str) -> Json:
    """Return the label of a range."""
    return {"label": "BOUNDED", "lower": lower, "upper": upper, "method": method}


def explained(case: Json, request: Json, counts: dict[int, int]) -> dict[int, Json]:
    """Return the labels of the input that a request explains, by kind."""
    if case["api"] == 5:
        return _made(case, request, counts)
    text = {kind: tokens for kind, tokens in counts.items() if 1 <= kind <= 8}
    found: dict[int, Json] = {}
    prompt = Prompt()
    try:
        prompt.read(case["api"], request)
    except OpenError:
        return {}
    ranges = [_image(case, *image) for image in prompt.images]
    known = [found for found in ranges if found is not None]
    images = sum(least for least, _ in known), sum(most for _, most in known)
    whole, apart = sum(text.values()), 33 in counts
    shown = apart and prompt.images and len(known) == len(ranges)
    if shown and images[0] <= counts[33] <= images[1]:
        found[33] = bounded(*images, "image-input/1")
    films = sum(map(video_tokens, prompt.videos))
    if films and counts.get(34, films + 1) <= films:
        found[34] = bounded(0, films, "video-input/1")
    if not {1, 8} & text.keys() or (len(known) < len(ranges) and not apart):
        return found
    if prompt.videos and 34 not in counts:
        return found
    lower, upper, method = _whole(case, request, prompt, (0, 0) if apart else images)
    if lower <= whole <= upper:
        for kind, tokens in text.items():
            rest = whole - tokens
            cached = kind not in (1, 8)
            low, high = (0, upper) if cached else (max(0, lower - rest), upper - rest)
            found[kind] = bounded(low, high, method)
    return found


def _whole(case: Json, request: Json, prompt: "Prompt", images: Any) -> tuple[int, int, str]:
    length = len(case["request"].encode())
    data = sum(len(data) for _, data in prompt.images if data) + sum(map(len, prompt.videos))
    preamble = 600 if prompt.tools else 0
    formula = case["api"] == 1 and case["provider"] in OPENAI and case["model"] in KNOWN
    if not formula:
        return images[0], max(0, length - data) + preamble + images[1], "prompt-bytes/1"
    tokens = sum(TOKENS[text] for text in prompt.texts)
    expected = 3 + 3 * prompt.messages + prompt.names + tokens
    slack = 1 + prompt.parts
    if prompt.plain(request):
        return max(0, expected - slack), expected + slack, "prompt/1+o200k_base"
    rest = max(0, length - data - sum(len(text.encode()) for text in prompt.texts))
    upper = expected + slack + rest + preamble + images[1]
    return max(0, expected - slack + images[0]), upper, "prompt/1+o200k_base"


class Prompt:
    """What a request of openai.chat, openai.responses or anthropic.messages gives to read."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages = self.names = self.parts = 0
        self.images: list[tuple[str, str | None]] = []
        self.videos: list[str] = []
        self.tools = self.only_texts = False
        self.members: set[str] = set()

    def plain(self, request: Json) -> bool:
        """Return whether there is nothing but messages of text."""
        beside = ("tool_choice", "functions", "function_call", "response_format", "documents")
        odd = any(request.get(name) for name in beside) or self.tools or self.images
        return not odd and self.members <= {"role", "content", "name"}

    def read(self, api: int, request: Json) -> None:
        """Read a request."""
        tools = request.get("tools")
        if any(request.get(name) for name in OPENING.split()) or not own_tools(api, tools):
            raise OpenError
        self.tools = bool(tools or request.get("functions"))
        if api == 2:
            self._responses(request)
        elif api in (3, 4, 12):
            if not isinstance(request.get("prompt"), str):
                raise OpenError
        elif api in (1, 7, 10, 11, 13):
            if not isinstance(request.get("messages"), list):
                raise OpenError
            for message in request["messages"]:
                self._message(api, message)
            if api == 7:
                self._content(7, request.get("system"))
        elif api != 8:
            raise OpenError
        else:
            self._gemini(request)

    def _message(self, api: int, message: Json) -> None:
        self.messages += 1
        self.members |= {name for name, value in message.items() if value}
        self.names += "name" in message
        self.texts += [message[name] for name in ("role", "name") if name in message]
        if message.get("audio") or message.get("images"):
            raise OpenError
        self._content(api, message.get("content"))

    def _content(self, api: int, content: Any) -> None:
        if isinstance(content, str):
            self.texts.append(content)
        for part in content if isinstance(content, list) else []:
            if part["type"] == "text":
                self.parts += 1
                self.texts.append(part["text"])
            elif part["type"] == "image_url" and api == 1:
                url = part["image_url"]["url"]
                detail = part["image_url"].get("detail", "auto")
                self.images.append((detail, url if url.startswith("data:") else None))
            elif part["type"] == "image" and api == 7 and part["source"]["type"] == "base64":
                self.images.append(("auto", part["source"]["data"]))
            elif part["type"] not in ("tool_use", "tool_result", "thinking") or api != 7:
                raise OpenError

    def _responses(self, request: Json) -> None:
        if request.get("prompt") is not None:
            raise OpenError
        given = request.get("input")
        if not isinstance(given, str):
            raise OpenError

    def _gemini(self, request: Json) -> None:
        for content in request["contents"]:
            for part in content["parts"]:
                inline = part.get("inlineData", {})
                if inline.get("mimeType") == "video/mp4":
                    self.videos.append(inline["data"])
                elif "inlineData" in part:
                    self.images.append(("auto", part["inlineData"]["data"]))
                elif set(part) != {"text"}:
                    raise OpenError


def _image(case: Json, detail: str, data: str | None) -> Range | None:
    size = dimensions(data) if data else None
    model, provider = case["model"], case["provider"]
    if provider in OPENAI and model == "gpt-4o-2024-08-06":
        return _squares(detail, size, 85, 170)
    if provider in OPENAI and model == "gpt-4o-mini-2024-07-18":
        return _squares(detail, size, 2833, 5667)
    if provider in OPENAI and model == "gpt-4.1-mini-2025-04-14":
        patches = 1536
        if size is not None:
            patches = min(patches, -(-size[0] // 32) * -(-size[1] // 32))
        return 1, -(-162 * patches // 100)
    if provider == "gemini" and model.startswith("gemini-2.5-"):
        return None if size is None else (64, 258 * _gemini_tiles(*size))
    if provider == "anthropic" and model.startswith("claude-"):
        most = 4784 if size is None else -(-size[0] * size[1] // 750) + 64
        return 0, min(4784, most)
    return None


def _gemini_tiles(width: int, height: int) -> int:
    if width <= 384 and height <= 384:
        return 1
    unit = max(1, 2 * min(width, height) // 3)
    return max(-(-width // 768) * -(-height // 768), -(-width // unit) * -(-height // unit))


def _squares(detail: str, size: Range | None, base: int, square: int) -> Range:
    if detail == "low":
        return base, base
    if size is None:
        return base, base + 16 * square
    counted = []
    for enlarge in (False, True):
        width, height = size
        longest = max(width, height)
        if longest > 2048:
            width, height = max(1, width * 2048 // longest), max(1, height * 2048 // longest)
        shortest = min(width, height)
        if shortest > 768 or enlarge:
            width, height = max(1, width * 768 // shortest), max(1, height * 768 // shortest)
        counted.append(-(-width // 512) * -(-height // 512))
    return base + (square * counted[0] if detail == "high" else 0), base + square * min(
        16, counted[1]
    )


def _made(case: Json, request: Json, counts: dict[int, int]) -> dict[int, Json]:
    table = {"1024x1024": (272, 1056, 4160), "1536x1024": (400, 1568, 6208)}
    table["1024x1536"] = (408, 1584, 6240)
    if case["provider"] not in OPENAI or case["model"] != "gpt-image-1":
        return {}
    size, quality = request.get("size", "auto"), request.get("quality", "auto")
    cells = [
        cell
        for name, row in table.items()
        for column, cell in zip(("low", "medium", "high"), row, strict=True)
        if size in (name, "auto") and quality in (column, "auto")
    ]
    number = request.get("n", 1)
    lower = number * min(cells)
    upper = number * (max(cells) + 100 * request.get("partial_images", 0))
    kind = 36 if 36 in counts else 18
    fits = lower <= counts.get(kind, -1) <= upper
    return {kind: bounded(lower, upper, "image-output/1")} if fits else {}
