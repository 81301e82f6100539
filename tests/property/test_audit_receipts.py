"""The quick reader of receipts accepts nothing that the protocol's reader refuses."""

import random
from collections.abc import Iterator

import pytest

from nous_ledger.protocol.audit_streams import output_of, service_of, stream_sample
from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.encoding import encode, pack_checked, read_leniently
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Context, Receipt
from sentinel.audit.receipts import ReceiptPlace, read_service, read_usual_receipt
from tests.unit.audit_log import AuditLog

LOG = AuditLog()
HASH = bytes(range(32))
EXACT = Bucket(
    kind=16, reported=7, label=1, lower=7, upper=7, method="o200k_base/1", vocab=HASH, count=7
)
FULL = LOG.make_receipt(
    duration=1_200,
    subject_seq=300,
    subject_prev=HASH,
    upstream="api.anthropic.com:443",
    model_requested="m" * 256,
    streamed=1,
    usage=(
        Bucket(kind=1, reported=120, label=3),
        Bucket(kind=2, reported=70_000, label=3),
        Bucket(kind=16, reported=40, label=2, lower=1, upper=176, method="bytes/1"),
        Bucket(kind=17, label=2, lower=0, upper=2**40, method="x" * 40),
        Bucket(kind=48, reported=2**53 - 1, label=3),
    ),
    provider_total=None,
    raw_usage_hash=HASH,
    reported_cost=2**33,
    service_tier="standard",
    request_commitment=HASH,
    response_commitment=HASH,
    forwarded_commitment=HASH,
    provider_request_id="req_" + "r" * 100,
    context=Context(session="s", tag="t" * 200),
)
USUAL = (
    LOG.make_receipt(),
    FULL,
    LOG.make_receipt(metering=0, usage=None, provider_total=None),
    LOG.make_receipt(upstream=None, status=4, http_status=None),
    LOG.make_receipt(source=2, upstream=None, http_status=404, provider_total=None),
    LOG.make_receipt(usage=None, provider_total=0, raw_usage_hash=HASH),
)
UNUSUAL = (
    LOG.make_receipt(usage=(EXACT,), provider_total=7),
    LOG.make_receipt(anomalies=(4,)),
    LOG.make_receipt(model_served="modèle"),
    LOG.make_receipt(claimed_wallet=bytes(20)),
    LOG.make_receipt(metering=3, provider_total=9),
    LOG.make_receipt(extensions=((64, 1),)),
)


def agree(data: bytes) -> ReceiptPlace | None:
    """Return what the quick reader says after comparing it with the other one."""
    place = read_usual_receipt(data)
    if place is not None:
        receipt = decode_body(1, data)
        assert isinstance(receipt, Receipt)
        assert place[:5] == (
            receipt.id,
            receipt.subject,
            receipt.subject_seq,
            receipt.subject_prev,
            receipt.time,
        )
        assert read_service(place.service) == service_of(receipt)
        assert place.output == output_of(receipt)
        assert stream_sample(receipt) is None
    return place


@pytest.mark.parametrize("receipt", USUAL, ids=range(len(USUAL)))
def test_usual_receipts_are_read_quickly(receipt: Receipt) -> None:
    assert agree(encode_body(receipt)) is not None


@pytest.mark.parametrize("receipt", UNUSUAL, ids=range(len(UNUSUAL)))
def test_unusual_receipts_are_left_to_the_other_reader(receipt: Receipt) -> None:
    assert read_usual_receipt(encode_body(receipt)) is None


def flipped(data: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, len(data), step):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.mark.parametrize("receipt", USUAL[:2], ids=["short", "full"])
def test_no_flipped_bit_is_accepted_wrongly(
    receipt: Receipt, request: pytest.FixtureRequest
) -> None:
    data = encode_body(receipt)
    step = 1 if request.config.getoption("--full") else len(data) // 100
    accepted = sum(agree(other) is not None for other in flipped(data, step))
    assert 0 < accepted < 8 * len(data)


def test_no_cut_or_doubled_part_is_accepted_wrongly() -> None:
    data = encode_body(FULL)
    for at in range(0, len(data), 3):
        for length in (1, 2, 5, 34):
            agree(data[:at] + data[at + length :])
            agree(data[:at] + data[at : at + length] + data[at:])


BAD_FIELDS: tuple[tuple[int, object], ...] = (
    (15, 99), (15, 600), (16, 2), (17, 0), (18, ()), (19, 1), (22, ""), (22, "t" * 65),
    (22, "t" * 64), (26, "r" * 257), (26, "r" * 256), (8, "Anthropic"), (9, "-"), (10, "o" * 65),
    (12, "m" * 257), (27, {}), (27, {7: "x"}), (27, {1: "x" * 257}), (4, 3), (14, 4), (6, 0),
    (18, ({1: 16, 2: 1, 3: 2, 4: 9, 5: 8, 6: "m"},)),
    (18, ({1: 16, 2: 1, 3: 2, 4: 9, 5: 9, 6: "m" * 65},)),
    (18, ({1: 16, 2: 1, 3: 3, 4: 1, 5: 1, 6: "m"},)),
    (18, ({1: 16, 3: 3},)),
    (18, ({1: 8, 2: 1, 3: 3}, {1: 16, 2: 1, 3: 3})),
    (18, ({1: 1, 2: 1, 3: 3}, {1: 8, 2: 1, 3: 3})),
    (18, ({1: 2, 2: 1, 3: 3}, {1: 1, 2: 1, 3: 3})),
)  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD_FIELDS)
def test_fields_at_and_over_their_limits_are_told_apart(key: int, value: object) -> None:
    for receipt in USUAL:
        wire = read_leniently(encode_body(receipt))
        assert type(wire) is dict
        agree(encode(dict(sorted({**wire, key: value}.items()))))  # type: ignore[arg-type]
        if key != 18 or key in wire:
            agree(pack_checked({k: v for k, v in wire.items() if k != key}))


def test_headers_that_lie_about_lengths_are_refused() -> None:
    data = encode_body(FULL)
    for at in (i for i in range(len(data)) if data[i] > 0x7F or i % 9 == 0):
        for other in (data[at] + 1, data[at] - 1, 0xA3, 0xD9, 0xCC, 0x93, 0x83):
            agree(data[:at] + bytes([other % 256]) + data[at + 1 :])


def test_random_changes_are_never_accepted_wrongly(request: pytest.FixtureRequest) -> None:
    rounds = 200_000 if request.config.getoption("--full") else 4_000
    chance = random.Random(5)
    bodies = [encode_body(receipt) for receipt in (*USUAL, *UNUSUAL)]
    accepted = 0
    for _ in range(rounds):
        data = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.choice((chance.randrange(256), data[0], 0))
        accepted += agree(bytes(data)) is not None
    assert accepted


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(LedgerError):
        decode_body(1, bytes(32_769))
    assert read_usual_receipt(bytes(32_769)) is None
