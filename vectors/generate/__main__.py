"""Write the vector files, or with --check compare them with what would be written."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

NAMES = (
    "encoding",
    "bodies_key_event",
    "bodies_receipt",
    "bodies_reconciliation",
    "bodies_binding",
    "bodies_statement",
    "bodies_redaction",
    "bodies_json",
    "records",
    "log_ids",
    "key_histories",
    "mmr",
    "mmr_ietf",
    "inclusion",
    "consistency",
    "notes",
    "vkeys",
    "heads",
    "eip712",
    "cosignatures",
    "policies",
    "labels",
    "reconciled",
    "reconciling",
    "label_decisions",
    "bytes1",
    "claude_range",
    "stream_audit",
    "commitments",
    "tiles",
    "bundles",
    "anchor_evidence",
    "evidence",
    "nous_v2",
)
FOLDER = Path(__file__).resolve().parent.parent


def texts(names: tuple[str, ...]) -> dict[str, str]:
    """Return the text of each file."""
    modules = {name: import_module(f"vectors.generate.cases.{name}") for name in names}
    return {f"{name}.json": module.build().text() for name, module in modules.items()}


def differing(made: dict[str, str]) -> list[str]:
    """Return the files that differ, are missing, or that nothing here makes."""
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in found.keys() | made.keys() if found.get(name) != made.get(name))


def main() -> int:
    """Run the command; 1 if --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m vectors.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    made = texts(NAMES)
    if check:
        names = differing(made)
        for name in names:
            print(f"differs: vectors/{name}", file=sys.stderr)
        return 1 if names else 0
    for name, text in made.items():
        (FOLDER / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
