"""The file that names a log's witnesses, and the addresses that are accepted in it."""

import re
from pathlib import Path

import pytest

from nous_ledger.ledger.witness_http import check_url
from nous_ledger.ledger.witnesses import WitnessState, parse_witnesses
from nous_ledger.protocol.errors import FormatError, InputError, LedgerError
from nous_ledger.protocol.policy import NO_QUORUM
from nous_ledger.protocol.vkey import KIND_MLDSA44, format_vkey, make_vkey
from tests.unit import small_log as log

ROOT = Path(__file__).parents[2]
VKEYS = [format_vkey(key) for key in log.WITNESS_VKEYS]
MLDSA = format_vkey(make_vkey("pq.example", KIND_MLDSA44, b"\x01" * 1312))


def lines(*urls: str) -> str:
    return "".join(f"witness w{n} {VKEYS[n]} {url}\n" for n, url in enumerate(urls, 1))


def test_lines_of_witnesses_alone_are_enough() -> None:
    text = lines("https://w1.example/log/", "http://127.0.0.1:8100")
    policy, witnesses = parse_witnesses(f"# ours\n\n{text}".encode())
    assert policy.quorum == NO_QUORUM
    assert [(w.name, w.vkey, w.url) for w in witnesses] == [
        ("w1", log.WITNESS_VKEYS[1], "https://w1.example/log"),
        ("w2", log.WITNESS_VKEYS[2], "http://127.0.0.1:8100"),
    ]


def test_a_trust_policy_serves_as_it_is() -> None:
    text = f"log {format_vkey(log.HEAD_VKEY)}\n{lines('https://w1.example')}quorum w1\n"
    policy, witnesses = parse_witnesses(text.encode())
    assert policy.quorum == b"w1"
    assert len(witnesses) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "policy-format"),
        ("quorum none\n", "policy-format"),
        ("# nobody\n", "policy-format"),
        (lines("https://w1.example")[:-1], "policy-format"),
        (f"witness w1 {VKEYS[1]}\n", "policy-format"),
        (f"witness w1 {format_vkey(log.ED25519_VKEY)} https://w1.example\n", "policy-format"),
        (f"witness pq {MLDSA} https://w1.example\n", "unsupported-key"),
        (lines("http://w1.example"), "input"),
        (lines("https://w1.example") + "quorum w2\n", "policy-format"),
        (lines("https://w1.example") * 2, "policy-format"),
        (lines("https://w1.example/\x1b[2J"), "policy-format"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, code: str) -> None:
    with pytest.raises(LedgerError) as error:
        parse_witnesses(text.encode())
    assert error.value.code == code
    assert error.value.message.isprintable()


def test_more_witnesses_than_a_head_has_room_for_are_refused() -> None:
    keys = [
        format_vkey(make_vkey(f"w{number}", 4, bytes([number]) * 32)) for number in range(1, 64)
    ]
    text = "".join(f"witness w{n} {key} https://w.example/{n}\n" for n, key in enumerate(keys))
    with pytest.raises(FormatError):
        parse_witnesses(text.encode())
    assert len(parse_witnesses(text.partition("witness w62 ")[0].encode())[1]) == 62


def test_the_documentation_has_every_state_and_a_file_that_is_taken() -> None:
    text = (ROOT / "docs" / "witnesses.md").read_text("utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == list(WitnessState)
    first = next(line for line in text.splitlines() if line.startswith("witness w1 "))
    policy, (witness,) = parse_witnesses(f"{first}\n".encode())
    assert witness.vkey == log.WITNESS_VKEYS[0]
    assert witness.url == "https://witness.example/log"
    assert policy.quorum == NO_QUORUM


@pytest.mark.parametrize(
    "url",
    ["https://w.example", "https://[2001:db8::1]:8443/a/b", "http://localhost:1", "http://[::1]/w"],
)
def test_addresses_that_nobody_can_listen_in_on(url: str) -> None:
    """WIT-6."""
    assert check_url(url.encode()) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://w.example",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.example",
        "ftp://w.example",
        "w.example",
        "https://",
        "https://user:secret@w.example",
        "https://w.example/?a=b",
        "https://w.example/#a",
        "https://w.example:0",
        "https://w.example:99999",
        "https://[::1",
        "https://w\u00e9.example",
        "file:///etc/passwd",
    ],
)
def test_other_addresses_are_refused_and_not_repeated(url: str) -> None:
    """WIT-6."""
    with pytest.raises(InputError) as error:
        check_url(url.encode())
    assert "secret" not in error.value.message


def test_plain_http_elsewhere_is_taken_when_told() -> None:
    """WIT-6."""
    assert check_url(b"http://w.example/x/", insecure=True) == "http://w.example/x"
    for url in (b"ftp://w.example", b"http://a@w.example"):
        with pytest.raises(InputError):
            check_url(url, insecure=True)
