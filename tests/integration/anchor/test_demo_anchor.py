"""The last step of the demo: on a chain of its own, with the program's own commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from nous_ledger.anchor import relayer as relayer_module
from nous_ledger.cli import demo_anchor
from nous_ledger.cli.main import run
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import UnavailableError

PROOF = "receipt.tlog-proof"


@pytest.fixture
def folder(log: Ledger, tmp_path: Path) -> Path:
    """What the demo has made before: a ledger, a policy, a proof."""
    (tmp_path / "trust.policy").write_bytes(log.policy_text())
    assert run(["prove", "2", "--ledger", str(log.folder), "-o", str(tmp_path / PROOF)]) == 0
    return tmp_path


def command(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def test_the_head_is_anchored_and_the_fork_refused(
    folder: Path,
    anvil_program: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relayer_module, "SCRYPT_N", 1 << 10)
    assert demo_anchor.anchor_the_head(folder, Path(anvil_program), command)
    shown = capsys.readouterr().out
    assert "anchor      established" in shown
    assert "the contract refuses: ProofRootMismatch(expected=0x" in shown
    assert not (folder / "anvil.log").exists()


def test_a_step_that_fails_is_told(
    folder: Path, anvil_program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayer_module, "SCRYPT_N", 1 << 10)

    def failing(*arguments: object) -> int:
        return 1 if arguments[:2] == ("anchor", "register") else command(*arguments)

    assert not demo_anchor.anchor_the_head(folder, Path(anvil_program), failing)


def test_an_anvil_that_does_not_run_is_told(folder: Path) -> None:
    with pytest.raises(UnavailableError, match="does not run"):
        demo_anchor.anchor_the_head(folder, folder / "no-such-program", command)
    with pytest.raises(UnavailableError, match="did not start"):
        demo_anchor.anchor_the_head(folder, Path("/bin/false"), command)


def test_without_anvil_it_says_how_to_get_it() -> None:
    assert "scripts/setup-contracts" in demo_anchor.what_is_missing(None)
    assert demo_anchor.what_is_missing(Path("/opt/anvil")) == ""
