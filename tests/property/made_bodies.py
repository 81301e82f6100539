"""Strategies for values of the encoding and for bodies that satisfy their rules."""

from typing import Any, Final

from hypothesis import strategies as st

from nous_ledger.protocol.bodies import Binding, Body, Reconciliation, Redaction, decode_body
from nous_ledger.protocol.keyevent import KeyEvent, Predecessor
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Context, ImportInfo, PolicyAction, Receipt
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow
from nous_ledger.protocol.strict import Value
from nous_ledger.protocol.types import MAX_UINT
from tests.property.sample_log import sample_log

POINTS: Final = tuple(SigningKey(bytes([n]) * 32).public_key for n in range(1, 9))
TOKENS_END: Final = 48

edges = st.sampled_from(
    [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_UINT - 1, MAX_UINT]
)
uints = st.integers(0, MAX_UINT) | edges
characters = st.characters(codec="utf-8", exclude_categories=["Cs"]).filter(
    lambda char: (
        not (
            ord(char) < 0x20
            or 0x7F <= ord(char) < 0xA0
            or 0x2028 <= ord(char) < 0x202F
            or 0x2066 <= ord(char) < 0x206A
            or ord(char) == 0xFEFF
        )
    )
)


def texts(max_bytes: int, min_size: int = 1) -> st.SearchStrategy[str]:
    """Return encodable texts of at most so many bytes, of a few characters of each length."""
    return st.text('az09 .-/"\\\u00a0é\u2027模\uffff🦀', min_size=min_size, max_size=max_bytes // 4)


def blobs(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def values(depth: int) -> st.SearchStrategy[Value]:
    """Return values whose containers nest at most so deep."""
    leaves: st.SearchStrategy[Value] = uints | texts(80, 0) | st.binary(max_size=40)
    if depth == 0:
        return leaves
    inner = values(depth - 1)
    arrays: st.SearchStrategy[Value] = st.lists(inner, max_size=4).map(tuple)
    maps: st.SearchStrategy[Value] = st.dictionaries(uints, inner, max_size=4).map(in_order)
    return leaves | arrays | maps


def in_order(pairs: dict[int, Value]) -> Value:
    return dict(sorted(pairs.items()))


def extensions(depth: int) -> st.SearchStrategy[tuple[tuple[int, Value], ...]]:
    """Return extensions of a map that stands at a depth of its body."""
    pairs = st.dictionaries(st.integers(64, 200) | st.just(MAX_UINT), values(5 - depth), max_size=2)
    return st.just(()) | pairs.map(lambda found: tuple(sorted(found.items())))


@st.composite
def buckets(draw: st.DrawFn, kind: int) -> Bucket:
    """Return a bucket of a kind, with a label that needs nothing of its receipt."""
    label = draw(st.sampled_from([2, 3, 4, 1_000]))
    fields: dict[str, Any] = {"reported": draw(optional(uints) if label != 3 else uints)}
    if label == 2:
        lower = draw(uints)
        fields |= {"lower": lower, "upper": draw(st.integers(lower, MAX_UINT))}
        fields["method"] = draw(texts(64))
    elif label != 3:
        fields |= {name: draw(optional(uints)) for name in ("lower", "upper", "count")}
        fields |= {"method": draw(optional(texts(64))), "vocab": draw(optional(blobs(32)))}
    return Bucket(kind=kind, label=label, extensions=draw(extensions(3)), **fields)


@st.composite
def usages(draw: st.DrawFn, max_size: int = 5) -> tuple[Bucket, ...]:
    """Return buckets that may stand together."""
    kinds = draw(
        st.sets(
            st.integers(0, 60) | st.integers(61, MAX_UINT), min_size=1, max_size=max_size
        ).filter(
            lambda found: (
                not (8 in found and found & set(range(1, 8)))
                and not (18 in found and found & {16, 17})
            )
        )
    )
    return tuple(draw(buckets(kind)) for kind in sorted(kinds))


@st.composite
def exact_usages(draw: st.DrawFn) -> tuple[Bucket, ...]:
    """Return buckets with an EXACT one, for a receipt that allows it."""
    count = draw(st.integers(0, MAX_UINT - 8))
    lower, upper = sorted(draw(st.integers(max(0, count - 8), count + 8)) for _ in range(2))
    exact = Bucket(
        kind=16,
        reported=draw(optional(uints)),
        label=1,
        lower=lower,
        upper=upper,
        method=draw(st.from_regex(r"[a-z0-9._-]{1,20}/1(\+split)?", fullmatch=True).filter(
            lambda method: not method.startswith("bytes/")
        )),
        vocab=draw(blobs(32)),
        count=count,
    )  # fmt: skip
    others = draw(st.sets(st.sampled_from([1, 2, 9, 19, 48, 70]), max_size=3))
    usage = [exact, *(draw(buckets(kind)) for kind in others)]
    return tuple(sorted(usage, key=lambda bucket: bucket.kind))


contexts = st.dictionaries(
    st.sampled_from(["session", "project", "branch", "commit", "agent", "tag"]),
    texts(256),
    min_size=1,
).flatmap(lambda given: st.builds(Context, extensions=extensions(2), **_just(given)))
imports = st.builds(
    ImportInfo,
    importer=texts(64),
    version=texts(64),
    ruleset=optional(blobs(32)),
    line_hash=blobs(32),
    supersedes=optional(blobs(16)),
    occurred_at=optional(uints),
    extensions=extensions(2),
)
actions = st.builds(PolicyAction, name=texts(64), action=uints, count=uints)
uuids = blobs(16).map(
    lambda data: data[:6] + bytes([data[6] & 15 | 0x70, data[7], data[8] & 63 | 0x80]) + data[9:]
)
providers = st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True)
hosts = st.from_regex(
    r"[a-z0-9_]{1,9}(\.[a-z0-9]([a-z0-9_-]{0,9}[a-z0-9])?){0,3}(:[1-9][0-9]{0,3})?", fullmatch=True
)


def _just(given: dict[str, Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.just(value) for name, value in given.items()}


def token_sum(usage: tuple[Bucket, ...]) -> int | None:
    """Return the sum that provider_total must be, or None where it may be anything."""
    numbers = [bucket.reported for bucket in usage if bucket.kind < TOKENS_END]
    return None if None in numbers else sum(number or 0 for number in numbers)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Return receipts that satisfy every rule."""
    exact = draw(st.booleans())
    metering = 1 if exact else draw(st.sampled_from([0, 1, 2, 3, 9]))
    source = draw(st.sampled_from([1, 2, 3, 4, 77]))
    status = 0 if exact else draw(st.integers(0, 9))
    sequence = draw(uints)
    anomalies = st.sets(st.sampled_from([4, 6, 7, 8, 9, 10, 500]), max_size=3)
    given: dict[str, Any] = {
        "api": draw(st.sampled_from([1, 2, 3, 7, 13])) if exact else draw(uints),
        "subject_prev": draw(blobs(32)) if sequence else None,
        "upstream": draw(hosts if source == 1 and status != 4 else optional(hosts)),
        "import_": draw(imports) if source == 3 else None,
        "anomalies": tuple(sorted(draw(anomalies))) or None,
    }
    if metering != 0:
        usage = draw(exact_usages() if exact else optional(usages()))
        total = token_sum(usage or ())
        possible = total is not None and total <= MAX_UINT
        given |= {
            "usage": usage,
            "provider_total": draw(optional(st.just(total))) if possible else None,
            "raw_usage_hash": draw(optional(blobs(32))),
        }
    names = ("request_commitment", "response_commitment", "forwarded_commitment")
    given |= {name: draw(optional(blobs(32))) for name in names}
    given |= {name: draw(optional(texts(256))) for name in ("model_requested", "model_served")}
    return Receipt(
        salt=draw(blobs(16)),
        id=draw(uuids),
        time=draw(uints),
        duration=draw(optional(uints)),
        source=source,
        subject=draw(blobs(32)),
        subject_seq=sequence,
        provider=draw(providers),
        operation=draw(texts(64)),
        status=status,
        http_status=draw(optional(st.integers(100, 599))),
        streamed=draw(st.sampled_from([None, 1])),
        metering=metering,
        reported_cost=draw(optional(uints)),
        service_tier=draw(optional(texts(64))),
        provider_request_id=draw(optional(texts(256))),
        context=draw(optional(contexts)),
        policy=draw(optional(st.lists(actions, min_size=1, max_size=3).map(tuple))),
        claimed_wallet=draw(optional(blobs(20))),
        extensions=draw(extensions(1)),
        **given,
    )


@st.composite
def key_events(draw: st.DrawFn) -> KeyEvent:
    """Return key events of every kind, an unknown one too."""
    kind = draw(st.sampled_from([0, 1, 2, 9]))
    nonzero = blobs(32).filter(any)
    given: dict[str, Any] = {}
    if kind == 0:
        predecessors = st.builds(Predecessor, log_id=blobs(32), count=uints, root=blobs(32))
        given = {
            "origin": draw(
                st.from_regex(r"[a-z0-9]([a-z0-9._~/-]{0,20}[a-z0-9])?", fullmatch=True)
            ),
            "next_hash": draw(blobs(32) | st.just(bytes(32))),
            "max_merge_delay_s": draw(uints),
            "heartbeat_s": draw(uints),
            "predecessor": draw(optional(predecessors)),
        }
    elif kind in (1, 2):
        reason = draw(st.sampled_from([0, 1, 2, 3, 99, *([4] if kind == 2 else [])]))
        given = {
            "next_hash": draw(nonzero) if kind == 1 else None,
            "reason": reason,
            "suspect_from": draw(uints) if reason in (1, 2) else None,
            "rotation_sig": draw(blobs(65) if kind == 1 else optional(blobs(65))),
        }
    return KeyEvent(
        kind=kind,
        secp256k1=draw(st.sampled_from(POINTS)),
        ed25519=draw(blobs(32)),
        extensions=draw(extensions(1)),
        **given,
    )


kind_sums = st.builds(
    KindSums,
    kind=st.integers(0, 60),
    reported=uints,
    exact=uints,
    bounded=uints,
    unverifiable=uints,
)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Return statements whose rows are in order and cover the range."""
    keys = draw(st.sets(st.tuples(providers, texts(64), st.integers(0, 9)), min_size=1, max_size=4))
    rows = []
    for provider, model, source in sorted(keys, key=lambda k: (k[0], k[1].encode(), k[2])):
        calls = draw(st.integers(0, 1_000))
        kinds = {item.kind: item for item in draw(st.lists(kind_sums, max_size=4))}
        row = StatementRow(
            provider=provider,
            model=model,
            source=source,
            calls=calls,
            unmetered=draw(st.integers(0, calls)),
            kinds=tuple(kinds[kind] for kind in sorted(kinds)),
        )
        rows.append(row)
    calls = sum(row.calls for row in rows)
    first = draw(st.integers(1 if calls == 0 else 0, MAX_UINT - calls))
    if calls == 0:  # a range has at least one call
        rows[0] = StatementRow(
            provider=rows[0].provider,
            model=rows[0].model,
            source=rows[0].source,
            calls=1,
            unmetered=0,
            kinds=rows[0].kinds,
        )
        calls = 1
    return Statement(
        salt=draw(blobs(16)),
        subject=draw(blobs(32)),
        first_seq=first,
        last_seq=first + calls - 1,
        last_body_hash=draw(blobs(32)),
        count=draw(uints),
        rows=tuple(rows),
        extensions=draw(extensions(1)),
    )


reconciliations = st.builds(
    Reconciliation,
    salt=blobs(16),
    index=uints,
    body_hash=blobs(32),
    usage=usages() | exact_usages(),
    source=optional(texts(64)),
    extensions=extensions(1),
)
bindings = st.builds(
    Binding,
    salt=blobs(16),
    subject=blobs(32),
    wallet=blobs(20),
    nonce=uints,
    deadline=uints,
    signature=blobs(65),
    extensions=extensions(1),
)
redactions = st.builds(
    Redaction,
    salt=blobs(16),
    indices=st.sets(uints, min_size=1, max_size=9).map(lambda found: tuple(sorted(found))),
    reason=uints,
    extensions=extensions(1),
)
BODIES: Final[dict[int, st.SearchStrategy[Any]]] = {
    0: key_events(),
    1: receipts(),
    2: reconciliations,
    3: bindings,
    4: statements(),
    5: redactions,
}
numbered_bodies = st.sampled_from(sorted(BODIES)).flatmap(
    lambda number: st.tuples(st.just(number), BODIES[number])
)
LOG: Final = sample_log(rotated=True)
SAMPLES: Final[list[tuple[int, Body]]] = [
    (number, decode_body(number, body))
    for record, body in zip(LOG.records, LOG.bodies, strict=True)
    for number in [decode_record(record).type]
]
"""Bodies to change in one place: cheaper to have than the generated ones."""
samples: Final = st.sampled_from(SAMPLES)
