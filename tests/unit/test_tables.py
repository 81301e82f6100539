"""The field tables of the library are those of PROTOCOL.md."""

import re
from pathlib import Path

import pytest

from nous_ledger.protocol.bodies import BODY_CLASSES, Binding, Reconciliation, Redaction
from nous_ledger.protocol.fields import Field, Shape
from nous_ledger.protocol.keyevent import KeyEvent, Predecessor
from nous_ledger.protocol.kinds import Bytes, Enum, Kind, ListOf, Nested, Text, Uint
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Context, ImportInfo, PolicyAction, Receipt
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow

PROTOCOL = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")
Line = tuple[int, str, str, str, bool]


def tables(number: str) -> list[list[Line]]:
    """Return the field tables of a section: key, name, type, limits, required."""
    found = re.search(rf"^#+ {re.escape(number)} .*?(?=^#)", PROTOCOL, re.MULTILINE | re.DOTALL)
    assert found
    blocks = re.findall(r"^\| key \|.*\n\|-.*\n((?:\|.*\n)+)", found[0], re.MULTILINE)
    return [[line_of(row) for row in block.splitlines()] for block in blocks]


def line_of(row: str) -> Line:
    key, name, kind, limits, required = (cell.strip() for cell in row.strip("|").split("|"))
    return int(key), name, kind, limits, required == "*"


def type_of(kind: Kind) -> str:
    """Return a kind in the notation of the tables."""
    if isinstance(kind, Uint):
        return "u"
    if isinstance(kind, Text):
        return f"s≤{kind.max_bytes}"
    if isinstance(kind, Bytes):
        return f"b{kind.length}"
    assert isinstance(kind, ListOf)
    assert isinstance(kind.item, Uint)
    return "[u]"


def named(fields: tuple[Field, ...]) -> str:
    """Return names and types of a row."""
    return ", ".join(f"{field.name} {type_of(field.kind)}" for field in fields)


NESTED = {
    Bucket: "[bucket]",
    StatementRow: "[row]",
    Predecessor: f"array of 3: {named(Predecessor.FIELDS)}",
    PolicyAction: f"[[{named(PolicyAction.FIELDS)}]]",
    Context: "map",
    ImportInfo: "map",
}


def written(field: Field) -> tuple[int, str, str, bool]:
    """Return a field as its line of a table begins."""
    kind = field.kind
    inner = kind.item if isinstance(kind, ListOf) else kind
    shown = NESTED[inner.shape] if isinstance(inner, Nested) else type_of(kind)
    return field.key, field.name.rstrip("_"), shown, field.required


@pytest.mark.parametrize(
    ("shape", "number", "at"),
    [
        (KeyEvent, "7.4", 0),
        (Reconciliation, "7.5", 0),
        (Binding, "7.6", 0),
        (Statement, "7.7", 0),
        (Redaction, "7.8", 0),
        (Receipt, "8.1", 0),
        (ImportInfo, "8.1", 1),
        (Bucket, "8.2", 0),
    ],
)
def test_a_table(shape: type[Shape], number: str, at: int) -> None:
    """Every key, name, type and length, and what is required (BODY-3, BODY-4, BODY-6)."""
    lines = tables(number)[at]
    found = [written(field) for field in shape.FIELDS]
    assert found == [(key, name, kind, required) for key, name, kind, _, required in lines]


def test_ranges_and_numbers_of_items() -> None:
    """BODY-6."""
    for shape, number in ((Reconciliation, "7.5"), (Redaction, "7.8"), (Receipt, "8.1")):
        limits = {key: text for key, _, _, text, _ in tables(number)[0]}
        for field in shape.FIELDS:
            kind, text = field.kind, limits[field.key]
            if isinstance(kind, ListOf):
                assert text.startswith(f"{kind.low} … {kind.high}")
                assert kind.ascending == ("ascending" in text and isinstance(kind.item, Uint))
            elif isinstance(kind, Uint) and (kind.low, kind.high) != (0, 2**53 - 1):
                low, high = kind.low, kind.high
                assert text.startswith(f"{low} … {high}" if high > low else f"{low}")
            elif type(kind) is Uint:
                assert not re.match(r"\d", text)


def test_the_context() -> None:
    """Six texts of one length, none of them required (section 8.1)."""
    (limits,) = [line[3] for line in tables("8.1")[0] if line[1] == "context"]
    keys = ", ".join(f"{field.key} {field.name}" for field in Context.FIELDS)
    assert limits == f"{keys}: each s≤256, optional"
    assert {type_of(field.kind) for field in Context.FIELDS} == {"s≤256"}
    assert not any(field.required for field in Context.FIELDS)


def test_rows_of_a_statement() -> None:
    """Arrays in the order of section 7.7."""
    rows = next(field.kind for field in Statement.FIELDS if field.name == "rows")
    assert isinstance(rows, ListOf)
    assert (rows.low, rows.high) == (1, 64)
    kinds = next(field.kind for field in StatementRow.FIELDS if field.name == "kinds")
    assert isinstance(kinds, ListOf)
    assert (kinds.low, kinds.high) == (0, 64)
    types = [type_of(field.kind) for field in StatementRow.FIELDS[:-1]]
    assert types == ["s≤64", "s≤256", "u", "u", "u"]
    names = [f"`{field.name}`" for field in StatementRow.FIELDS]
    sums = [f"`{field.name}`" for field in KindSums.FIELDS]
    assert f"member names: {', '.join(names)}; {', '.join(sums)}." in PROTOCOL
    assert {type_of(field.kind) for field in KindSums.FIELDS} == {"u"}


def test_which_numbers_are_enumerations() -> None:
    """Those that section 5.4 names, and no others."""
    shapes: list[type[Shape]] = [*BODY_CLASSES.values(), Bucket, PolicyAction]
    shapes += [StatementRow, KindSums, Context, ImportInfo, Predecessor]
    found = set()
    for shape in shapes:
        for field in shape.FIELDS:
            item = field.kind.item if isinstance(field.kind, ListOf) else field.kind
            if isinstance(item, Enum):
                found.add((shape, field.name))
    assert found == {
        *((KeyEvent, name) for name in ("kind", "reason")),
        *((Receipt, name) for name in ("source", "api", "status", "metering", "anomalies")),
        *((Bucket, name) for name in ("kind", "label")),
        (PolicyAction, "action"),
        (Redaction, "reason"),
        (StatementRow, "source"),
        (KindSums, "kind"),
    }


def test_how_deep_maps_stand() -> None:
    """The body at 1, a map in it at 2, a bucket in its list at 3 (ENC-13)."""
    assert {shape.DEPTH for shape in BODY_CLASSES.values()} == {1}
    assert (Context.DEPTH, ImportInfo.DEPTH, Bucket.DEPTH) == (2, 2, 3)
