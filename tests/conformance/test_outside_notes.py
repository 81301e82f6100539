"""Published signed notes: one with a wrong key id, and notes that verify."""

from typing import Any

import pytest

from nous_ledger.protocol.head import verify_text_signature
from nous_ledger.protocol.note import find_signatures, format_note, parse_note
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, format_vkey, parse_vkey
from tests import outside_vectors

NOTES: list[dict[str, Any]] = outside_vectors.load("signed_note_vectors.json")


def key_of(case: dict[str, Any]) -> VerifierKey:
    if "vkey" in case:
        return parse_vkey(case["vkey"])
    name = parse_note(case["note"].encode()).signatures[0].name
    return ed25519_vkey(name, bytes.fromhex(case["public_key"]))


@pytest.mark.parametrize("case", NOTES, ids=lambda case: case["name"])
def test_notes(case: dict[str, Any]) -> None:
    data = case["note"].encode()
    note = parse_note(data)
    assert format_note(note) == data
    key = key_of(case)
    lines = find_signatures(note, key.name, key.key_id)
    assert bool(lines) == case["key_id_ok"]
    # The signature is right in all of them: only the key id says for which key.
    assert case["signature_ok"]
    assert verify_text_signature(note.text, key, note.signatures[0]) == note.signatures[0]


def test_a_published_vkey_is_written_as_it_was_read() -> None:
    texts = [case["vkey"] for case in NOTES if "vkey" in case]
    assert texts
    assert [format_vkey(parse_vkey(text)) for text in texts] == texts
