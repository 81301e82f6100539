"""Answers of each wire format as they stand on the wire, after the providers' documents."""

import json

from tests.event_streams import message


def sse(*events: object, end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + end for event in events)


def named(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + sse({"type": kind, **fields})


DONE = b"data: [DONE]\n\n"

# --- OpenAI's family

OPENAI_STREAM = (
    sse(
        {"model": "m-1", "choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": None},
        {"model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}},
    )
    + DONE
)
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "model": "t-1",
    "choices": [{"text": " there", "index": 0, "logprobs": None, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}
COMPLETION_CHUNKS = (
    {"model": "t-1", "choices": [{"text": " the", "index": 0, "finish_reason": None}]},
    {"model": "t-1", "choices": [{"text": "re", "index": 0, "finish_reason": "stop"}]},
    {
        "model": "t-1",
        "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    },
)
EMBEDDING = {
    "object": "list",
    "model": "e-1",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -0.2]}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 1056,
    "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0},
    "total_tokens": 1106,
}
IMAGE = {"created": 1, "data": [{"b64_json": "AAAA"}], "usage": IMAGE_USAGE}
IMAGE_STREAM = named(
    "image_generation.partial_image", b64_json="AA", partial_image_index=0
) + named("image_generation.completed", b64_json="AAAA", usage=IMAGE_USAGE)
TRANSCRIPT_USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 45,
    "total_tokens": 59,
}
TRANSCRIPT = {"text": "Hello", "usage": TRANSCRIPT_USAGE}
TRANSCRIPT_STREAM = named("transcript.text.delta", delta="Hel") + named(
    "transcript.text.done", text="Hello", usage=TRANSCRIPT_USAGE
)
WHISPER = {"text": "Hello", "usage": {"type": "duration", "seconds": 9.25}}
SPEECH_STREAM = named("speech.audio.delta", audio="AAAA") + named(
    "speech.audio.done", usage={"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
)
GROQ_USAGE = {
    "queue_time": 0.0378,
    "prompt_tokens": 20,
    "prompt_time": 0.0006,
    "completion_tokens": 3,
    "completion_time": 0.01,
    "total_tokens": 23,
    "total_time": 0.0106,
}
GROQ_STREAM = (
    sse(
        {"model": "g", "choices": [{"index": 0, "delta": {"content": ""}}], "x_groq": {"id": "r"}},
        {"model": "g", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {
            "model": "g",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "x_groq": {"id": "r", "usage": GROQ_USAGE},
        },
    )
    + DONE
)
DEEPSEEK_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 40,
    "total_tokens": 140,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 36,
    "completion_tokens_details": {"reasoning_tokens": 30},
}
XAI_USAGE = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 94, "audio_tokens": 0},
}
OPENROUTER_USAGE = {
    "prompt_tokens": 194,
    "completion_tokens": 2,
    "total_tokens": 196,
    "cost": 0.00095,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
MISTRAL_USAGE = {"prompt_tokens": 11, "total_tokens": 14, "completion_tokens": 3}
MISTRAL = {
    "id": "c",
    "object": "chat.completion",
    "model": "mi-1",
    "usage": MISTRAL_USAGE,
    "created": 1,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Bonjour", "tool_calls": None},
            "finish_reason": "stop",
        }
    ],
}
MISTRAL_STREAM = (
    sse(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "mi-1",
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": "Bon"},
                    "finish_reason": None,
                }
            ],
        },
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "mi-1",
            "choices": [{"index": 0, "delta": {"content": "jour"}, "finish_reason": "stop"}],
            "usage": MISTRAL_USAGE,
        },
    )
    + DONE
)

# --- Gemini

GEMINI_USAGE = {
    "promptTokenCount": 120,
    "candidatesTokenCount": 20,
    "totalTokenCount": 190,
    "cachedContentTokenCount": 30,
    "thoughtsTokenCount": 40,
    "toolUsePromptTokenCount": 10,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 70},
        {"modality": "IMAGE", "tokenCount": 50},
    ],
    "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 30}],
    "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
}
GEMINI_COUNTS = {
    "input_uncached": 70,
    "cache_read": 30,
    "input_image": 20,
    "tool_prompt": 10,
    "output_visible": 20,
    "reasoning": 40,
}


def gemini(text: str, finish: str | None = None, **more: object) -> dict[str, object]:
    candidate: dict[str, object] = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "index": 0,
    }
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "ge-1", "responseId": "r", **more}


GEMINI = gemini("Hello", "STOP", usageMetadata=GEMINI_USAGE)
GEMINI_EVENTS = (
    gemini("Hel", usageMetadata={"promptTokenCount": 120, "totalTokenCount": 120}),
    gemini("lo ]},", usageMetadata={"promptTokenCount": 120, "totalTokenCount": 125}),
    gemini("", "STOP", usageMetadata=GEMINI_USAGE),
)
GEMINI_SSE = sse(*GEMINI_EVENTS, end=b"\r\n\r\n")
GEMINI_ARRAY = json.dumps(GEMINI_EVENTS, indent=2).replace("\n", "\r\n").encode()

# --- Bedrock

CONVERSE_USAGE = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": CONVERSE_USAGE,
    "metrics": {"latencyMs": 1275},
}
CONVERSE_EVENTS = (
    message("messageStart", {"role": "assistant", "p": "abcd"}),
    message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}, "p": "a"}),
    message("contentBlockStop", {"contentBlockIndex": 0, "p": "abc"}),
    message("messageStop", {"stopReason": "end_turn", "p": "ab"}),
    message("metadata", {"usage": CONVERSE_USAGE, "metrics": {"latencyMs": 9}, "p": "abcdef"}),
)
CONVERSE_STREAM = b"".join(CONVERSE_EVENTS)

# --- Cohere

COHERE_USAGE = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 418.0},
    "tokens": {"input_tokens": 71.0, "output_tokens": 420.0},
    "cached_tokens": 64.0,
}
COHERE = {
    "id": "i",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    "usage": COHERE_USAGE,
}
COHERE_STREAM = (
    named("message-start", id="i", delta={"message": {"role": "assistant", "content": []}})
    + named("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    + named("content-delta", index=0, delta={"message": {"content": {"text": "Hello"}}})
    + named("content-end", index=0)
    + named("message-end", delta={"finish_reason": "COMPLETE", "usage": COHERE_USAGE})
    + DONE
)

# --- Ollama

OLLAMA_LAST = {
    "model": "o-1",
    "created_at": "2026-11-22T10:00:00.5Z",
    "message": {"role": "assistant", "content": ""},
    "done_reason": "stop",
    "done": True,
    "total_duration": 4883583458,
    "load_duration": 1334875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342546000,
    "eval_count": 282,
    "eval_duration": 4535599000,
}
OLLAMA_STREAM = b"".join(
    json.dumps(line).encode() + b"\n"
    for line in (
        {
            "model": "o-1",
            "created_at": "2026-11-22T10:00:00Z",
            "message": {"role": "assistant", "content": "The"},
            "done": False,
        },
        OLLAMA_LAST,
    )
)
OLLAMA_GENERATE = {
    **{key: value for key, value in OLLAMA_LAST.items() if key != "message"},
    "response": "The sky",
    "context": [1, 2, 3],
}
