"""`nous-ledger demo`: the whole path on this machine, with the providers' real SDKs."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from nous_ledger.cli.demo_anchor import EVIDENCE, anchor_the_head, what_is_missing
from nous_ledger.cli.exits import EXIT_GOOD, EXIT_WRONG
from nous_ledger.cli.files import write_new
from nous_ledger.cli.options import PATH
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.errors import InputError, UnavailableError

_SDK_PREFIXES: Final = ("OPENAI_", "ANTHROPIC_")
_SDK_SUFFIX: Final = "_proxy"


@click.command(
    "demo",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger demo\n"
        "  nous-ledger demo --keep ./demo --anvil ~/.foundry/bin/anvil\n"
    ),
)
@click.option(
    "--keep",
    type=PATH,
    metavar="DIR",
    help="Leave ledger, trust policy, proof and content in this new folder.",
)
@click.option(
    "--anvil",
    type=PATH,
    metavar="PROGRAM",
    help="Anchor the log too, on a private chain that this anvil runs.",
)
def command(*, keep: Path | None, anvil: Path | None) -> int:
    """Make calls through a gateway, prove one, then show that an edit is caught.

    A stand-in on this machine plays OpenAI and Anthropic, so no network and no
    API key is needed. Everything else is real: the providers' own SDKs, the
    gateway, the ledger, the signatures and the verification. With --anvil the
    log is anchored on a private chain, whose contract then refuses a rewritten
    history.
    """
    started = time.monotonic()
    with _folder(keep) as folder, _environment(folder, ours=keep is None):
        code = _Demo(folder, anvil).run()
    if keep is not None:
        place = printable(shlex.quote(str(keep)))
        say(f"\nLeft in {place}: ledger/, next.key, trust.policy, receipt.tlog-proof, opening.hex,")
        say("request.json, response.json and edited.tlog-proof.")
        if (keep / EVIDENCE).exists():
            say(f"Of the anchor: {EVIDENCE}, relayer.json and relayer.words. The chain is gone.")
        say("Try:")
        # Where .venv is not activated, the name alone would not be found.
        found = shutil.which("nous-ledger")
        name = "nous-ledger" if found else printable(shlex.quote(sys.argv[0]))
        say(f"  {name} verify {place}/receipt.tlog-proof --policy {place}/trust.policy")
        say(f"  {name} receipts show 1 --ledger {place}/ledger")
    say(f"\ndone in {time.monotonic() - started:.1f} s")
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


@contextlib.contextmanager
def _environment(folder: Path, *, ours: bool) -> Iterator[None]:
    """Keep what the shell set for real calls away from the demo's.

    Args:
        folder: the demo's folder.
        ours: whether the ledger goes with the demo; then the machine's list of keys
            in use does not learn of it either.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith(_SDK_PREFIXES) or name.lower().endswith(_SDK_SUFFIX):
            del os.environ[name]
    if ours:
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Demo:
    """One run; every file lies in one folder."""

    def __init__(self, folder: Path, anvil: Path | None) -> None:
        self.folder = folder
        self.anvil = anvil
        self.missing = what_is_missing(anvil)
        self.steps = 6 if self.missing else 7
        self.step = 0

    def run(self) -> int:
        """Run all steps and return the exit code: 0 if everything went as it should."""
        try:
            from nous_ledger.cli import demo_calls
            from nous_ledger.cli.demo_upstream import DemoUpstream
            from nous_ledger.gateway.app import AppConfig
            from nous_ledger.gateway.server import GatewayThread
            from nous_ledger.ledger import Ledger
        except ModuleNotFoundError as error:
            raise UnavailableError(
                "unreachable",
                f"the demo needs {str(error.name).partition('.')[0]}, which is not installed",
                hint="pip install 'nous-ledger[demo]'",
            ) from error

        folder = self.folder
        self._title("Create a ledger: keys, genesis record, first signed head")
        with Ledger.create(folder / "ledger", next_key_out=folder / "next.key") as ledger:
            say(f"  log id {ledger.log_id.hex()}")
            write_new(folder / "trust.policy", ledger.policy_text())
            self._title("Start a stand-in for OpenAI and Anthropic, and the gateway before it")
            with DemoUpstream() as upstream:
                urls = {"openai": upstream.url, "anthropic": upstream.url}
                with GatewayThread(ledger, AppConfig(upstreams=urls)) as gateway:
                    say(f"  upstream {upstream.url}, gateway {gateway.url}")
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
        if verified == EXIT_GOOD and caught == EXIT_WRONG:
            return self._anchor()
        click.secho(f"\nUnexpected: exit codes {verified} and {caught}.", fg="red", bold=True)
        return EXIT_WRONG

    def _anchor(self) -> int:
        """Anchor the head where that is possible here, and say how it all ended."""
        honest = "\nThe honest receipt verified; the edited one was caught"
        if self.missing or self.anvil is None:
            click.secho(f"{honest}.", bold=True)
            say(self.missing)
            return EXIT_GOOD
        self._title("Anchor the head on a private chain, and try to anchor another history")
        if anchor_the_head(self.folder, self.anvil, self._command):
            click.secho(f"{honest}; the contract refused the fork.", bold=True)
            return EXIT_GOOD
        click.secho("\nUnexpected: anchoring went otherwise than it should.", fg="red", bold=True)
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
        from nous_ledger.ledger import Ledger

        copy, proof = self.folder / "edited", self.folder / "edited.tlog-proof"
        with _copied(self.folder / "ledger", copy):
            with Ledger.open(copy, read_only=True) as ledger:
                entry = ledger.find_receipt(bytes.fromhex(receipt_id.replace("-", "")))
            if entry is None:
                raise UnavailableError("unreachable", f"receipt {receipt_id} is not in the copy")
            # The last letter of the requested model: gpt-demo becomes gpt-demn, and the body
            # is still that of a well-formed receipt.
            at = entry.body.index(b"gpt-demo") + len(b"gpt-demo") - 1
            edited = entry.body[:at] + bytes([entry.body[at] ^ 1]) + entry.body[at + 1 :]
            with contextlib.closing(sqlite3.connect(copy / "ledger.db")) as database, database:
                database.execute("UPDATE bodies SET body = ? WHERE body = ?", (edited, entry.body))
            say(f"  byte {at} of the body: {entry.body[at]:#04x} -> {edited[at]:#04x}")
            self._command("prove", receipt_id, "--ledger", copy, "-o", proof)
        return self._command("verify", proof, "--policy", self.folder / "trust.policy")

    def _title(self, text: str) -> None:
        self.step += 1
        click.secho(f"\n[{self.step}/{self.steps}] {text}", bold=True)

    def _command(self, *arguments: object) -> int:
        from nous_ledger.cli.main import run

        words = [str(argument) for argument in arguments]
        shown = " ".join(word.replace(str(self.folder), "DIR") for word in words)
        say(f"\n$ nous-ledger {shown}")
        return run(words)


@contextlib.contextmanager
def _copied(ledger: Path, copy: Path) -> Iterator[None]:
    """Have a copy of a ledger's database, without its keys, for as long as a `with` lasts."""
    copy.mkdir(mode=0o700)
    try:
        with (
            contextlib.closing(sqlite3.connect(ledger / "ledger.db")) as source,
            contextlib.closing(sqlite3.connect(copy / "ledger.db")) as target,
        ):
            source.backup(target)
        yield
    finally:
        shutil.rmtree(copy)
