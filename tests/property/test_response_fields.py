"""Fields of a response pass as they would if nothing were remembered of their names."""

from hypothesis import example, given
from hypothesis import strategies as st

from nous_ledger.gateway import headers
from nous_ledger.gateway.headers import RawHeaders, client_headers, layout_of

NAMES = st.sampled_from(
    [
        b"Content-Type",
        b"content-type",
        b"CONNECTION",
        b"Connection",
        b"Keep-Alive",
        b"Transfer-Encoding",
        b"Content-Length",
        b"Content-Length ",
        b"Nous-Subject",
        b"X-Nous-A",
        b"X-A",
        b"x-b",
        b"\xc3\xbc",
        b"",
    ]
)
VALUES = st.sampled_from(
    [b"", b"a", b"keep-alive", b"close", b"Close", b"x-a, X-B", b"\x01", b"a\tb", b"\x7f", b"\xff"]
)
CONTROLS = {*range(32), 127} - {9}


def plainly(fields: RawHeaders) -> RawHeaders:
    """Return what passes, by the rule alone."""
    gone = set(headers._HOP_BY_HOP)
    lowered = [
        (
            name.lower().rstrip(),
            bytes(0x20 if (b < 32 and b != 9) or b == 127 else b for b in value),
        )
        for name, value in fields
    ]
    for name, value in lowered:
        if name == b"connection" and value not in (b"keep-alive", b"close", b"Keep-Alive"):
            gone |= {item.strip() for item in value.lower().split(b",")}
    ours = (b"nous-", b"x-nous-")
    return [field for field in lowered if field[0] not in gone and not field[0].startswith(ours)]


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.data())
@example([(b"Connection", b"keep-alive"), (b"Connection", b"x-a"), (b"X-A", b"")], None)
def test_fields_pass_as_the_rule_says(fields: RawHeaders, data: st.DataObject | None) -> None:
    assert client_headers(fields, altered=False) == plainly(fields)
    if data is not None:  # the same names once more, with other values
        again = [(name, data.draw(VALUES)) for name, _ in fields]
        assert layout_of(again) is layout_of(fields)
        assert client_headers(again, layout_of(again), altered=False) == plainly(again)
    for name, _ in fields:
        wanted = name.lower().rstrip()
        first = next(value for key, value in fields if key.lower().rstrip() == wanted)
        found = layout_of(fields).field(fields, wanted.decode("latin-1"))
        assert found == first.decode("utf-8", "surrogateescape")


def test_long_names_are_not_remembered() -> None:
    fields = [(b"a" * 5_000, b"b")]
    assert layout_of(fields) is not layout_of(fields)
    assert client_headers(fields, altered=False) == fields
