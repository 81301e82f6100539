"""stream_audit.json: which stream a receipt belongs to, and the bets on a stream to the bit."""

from collections.abc import Iterator

from vectors.generate.actors import exact_bucket, exact_receipt, receipt
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.stream import Stream, bits, level
from vectors.generate.suite import Json, Suite

LOOKS = (1, 2, 3, 10, 50, 100, 200)
Samples = list[list[int]]


def draws(seed: int) -> Iterator[int]:
    """Give 31-bit numbers: a linear congruential sequence, the same everywhere."""
    state = seed
    while True:
        state = (state * 1_103_515_245 + 12_345) % 2**31
        yield state >> 8


def stream(case: Json) -> Json:
    """Take the samples, and look at some counts of them."""
    audit = Stream(case["lowest"], case["highest"], level(case["number"], case["alpha"]))
    looks = []
    for reported, counted in case["samples"]:
        audit.take(reported, counted)
        if audit.t in LOOKS:
            looks.append(audit.looked_at())
    return {
        "looks": looks,
        "overAt": audit.over_at,
        "underAt": audit.under_at,
        "inconsistentAt": audit.inconsistent_at,
        "excess": audit.excess,
        "contradicted": audit.contradicted,
        "contradictedAt": audit.contradicted_at,
        "state": audit.state(),
    }


def honest(seed: int, count: int = 200, offset: int = 0) -> Samples:
    """Return samples of which one in 64 shows one token too many."""
    numbers = draws(seed)
    found = []
    for _ in range(count):
        counted = 50 + next(numbers) % 400
        found.append([counted + offset + (next(numbers) % 64 == 0), counted])
    return found


def inflated(samples: Samples, parts: int) -> Samples:
    """Report a share more, in ten-thousandths, rounded up."""
    return [[reported + -(-counted * parts // 10_000), counted] for reported, counted in samples]


def levels(case: Json) -> Json:
    """Give the level."""
    return {"level": bits(level(case["number"], case["alpha"]))}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "stream_audit",
        "stream-audit",
        "9.5 Stream audit",
        "Stream: take `samples` (reported, counted) one by one; `looks` holds Over, Under and E of "
        "each offset after t samples; the others are what is latched at the end, 0 for never, and "
        "the word that all of it comes to.",
        "Level: what the bets of stream `number` must reach under `alpha`.",
        "Sample: decode `body` as a receipt; `sample` is its stream, reported and counted tokens, "
        "or null where no stream audits it.",
    )
    suite.flag(
        "Honest",
        "BASIC",
        "A stream that shows nothing.",
        "A false alarm.",
        "AUD-3 AUD-4 AUD-5 AUD-6",
    )
    suite.flag(
        "Over", "BASIC", "Too much is reported.", "It goes unseen.", "AUD-6 AUD-7 AUD-9 AUD-10"
    )
    suite.flag("Under", "BASIC", "Too little is reported.", "It goes unseen.", "AUD-6 AUD-7")
    suite.flag("Late", "BASIC", "What is wrong begins late.", "It goes unseen.", "AUD-4 AUD-7")
    suite.flag("Edge", "RANGE", "Ends of ranges.", "Other bits elsewhere.", "AUD-4 AUD-5")
    suite.flag("Level", "BASIC", "Many streams share alpha.", "False alarms.", "AUD-8")
    suite.flag("Key", "BASIC", "Which receipts are samples.", "Streams mix.", "AUD-1 AUD-2")
    streams(suite)
    group = suite.group("Level", levels)
    for number, alpha in ((1, 0.001), (2, 0.001), (3, 0.001), (1_000, 0.001), (1, 0.05)):
        group.valid(f"stream {number} under alpha {alpha}", "Level", number=number, alpha=alpha)
    samples(suite)
    return suite


def streams(suite: Suite) -> None:
    """Add whole streams."""
    group = suite.group("Stream", stream)

    def add(comment: str, flag: str, found: Samples, low: int = 0, high: int = 1) -> None:
        fields = {"number": 1, "alpha": 0.001, "lowest": low, "highest": high, "samples": found}
        group.valid(comment, flag, **fields)

    add("200 honest receipts", "Honest", honest(1))
    add("200 honest receipts, offset pinned to 0", "Honest", honest(2), 0, 0)
    add("200 honest receipts of a model that counts one more", "Honest", honest(3, offset=1))
    add("nothing was answered", "Edge", [[0, 0]] * 20)
    add("0.5 % too much, offset pinned", "Over", inflated(honest(4), 50), 0, 0)
    add("1 % too much", "Over", inflated(honest(5), 100))
    add("10 % too much", "Over", inflated(honest(6), 1_000))
    add("one call in 20 by 10 %", "Over", one_in_twenty(honest(7)))
    add("1 % too much after 100 honest receipts", "Late", honest(8, 100) + inflated(honest(9), 100))
    add("one too many on every call of a pinned model", "Over", honest(10, offset=1), 0, 0)
    add("one too many on every call, offset not pinned", "Honest", honest(11, offset=1))
    add("two too few on every call", "Under", honest(12, offset=-2))
    add("now too many, now too few", "Under", swinging(honest(13)))
    add("absurd by itself: 2 d > 20 + c", "Over", [[160, 100], [171, 100], [161, 100]])
    add("one absurd receipt among honest ones", "Over", [*honest(16, 60), [161, 100], [59, 33]])
    add("half too many on a pinned model, 8 receipts", "Over", inflated(honest(17, 8), 5_000), 0, 0)
    add("four of five by five too few", "Under", now_and_then(honest(18)))
    add("the largest counts", "Edge", [[2**53 - 1, 0], [0, 2**53 - 1], [2**53 - 1, 2**53 - 1]])
    add("seventeen offsets", "Edge", honest(14, 60), -8, 8)
    add("only negative offsets", "Edge", honest(15, 60, offset=-3), -4, -2)


def one_in_twenty(samples: Samples) -> Samples:
    """Inflate every twentieth sample by a tenth."""
    return [
        [reported + (counted // 10 if number % 20 == 0 else 0), counted]
        for number, (reported, counted) in enumerate(samples, 1)
    ]


def now_and_then(samples: Samples) -> Samples:
    """Take five from four samples of five."""
    return [
        [reported - (5 if number % 5 else 0), counted]
        for number, (reported, counted) in enumerate(samples)
    ]


def swinging(samples: Samples) -> Samples:
    """Add and take away a tenth in turn."""
    return [
        [reported + (counted // 10) * (-1) ** number, counted]
        for number, (reported, counted) in enumerate(samples)
    ]


def sample(case: Json) -> Json:
    """Check nothing: the builder says what it built."""
    return {"sample": case["sample"]}


def samples(suite: Suite) -> None:
    """Add receipts, with the stream that each belongs to."""
    group = suite.group("Sample", sample)
    base = {
        "source": 1,
        "provider": "openai",
        "upstream": "api.openai.com",
        "operation": "chat",
        "model": "gpt-4o-mini-2024-07-18",
        "method": "o200k_base/1",
        "vocab": exact_bucket()[7].hex(),
        "lowest": -1,
        "highest": 1,
        "reported": 4,
        "counted": 4,
    }

    def add(comment: str, body: dict[int, object], expected: Json | None) -> None:
        group.valid(comment, "Key", body=pack(body).hex(), sample=expected)

    def with_bucket(**changes: object) -> dict[int, object]:
        return exact_receipt(f18=[{1: 1, 2: 12, 3: 3}, exact_bucket(**changes)])

    add("EXACT", exact_receipt(), base)
    add("the model that was asked for", exact_receipt(f13=None), base | {"model": "gpt-4o-mini"})
    add("no model at all", exact_receipt(f12=None, f13=None), base | {"model": "unknown"})
    embedded = base | {"source": 2, "upstream": ""}
    add("no upstream", exact_receipt(f4=2, f9=None), embedded)
    add("offsets 0 and 1", with_bucket(f4=4), base | {"lowest": 0})
    add("nothing counted", with_bucket(f8=0, f4=0, f5=1), base | {"lowest": 0, "counted": 0})
    split = base | {"method": "o200k_base/1+split"}
    add("a split method", with_bucket(f6="o200k_base/1+split"), split)
    add(
        "reported far beyond",
        exact_receipt(f18=[exact_bucket(f2=4_000)], f19=4_000),
        base | {"reported": 4_000},
    )
    add("BOUNDED only", receipt(), None)
    add("EXACT without reported", exact_receipt(f18=[exact_bucket(f2=None)], f19=None), None)
    add("metering 2", exact_receipt(f17=2), None)
    add("metering 3", exact_receipt(f17=3), None)
    add("no usage", receipt(f17=0, f18=None, f19=None, f20=None), None)
