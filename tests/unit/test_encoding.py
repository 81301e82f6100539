"""The canonical encoding: every header at its bounds, and which fault is named first."""

import pytest

from nous_ledger.protocol.encoding import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_STR_BYTES,
    decode,
    encode,
    is_encodable_text,
    pack_checked,
)
from nous_ledger.protocol.strict import Value, decode_strictly
from nous_ledger.protocol.types import MAX_UINT
from tests.refusals import code_of

LIMITS = (MAX_DEPTH, MAX_ITEMS, MAX_STR_BYTES)


def refused(data: str | bytes) -> str:
    """Return the code that both readers give."""
    raw = bytes.fromhex(data) if isinstance(data, str) else data
    code = code_of(decode, raw)
    assert code_of(decode_strictly, raw, LIMITS) == code
    return code


def nested(depth: int, innermost: Value = 0) -> Value:
    value = innermost
    for _ in range(depth):
        value = (value,)
    return value


HEADERS: list[tuple[str, Value]] = [
    ("00", 0),
    ("7f", 127),
    ("cc80", 128),
    ("ccff", 255),
    ("cd0100", 256),
    ("cdffff", 65_535),
    ("ce00010000", 65_536),
    ("ceffffffff", 2**32 - 1),
    ("cf0000000100000000", 2**32),
    ("cf001fffffffffffff", MAX_UINT),
    ("a0", ""),
    ("a161", "a"),
    ("bf" + "61" * 31, "a" * 31),
    ("d920" + "61" * 32, "a" * 32),
    ("d9ff" + "61" * 255, "a" * 255),
    ("da0100" + "61" * 256, "a" * 256),
    ("da0400" + "61" * 1_024, "a" * 1_024),
    ("a2c3a9", "é"),
    ("a4f48fbfbf", "\U0010ffff"),
    ("c400", b""),
    ("c4ff" + "00" * 255, bytes(255)),
    ("c50100" + "00" * 256, bytes(256)),
    ("90", ()),
    ("9f" + "00" * 15, (0,) * 15),
    ("dc0010" + "00" * 16, (0,) * 16),
    ("dc0040" + "00" * 64, (0,) * 64),
    ("80", {}),
    ("820001ccff02", {0: 1, 255: 2}),
    ("8f" + "".join(f"{n:02x}00" for n in range(15)), dict.fromkeys(range(15), 0)),
    ("de0010" + "".join(f"{n:02x}00" for n in range(16)), dict.fromkeys(range(16), 0)),
    ("81cf001fffffffffffff90", {MAX_UINT: ()}),
    ("9191919190", nested(4, ())),
]


@pytest.mark.parametrize(("data", "value"), HEADERS)
def test_every_header_at_its_bounds(data: str, value: Value) -> None:
    """The shortest header, and no other value has these bytes (ENC-1)."""
    raw = bytes.fromhex(data)
    assert encode(value) == raw
    assert decode(raw) == value
    assert type(decode(raw)) is type(value)
    assert decode_strictly(raw, LIMITS) == value


def test_long_values() -> None:
    """A str and a bin header of four length bytes, where a limit allows them (ENC-1)."""
    text, blob = "a" * 65_536, bytes(65_536)
    for value, header in ((text, "db00010000"), (blob, "c600010000")):
        data = pack_checked(value)
        assert data.hex().startswith(header)
        assert decode(data, max_bytes=70_000, max_str=70_000) == value
        assert code_of(decode, data, max_bytes=65_540, max_str=70_000) == "limit"


@pytest.mark.parametrize(
    "data",
    ["cc00", "cc7f", "cd00ff", "ce0000ffff", "cf00000000ffffffff", "81cc0100", "92cc0100"],
)
def test_integers_that_are_too_long(data: str) -> None:
    """ENC-2."""
    assert refused(data) == "non-minimal"


@pytest.mark.parametrize(
    "data",
    [
        "d900",
        "d91f" + "61" * 31,
        "da00ff" + "61" * 255,
        "db00000001" + "61",
        "db0000ffff",
        "c500ff" + "00" * 255,
        "c60000ffff",
        "dc000f" + "00" * 15,
        "dd0000ffff",
        "de000f" + "0000" * 15,
        "df0000ffff",
    ],
)
def test_headers_that_are_too_long(data: str) -> None:
    """ENC-3; also where the content is not there."""
    assert refused(data) == "non-minimal"


FORBIDDEN = [*range(0xC0, 0xC4), *range(0xC7, 0xCC), *range(0xD0, 0xD9), *range(0xE0, 0x100)]


@pytest.mark.parametrize("header", FORBIDDEN)
def test_forbidden_headers(header: int) -> None:
    """Alone, in an array, as a key and behind one, whatever follows (ENC-4, ENC-6)."""
    for before in ("", "91", "81", "8100"):
        for after in ("", "00" * 20):
            assert refused(f"{before}{header:02x}{after}") == "forbidden-type"


@pytest.mark.parametrize("number", [MAX_UINT + 1, 2**63, 2**64 - 1])
def test_integers_above_2_to_53(number: int) -> None:
    """ENC-5; a value or a key."""
    data = f"cf{number:016x}"
    for before in ("", "91", "81"):
        assert refused(before + data + ("00" if before == "81" else "")) == "int-range"


@pytest.mark.parametrize("key", ["a161", "c40101", "90", "80", "a0", "c400", "d920", "dc0010"])
def test_keys_are_integers(key: str) -> None:
    """ENC-6; before anything of the key is looked at."""
    assert refused(f"81{key}00") == "forbidden-type"
    assert refused(f"820000{key}00") == "forbidden-type"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("8201000100", "duplicate-key"),
        ("830100020002", "duplicate-key"),
        ("82ccff00ccff00", "duplicate-key"),
        ("8202000100", "unsorted"),
        ("82ccff007f00", "unsorted"),
        ("83010003000200", "unsorted"),
        ("91820200" + "0100", "unsorted"),
        # Only the key directly before counts.
        ("83020001000200", "unsorted"),
    ],
)
def test_the_order_of_keys(data: str, code: str) -> None:
    """ENC-7, ENC-8."""
    assert refused(data) == code


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80",  # no lead byte
        b"\xc3",  # incomplete
        b"\xc3(",
        b"\xc0\x80",  # overlong
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",  # surrogates
        b"\xed\xbf\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",  # above U+10FFFF
        b"\xff",
    ],
)
def test_strings_are_utf_8(raw: bytes) -> None:
    """ENC-9."""
    assert refused(bytes([0xA0 + len(raw)]) + raw) == "bad-string"
    assert refused(bytes([0xA1 + len(raw)]) + b"a" + raw) == "bad-string"


RANGES = [(0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029), (0x202A, 0x202E), (0x2066, 0x2069)]
CONTROL = {point for low, high in (*RANGES, (0xFEFF, 0xFEFF)) for point in range(low, high + 1)}


def test_forbidden_characters() -> None:
    """Exactly those of ENC-10, at any place of a string."""
    surrogates = range(0xD800, 0xE000)
    for point in (*range(0x3000), *range(0xFE00, 0x10000), 0x1F600, 0xE0001, 0x10FFFF):
        if point in surrogates:
            continue
        text = f"a{chr(point)}b"
        data = pack_checked(text)
        if point in CONTROL:
            assert refused(data) == "bad-string", hex(point)
            assert not is_encodable_text(text, 64)
        else:
            assert decode(data) == text, hex(point)
            assert is_encodable_text(text, 64)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "truncated"),
        ("cc", "truncated"),
        ("cd01", "truncated"),
        ("ce000100", "truncated"),
        ("cf00000001000000", "truncated"),
        ("a1", "truncated"),
        ("d9", "truncated"),
        ("d920", "truncated"),
        ("da01", "truncated"),
        ("db000100", "truncated"),
        ("c4", "truncated"),
        ("c401", "truncated"),
        ("c501", "truncated"),
        ("c600010000", "truncated"),
        ("91", "truncated"),
        ("9200", "truncated"),
        ("dc00", "truncated"),
        ("dc001000", "truncated"),
        ("dd000100", "truncated"),
        ("81", "truncated"),
        ("8100", "truncated"),
        ("de00", "truncated"),
        ("df000100", "truncated"),
        ("81cc", "truncated"),
        ("0000", "trailing"),
        ("a16100", "trailing"),
        ("9000", "trailing"),
        ("8000", "trailing"),
        ("c400c1", "trailing"),
        ("91" * 5 + "0000", "trailing"),
    ],
)
def test_too_few_and_too_many_bytes(data: str, code: str) -> None:
    """ENC-15, ENC-16."""
    assert refused(data) == code


@pytest.mark.parametrize(
    "data",
    [
        "da0401",  # the content need not be there
        "da0401" + "61" * 1_025,
        "dbffffffff",
        "dc0041",
        "dc0041" + "00" * 65,
        "ddffffffff",
        "de0041",
        "dfffffffff",
        "91" * 6,
        "91" * 6 + "00",
        "91" * 5 + "90",  # empty, but too deep
        "91" * 5 + "80",
        "8100" * 5 + "80",
    ],
)
def test_limits(data: str) -> None:
    """ENC-11, ENC-12, ENC-13; decided before there is any content."""
    assert refused(data) == "limit"


def test_the_limit_of_the_input() -> None:
    """It is looked at before anything else (ENC-14)."""
    whole = b"\xc5\x7f\xfd" + bytes(MAX_BODY_BYTES - 3)
    assert decode(whole) == bytes(MAX_BODY_BYTES - 3)
    assert code_of(decode, whole + b"\x00") == "limit"
    assert code_of(decode, b"\xc1" * (MAX_BODY_BYTES + 1)) == "limit"
    assert refused(b"\xc1" * MAX_BODY_BYTES) == "forbidden-type"
    assert decode(b"\x91\x00", max_bytes=2) == (0,)
    assert code_of(decode, b"\x91\x00", max_bytes=1) == "limit"


def test_limits_can_be_set() -> None:
    """Each bound holds by itself (ENC-11 to ENC-13)."""
    assert decode(b"\x92\x00\x00", max_items=2) == (0, 0)
    assert code_of(decode, b"\x92\x00\x00", max_items=1) == "limit"
    assert code_of(decode, b"\x82\x00\x00\x01\x00", max_items=1) == "limit"
    assert decode(b"\xa2ab", max_str=2) == "ab"
    assert code_of(decode, b"\xa2ab", max_str=1) == "limit"
    assert code_of(decode, b"\xa2\xc3\xa9", max_str=1) == "limit"
    assert decode(b"\x91\x90", max_depth=2) == ((),)
    assert code_of(decode, b"\x91\x90", max_depth=1) == "limit"
    assert decode(b"\x07", max_depth=0) == 7


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # Within one header: type, bytes, shortest form, range, keys, limits, content.
        ("81c0", "forbidden-type"),
        ("cd00", "truncated"),
        ("d9", "truncated"),
        ("cf0000", "truncated"),
        ("d91f", "non-minimal"),
        ("dc000f", "non-minimal"),
        ("91" * 5 + "dc0001", "non-minimal"),
        ("820200cc0200", "non-minimal"),
        ("82ccff00cc0100", "non-minimal"),
        ("82010001", "duplicate-key"),
        ("820201cfffffffffffffffff00", "int-range"),
        ("dbffffffff", "limit"),
        ("a2ff", "truncated"),
        ("a200", "truncated"),
        # Between headers: the first one from the left.
        ("92cc00c1", "non-minimal"),
        ("92c1cc00", "forbidden-type"),
        ("93a1ff91da0401", "bad-string"),
        ("93da040161", "limit"),
        ("8302a1ff0100", "bad-string"),
        ("8302000100c1", "unsorted"),
        ("9300c1", "forbidden-type"),
        ("9300", "truncated"),
        ("00c1", "trailing"),
    ],
)
def test_the_first_fault_from_the_left_is_named(data: str, code: str) -> None:
    """ENC-17."""
    assert refused(data) == code
