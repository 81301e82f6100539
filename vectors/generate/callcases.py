"""Requests and responses of the calls whose labels are decided."""

import base64
import json
import struct
from typing import Any

from vectors.generate.suite import Group, Json

CHAT, RESPONSES, EMBEDDINGS, IMAGES, MESSAGES, GEMINI = 1, 2, 4, 5, 7, 8
GPT = "gpt-4o-2024-08-06"
ASKED = "Name the longest river of France."
SAID = "The Loire is the longest river of France."
TURNS = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": ASKED},
]
PLAIN = [[1, 22], [2, 0], [16, 9], [17, 0]]


def picture(width: int, height: int) -> str:
    """Return the beginning of a PNG in base64."""
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    return base64.b64encode(head + bytes(6)).decode()


def portrait() -> str:
    """Return the beginning of a JPEG of 600 by 800 pixels, with a comment before the frame."""
    head = b"\xff\xd8\xff\xfe\x00\x08fox\x00\x00\x00"
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 800, 600) + b"\x03" + bytes(9)
    return base64.b64encode(head + frame).decode()


JPEG, WEBP = "image/jpeg", "image/webp"


def pictures() -> dict[str, tuple[str, bytes]]:
    """Return beginnings of images of 600 by 800 pixels: type and bytes, by what is in them."""
    frame = struct.pack(">HBHHB", 17, 8, 800, 600, 3) + bytes(9)
    riff, sides = b"RIFF" + bytes(4) + b"WEBP", struct.pack("<HH", 600, 800 | 0x4000)
    three = (599).to_bytes(3, "little") + (799).to_bytes(3, "little")
    packed = (599 | 799 << 14).to_bytes(4, "little")
    return {
        "a GIF": ("image/gif", b"GIF89a" + struct.pack("<HH", 600, 800) + bytes(2)),
        "WebP VP8X": (WEBP, riff + b"VP8X" + bytes(8) + three),
        "WebP VP8L": (WEBP, riff + b"VP8L" + bytes(4) + b"\x2f" + packed + bytes(8)),
        "WebP VP8": (WEBP, riff + b"VP8 " + bytes(7) + b"\x9d\x01\x2a" + sides),
        "WebP of another kind": (WEBP, riff + b"ALPH" + bytes(14)),
        "a JPEG with fill bytes": (JPEG, b"\xff\xd8\xff\xff\xff\xc2" + frame),
        "a JPEG with markers that stand alone": (JPEG, b"\xff\xd8\xff\x01\xff\xd7\xff\xcf" + frame),
        "a JPEG with tables first": (JPEG, b"\xff\xd8\xff\xc4\x00\x06AAAA\xff\xc0" + frame),
        "a JPEG with a scan first": (JPEG, b"\xff\xd8\xff\xda\x00\x02\xff\xc0" + frame),
        "a JPEG with a segment too short": (JPEG, b"\xff\xd8\xff\xe0\x00\x01\xff\xc0" + frame),
    }


def usage_of(counts: list[list[int]]) -> Json:
    """Return OpenAI's usage value that comes to some counts."""
    found = {kind: tokens for kind, tokens in counts}  # noqa: C416 - lists, not pairs
    prompt = sum(found.get(kind, 0) for kind in (1, 2, 3, 8, 33))
    output = sum(found.get(kind, 0) for kind in (16, 17, 18))
    usage: Json = {"prompt_tokens": prompt, "completion_tokens": output}
    details = {"cached_tokens": 2, "cache_write_tokens": 3, "image_tokens": 33}
    given = {name: found[kind] for name, kind in details.items() if kind in found}
    if given:
        usage["prompt_tokens_details"] = given
    if 17 in found:
        usage["completion_tokens_details"] = {"reasoning_tokens": found[17]}
    return usage | {"total_tokens": prompt + output}


class Adder:
    """Adds cases."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def add(self, flag: str, comment: str, request: Any, response: Any, **how: Any) -> None:
        """Add a call; bodies that are no text are written as JSON."""
        facts = {"provider": "openai", "model": GPT, "api": CHAT, "status": 0, "metering": 1}
        facts |= {"anomalies": [], "streamed": False}
        bodies = {
            name: body if isinstance(body, str) else json.dumps(body)
            for name, body in (("request", request), ("response", response))
        }
        how["reported"] = sorted(how["reported"])
        self.group.valid(comment, flag, **(facts | how | bodies))

    def chat(self, flag: str, comment: str, counts: list[list[int]], **how: Any) -> None:
        """Add a call of openai.chat; `asks` are further members of its request."""
        asks = {"model": "gpt-4o", "messages": TURNS} | how.pop("asks", {})
        message = {"role": "assistant", "content": SAID} | how.pop("says", {})
        choice = {"index": 0, "message": message, "finish_reason": how.pop("end", "stop")}
        choices = [choice, *how.pop("more", [])]
        body = {"model": how.get("model", GPT), "choices": choices, "usage": usage_of(counts)}
        self.add(flag, comment, asks, body, reported=counts, **how)


def box(name: bytes, content: bytes) -> bytes:
    """Return a box of an MP4 file."""
    return struct.pack(">I4s", 8 + len(content), name) + content


def film() -> str:
    """Return what an MP4 file of 30 frames of 320 by 240 pixels says of itself."""
    head = box(b"tkhd", bytes(76) + struct.pack(">II", 320 << 16, 240 << 16))
    table = box(b"stbl", box(b"stsz", struct.pack(">III", 0, 0, 30)))
    moov = box(b"moov", box(b"trak", head + box(b"mdia", box(b"minf", table))))
    return base64.b64encode(box(b"ftyp", b"isom") + moov).decode()


def films(add: Adder, body: Json, usage: Json, how: Json) -> None:
    """Cases of videos."""
    inline = {"inlineData": {"mimeType": "video/mp4", "data": film()}}
    asks = {"contents": [{"parts": [{"text": "Which fox is this?"}, inline]}]}
    for comment, tokens in (("a video", 258), ("a video of more than it has", 2251)):
        modal = [{"modality": "TEXT", "tokenCount": 6}, {"modality": "VIDEO", "tokenCount": tokens}]
        sums = {"promptTokenCount": 6 + tokens, "totalTokenCount": 98 + tokens}
        told = {**body, "usageMetadata": {**usage, **sums, "promptTokensDetails": modal}}
        counts = [[8, 6], [16, 12], [17, 80], [34, tokens]]
        add.add("Parts", f"Gemini: {comment}", asks, told, reported=counts, **how)


def vendors(add: Adder) -> None:
    """Cases of other formats."""
    image = {"inlineData": {"mimeType": "image/png", "data": picture(960, 540)}}
    asks: Json = {"contents": [{"role": "user", "parts": [{"text": "Which fox is this?"}, image]}]}
    asks["generationConfig"] = {"maxOutputTokens": 100, "candidateCount": 1}
    modal = [{"modality": "TEXT", "tokenCount": 6}, {"modality": "IMAGE", "tokenCount": 258}]
    usage: Json = {"promptTokenCount": 264, "candidatesTokenCount": 12, "thoughtsTokenCount": 80}
    usage |= {"totalTokenCount": 356, "promptTokensDetails": modal}
    part = {"content": {"role": "model", "parts": [{"text": SAID}]}, "finishReason": "STOP"}
    body = {"candidates": [part], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}
    how: Json = {"provider": "gemini", "model": "gemini-2.5-flash", "api": GEMINI}
    counts = [[8, 6], [16, 12], [17, 80], [33, 258]]
    add.add(
        "Parts", "Gemini: an image apart, thoughts under a cap", asks, body, reported=counts, **how
    )
    more = {**asks, "tools": [{"googleSearch": {}}]}
    add.add("Tools", "Gemini: a search", more, body, reported=counts, **how)
    films(add, body, usage, how)
    source = {"type": "base64", "media_type": "image/jpeg", "data": portrait()}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "Which fox is this?"}]
    asked = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": blocks}]}
    answer: Json = {"model": "claude-sonnet-4-5-20250929", "role": "assistant", "type": "message"}
    answer |= {"content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn"}
    answer["usage"] = {"input_tokens": 660, "output_tokens": 12}
    how = {"provider": "anthropic", "model": answer["model"], "api": MESSAGES}
    counts = [[1, 660], [18, 12]]
    add.add("Parts", "Claude: an image", asked, answer, reported=counts, **how)
    served = {**asked, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    add.add("Tools", "Claude: a search", served, answer, reported=counts, **how)
    item = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": SAID}],
    }
    thought = {"type": "reasoning", "summary": []}
    whole: Json = {"model": "o3-2025-04-16", "status": "completed", "output": [thought, item]}
    whole["usage"] = {"input_tokens": 18, "output_tokens": 89, "total_tokens": 107}
    whole["usage"]["input_tokens_details"] = {"cached_tokens": 0}
    whole["usage"]["output_tokens_details"] = {"reasoning_tokens": 80}
    counts = [[1, 18], [2, 0], [16, 9], [17, 80]]
    how = {"model": "o3-2025-04-16", "api": RESPONSES, "reported": counts}
    asked = {"model": "o3", "input": ASKED, "max_output_tokens": 100}
    add.add("Reasoning", "responses, under a cap", asked, whole, **how)
    told = {**asked, "previous_response_id": "resp_1"}
    add.add("HiddenText", "responses: an earlier one is read too", told, whole, **how)


def ollama(add: Adder) -> None:
    """Cases of Ollama, which shows all thinking and splits nothing."""
    for api, asks, said in (
        (11, {"messages": TURNS[1:]}, {"message": {"content": SAID, "thinking": "A river."}}),
        (12, {"prompt": "Which river?"}, {"response": SAID, "thinking": "A river."}),
    ):
        for comment, tokens, members in (
            ("a whole trace", 40, {}),
            ("more than both", 82, {}),
            ("under a cap that is less", 40, {"options": {"num_predict": 50}}),
            ("a stop sequence that hides too much", 40, {"options": {"stop": "x" * 17}}),
        ):
            body = {"model": "qwen3", "done": True, "done_reason": "stop", **said}
            body |= {"prompt_eval_count": 20, "eval_count": tokens}
            how: Json = {"provider": "ollama", "model": "qwen3", "api": api}
            whole = {"model": "qwen3", "stream": False, **asks, **members}
            counts = [[8, 20], [18, tokens]]
            add.add("Reasoning", f"Ollama, {api}: {comment}", whole, body, reported=counts, **how)


def made(add: Adder) -> None:
    """Cases of images that were made."""
    asks = {"model": "gpt-image-1", "prompt": "Draw a fox.", "size": "1024x1024", "quality": "low"}
    how: Json = {"api": IMAGES, "model": None}
    for comment, tokens, members in (
        ("as the table says", 272, {}),
        ("three of them", 816, {"n": 3}),
        ("of whatever size", 6240, {"size": "auto", "quality": "high"}),
        ("more than the table says", 1056, {}),
        ("two partial images beside it", 472, {"partial_images": 2}),
    ):
        usage = {"input_tokens": 11, "output_tokens": tokens, "total_tokens": 11 + tokens}
        body = {"created": 1, "data": [], "usage": usage}
        counts = [[8, 11], [18, tokens]]
        add.add("Made", comment, asks | members, body, reported=counts, **how)
