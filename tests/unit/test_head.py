"""Checkpoints and the two signature lines of a head."""

import pytest

from nous_ledger.protocol.checkpoint import (
    Checkpoint,
    format_checkpoint,
    is_origin,
    parse_checkpoint,
)
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.head import (
    HeadSignature,
    SignedHead,
    decode_head_signature,
    encode_head_signature,
    sign_head,
    verify_head,
    verify_head_signature,
    verify_text_signature,
)
from nous_ledger.protocol.note import Note, NoteSignature, format_note, parse_note
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import MAX_UINT, Epoch, Hash32, LeafCount, LogId, UnixSeconds
from tests.refusals import code_of
from tests.unit import small_log

# The known answers of PROTOCOL.md.
KNOWN = Checkpoint(origin=small_log.ORIGIN, leaf_count=LeafCount(7), root=Hash32(bytes(range(32))))
ROOT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KNOWN_TEXT = f"ledger.example.com/main\n7\n{ROOT}\n"
KNOWN_LINE = (
    "— ledger.example.com/main +LiI7wAAAABoTuGAAAAAABxq8QR9+CF7voCxSQxlv05cZzwvWEWKPkdrB7S/MVL5"
    "ARLQBpjXUDyBEvkxnkgxv2+428gP+lXvQalfalmGBIoA\n"
)


def sign(
    checkpoint: Checkpoint = KNOWN,
    *,
    log_id: LogId = small_log.LOG_ID,
    epoch: int = 0,
    timestamp: int = small_log.TIME,
) -> bytes:
    return sign_head(
        checkpoint,
        log_id=log_id,
        epoch=Epoch(epoch),
        timestamp=UnixSeconds(timestamp),
        key=small_log.KEY,
        ed25519=small_log.ED25519,
    )


def lines_of(head: bytes) -> tuple[NoteSignature, NoteSignature]:
    text_line, head_line = parse_note(head).signatures
    return text_line, head_line


def test_the_known_head() -> None:
    assert format_checkpoint(KNOWN) == KNOWN_TEXT
    assert parse_checkpoint(KNOWN_TEXT) == KNOWN
    head = sign().decode()
    assert head.startswith(KNOWN_TEXT + "\n— ledger.example.com/main ")
    assert head.endswith("\n" + KNOWN_LINE)


def test_both_lines_verify() -> None:
    text_line, head_line = lines_of(sign())
    assert verify_text_signature(KNOWN_TEXT, small_log.ED25519_VKEY, text_line) == text_line
    signature = decode_head_signature(head_line.payload)
    assert (signature.timestamp, signature.epoch) == (small_log.TIME, 0)
    public_key = small_log.KEY.public_key
    assert verify_head_signature(KNOWN, small_log.LOG_ID, signature, public_key) == signature
    assert encode_head_signature(signature) == head_line.payload


@pytest.mark.parametrize(
    "origin",
    ["a", "7", "ledger.example.com/main", "a~b_c-d", "nous.invalid/" + "0" * 32, "a" * 255],
)
def test_origins(origin: str) -> None:
    assert is_origin(origin)
    checkpoint = Checkpoint(origin=origin, leaf_count=LeafCount(0), root=Hash32(bytes(32)))
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "origin",
    ["", "A", "a/", "/a", "-a", "a.", "a b", "a+b", "a:b", "ä", "a\n", "a\x7f", "a" * 256],
)
def test_other_origins_are_refused(origin: str) -> None:
    assert not is_origin(origin)
    assert code_of(parse_checkpoint, f"{origin}\n7\n{ROOT}\n") == "checkpoint-format"
    checkpoint = Checkpoint(origin=origin, leaf_count=LeafCount(0), root=Hash32(bytes(32)))
    assert code_of(format_checkpoint, checkpoint) == "checkpoint-format"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        KNOWN_TEXT[:-1],
        KNOWN_TEXT + "\n",
        KNOWN_TEXT + "extension\n",
        "\n" + KNOWN_TEXT,
        f"a\n\n{ROOT}\n",
        f"a\n07\n{ROOT}\n",
        f"a\n-7\n{ROOT}\n",
        f"a\n+7\n{ROOT}\n",
        f"a\n 7\n{ROOT}\n",
        f"a\n7 \n{ROOT}\n",
        f"a\n7.0\n{ROOT}\n",
        f"a\n\u0667\n{ROOT}\n",
        f"a\n{MAX_UINT + 1}\n{ROOT}\n",
        "a\n7\n\n",
        f"a\n7\n{ROOT[:-1]}\n",
        f"a\n7\n{ROOT[:-2]}9=\n",  # bits beyond the last byte
        f"a\n7\n{ROOT} \n",
        "a\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",  # 31 bytes
        "a\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A\n",  # 33 bytes
        f"a\r\n7\r\n{ROOT}\r\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    assert code_of(parse_checkpoint, text) == "checkpoint-format"


@pytest.mark.parametrize(
    ("count", "root"), [(-1, bytes(32)), (MAX_UINT + 1, bytes(32)), (0, bytes(31))]
)
def test_checkpoints_that_cannot_be_read_are_not_written(count: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin="a", leaf_count=LeafCount(count), root=Hash32(root))
    assert code_of(format_checkpoint, checkpoint) == "checkpoint-format"
    assert code_of(sign, checkpoint) == "checkpoint-format"


def test_the_largest_count_is_written() -> None:
    checkpoint = Checkpoint(origin="a", leaf_count=LeafCount(MAX_UINT), root=Hash32(bytes(32)))
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    ("log_id", "epoch", "timestamp"),
    [
        (bytes(31), 0, 0),
        (bytes(32), -1, 0),
        (bytes(32), 1 << 32, 0),
        (bytes(32), 0, -1),
        (bytes(32), 0, MAX_UINT + 1),
    ],
)
def test_heads_out_of_range_are_not_signed(log_id: bytes, epoch: int, timestamp: int) -> None:
    assert code_of(sign, log_id=LogId(log_id), epoch=epoch, timestamp=timestamp) == "input"


@pytest.mark.parametrize(("epoch", "timestamp"), [(-1, 0), (1 << 32, 0), (0, -1), (0, 1 << 53)])
def test_head_lines_out_of_range_are_not_encoded(epoch: int, timestamp: int) -> None:
    _, line = lines_of(sign())
    good = decode_head_signature(line.payload)
    signature = HeadSignature(
        timestamp=UnixSeconds(timestamp), epoch=Epoch(epoch), signature=good.signature
    )
    assert code_of(encode_head_signature, signature) == "input"


@pytest.mark.parametrize("length", [0, 76, 78])
def test_a_head_line_has_81_bytes(length: int) -> None:
    assert code_of(decode_head_signature, bytes(length)) == "malformed"


def test_a_head_line_has_a_time_below_2_to_53() -> None:
    payload = lines_of(sign())[1].payload
    latest = MAX_UINT.to_bytes(8, "big") + payload[8:]
    assert decode_head_signature(latest).timestamp == MAX_UINT
    later = (MAX_UINT + 1).to_bytes(8, "big") + payload[8:]
    assert code_of(decode_head_signature, later) == "malformed"


def test_every_flipped_bit_of_a_head_line_is_refused() -> None:
    def verify(data: bytes) -> HeadSignature:
        signature = decode_head_signature(data)
        return verify_head_signature(KNOWN, small_log.LOG_ID, signature, public_key)

    payload = lines_of(sign())[1].payload
    public_key = small_log.KEY.public_key
    codes = set()
    for bit in range(8 * len(payload)):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8

        codes.add(code_of(verify, bytes(changed)))
    assert codes <= {"malformed", "high-s", "bad-recovery-id", "mismatch"}


@pytest.mark.parametrize("field", ["leaf_count", "root", "log_id", "key"])
def test_a_head_line_binds_count_root_log_and_key(field: str) -> None:
    signature = decode_head_signature(lines_of(sign())[1].payload)
    root = Hash32(bytes(32)) if field == "root" else KNOWN.root
    count = LeafCount(8) if field == "leaf_count" else KNOWN.leaf_count
    log_id = LogId(bytes(32)) if field == "log_id" else small_log.LOG_ID
    key = SigningKey(b"\x22" * 32) if field == "key" else small_log.KEY
    other = Checkpoint(origin=KNOWN.origin, leaf_count=count, root=root)
    assert code_of(verify_head_signature, other, log_id, signature, key.public_key) == "mismatch"


def test_malleated_head_signatures_are_refused() -> None:
    good = decode_head_signature(lines_of(sign())[1].payload)
    s = int.from_bytes(good.signature[32:64], "big")
    twin = good.signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big")
    for v in (0, 1):
        signature = HeadSignature(
            timestamp=good.timestamp, epoch=good.epoch, signature=twin + bytes([v])
        )
        assert code_of(encode_head_signature, signature) == "high-s"


def test_the_text_line_binds_every_byte_of_the_text() -> None:
    line = lines_of(sign())[0]
    for other in (KNOWN_TEXT.replace("7", "8"), KNOWN_TEXT + "\n", "x" + KNOWN_TEXT):
        assert code_of(verify_text_signature, other, small_log.ED25519_VKEY, line) == "mismatch"


def test_the_text_line_binds_the_key() -> None:
    line = lines_of(sign())[0]
    other = small_log.WITNESS_VKEYS[0]
    assert code_of(verify_text_signature, KNOWN_TEXT, other, line) == "mismatch"
    short = NoteSignature(name=line.name, key_id=line.key_id, payload=line.payload[:-1])
    key = small_log.ED25519_VKEY
    assert code_of(verify_text_signature, KNOWN_TEXT, key, short) == "malformed"


def test_another_ed25519_key_makes_another_line() -> None:
    other = sign_head(
        KNOWN,
        log_id=small_log.LOG_ID,
        epoch=Epoch(0),
        timestamp=small_log.TIME,
        key=small_log.KEY,
        ed25519=Ed25519Key(b"\x34" * 32),
    )
    assert lines_of(other)[0].key_id != lines_of(sign())[0].key_id
    assert lines_of(other)[1] == lines_of(sign())[1]


def check(
    data: bytes,
    *,
    origin: str = small_log.ORIGIN,
    log_id: LogId = small_log.LOG_ID,
    epoch: int = 0,
    public_key: bytes = small_log.KEY.public_key,
    ed25519: bytes = small_log.ED25519.public_key,
) -> SignedHead:
    return verify_head(
        data,
        origin=origin,
        log_id=log_id,
        epoch=Epoch(epoch),
        public_key=public_key,
        ed25519=ed25519,
    )


def with_lines(*lines: NoteSignature, text: str = KNOWN_TEXT) -> bytes:
    return format_note(Note(text=text, signatures=lines))


def test_a_head_by_the_keys_of_its_epoch() -> None:
    head = SignedHead(checkpoint=KNOWN, epoch=Epoch(0), timestamp=small_log.TIME)
    assert check(sign()) == head
    text_line, head_line = lines_of(sign())
    assert check(with_lines(head_line, text_line)) == head
    stranger = NoteSignature(name=small_log.ORIGIN, key_id=b"abcd", payload=b"x")
    assert check(with_lines(text_line, stranger, head_line)) == head


def test_other_origins_logs_epochs_and_keys_are_refused() -> None:
    data = sign()
    assert code_of(check, data, origin="other.example") == "head-origin"
    assert code_of(check, data, log_id=LogId(bytes(32))) == "missing-kind"
    assert code_of(check, data, epoch=1) == "head-epoch"
    assert code_of(check, data, public_key=small_log.WITNESSES[0].public_key) == "mismatch"
    assert code_of(check, data, ed25519=bytes(32)) == "missing-kind"
    assert code_of(check, data[:-1]) == "note-format"
    text_line, head_line = lines_of(data)
    longer = with_lines(text_line, head_line, text=KNOWN_TEXT + "extension\n")
    assert code_of(check, longer) == "checkpoint-format"


def test_each_log_line_stands_there_once() -> None:
    text_line, head_line = lines_of(sign())
    assert code_of(check, with_lines(text_line)) == "missing-kind"
    assert code_of(check, with_lines(head_line)) == "missing-kind"
    assert code_of(check, with_lines(text_line, head_line, head_line)) == "duplicate-line"
    assert code_of(check, with_lines(text_line, text_line, head_line)) == "duplicate-line"


def test_a_text_line_of_other_text_is_refused() -> None:
    other = Checkpoint(origin=KNOWN.origin, leaf_count=LeafCount(8), root=KNOWN.root)
    text_line, _ = lines_of(sign(other))
    _, head_line = lines_of(sign())
    assert code_of(check, with_lines(text_line, head_line)) == "mismatch"
