"""Runs in the outside packages' environment: checks our log, and feeds our witness, by their code.

Prints what went wrong and ends with 1, or prints a JSON object and ends with 0.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import aics_tlog as tlog  # type: ignore[import-not-found,unused-ignore]
from aics_witness.feeder import (  # type: ignore[import-not-found,unused-ignore]
    WitnessClient,
    WitnessRejected,
    merge_cosignatures,
)


def check(address: str, vkey: str, origin: str) -> dict[str, object]:
    """Verify the newest head of a log, all of its tiles and records, and every proof of some."""
    reader = _reader(address)
    note = tlog.parse_note(_checkpoint(address))
    found = tlog.verify_checkpoint(note, tlog.parse_vkey(vkey), expected_origin=origin)
    assert found.ok, found
    head = tlog.parse_checkpoint(note.text)
    report = tlog.audit_tiles(reader, head.size, head.root)
    tiles = tlog.VerifiedTileReader(reader, head.size, head.root)
    for index in {0, 1, head.size // 2, head.size - 1} & set(range(head.size)):
        path = tlog.inclusion_proof_from_tiles(tiles, index, head.size)
        entry = tlog.read_entry(tiles, index, head.size)
        assert len(entry) == 120
        assert tlog.verify_inclusion(tlog.leaf_hash(entry), index, head.size, path, head.root)
    return {"size": head.size, "tiles": report.tiles, "bundles": report.bundles}


def proofs(file: str) -> dict[str, object]:
    """Verify inclusion and consistency proofs that we made."""
    cases = json.loads(Path(file).read_text("utf-8"))
    for case in cases["inclusion"]:
        leaf, index, size, path, root = case
        hashes = list(map(bytes.fromhex, path))
        assert tlog.verify_inclusion(
            bytes.fromhex(leaf), index, size, hashes, bytes.fromhex(root)
        ), case
    for case in cases["consistency"]:
        old, old_root, new, new_root, path = case
        hashes = list(map(bytes.fromhex, path))
        assert tlog.verify_consistency(
            old, new, bytes.fromhex(old_root), bytes.fromhex(new_root), hashes
        ), case
    return {name: len(found) for name, found in cases.items()}


def feed(address: str, url: str, vkey: str, state: str) -> dict[str, object]:
    """Submit the newest head of a log to a witness, with the proof that the tiles give."""
    reader, note = _reader(address), _checkpoint(address)
    head = tlog.parse_checkpoint(tlog.parse_note(note).text)

    def proof(old: int, new: int) -> object:
        return tlog.consistency_proof_from_tiles(reader, old, new, head.size)

    with WitnessClient(url, vkey, state_path=state) as client:
        try:
            line = client.submit(note, proof)
        except WitnessRejected as error:
            return {"rejected": error.status}
    cosigned = merge_cosignatures(note, line)
    return {"size": head.size, "note": cosigned.decode()}


def quorum(file: str, log_vkey: str, *witnesses: str) -> dict[str, object]:
    """Verify a head under a policy that asks for every witness named."""
    note = tlog.parse_note(Path(file).read_bytes())
    keys = [tlog.parse_vkey(vkey) for vkey in witnesses]
    found = tlog.verify_checkpoint(
        note, tlog.parse_vkey(log_vkey), keys, len(keys), max_age_seconds=120
    )
    return {"ok": found.ok, "error": found.error}


def _reader(address: str) -> object:
    if address.startswith("http"):
        return tlog.HttpTileReader(address, proxies={})
    return tlog.FileSystemTileReader(address)


def _checkpoint(address: str) -> bytes:
    if address.startswith("http"):
        data: bytes = tlog.HttpTileReader(address, proxies={}).read_checkpoint()
        return data
    return (Path(address) / "checkpoint").read_bytes()


if __name__ == "__main__":
    jobs: dict[str, Callable[..., dict[str, object]]] = {
        "check": check,
        "proofs": proofs,
        "feed": feed,
        "quorum": quorum,
    }
    sys.stdout.write(json.dumps(jobs[sys.argv[1]](*sys.argv[2:])))
