"""`nous-ledger demo`: the whole path on this machine, with the providers' real SDKs."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from nous_ledger.cli.exits import EXIT_WRONG
from nous_ledger.cli.files import write_new
from nous_ledger.protocol.errors import InputError, UnavailableError

STEPS = 6


@click.command(
    "demo",
    epilog="\b\nExamples:\n  nous-ledger demo\n  nous-ledger demo --keep ./demo\n",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Leave ledger, trust policy, proof and content in this new folder.",
)
def command(*, keep: Path | None) -> int:
    """Make calls through a gateway, prove one, then show that an edit is caught.

    A stand-in on this machine plays OpenAI and Anthropic, so no network and no
    API key is needed. Everything else is real: the providers' own SDKs, the
    gateway, the ledger, the signatures and the verification.
    """
    started = time.monotonic()
    with _folder(keep) as folder:
        code = _Demo(folder).run()
    if keep is not None:
        click.echo(f"\nLeft in {keep}: ledger/, trust.policy, receipt.tlog-proof, opening.hex,")
        click.echo("request.json and response.json. Try:")
        click.echo(f"  nous-ledger verify {keep}/receipt.tlog-proof --policy {keep}/trust.policy")
    click.echo(f"\ndone in {time.monotonic() - started:.1f} s")
    return code


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="nous-ledger-demo-") as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise InputError(
            "input", f"{keep} exists already", hint="name a folder that does not"
        ) from error
    yield keep


class _Demo:
    """One run; every file lies in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.step = 0

    def run(self) -> int:
        """Run all steps and return the exit code: 0 if everything went as it should."""
        try:
            from nous_ledger.cli import demo_calls  # noqa: PLC0415 - needs the extras
            from nous_ledger.cli.demo_upstream import DemoUpstream  # noqa: PLC0415
            from nous_ledger.gateway.app import AppConfig  # noqa: PLC0415
            from nous_ledger.gateway.server import GatewayThread  # noqa: PLC0415
            from nous_ledger.ledger import Ledger  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise UnavailableError(
                "unreachable",
                f"the demo needs {error.name}, which is not installed",
                hint="pip install 'nous-ledger[demo]'",
            ) from error

        # The server reports a stream that was broken off on purpose: not news here.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        folder = self.folder
        self._title("Create a ledger: keys, genesis record, first signed head")
        with Ledger.create(folder / "ledger", next_key_out=folder / "next.key") as ledger:
            click.echo(f"  log id {ledger.log_id.hex()}")
            write_new(folder / "trust.policy", ledger.policy_text())
            self._title("Start a stand-in for OpenAI and Anthropic, and the gateway before it")
            with DemoUpstream() as upstream:
                urls = {"openai": upstream.url, "anthropic": upstream.url}
                with GatewayThread(ledger, AppConfig(upstreams=urls)) as gateway:
                    click.echo(f"  upstream {upstream.url}, gateway {gateway.url}")
                    self._title("Call it with the real openai and anthropic SDKs")
                    content = demo_calls.make_calls(gateway.url, say=click.echo)
            # The gateway has stopped: every call has its receipt, the aborted one too.
            self._title("List the receipts, one per call whatever became of it")
            self._command("receipts", "list", "--ledger", folder / "ledger")
            self._title("Prove one receipt, and verify it offline with its content")
            content.write(folder)
            proof = folder / "receipt.tlog-proof"
            self._command("prove", content.receipt_id, "--ledger", folder / "ledger", "-o", proof)
        verified = self._verify(proof)
        self._title("Edit one byte of that receipt in a copy of the database, and prove it again")
        caught = self._tamper(content.receipt_id)
        if verified == 0 and caught == EXIT_WRONG:
            click.secho("\nThe honest receipt verified; the edited one was caught.", bold=True)
            return 0
        click.secho(f"\nUnexpected: exit codes {verified} and {caught}.", fg="red", bold=True)
        return EXIT_WRONG

    def _verify(self, proof: Path) -> int:
        folder = self.folder
        return self._command(
            "verify",
            proof,
            "--policy",
            folder / "trust.policy",
            "--opening",
            f"@{folder / 'opening.hex'}",
            "--request",
            folder / "request.json",
            "--response",
            folder / "response.json",
            "--recount",
        )

    def _tamper(self, receipt_id: str) -> int:
        from nous_ledger.ledger import Ledger  # noqa: PLC0415 - loaded by now

        copy, proof = self.folder / "edited", self.folder / "edited.tlog-proof"
        shutil.copytree(self.folder / "ledger", copy)
        with Ledger.open(copy, read_only=True) as ledger:
            entry = ledger.find_receipt(bytes.fromhex(receipt_id.replace("-", "")))
        if entry is None:
            raise UnavailableError("unreachable", f"receipt {receipt_id} is not in the copy")
        # The last byte of the model name: gpt-demo becomes gpt-demn, still a well-formed receipt.
        at = entry.body.index(b"gpt-demo") + len(b"gpt-demo") - 1
        edited = entry.body[:at] + bytes([entry.body[at] ^ 1]) + entry.body[at + 1 :]
        with contextlib.closing(sqlite3.connect(copy / "ledger.db")) as database, database:
            database.execute("UPDATE bodies SET body = ? WHERE body = ?", (edited, entry.body))
        click.echo(f"  byte {at} of the body: {entry.body[at]:#04x} -> {edited[at]:#04x}")
        self._command("prove", receipt_id, "--ledger", copy, "-o", proof)
        code = self._command("verify", proof, "--policy", self.folder / "trust.policy")
        shutil.rmtree(copy)
        return code

    def _title(self, text: str) -> None:
        self.step += 1
        click.secho(f"\n[{self.step}/{STEPS}] {text}", bold=True)

    def _command(self, *arguments: object) -> int:
        from nous_ledger.cli.main import run  # noqa: PLC0415 - main imports this module

        words = [str(argument) for argument in arguments]
        shown = " ".join(word.replace(str(self.folder), "DIR") for word in words)
        click.echo(f"\n$ nous-ledger {shown}")
        return run(words)
