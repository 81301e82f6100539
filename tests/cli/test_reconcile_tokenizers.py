"""`nous-ledger reconcile tokenizers` and `calibrate`."""

import base64
import json
from pathlib import Path

import pytest

from nous_ledger.reconcile.tokenizers import builtin_table
from tests.cli.harness import Call


def test_encodings_are_listed(nous: Call, request: pytest.FixtureRequest) -> None:
    """Some of them by default, because each is loaded; all with --full."""
    names = ("o200k_base", "qwen2", "tekken")
    chosen = [] if request.config.getoption("--full") else [f"--encoding={name}" for name in names]
    listed = nous("reconcile", "tokenizers", "--json", *chosen).json["encodings"]
    rows = {row["encoding"]: row for row in listed}
    assert set(rows) >= set(names)
    assert len(rows) == (len(names) if chosen else len(builtin_table().encodings))
    assert {row["state"] for row in rows.values()} <= {"present", "absent"}
    assert rows["o200k_base"]["source"] == "engine toktok"
    assert rows["qwen2"]["source"].endswith("qwen.tiktoken")
    assert {"openai"} <= {p for m in rows["o200k_base"]["models"] for p in m["providers"]}
    nous("reconcile", "tokenizers", "--encoding", "none").failed(2, "no encoding is called")


def test_a_table_of_ones_own(nous: Call, tmp_path: Path) -> None:
    """TOK-3: another vocabulary is said, and the command ends with 1."""
    path = tmp_path / "mine.tiktoken"
    lines = [b"%b %d" % (base64.b64encode(bytes([value])), value) for value in range(256)]
    path.write_bytes(b"\n".join(lines))
    found = nous("reconcile", "tokenizers", "--hash", path).good().out.split()
    assert found[0] == "ranks"
    table = tmp_path / "own.toml"
    text = (
        f'[encodings.mine]\nvocabulary = "{found[1]}"\nengine = "tiktoken"\nform = "ranks"\n'
        f'path = "mine.tiktoken"\npattern = "."\n[encodings.llama3]\npath = "mine.tiktoken"\n'
    )
    table.write_text(text)
    chosen = ("--encoding", "mine", "--encoding", "llama3")
    outcome = nous("reconcile", "tokenizers", "--tokenizers", table, *chosen)
    assert outcome.code == 1
    assert "hash-mismatch" in outcome.out
    assert f"mine           present        {path}" in outcome.out
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"text": "abc", "token_ids": [1, 2, 3, 4], "model": "mine-1"}\n' * 200)
    command = ("reconcile", "calibrate", answers, "--encoding", "mine", "--tokenizers", table)
    assert nous(*command).good().out.endswith("pinned = true\n")
    found_offsets = nous(*command, "--json").good().json
    assert (found_offsets["offsets"], found_offsets["pinned"]) == ([1, 1], True)
    table.write_text(text.replace("path", "paths", 1))
    nous("reconcile", "tokenizers", "--tokenizers", table).failed(2, "paths")
    config = tmp_path / "gateway.toml"
    config.write_text('[calls]\ntokenizers_file = "own.toml"\n')
    nous("config", "check", "--config", config).failed(2, "paths")
    table.write_text(text)
    nous("config", "check", "--config", config).good()


def test_calibrating(nous: Call, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    line = json.dumps({"text": "hello world", "token_ids": [1, 2]})
    answers.write_text(f"{line}\n{line}\nnot JSON\n")
    command = ("reconcile", "calibrate", answers, "--encoding")
    outcome = nous(*command, "o200k_base")
    assert outcome.code == 1
    assert "2 answers, 4 tokens generated, 4 counted again in o200k_base" in outcome.out
    assert "it takes 200 answers to pin it" in outcome.out
    assert "line 3: not JSON" in outcome.err
    answers.write_text(line)
    nous(*command, "o200k_base").good()
    nous(*command, "none").failed(2, "no encoding is called")
    answers.write_text("")
    assert nous(*command, "o200k_base").code == 3
    nous("reconcile", "calibrate", tmp_path / "none", "--encoding", "qwen2").failed(2)
    nous("reconcile", "tokenizers", "--hash", tmp_path / "none").failed(2)
