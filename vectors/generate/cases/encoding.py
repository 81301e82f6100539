"""encoding.json: the strict MessagePack subset."""

from typing import Any

from vectors.generate.rules import msgpack
from vectors.generate.suite import Json, Suite, unhex

LONGEST = 32_768


def typed(value: Any) -> Json:
    """Return a value in a JSON form that keeps its type."""
    if isinstance(value, int):
        return {"uint": str(value)}
    if isinstance(value, str):
        return {"str": value}
    if isinstance(value, bytes):
        return {"bin": value.hex()}
    if isinstance(value, list):
        return {"array": [typed(item) for item in value]}
    return {"map": [[str(key), typed(item)] for key, item in value.items()]}


def untyped(form: Json) -> Any:
    """Return the value of a typed JSON form."""
    ((kind, content),) = form.items()
    if kind == "array":
        return [untyped(item) for item in content]
    if kind == "map":
        return {int(key): untyped(item) for key, item in content}
    if kind == "bin":
        return unhex(content)
    return int(content) if kind == "uint" else content


def data_of(case: Json) -> bytes:
    """Return the input bytes; long runs of one byte are given by their length."""
    fill = case.get("fill", {"byte": "", "count": 0})
    return unhex(case["data"]) + unhex(fill["byte"]) * int(fill["count"])


def decode(case: Json) -> Json:
    """Decode, and encode again."""
    data = data_of(case)
    value = msgpack.unpack(data, msgpack.Limits(max_bytes=case["maxBytes"]))
    assert msgpack.pack(value) == data
    return {} if "fill" in case else {"value": typed(value)}


def encode(case: Json) -> Json:
    """Encode; an encoder refuses what the decoder would refuse."""
    data = msgpack.pack(untyped(case["value"]))
    msgpack.unpack(data)
    return {"data": data.hex()}


def nested(depth: int) -> Any:
    """Return arrays around arrays."""
    return [nested(depth - 1)] if depth > 1 else []


def head(kind: str, number: int) -> str:
    """Return the hex of a canonical header."""
    return msgpack.header(kind, number).hex()


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "encoding",
        "canonical-messagepack",
        "5. Encoding",
        "Decode `data`, followed by `fill.count` times `fill.byte` if given, and encode it again.",
        "`value` keeps the types: uint as decimal text, str, bin as hex, array, map as pairs.",
    )
    flags(suite)
    group = suite.group("Decode", decode, maxBytes=LONGEST)
    valid(group)
    for part in (truncated, non_minimal, forbidden, maps, limits, strings, first_fault):
        part(group)
    extra = suite.group("Decode", decode, maxBytes=262_144)
    extra.valid(
        "an extra of exactly 262,144 bytes", "Valid", data="c60003fffb", fill=zeros(262_139)
    )
    extra.invalid(
        "an extra of 262,145 bytes", "limit", "Limit", data="c60003fffc", fill=zeros(262_140)
    )
    refused = suite.group("Encode", encode)
    refused.valid("a value of every type", "Valid", value=typed({1: 5, 2: "a", 3: b"b", 4: [{}]}))
    refused.invalid("encode 2^53", "int-range", "Encoder", value={"uint": str(2**53)})
    refused.invalid("encode a str with NUL", "bad-string", "Encoder", value={"str": "a\x00"})
    refused.invalid("encode a str with U+202E", "bad-string", "Encoder", value={"str": "\u202e"})
    refused.invalid(
        "encode a str of 1,025 bytes", "limit", "Encoder", value={"str": "é" * 512 + "a"}
    )
    refused.valid(
        "encode a map of 64", "Valid", value=typed(dict.fromkeys(range(64), 0) | {63: [0] * 64})
    )
    refused.invalid("encode an array of 65", "limit", "Encoder", value=typed([0] * 65))
    many = dict.fromkeys(range(65), 0)
    refused.invalid("encode a map of 65", "limit", "Encoder", value=typed(many))
    refused.invalid("encode a lone surrogate", "bad-string", "Encoder", value={"str": "\ud800"})
    refused.invalid("encode -1", "forbidden-type", "Encoder", value={"uint": "-1"})
    negative = {"map": [["-1", {"uint": "0"}]]}
    refused.invalid("encode a map key of -1", "forbidden-type", "Encoder", value=negative)
    refused.invalid("encode depth 6", "limit", "Encoder", value=typed(nested(6)))
    return suite


def zeros(count: int) -> Json:
    """Return a fill of zero bytes."""
    return {"byte": "00", "count": count}


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A canonical value.", "None.", "ENC-1 TYPE-1 ENC-18")
    suite.flag(
        "Truncated",
        "PARSING",
        "The input ends before its value does.",
        "Readers that pad or stop early see different values.",
        "ENC-15",
    )
    suite.flag(
        "Trailing",
        "MALLEABILITY",
        "Bytes follow the value.",
        "Two byte strings with two hashes stand for one value.",
        "ENC-16",
    )
    suite.flag(
        "NonMinimal",
        "MALLEABILITY",
        "A header is longer than needed.",
        "Two byte strings with two hashes stand for one value.",
        "ENC-2 ENC-3",
    )
    suite.flag(
        "ForbiddenType",
        "PARSING",
        "A header byte outside the subset.",
        "Floats, nil and extensions mean different things to different readers.",
        "ENC-4 ENC-6",
    )
    suite.flag(
        "MapOrder",
        "MALLEABILITY",
        "Map keys that repeat or descend.",
        "Readers keep the first or the last of two equal keys.",
        "ENC-7 ENC-8",
    )
    suite.flag(
        "Limit",
        "DENIAL_OF_SERVICE",
        "More bytes, items or depth than allowed.",
        "Unbounded work or memory.",
        "ENC-11 ENC-12 ENC-13 ENC-14",
    )
    suite.flag(
        "Range",
        "RANGE",
        "An integer above 2^53 - 1.",
        "Readers with floating-point numbers round it.",
        "ENC-5 TYPE-1",
    )
    suite.flag(
        "BadString",
        "PARSING",
        "A str that is not UTF-8 or holds a forbidden character.",
        "Text that people read differs from what was signed.",
        "ENC-9 ENC-10",
    )
    suite.flag(
        "FirstFault",
        "PARSING",
        "Several faults; the first header from left to right decides the code.",
        "Implementations would report different codes for one input.",
        "ENC-17",
    )
    suite.flag(
        "Encoder",
        "PARSING",
        "A value that has no encoding.",
        "An encoder would write what no decoder accepts.",
        "ENC-19",
    )


def valid(group: Any) -> None:
    """Values at the borders of every form."""
    for number in (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1):
        group.valid(f"uint {number}", "Valid", data=msgpack.pack(number).hex())
    for length in (0, 31, 32, 255, 256, 1_024):
        data = msgpack.pack("a" * length).hex()
        group.valid(f"str of {length} bytes", "Valid", data=data)
    for text in ("é", "e\u0301", "\u00a0", "\u2027\u202f\u2065\u206a", "\U0010ffff", "模型"):
        points = " ".join(f"U+{ord(char):04X}" for char in text)
        group.valid(f"str {points}", "Valid", data=msgpack.pack(text).hex())
    for length in (0, 255, 256):
        group.valid(f"bin of {length} bytes", "Valid", data=msgpack.pack(bytes(length)).hex())
    for count in (0, 15, 16, 64):
        group.valid(f"array of {count}", "Valid", data=msgpack.pack([0] * count).hex())
        pairs = {key: key for key in range(count)}
        group.valid(f"map of {count}", "Valid", data=msgpack.pack(pairs).hex())
    group.valid("largest map key", "Valid", data=msgpack.pack({1: 1, 2**53 - 1: "x"}).hex())
    group.valid("depth 5", "Valid", data=msgpack.pack(nested(5)).hex())
    group.valid("32,768 bytes", "Valid", data="c57ffd", fill=zeros(32_765))


def truncated(group: Any) -> None:
    """Inputs that end early, and one that ends late."""
    cases = {
        "no byte at all": "",
        "uint 8 without its byte": "cc",
        "uint 16 with one byte": "cd01",
        "uint 32 with three bytes": "ce000100",
        "uint 64 with seven bytes": "cf00000001000000",
        "str 8 without length": "d9",
        "str 16 with half a length": "da01",
        "str of 3 with 2 bytes": "a36161",
        "str 8 of 32 with none": "d920",
        "bin 8 without length": "c4",
        "bin of 2 with 1 byte": "c40200",
        "bin 16 with half a length": "c501",
        "bin 32 of 65,536 with none": "c600010000",
        "array of 2 with 1 item": "9200",
        "array 16 with half a length": "dc00",
        "map of 1 with nothing": "81",
        "map of 1 without a value": "8101",
        "map of 2 with 1 pair": "820101",
        "array around a map that ends": "918101",
    }
    for comment, data in cases.items():
        group.invalid(comment, "truncated", "Truncated", data=data)
    group.invalid("a second value", "trailing", "Trailing", data="0000")
    group.invalid("a nil after the value", "trailing", "Trailing", data="80c0")
    group.invalid("an empty bin after the value", "trailing", "Trailing", data="a161c400")


def non_minimal(group: Any) -> None:
    """Longer headers than needed."""
    cases = {
        "uint 8 of 127": "cc7f",
        "uint 16 of 255": "cd00ff",
        "uint 32 of 65,535": "ce0000ffff",
        "uint 64 of 2^32 - 1": "cf00000000ffffffff",
        "uint 64 of 0": "cf0000000000000000",
        "str 8 of 31 bytes": "d91f" + "61" * 31,
        "str 16 of 255 bytes": "da00ff" + "61" * 255,
        "str 32 of 1 byte": "db0000000161",
        "bin 16 of 255 bytes": "c500ff" + "00" * 255,
        "bin 32 of 0 bytes": "c600000000",
        "array 16 of 15": "dc000f" + "00" * 15,
        "array 32 of 0": "dd00000000",
        "map 16 of 1": "de00010000",
        "map 32 of 0": "df00000000",
        "a map key in two bytes": "81cc0100",
    }
    for comment, data in cases.items():
        group.invalid(comment, "non-minimal", "NonMinimal", data=data)


def forbidden(group: Any) -> None:
    """Every header byte that the subset does not have."""
    for first in [0xC0, 0xC1, 0xC2, 0xC3, *range(0xC7, 0xCC), *range(0xD0, 0xD9), 0xE0, 0xFF]:
        data = f"{first:02x}" + "00" * 9
        group.invalid(f"header byte {first:02x}", "forbidden-type", "ForbiddenType", data=data)
    keys = {"str": "a161", "bin": "c40161", "array": "90", "map": "80", "nil": "c0", "-1": "ff"}
    for name, key in keys.items():
        data = f"81{key}00"
        group.invalid(f"map key {name}", "forbidden-type", "ForbiddenType", data=data)


def maps(group: Any) -> None:
    """Keys that repeat or descend, outermost and inside."""
    group.invalid("key 1 twice", "duplicate-key", "MapOrder", data="8201000100")
    group.invalid("key 2 twice after 1", "duplicate-key", "MapOrder", data="83010002000200")
    group.invalid("key 0 after 1", "unsorted", "MapOrder", data="8201000000")
    group.invalid("keys 1, 3, 1", "unsorted", "MapOrder", data="83010003000100")
    group.invalid("key 127 after 128", "unsorted", "MapOrder", data="82cc80007f00")
    group.invalid(
        "an inner map repeats a key", "duplicate-key", "MapOrder", data="91820500" + "0500"
    )
    group.invalid("an inner map descends", "unsorted", "MapOrder", data="8109820600" + "0500")


def limits(group: Any) -> None:
    """One more than allowed."""
    add = group.invalid
    add("uint 2^53", "int-range", "Range", data="cf0020000000000000")
    add("uint 2^64 - 1", "int-range", "Range", data="cfffffffffffffffff")
    add("map key 2^53", "int-range", "Range", data="81cf002000000000000000")
    add("str of 1,025 bytes", "limit", "Limit", data=head("str", 1_025) + "61" * 1_025)
    add("array of 65", "limit", "Limit", data=msgpack.pack([0] * 65).hex())
    add("map of 65", "limit", "Limit", data=msgpack.pack(dict.fromkeys(range(65), 0)).hex())
    add("array 32 of 65,536", "limit", "Limit", data="dd00010000")
    add("map 32 of 2^32 - 1", "limit", "Limit", data="dfffffffff")
    add("depth 6, the innermost empty", "limit", "Limit", data=msgpack.pack(nested(6)).hex())
    add("depth 6, maps", "limit", "Limit", data="8100" * 5 + "80")
    add("32,769 bytes", "limit", "Limit", data="c57ffe", fill=zeros(32_766))


def strings(group: Any) -> None:
    """Malformed UTF-8 and forbidden characters."""
    malformed = {
        "a lone continuation byte": "80",
        "an overlong slash": "c0af",
        "an overlong NUL": "c080",
        "a surrogate": "eda080",
        "a code point above U+10FFFF": "f4908080",
        "a sequence that ends": "e282",
        "byte ff": "ff",
    }
    for comment, raw in malformed.items():
        data = head("str", len(raw) // 2) + raw
        group.invalid(f"str with {comment}", "bad-string", "BadString", data=data)
    points = [
        0,
        9,
        10,
        0x1F,
        0x7F,
        0x80,
        0x9F,
        0x2028,
        0x2029,
        0x202A,
        0x202E,
        0x2066,
        0x2069,
        0xFEFF,
    ]
    for point in points:
        data = msgpack.pack(f"a{chr(point)}b").hex()
        group.invalid(f"str with U+{point:04X}", "bad-string", "BadString", data=data)


def first_fault(group: Any) -> None:
    """Several faults: the first header decides, and within a header the order of its checks."""
    cases = {
        "a forbidden item, then the input ends": ("forbidden-type", "93c0"),
        "a longer header whose content is missing": ("non-minimal", "d901"),
        "a longer header whose length is missing": ("truncated", "da"),
        "an equal key in a longer form": ("non-minimal", "820100cc0100"),
        "a str key whose length is missing": ("forbidden-type", "81d9"),
        "a str of 1,025 bytes without content": ("limit", "da0401"),
        "a bad str, then a trailing byte": ("bad-string", "a10000"),
        "a bad str that ends": ("truncated", "a200"),
        "an equal key, its value forbidden": ("duplicate-key", "82010001c0"),
        "a value out of range, then a smaller key": ("int-range", "8202cf00200000000000000100"),
        "an array of 65 that ends": ("limit", "dc0041"),
    }
    for comment, (code, data) in cases.items():
        group.invalid(comment, code, "FirstFault", data=data)
    group.invalid(
        "too long, and the first byte forbidden",
        "limit",
        "FirstFault",
        data="c0",
        fill=zeros(LONGEST),
    )
