"""Compile the contracts with npm's solc, as contracts/solc.json says."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
# solc's own command line prints other lines before its answer.
COMPILE = """
const input = require("fs").readFileSync(0, "utf8");
process.stdout.write(require("solc").compile(input));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A compiled contract: its ABI, the code that deploys it, and its function selectors."""

    abi: tuple[dict[str, Any], ...]
    creation_code: bytes
    deployed_code: bytes
    selectors: dict[str, str]


def _source(path: Path, changes: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for before, after in changes.items():
        text = text.replace(before, after)
    return text


def _standard_input(source: str, name: str, changes: dict[str, str]) -> str:
    """Return what solc reads: all sources, and that one contract is wanted."""
    sources = {
        str(path.relative_to(CONTRACTS)): {"content": _source(path, changes)}
        for folder in ("src", "test")
        for path in sorted((CONTRACTS / folder).glob("*.sol"))
    }
    found = [
        text for text in changes.values() if any(text in s["content"] for s in sources.values())
    ]
    assert len(found) == len(changes), "a change does not apply to the sources any more"
    settings = json.loads((CONTRACTS / "solc.json").read_text(encoding="utf-8"))
    settings["outputSelection"] = {source: {name: settings["outputSelection"]["*"]["*"]}}
    return json.dumps({"language": "Solidity", "sources": sources, "settings": settings})


def _run_solc(standard_input: str) -> dict[str, Any]:
    """Compile; every message of the compiler, warnings too, is a failure."""
    run = subprocess.run(
        ["node", "-e", COMPILE],
        cwd=CONTRACTS,
        input=standard_input,
        capture_output=True,
        text=True,
        check=True,
    )
    output: dict[str, Any] = json.loads(run.stdout)
    messages = [message["formattedMessage"] for message in output.get("errors", ())]
    assert not messages, "\n".join(messages)
    return output


def compile_contract(source: str, name: str, changes: dict[str, str] | None = None) -> Artifact:
    """Compile one contract, with these texts in all sources replaced.

    The output is kept in contracts/out under the hash of everything that went in, because
    compiling takes seconds and several test processes may ask for the same.
    """
    standard_input = _standard_input(source, name, changes or {})
    version = (CONTRACTS / "node_modules/solc/package.json").read_bytes()
    key = hashlib.sha256(version + standard_input.encode()).hexdigest()
    kept = CONTRACTS / "out" / f"{key}.json"
    kept.parent.mkdir(exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            partial = kept.with_suffix(".partial")
            partial.write_text(json.dumps(_run_solc(standard_input)["contracts"]), "utf-8")
            partial.replace(kept)
    contract = json.loads(kept.read_text(encoding="utf-8"))[source][name]
    return Artifact(
        abi=tuple(contract["abi"]),
        creation_code=bytes.fromhex(contract["evm"]["bytecode"]["object"]),
        deployed_code=bytes.fromhex(contract["evm"]["deployedBytecode"]["object"]),
        selectors=contract["evm"]["methodIdentifiers"],
    )
