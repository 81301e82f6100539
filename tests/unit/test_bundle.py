"""The format of receipt bundles; their verification has its own tests."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from nous_ledger.protocol.bundle import (
    MAX_BUNDLE_BYTES,
    Bundle,
    KeyEventEntry,
    format_bundle,
    parse_bundle,
)
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafIndex
from tests.refusals import code_of, refusal
from tests.unit import small_log

BUNDLE = small_log.bundle()
DATA = format_bundle(BUNDLE)
LINES = DATA.split(b"\n")
EVENT = BUNDLE.key_events[0]


def with_extra(value: Value | bytes) -> bytes:
    """Return the bundle with other extra data: a value, or bytes as they are."""
    extra = value if isinstance(value, bytes) else pack_checked(value)
    return b"\n".join([LINES[0], b"extra " + base64.b64encode(extra), *LINES[2:]])


def with_line(number: int, line: bytes) -> bytes:
    return b"\n".join([*LINES[:number], line, *LINES[number + 1 :]])


def refused(data: bytes, inner: str = "") -> None:
    error = refusal(parse_bundle, data)
    assert error.code == "not-a-bundle"
    assert error.attrs == ({"inner": inner} if inner else {})


def test_a_bundle_is_a_tlog_proof() -> None:
    assert LINES[0] == b"c2sp.org/tlog-proof@v1"
    assert LINES[1].startswith(b"extra ")
    assert LINES[2] == b"index 7"
    path = LINES[3 : LINES.index(b"")]
    assert [base64.b64decode(line) for line in path] == list(BUNDLE.path)
    assert DATA.partition(b"\n\n")[2] == BUNDLE.checkpoint
    assert DATA.endswith(b"\n")


def test_a_bundle_is_read_as_it_was_written() -> None:
    read = parse_bundle(DATA)
    assert read == BUNDLE
    assert (read.note.text, len(read.note.signatures)) == (BUNDLE.note.text, 4)
    assert read.head == small_log.checkpoint()
    assert format_bundle(read) == DATA


@pytest.mark.parametrize("index", [0, 6, 22])
def test_bundles_of_other_records(index: int) -> None:
    bundle = small_log.bundle(index, witnesses=0, body=b"")
    assert parse_bundle(format_bundle(bundle)) == bundle


def test_a_bundle_without_path_or_key_events_parses() -> None:
    bundle = replace(BUNDLE, index=LeafIndex(0), path=(), key_events=())
    assert parse_bundle(format_bundle(bundle)) == bundle


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\n\n",
        DATA.replace(b"\n", b"\r\n"),
        b" " + DATA,
        b"\xef\xbb\xbf" + DATA,
        DATA.replace(b"index 7", b"index 7 "),
        DATA.replace(b"index 7", b"index  7"),
        DATA.replace(b"index 7", b"index 07"),
        DATA.replace(b"index 7", b"index -1"),
        DATA.replace(b"index 7", b"index "),
        DATA.replace(b"index 7", b"index \xd9\xa7"),
        DATA.replace(b"index 7", b"index 9007199254740992"),
        DATA.replace(b"index 7", b"Index 7"),
        DATA.replace(b"extra ", b"extra"),
        DATA.replace(b"extra ", b"extra  "),
        DATA.replace(b"index 7\n", b""),
        b"\n".join([LINES[0], *LINES[2:]]),  # no extra line
        b"\n".join([LINES[0], LINES[1], LINES[1], *LINES[2:]]),
        b"\n".join([LINES[0], LINES[2], LINES[1], *LINES[3:]]),
    ],
)
def test_other_lines_are_refused(data: bytes) -> None:
    """No layer is lenient (BNDL-2, BNDL-4)."""
    assert code_of(parse_bundle, data) == "not-a-bundle"


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:-1],
        lambda line: line + b"=",
        lambda line: line + b" ",
        lambda line: line[:10] + b"!" + line[10:],
        lambda line: line[:10] + b"-" + line[11:],
        lambda line: line[:10] + b"\xff" + line[10:],
        lambda line: line + b"\x00",
    ],
)
def test_base64_has_one_spelling(at: int, change: Callable[[bytes], bytes]) -> None:
    assert code_of(parse_bundle, with_line(at, change(LINES[at]))) == "not-a-bundle"


def test_base64_has_no_spare_bits() -> None:
    line = LINES[3]
    spare = {b"A": b"B", b"E": b"F", b"I": b"J", b"M": b"N", b"Q": b"R", b"U": b"V", b"Y": b"Z"}
    spare |= {b"c": b"d", b"g": b"h", b"k": b"l", b"o": b"p", b"s": b"t", b"w": b"x"}
    spare |= {b"0": b"1", b"4": b"5", b"8": b"9"}
    changed = line[:42] + spare[line[42:43]] + b"="
    assert base64.b64decode(changed) == base64.b64decode(line)
    refused(with_line(3, changed))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_path_has_hashes_of_32_bytes(length: int) -> None:
    refused(with_line(3, base64.b64encode(bytes(length)) or b"===="))
    path = (bytes(length),)
    refused(with_extra((1, BUNDLE.record, b"", ((EVENT.record, b"", path),))))


def test_a_path_has_at_most_63_hashes() -> None:
    path = (Hash32(bytes(32)),) * 63
    long = replace(BUNDLE, path=path, key_events=(replace(EVENT, path=path),))
    assert parse_bundle(format_bundle(long)) == long
    assert code_of(replace, BUNDLE, path=(*path, path[0])) == "not-a-bundle"
    line = base64.b64encode(path[0])
    refused(b"\n".join([*LINES[:3], *[line] * 64, b"", BUNDLE.checkpoint]))
    refused(b"\n".join([*LINES[:3], *[line] * 500, b"", BUNDLE.checkpoint]))
    events = ((EVENT.record, b"", (bytes(32),) * 64),)
    refused(with_extra((1, BUNDLE.record, b"", events)))


RECORD, ENTRY = BUNDLE.record, (EVENT.record, EVENT.body, EVENT.path)


@pytest.mark.parametrize(
    "extra",
    [
        1,
        "text",
        {0: 1},
        (),
        (1,),
        (1, RECORD, b""),
        (1, RECORD, b"", (ENTRY,), 0),
        (0, RECORD, b"", (ENTRY,)),
        ("1", RECORD, b"", (ENTRY,)),
        ((1,), RECORD, b"", (ENTRY,)),
        (1, "text", b"", (ENTRY,)),
        (1, RECORD, "text", (ENTRY,)),
        (1, RECORD, 0, (ENTRY,)),
        (1, RECORD, b"", b""),
        (1, RECORD, b"", {0: 1}),
        (1, RECORD, b"", (1,)),
        (1, RECORD, b"", (ENTRY[:2],)),
        (1, RECORD, b"", ((*ENTRY, 0),)),
        (1, RECORD, b"", ((0, b"", ()),)),
        (1, RECORD, b"", ((RECORD, 0, ()),)),
        (1, RECORD, b"", ((RECORD, b"", b""),)),
        (1, RECORD, b"", ((RECORD, b"", (0,)),)),
        (1, RECORD, b"", ((RECORD, b"", ("x" * 32,)),)),
    ],
)
def test_extra_data_of_another_shape_is_refused(extra: Value) -> None:
    """One array and nothing else (BNDL-5)."""
    refused(with_extra(extra))


@pytest.mark.parametrize(
    ("extra", "inner"),
    [
        (b"\xc1", "forbidden-type"),
        (b"\xc0", "forbidden-type"),
        (pack_checked((1, RECORD, b"", ()))[:-1], "truncated"),
        (pack_checked((1, RECORD, b"", ())) + b"\x00", "trailing"),
        (b"\xdc\x00\x01\x01", "non-minimal"),
        (b"\x91" * 6 + b"\x01", "limit"),
        (pack_checked((1, RECORD, b"", ((RECORD, bytes(32_000), ()),) * 9)), "limit"),
        (pack_checked((1, RECORD, b"", (ENTRY,) * 65)), "limit"),
    ],
)
def test_extra_data_that_is_not_canonical_is_refused(extra: bytes, inner: str) -> None:
    """One encoding and no other (BNDL-5)."""
    refused(with_extra(extra), inner)


def test_up_to_64_key_events() -> None:
    events = tuple(replace(EVENT, body=b"%d" % at) for at in range(64))
    bundle = replace(BUNDLE, key_events=events)
    assert parse_bundle(format_bundle(bundle)) == bundle
    assert code_of(replace, BUNDLE, key_events=(*events, EVENT)) == "not-a-bundle"


def record_with(start: int, replacement: bytes) -> bytes:
    return RECORD[:start] + replacement + RECORD[start + len(replacement) :]


@pytest.mark.parametrize(
    ("record", "inner"),
    [
        (b"", "record-length"),
        (RECORD[:-1], "record-length"),
        (RECORD + b"\x00", "record-length"),
        (record_with(0, b"\x00"), "record-version"),
        (record_with(7, (MAX_UINT + 1).to_bytes(8, "big")), "record-range"),
        (record_with(15, b"\xff" * 8), "record-range"),
    ],
)
def test_what_is_no_record_is_refused(record: bytes, inner: str) -> None:
    refused(with_extra((1, record, b"", (ENTRY,))), inner)
    refused(with_extra((1, RECORD, b"", ((record, b"", ()),))), inner)


@pytest.mark.parametrize(
    ("checkpoint", "inner"),
    [
        (b"", "note-format"),
        (BUNDLE.checkpoint[:-1], "note-format"),
        (BUNDLE.checkpoint + b"\n", "note-format"),
        (b"\n" + BUNDLE.checkpoint, "checkpoint-format"),
        (BUNDLE.checkpoint.replace(b"\n23\n", b"\n023\n"), "checkpoint-format"),
        (BUNDLE.checkpoint.replace(b"\n\n", b"\nextension\n\n"), "checkpoint-format"),
        (BUNDLE.checkpoint.replace(b"ledger", b"Ledger"), "checkpoint-format"),
    ],
)
def test_the_head_is_a_note_of_a_checkpoint(checkpoint: bytes, inner: str) -> None:
    refused(DATA.replace(BUNDLE.checkpoint, checkpoint), inner)


@pytest.mark.parametrize("version", [b"2", b"10", b"9" * 5000])
def test_a_newer_proof_could_not_be_checked(version: bytes) -> None:
    """Could not check, and never wrong (BNDL-3, CONV-7)."""
    newer = b"c2sp.org/tlog-proof@v" + version
    assert code_of(parse_bundle, DATA.replace(LINES[0], newer)) == "newer-version"
    assert code_of(parse_bundle, newer) == "newer-version"  # whatever follows the first line


@pytest.mark.parametrize("version", [b"", b"0", b"01", b"02", b"1 ", b"2 ", b"1.0", b"-2", b"x"])
def test_other_first_lines_are_not_newer(version: bytes) -> None:
    refused(DATA.replace(LINES[0], b"c2sp.org/tlog-proof@v" + version))


@pytest.mark.parametrize("extra", [(2,), (2, "anything"), (MAX_UINT, RECORD, b"", (ENTRY,))])
def test_newer_extra_data_could_not_be_checked(extra: Value) -> None:
    """Could not check, and never wrong (BNDL-3)."""
    assert code_of(parse_bundle, with_extra(extra)) == "newer-version"


@pytest.mark.parametrize("version", [2, 255])
def test_a_newer_record_could_not_be_checked(version: int) -> None:
    """Could not check, and never wrong (BNDL-3)."""
    record = record_with(0, bytes([version]))
    for extra in ((1, record, b"", (ENTRY,)), (1, RECORD, b"", ((record, b"", ()),))):
        assert code_of(parse_bundle, with_extra(extra)) == "newer-version"


def test_up_to_1_mib() -> None:
    """A file above 1 MiB is not looked into (BNDL-1, LIM-1)."""
    refused(DATA + b" " * (MAX_BUNDLE_BYTES - len(DATA)), "note-format")
    assert "bytes are more than" in refusal(parse_bundle, DATA + b" " * MAX_BUNDLE_BYTES).message


@pytest.mark.parametrize("index", [-1, MAX_UINT + 1])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    assert code_of(replace, BUNDLE, index=LeafIndex(index)) == "not-a-bundle"


def test_bundles_over_the_limits_are_not_written() -> None:
    events = tuple(
        KeyEventEntry(record=EVENT.record, body=bytes(4_000), path=EVENT.path) for _ in range(64)
    )
    assert code_of(format_bundle, replace(BUNDLE, key_events=events)) == "not-a-bundle"


def test_bodies_of_up_to_32_kib() -> None:
    longest, longer = bytes(32_768), bytes(32_769)
    events = (replace(EVENT, body=longest),)
    bundle = replace(BUNDLE, body=longest, key_events=events)
    assert parse_bundle(format_bundle(bundle)) == bundle
    refused(with_extra((1, RECORD, longer, (ENTRY,))), "limit")
    refused(with_extra((1, RECORD, b"", ((RECORD, longer, ()),))), "limit")


def test_every_flipped_bit_is_refused_or_read_as_another_bundle() -> None:
    """What parses is what its bytes say: no two files are the same bundle."""
    seen: set[Bundle] = {BUNDLE}
    codes: set[str] = set()
    accepted = 0
    for bit in range(8 * len(DATA)):
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            bundle = parse_bundle(bytes(changed))
        except LedgerError as error:
            codes.add(error.code)
            continue
        accepted += 1
        seen.add(bundle)
        assert format_bundle(bundle) == changed
    assert accepted == len(seen) - 1 > 0
    assert codes == {"not-a-bundle", "newer-version"}
