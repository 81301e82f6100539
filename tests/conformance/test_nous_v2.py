"""The legacy verifier against records, roots and paths made outside this project.

The data was produced by nous-v2's own gateway code with a fixed clock and test
keys; the inclusion paths by a separate script under the same hash rules.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError

_DATA = Path(__file__).parents[1] / "data"
_BASIC: dict[str, Any] = json.loads((_DATA / "nous_v2_basic.json").read_text("utf-8"))
_PROOFS: list[dict[str, Any]] = json.loads((_DATA / "nous_v2_inclusion.json").read_text("utf-8"))[
    "proofs"
]
_RECORDS = tuple(legacy.parse_legacy_record(row) for row in _BASIC["records"])
_KEY = legacy.parse_legacy_key(_BASIC["pubkey_response"]["pubkey"])
_LEAVES = tuple(record.leaf_hash for record in _RECORDS)


def test_all_of_the_data_is_used() -> None:
    assert (len(_RECORDS), len(_BASIC["mmr_states"]), len(_PROOFS)) == (21, 22, 42)


@pytest.mark.parametrize("row", _BASIC["records"], ids=lambda row: f"record{row['id']}")
def test_record_verifies(row: dict[str, Any]) -> None:
    record = legacy.parse_legacy_record(row)
    assert legacy.legacy_preimage(record) == row["leaf_preimage"]
    assert legacy.legacy_leaf(record) == row["leaf_hash"]
    assert legacy.verify_legacy_record(record, _KEY) is record


@pytest.mark.parametrize("state", _BASIC["mmr_states"], ids=lambda state: f"size{state['size']}")
def test_root_of_every_state(state: dict[str, Any]) -> None:
    leaves = _LEAVES[: state["size"]]
    peaks = tuple(peak["hash"] for peak in state["peaks"])
    assert legacy.legacy_peaks(leaves) == peaks
    assert legacy.legacy_root(leaves) == state["root"]
    served = state["api_chain"]["data"]
    assert served["leaf_count"] == state["size"]
    assert served["peak_count"] == len(peaks)
    for form in (state["root"], served["merkle_root"]):
        verified = legacy.verify_legacy_root(leaves, form, state["size"])
        assert (verified.root, verified.peaks) == (state["root"], peaks)


def test_both_forms_of_the_empty_root_are_in_the_data() -> None:
    empty = _BASIC["mmr_states"][0]
    assert (empty["root"], empty["api_chain"]["data"]["merkle_root"]) == ("", "empty")


@pytest.mark.parametrize(
    "proof", _PROOFS, ids=lambda proof: f"{proof['leaf_index']}of{proof['size']}"
)
def test_inclusion_path(proof: dict[str, Any]) -> None:
    path = [step["hash"] for step in proof["path"]]
    sides = ["left" if proof["leaf_index"] >> level & 1 else "right" for level in range(len(path))]
    verified = legacy.verify_legacy_inclusion(
        proof["leaf"],
        proof["leaf_index"],
        path,
        count=proof["size"],
        peaks=proof["peaks"],
        root=proof["root"],
    )
    assert verified.leaf == _LEAVES[proof["leaf_index"]]
    assert verified.root.peaks[proof["peak_index"]] == proof["peaks"][proof["peak_index"]]
    # The verifier derives the sides; those that the data states must be the same ones.
    assert [step["side"] for step in proof["path"]] == sides


@pytest.mark.parametrize(
    "proof", _PROOFS, ids=lambda proof: f"{proof['leaf_index']}of{proof['size']}"
)
def test_every_altered_inclusion_path_is_refused(proof: dict[str, Any]) -> None:
    path = [step["hash"] for step in proof["path"]]
    good = {"leaf": proof["leaf"], "index": proof["leaf_index"], "path": path}
    tree = {"count": proof["size"], "peaks": proof["peaks"], "root": proof["root"]}
    other = "0" * 64
    altered: list[dict[str, Any]] = [{"leaf": other}, {"root": other}, {"path": [*path, other]}]
    altered += [{"path": [*path[:at], other, *path[at + 1 :]]} for at in range(len(path))]
    altered += [
        {"peaks": [*tree["peaks"][:at], other, *tree["peaks"][at + 1 :]]}
        for at in range(len(tree["peaks"]))
    ]
    altered += [{"index": index} for index in range(proof["size"]) if index != good["index"]]
    altered += [{"index": proof["size"]}, {"index": -1}]
    altered += [{"path": path[:-1]}] if path else []
    for change in altered:
        with pytest.raises(LegacyError) as refused:
            legacy.verify_legacy_inclusion(**{**good, **tree, **change})
        assert refused.value.code in {"legacy-root", "legacy-format"}


def test_audit_of_the_whole_log() -> None:
    for state in _BASIC["mmr_states"]:
        served = state["api_chain"]["data"]
        report = legacy.audit_legacy(
            _RECORDS[: state["size"]], served["merkle_root"], served["leaf_count"], _KEY
        )
        assert report.verified == report.records == state["size"]
        assert (report.root_code, report.findings) == ("", ())
        assert report.root is not None
        assert report.root.root == state["root"]


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "2026-04-02T12:00:00.001Z"},
        {"user_hash": "0" * 32},
        {"provider": "other"},
        {"model": "other"},
        {"input_tokens": 999},
        {"output_tokens": 999},
        {"cache_read_tokens": 999},
        {"cache_write_tokens": 999},
        {"total_tokens": 999},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_altered_field_is_refused(change: dict[str, Any]) -> None:
    for row in _BASIC["records"]:
        record = legacy.parse_legacy_record({**row, **change})
        with pytest.raises(LegacyError) as refused:
            legacy.verify_legacy_record(record, _KEY)
        assert refused.value.code == "legacy-leaf"


def test_a_signature_of_another_record_is_refused() -> None:
    for position, record in enumerate(_BASIC["records"]):
        row = {**record, "receipt_sig": _RECORDS[position - 1].receipt_sig}
        with pytest.raises(LegacyError) as refused:
            legacy.verify_legacy_record(legacy.parse_legacy_record(row), _KEY)
        assert refused.value.code == "legacy-signature"
