"""Bodies that lie: about their bytes, their counts, other records, or who signed them."""

from collections.abc import Callable, Iterator

from nous_ledger.protocol.label import Bucket
from tests.zoo.behaviour import Round, behaviour, caught, honest, passed
from tests.zoo.forger import Forger
from tests.zoo.raw import with_fields, with_raw_field
from tests.zoo.samples import exact_bucket
from tests.zoo.site import view_of
from tests.zoo.zoo_history import begun


def _then(now_s: int, act: Callable[[Forger], object], *codes: str) -> Iterator[Round]:
    """After an honest round the owner does one thing more; then the log grows on."""
    log = begun(now_s)
    yield honest(view_of(log))
    act(log)
    yield caught(view_of(log.grow(1, subjects=1)), *codes)


def _put(log: Forger, fields: dict[int, object], subject: int = 4) -> None:
    """Append a receipt with fields that no library would encode."""
    made = log.make(1, log.draft(subject))
    log.put(1, with_fields(made.body, fields))


@behaviour
def body_that_is_not_its_hash(now_s: int) -> Iterator[Round]:
    """Another body is served than the record's."""

    def act(log: Forger) -> None:
        log.show(log.receipt(4), log.entries[1].body)

    return _then(now_s, act, "body/body-hash")


@behaviour
def body_withheld_without_notice(now_s: int) -> Iterator[Round]:
    """A body is not served, and no redaction says why: others may have a right to it."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.withhold(log.receipt(4))
    yield passed(view_of(log.grow(2)), "body/withheld")


@behaviour
def body_withheld_with_notice(now_s: int) -> Iterator[Round]:
    """Bodies are gone, and a redaction says so: nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.redact(2, 5)
    yield honest(view_of(log.grow(2)))


@behaviour
def body_withheld_at_first_sight(now_s: int) -> Iterator[Round]:
    """A new reader finds bodies gone that a later redaction names: nothing is wrong."""
    log = begun(now_s)
    log.redact(2, 5)
    yield passed(view_of(log.grow(2)), "body/withheld")


@behaviour
def redaction_of_a_later_index(now_s: int) -> Iterator[Round]:
    """A redaction names records that come after it."""
    return _then(now_s, lambda log: log.redact(log.count + 3, withhold=False), "body/index-order")


@behaviour
def redaction_of_a_key_event(now_s: int) -> Iterator[Round]:
    """A redaction names the genesis, whose body is always public, and it is gone."""
    log = begun(now_s)
    log.redact(0)
    yield caught(view_of(log.grow(1)), "key/withheld")


@behaviour
def non_canonical_body(now_s: int) -> Iterator[Round]:
    """A number in a body is not in its shortest form."""

    def act(log: Forger) -> None:
        body = log.make(1, log.draft(4)).body
        log.put(1, with_raw_field(body, 100, b"\xcc\x07"))

    return _then(now_s, act, "body/non-minimal")


@behaviour
def body_with_trailing_bytes(now_s: int) -> Iterator[Round]:
    """A byte follows the end of a body."""
    return _then(
        now_s, lambda log: log.put(1, log.make(1, log.draft(4)).body + b"\0"), "body/trailing"
    )


@behaviour
def body_with_a_float(now_s: int) -> Iterator[Round]:
    """A body has a number that no integer is."""

    def act(log: Forger) -> None:
        body = log.make(1, log.draft(4)).body
        log.put(1, with_raw_field(body, 100, b"\xcb" + bytes(8)))

    return _then(now_s, act, "body/forbidden-type")


@behaviour
def body_too_deep(now_s: int) -> Iterator[Round]:
    """A body of arrays in arrays, thousands deep."""

    def act(log: Forger) -> None:
        body = log.make(1, log.draft(4)).body
        log.put(1, with_raw_field(body, 100, b"\x91" * 30_000 + b"\0"))

    return _then(now_s, act, "body/limit")


@behaviour
def body_that_promises_more(now_s: int) -> Iterator[Round]:
    """A body's array claims four thousand million items."""

    def act(log: Forger) -> None:
        body = log.make(1, log.draft(4)).body
        log.put(1, with_raw_field(body, 100, b"\xdd\xff\xff\xff\xff"))

    return _then(now_s, act, "body/limit")


@behaviour
def body_of_nothing_but_noise(now_s: int) -> Iterator[Round]:
    """A body is no map at all."""
    return _then(now_s, lambda log: log.put(1, b"\x05"), "body/wrong-type")


@behaviour
def unknown_field(now_s: int) -> Iterator[Round]:
    """A receipt has a field that this version does not define."""
    return _then(now_s, lambda log: _put(log, {40: 1}), "body/unknown-field")


@behaviour
def missing_field(now_s: int) -> Iterator[Round]:
    """A receipt says nothing of its status."""
    return _then(now_s, lambda log: _put(log, {14: None}), "body/missing-field")


@behaviour
def total_that_is_no_sum(now_s: int) -> Iterator[Round]:
    """The provider's total is not the sum of the buckets, and no anomaly says so."""
    return _then(now_s, lambda log: _put(log, {19: 9_999}), "body/total-mismatch")


@behaviour
def receipt_from_the_future(now_s: int) -> Iterator[Round]:
    """A call that began an hour after it was logged."""

    def act(log: Forger) -> None:
        log.receipt(4, time=log.now_ms + 3_600_000)

    return _then(now_s, act, "body/time-order")


@behaviour
def label_that_lies(now_s: int) -> Iterator[Round]:
    """A count is labelled EXACT though the call broke off."""
    usage = ({1: 16, 2: 45, 3: 1, 4: 44, 5: 46, 6: "o200k_base/1", 7: bytes(32), 8: 45},)
    return _then(now_s, lambda log: _put(log, {14: 3, 18: usage, 19: 45}), "body/exact-not-allowed")


@behaviour
def label_of_an_impossible_range(now_s: int) -> Iterator[Round]:
    """A bound's lower end lies above its upper one."""
    usage = ({1: 16, 2: 45, 3: 2, 4: 60, 5: 50, 6: "bytes/1"},)
    return _then(now_s, lambda log: _put(log, {18: usage, 19: 45}), "body/label-range")


@behaviour
def label_by_an_unknown_method(now_s: int) -> Iterator[Round]:
    """A count is EXACT by a method that counts bytes."""
    usage = ({1: 16, 2: 45, 3: 1, 4: 44, 5: 46, 6: "bytes/1", 7: bytes(32), 8: 45},)
    return _then(now_s, lambda log: _put(log, {18: usage, 19: 45}), "body/method-name")


@behaviour
def count_outside_its_bound(now_s: int) -> Iterator[Round]:
    """A provider reports more than the bound allows: one receipt accuses nobody."""
    log = begun(now_s)
    yield honest(view_of(log))
    bucket = Bucket(kind=16, reported=900, label=2, lower=1, upper=300, method="bytes/1")
    log.receipt(4, usage=(bucket,), provider_total=900)
    log.receipt(4, usage=(exact_bucket(reported=50),), provider_total=50)
    yield honest(view_of(log))


@behaviour
def counts_beyond_a_recount(now_s: int) -> Iterator[Round]:
    """A provider reports too much, once absurdly and then often: that is not the log's doing."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.receipt(4, usage=(exact_bucket(reported=90),), provider_total=90)
    yield Round(view_of(log), frozenset({"provider/contradicted"}))
    for _ in range(30):
        log.receipt(4, usage=(exact_bucket(reported=50),), provider_total=50)
    yield Round(view_of(log), frozenset({"provider/over-reported"}))
    log.receipt(4)
    yield Round(view_of(log), exit=1, options=("--require-consistent-counts",))


@behaviour
def statement_that_lies(now_s: int) -> Iterator[Round]:
    """A statement's sums are not those of the receipts."""

    def act(log: Forger) -> None:
        made = log.state(1)
        body = log.entries.pop(made).body
        rows = (("openai", "gpt-5-2026-08-07", 1, 2, 0, ((1, 1, 0, 0, 1), (16, 90, 0, 90, 0))),)
        log.put(4, with_fields(body, {6: rows}))

    return _then(now_s, act, "statement/statement-sums")


@behaviour
def statement_of_another_model(now_s: int) -> Iterator[Round]:
    """A statement books the receipts under another model."""

    def act(log: Forger) -> None:
        index = log.state(1)
        body = log.entries.pop(index).body
        rows = (("openai", "gpt-5-mini", 1, 2, 0, ((1, 240, 0, 0, 240), (16, 90, 0, 90, 0))),)
        log.put(4, with_fields(body, {6: rows}))

    return _then(now_s, act, "statement/statement-sums")


@behaviour
def statement_of_receipts_that_are_not(now_s: int) -> Iterator[Round]:
    """A statement is over more receipts than the caller has."""

    def act(log: Forger) -> None:
        index = log.state(1)
        body = log.entries.pop(index).body
        rows = (("openai", "gpt-5-2026-08-07", 1, 5, 0, ((1, 600, 0, 0, 600),)),)
        log.put(4, with_fields(body, {3: 4, 6: rows}))

    return _then(now_s, act, "statement/statement-range")


@behaviour
def statement_over_a_trillion_receipts(now_s: int) -> Iterator[Round]:
    """A statement is over more receipts than could be looked up in a life."""

    def act(log: Forger) -> None:
        index = log.state(1)
        body = log.entries.pop(index).body
        calls = 10**12
        rows = (("openai", "gpt-5-2026-08-07", 1, calls, 0, ((1, 240, 0, 0, 240),)),)
        log.put(4, with_fields(body, {3: calls - 1, 6: rows}))

    return _then(now_s, act, "statement/statement-range")


@behaviour
def statement_of_another_end(now_s: int) -> Iterator[Round]:
    """A statement names another body as the last of its range."""
    return _then(
        now_s, lambda log: log.state(1, last_body_hash=b"\x31" * 32), "statement/statement-sums"
    )


@behaviour
def statement_over_a_withheld_receipt(now_s: int) -> Iterator[Round]:
    """A statement is made over a receipt whose body is gone."""
    log = begun(now_s)
    yield honest(view_of(log))
    index = log.state(1)
    statement = log.entries.pop(index)
    log.redact(log.receipts(1)[0])
    log.put(4, statement.body)
    yield passed(view_of(log), "statement/unproved")


@behaviour
def statement_of_the_future(now_s: int) -> Iterator[Round]:
    """A statement is made at a head that covers itself."""

    def act(log: Forger) -> None:
        index = log.state(1)
        body = log.entries.pop(index).body
        log.put(4, with_fields(body, {5: log.count + 1}))

    return _then(now_s, act, "body/index-order")


@behaviour
def statement_as_designed(now_s: int) -> Iterator[Round]:
    """Statements over all receipts of a caller, one after the other: nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.state(0)
    log.grow(4)
    log.state(0)
    log.state(1)
    yield honest(view_of(log))


@behaviour
def reconciliation_of_no_receipt(now_s: int) -> Iterator[Round]:
    """Later evidence is given for the genesis."""
    return _then(now_s, lambda log: log.reconcile(0), "reconciliation/reference")


@behaviour
def reconciliation_of_another_body(now_s: int) -> Iterator[Round]:
    """Later evidence names a body that the receipt does not have."""
    return _then(
        now_s, lambda log: log.reconcile(2, body_hash=b"\x29" * 32), "reconciliation/reference"
    )


@behaviour
def reconciliation_of_the_future(now_s: int) -> Iterator[Round]:
    """Later evidence is given for a record that comes after it."""

    def act(log: Forger) -> None:
        body = log.entries.pop(log.reconcile(1)).body
        log.put(2, with_fields(body, {1: log.count + 5}))

    return _then(now_s, act, "body/index-order")


@behaviour
def binding_as_designed(now_s: int) -> Iterator[Round]:
    """A wallet is bound, bound anew, and unbound by itself: nothing is wrong."""
    log = begun(now_s)
    log.bind(0, 1)
    yield honest(view_of(log))
    log.bind(0, 2)
    log.bind(0, 2, unbind=True)
    log.bind(1, 2)
    yield honest(view_of(log))


@behaviour
def binding_signed_by_another_wallet(now_s: int) -> Iterator[Round]:
    """A wallet is bound by the signature of another one."""
    return _then(now_s, lambda log: log.bind(0, 1, signed_by=2), "binding/mismatch")


@behaviour
def binding_of_an_old_nonce(now_s: int) -> Iterator[Round]:
    """A binding is logged a second time."""

    def act(log: Forger) -> None:
        log.bind(0, 1, nonce=7)
        log.bind(1, 1, nonce=7)

    return _then(now_s, act, "binding/nonce-order")


@behaviour
def binding_after_its_deadline(now_s: int) -> Iterator[Round]:
    """A binding is logged after the time that the wallet gave it."""

    def act(log: Forger) -> None:
        log.bind(0, 1, deadline=log.now_ms // 1000 - 9)

    return _then(now_s, act, "body/time-order")


@behaviour
def unbind_by_a_stranger(now_s: int) -> Iterator[Round]:
    """A wallet that is not the bound one unbinds it."""

    def act(log: Forger) -> None:
        log.bind(0, 1)
        log.bind(0, 2, unbind=True)

    return _then(now_s, act, "binding/not-bound")


@behaviour
def unbind_of_nothing(now_s: int) -> Iterator[Round]:
    """A wallet is unbound where none was bound."""
    return _then(now_s, lambda log: log.bind(2, 2, unbind=True), "binding/not-bound")


@behaviour
def every_type_as_designed(now_s: int) -> Iterator[Round]:
    """All record types of an honest log together."""
    log = begun(now_s)
    log.bind(0, 1)
    log.reconcile(2)
    log.state(1)
    log.redact(3)
    log.receipt(5, usage=(exact_bucket(),), provider_total=45)
    yield passed(view_of(log), "body/withheld")
    log.rotate()
    yield passed(view_of(log.grow(4)), "body/withheld")
