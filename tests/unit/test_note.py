"""Signed notes and the spellings of base64 and numbers in them."""

import base64

import pytest

from nous_ledger.protocol.note import (
    MAX_NOTE_BYTES,
    Note,
    NoteSignature,
    add_signatures,
    find_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.textform import format_base64, parse_base64, parse_decimal
from nous_ledger.protocol.types import MAX_UINT
from tests.refusals import code_of

LINE = b"\xe2\x80\x94 example.com/foo AAAAAQI=\n"
NOTE = b"one\n\ntwo\n\n" + LINE


def refused(data: bytes) -> None:
    assert code_of(parse_note, data) == "note-format"


def test_a_note_is_text_and_signature_lines() -> None:
    note = parse_note(NOTE)
    assert note.text == "one\n\ntwo\n"  # the last empty line ends the text, not the first
    assert note.signatures == (
        NoteSignature(name="example.com/foo", key_id=b"\x00\x00\x00\x01", payload=b"\x02"),
    )
    assert format_note(note) == NOTE


@pytest.mark.parametrize("name", ["a", "ключ.example", "a/b?c#d", "—", "\u200bx", "\x7f"])
def test_any_name_without_space_and_plus_is_a_key_name(name: str) -> None:
    note = parse_note(f"t\n\n— {name} AAAAAQI=\n".encode())
    assert note.signatures[0].name == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"text" + LINE,
        b"text\n" + LINE,  # no empty line between
        b"\n" + LINE,  # a text ends with a newline: it cannot be empty
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"x",
        NOTE + b"\n\n",
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace(b"two", b"t\x00o"),
        NOTE.replace(b"two", b"t\two"),
        NOTE.replace(b"two", b"t\x1fo"),
        NOTE.replace(b"two", b"t\xffo"),
        NOTE.replace(b"two", b"t\xed\xa0\x80o"),  # a lone surrogate
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    "line",
    [
        "- example.com/foo AAAAAQI=",  # a hyphen
        "— example.com/foo  AAAAAQI=",
        "—  AAAAAQI=",
        "— AAAAAQI=",
        "— example.com/foo",
        "— example.com/foo AAAAAQI= ",
        " — example.com/foo AAAAAQI=",
        "— example.com/foo AAAAAQI= AAAAAQI=",
        "— example.com+foo AAAAAQI=",
        "— example.com\u00a0foo AAAAAQI=",
        "— example.com\u0085foo AAAAAQI=",
        "— example.com\u2028foo AAAAAQI=",
        "— example.com\u3000foo AAAAAQI=",
        "— example.com/foo AAAAAQ==",  # the key id alone
        "— example.com/foo AAAA",
        "— example.com/foo AAAAAQI",  # no padding
        "— example.com/foo AAAAAQJ=",  # a bit beyond the last byte
        "— example.com/foo AAAAAQI==",
        "— example.com/foo AAAAAQI=AAAA",
        "— example.com/foo AAAAA_I=",
        "— example.com/foo AAAAAQIA=",
        "— example.com/foo =",
    ],
)
def test_other_signature_lines_are_refused(line: str) -> None:
    refused(f"text\n\n{line}\n".encode())


def test_up_to_64_signature_lines() -> None:
    assert len(parse_note(b"t\n\n" + LINE * 64).signatures) == 64
    refused(b"t\n\n" + LINE * 65)
    refused(b"t\n\n" + LINE * 1000)


def test_up_to_128_kib() -> None:
    filling = b"x" * (MAX_NOTE_BYTES - len(LINE) - 2)
    data = filling + b"\n\n" + LINE
    assert len(data) == 131_072
    assert len(parse_note(data).text) == len(filling) + 1
    refused(b"x" + data)


def test_signatures_are_added_once() -> None:
    note = parse_note(NOTE)
    first = note.signatures[0]
    second = NoteSignature(name="w", key_id=b"\x00\x00\x00\x02", payload=b"s")
    both = add_signatures(note, second, first, second)
    assert both.signatures == (first, second)
    assert parse_note(format_note(both)) == both
    assert find_signatures(both, "w", second.key_id) == (second,)
    assert find_signatures(both, "w", first.key_id) == ()
    assert find_signatures(both, "example.com/foo", second.key_id) == ()


@pytest.mark.parametrize(
    ("text", "name", "key_id", "payload"),
    [
        ("no newline", "n", b"1234", b"s"),
        ("", "n", b"1234", b"s"),
        ("t\n", "", b"1234", b"s"),
        ("t\n", "a b", b"1234", b"s"),
        ("t\n", "a+b", b"1234", b"s"),
        ("t\n", "n", b"1234", b""),
        ("t\n", "n", b"12345", b"s"),  # would read back as another key id
        ("t\ud800\n", "n", b"1234", b"s"),
        ("t\n\n— x AAAAAQI=\n\n", "n\n", b"1234", b"s"),
    ],
)
def test_what_no_note_can_say_is_not_formatted(
    text: str, name: str, key_id: bytes, payload: bytes
) -> None:
    signature = NoteSignature(name=name, key_id=key_id, payload=payload)
    note = Note(text=text, signatures=(signature,))
    assert code_of(format_note, note) == "note-format"


def test_a_note_without_signatures_is_not_formatted() -> None:
    assert code_of(format_note, Note(text="t\n", signatures=())) == "note-format"


@pytest.mark.parametrize("length", range(8))
def test_base64_has_one_spelling(length: int) -> None:
    data = bytes(range(0xF9, 0xF9 + length))
    text = format_base64(data)
    assert text == base64.b64encode(data).decode()
    assert parse_base64(text) == data
    for other in (text + "=", text + "\n", " " + text, text.rstrip("=") + "A", text + "é"):
        assert parse_base64(other) in {None, b""} or parse_base64(other) != data


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "AB==", "AAB=", "AA==\n", "A A=", "-_==", "é"])
def test_other_spellings_of_base64_are_refused(text: str) -> None:
    assert parse_base64(text) is None


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("10", 10), (str(MAX_UINT), MAX_UINT)]
)
def test_decimal_numbers(text: str, number: int) -> None:
    assert parse_decimal(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "00", "01", "+1", "-1", " 1", "1 ", "1\n", "1_0", "0x1", "1.0", "1e3", "٣", "²"),
        *(str(MAX_UINT + 1), "9" * 16, "1" * 17, "1" * 5000),
    ],
)
def test_other_spellings_of_numbers_are_refused(text: str) -> None:
    assert parse_decimal(text) is None
