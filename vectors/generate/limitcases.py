"""Cases of bytes1.json that take every reader to its limits."""

from typing import Any

from vectors.generate.bytes1cases import COHERE
from vectors.generate.rules.bytes1 import CHAT
from vectors.generate.suite import Group, Json


def pieced(case: Json) -> Json:
    """Return a case with request and response in one piece."""
    whole = {
        name: "".join(text * times for text, times in case[name])
        for name in ("request", "response")
    }
    return {**case, **whole}


def limits(group: Group, hush: dict[int, str]) -> None:
    """What every reader takes."""

    def add(comment: str, *beside: tuple[str, int], api: int = CHAT, said: int = 10,
            asks: Any = None) -> None:  # fmt: skip
        """Add a response that has something beside its text, and such a request."""
        shown = '"choices":[{"index":0,"message":{"content":"', '"}}]'
        if api == COHERE:
            shown = (
                '"finish_reason":"COMPLETE","message":{"content":[{"type":"text","text":"',
                '"}]}',
            )
        pieces = [["{" + shown[0], 1], ["a", said], [shown[1], 1], *map(list, beside), ["}", 1]]
        asked = [[hush[api], 1]] if asks is None else asks
        facts = {"api": api, "status": 0, "streamed": False, "request": asked}
        group.valid(comment, "Limits", **facts, response=pieces)

    def separators(opening: int, limit: int) -> list[tuple[str, int]]:
        """Return a member in whose string so many commas stand that there is no room for more."""
        return [(',"x":"', 1), (",", limit - opening - 1), ('"', 1)]

    add("256 levels", (',"x":', 1), ("[", 255), ("]", 255))
    add("256 levels of objects", (',"x":', 1), ('{"a":', 254), ("{}", 1), ("}", 254))
    add("an integer of 4,300 digits", (',"x":', 1), ("9", 4300))
    add("a negative integer of 4,300 digits", (',"x":-', 1), ("9", 4300))
    add("4,000,000 commas and brackets, most in a string", *separators(5, 4_000_000))
    add("4,000,000 zeros in a string", (',"x":"', 1), ("0", 4_000_000), ('"', 1))
    for api, asked_for in ((CHAT, hush[CHAT]), (COHERE, hush[COHERE])):
        opening = sum(map(asked_for.count, ",[{"))
        asked = [[asked_for[:-1], 1], *map(list, separators(opening, 1_000_000)), ["}", 1]]
        add(f"api {api}: 1,000,000 commas and brackets in the request", api=api, asks=asked)
        deep = [[asked_for[:-1], 1], [',"x":', 1], ["[", 255], ["]", 255], ["}", 1]]
        add(f"api {api}: 256 levels in the request", api=api, asks=deep)
        digits = [[asked_for[:-1], 1], [',"x":', 1], ["7", 4300], ["}", 1]]
        add(f"api {api}: an integer of 4,300 digits in the request", api=api, asks=digits)
    frame = len('{"choices":[{"index":0,"message":{"content":""}}]}')
    add("67,108,864 bytes", said=67_108_864 - frame)
