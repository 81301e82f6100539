"""`receipts list` and `receipts show`: what a ledger holds and withholds, and the sums."""

import contextlib
import csv
import io
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from nous_ledger.cli import listing
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.registries import STATUS
from tests.cli.harness import Call
from tests.cli.sample import HOSTILE_MODEL, Sample


@pytest.fixture
def erased(sample: Sample, tmp_path: Path) -> Path:
    """A copy of the ledger from which one body is gone."""
    folder = tmp_path / "erased"
    shutil.copytree(sample.folder, folder)
    change(folder, "DELETE FROM bodies WHERE leaf = ?", sample.by_status[8])
    return folder


def change(folder: Path, sql: str, *values: object) -> None:
    """Change the database behind the ledger's back."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as database, database:
        assert database.execute(sql, values).rowcount == 1


def test_every_status_is_listed(nous: Call, sample: Sample) -> None:
    out = nous("receipts", "list", "--ledger", sample.folder).good().out
    table, totals = out.split("\n\n", 1)
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == list(listing.COLUMNS)
    assert len(rows) == sample.count + 1
    by_index = {row[0]: row for row in rows}
    for name, status in STATUS.items():
        assert by_index[str(sample.by_status[status])][5] == name
    assert totals.splitlines()[-1] == "12 calls, 4 unmetered, 0 withheld"


def test_tokens_with_their_labels(nous: Call, sample: Sample) -> None:
    out = nous("receipts", "list", "--ledger", sample.folder).good().out
    lines = out.splitlines()
    assert lines[2].endswith("120 U   45 B")
    assert next(line for line in lines if " refused " in line).endswith(" -      -")
    assert "input_uncached  UNVERIFIABLE" in out
    assert "output_visible  BOUNDED" in out


def test_withheld_bodies_are_counted(nous: Call, erased: Path, sample: Sample) -> None:
    """RED-3: totals say how much of what they speak of is gone."""
    out = nous("receipts", "list", "--ledger", erased).good().out
    assert "12 calls, 4 unmetered, 1 withheld" in out
    (line,) = (line for line in out.splitlines() if " withheld " in line and "calls" not in line)
    assert line.split()[0] == str(sample.by_status[8])
    found = nous("receipts", "list", "--ledger", erased, "--json").good().json
    assert found["totals"]["withheld"] == 1
    assert [row["index"] for row in found["receipts"] if row["body"] is None] == [
        sample.by_status[8]
    ]


def test_totals_per_label(nous: Call, sample: Sample) -> None:
    found = nous("receipts", "list", "--ledger", sample.folder, "--json").good().json
    assert list(found) == ["receipts", "totals"]
    assert all(list(row) == ["index", "logged_at", "body"] for row in found["receipts"])
    assert len(found["receipts"]) == sample.count
    totals = found["totals"]
    assert list(totals) == ["calls", "unmetered", "withheld", "kinds"]
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in found["receipts"]:
        for bucket in row["body"].get("usage", ()):
            key = bucket["kind"], bucket["label"]
            reported, calls = sums.get(key, (0, 0))
            sums[key] = reported + bucket["reported"], calls + 1
    shown = {(t["kind"], t["label"]): (int(t["reported"]), t["calls"]) for t in totals["kinds"]}
    assert shown == sums
    assert {label for _, label in sums} == {"UNVERIFIABLE", "BOUNDED"}


def test_csv(nous: Call, erased: Path, sample: Sample) -> None:
    out = nous("receipts", "list", "--ledger", erased, "--csv").good().out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert tuple(rows[0]) == listing.CSV_COLUMNS
    assert {row["index"] for row in rows} == {str(i) for i in range(1, sample.count + 1)}
    by_index = {row["index"]: row for row in rows}
    assert by_index[str(sample.by_status[8])]["status"] == "withheld"
    bounded = [row for row in rows if row["label"] == "BOUNDED"]
    assert {(row["lower"], row["upper"]) for row in bounded} >= {("1", "300")}
    assert all(None not in row and None not in row.values() for row in rows)


def test_csv_holds_no_formulas(nous: Call, sample: Sample) -> None:
    """A model's name comes from outside and may be opened in a spreadsheet."""
    arguments = ("receipts", "list", "--ledger", sample.folder, "--model", HOSTILE_MODEL)
    rows = list(csv.DictReader(io.StringIO(nous(*arguments, "--csv").good().out)))
    assert rows[0]["model_requested"] == f"'{HOSTILE_MODEL}"
    cells = {cell for row in rows for cell in row.values()}
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def listed(nous: Call, sample: Sample, *arguments: object) -> list[int]:
    found = nous("receipts", "list", "--ledger", sample.folder, "--json", *arguments).good()
    return [row["index"] for row in found.json["receipts"]]


def test_filters(nous: Call, sample: Sample) -> None:
    everything = list(range(1, sample.count + 1))
    assert listed(nous, sample) == everything
    assert listed(nous, sample, "--since", "2026-09-21T14:13:20Z") == everything
    assert listed(nous, sample, "--since", "2026-09-21T14:15:20Z") == everything[2:]
    assert listed(nous, sample, "--until", "2026-09-21T14:15:20Z") == everything[:2]
    assert listed(nous, sample, "--since", "1970-01-01", "--until", "2026-09-21") == []
    assert listed(nous, sample, "--since", "2026-09-22") == []
    assert listed(nous, sample, "--model", "gpt-demo") == [1]
    assert listed(nous, sample, "--model", "gpt-5-2026-08-07") == everything[1:]
    assert listed(nous, sample, "--model", "gpt") == []


def test_an_empty_list(nous: Call, sample: Sample) -> None:
    arguments = ("receipts", "list", "--ledger", sample.folder, "--model", "none")
    assert nous(*arguments).good().out == "no receipts\n\n0 calls, 0 unmetered, 0 withheld\n"
    assert nous(*arguments, "--json").good().json["totals"]["kinds"] == []
    assert nous(*arguments, "--csv").good().out == ",".join(listing.CSV_COLUMNS) + "\n"


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]], ids=["text", "csv", "json"])
def test_long_lists_are_written_as_they_are_read(
    nous: Call, sample: Sample, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are printed in batches, and no batch is lost or repeated."""
    command = ("receipts", "list", "--ledger", sample.folder, *form)
    whole = nous(*command).good().out
    for size in (1, 2, 3, sample.count, sample.count + 1):
        monkeypatch.setattr(listing, "AT_A_TIME", size)
        found = nous(*command).good().out
        assert [line.split() for line in found.splitlines()] == [
            line.split() for line in whole.splitlines()
        ]


def test_show_by_id_and_index(nous: Call, sample: Sample) -> None:
    by_id = nous("receipts", "show", sample.receipt_id, "--ledger", sample.folder).good().out
    for name in (1, str(sample.receipt_id).upper(), sample.receipt_id.hex):
        assert nous("receipts", "show", name, "--ledger", sample.folder).good().out == by_id
    assert by_id.startswith("record      index 1, receipt, epoch 0, logged 2026-09-21T14:13:20Z\n")
    assert str(sample.receipt_id) in by_id
    assert "commits to  request, response" in by_id
    assert "took 0.850 s" in by_id
    nothing = nous("receipts", "show", sample.plain, "--ledger", sample.folder).good().out
    assert "commits to  no content" in nothing


def test_json_of_one_receipt(nous: Call, sample: Sample) -> None:
    found = nous("receipts", "show", 1, "--ledger", sample.folder, "--json").good().json
    assert list(found) == ["record", "body"]
    assert found["record"]["index"] == 1
    assert found["body"]["model_requested"] == "gpt-demo"


def test_a_withheld_receipt_is_shown_as_such(nous: Call, erased: Path, sample: Sample) -> None:
    arguments = ("receipts", "show", sample.by_status[8], "--ledger", erased)
    assert nous(*arguments).good().out.endswith("\nwithheld: the body was erased\n")
    assert nous(*arguments, "--json").good().json["body"] is None


def test_the_genesis_is_shown(nous: Call, sample: Sample) -> None:
    assert "genesis" in nous("receipts", "show", 0, "--ledger", sample.folder).good().out


def test_an_edited_body_is_not_shown_as_the_logs(
    nous: Call, sample: Sample, tmp_path: Path
) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(sample.folder, folder)
    body = parse_bundle(sample.proof).body.replace(b"gpt-demo", b"gpt-demn", 1)
    change(folder, "UPDATE bodies SET body = ? WHERE leaf = 1", body)
    nous("receipts", "show", 1, "--ledger", folder).failed(1, "[body-hash]")


@pytest.mark.parametrize("name", ["13", "9007199254740991", "00000000-0000-7000-8000-000000000000"])
@pytest.mark.parametrize("command", [["receipts", "show"], ["prove"]])
def test_receipts_that_are_not_there(
    nous: Call, sample: Sample, command: list[str], name: str
) -> None:
    found = nous(*command, name, "--ledger", sample.folder)
    found.failed(2, "[input]", "hint: see `nous-ledger receipts list`")


@pytest.mark.parametrize(
    "command",
    [["receipts", "list"], ["receipts", "show", "1"], ["prove", "1"], ["head"], ["policy", "show"]],
    ids=" ".join,
)
def test_folders_that_hold_no_ledger(nous: Call, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing", tmp_path, tmp_path / "file"):
        nous(*command, "--ledger", folder).failed(2, "[not-a-ledger]", "nous-ledger init")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "ledger.db").write_bytes(b"not a database at all" * 100)
    nous(*command, "--ledger", foreign).failed(1, "[store-foreign]")


def test_a_ledger_is_read_without_its_keys(nous: Call, sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sample.folder, folder)
    (folder / "keys.json").unlink()
    before = (folder / "ledger.db").read_bytes()
    for command in (["receipts", "list"], ["head"], ["policy", "export"], ["prove", "1"]):
        nous(*command, "--ledger", folder).good()
    assert (folder / "ledger.db").read_bytes() == before


def test_json_is_one_document(nous: Call, sample: Sample) -> None:
    out = nous("receipts", "list", "--ledger", sample.folder, "--json").good().out
    assert json.loads(out)
    assert out.isascii()
