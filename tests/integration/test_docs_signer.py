"""The example in docs/signer.md runs as it stands."""

import json
import re
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck

PAGE = Path(__file__).parents[2] / "docs" / "signer.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.startswith("epoch 1 signed by 0")
    with Ledger.open(tmp_path / "ledger", read_only=True) as ledger:
        assert ledger.key_history().closed_at == 2
    assert fsck(tmp_path / "ledger").faults == ()
    keys = json.loads((tmp_path / "ledger" / "keys.json").read_text())
    assert (keys["external"], set(keys["secrets"])) == (["secp256k1"], {"ed25519", "log_secret"})
