"""Options of the anchor commands, and what is made of them: servers, contract, relayer, outbox."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.files import read_bounded, read_passphrase
from nous_ledger.cli.options import PATH, ledger_folder
from nous_ledger.cli.terminal import tell
from nous_ledger.protocol.errors import InputError

if TYPE_CHECKING:
    from nous_ledger.anchor.chains import Chain
    from nous_ledger.anchor.fees import Cost
    from nous_ledger.anchor.outbox import Outbox
    from nous_ledger.anchor.relayer import Relayer
    from nous_ledger.anchor.rpc import RpcPool
    from nous_ledger.anchor.sender import Sender
    from nous_ledger.anchor.state import ContractReader
    from nous_ledger.anchor.steps import Step

RPC_VARIABLE: Final = "NOUS_LEDGER_RPC"
_MAX_URLS_BYTES: Final = 16_384
_ETHER: Final = 10**18


class Address(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """An address: 0x and 40 hex digits, in any case."""

    name = "ADDRESS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Return 20 bytes."""
        return value if isinstance(value, bytes) else self._hex(str(value), 20, param, ctx)

    def _hex(
        self, text: str, length: int, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        try:
            found = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            found = b""
        if not text.startswith("0x") or len(found) != length or len(text) != 2 + 2 * length:
            self.fail(f"{text[:80]!r} is not 0x and {2 * length} hex digits", param, ctx)
        return found


class Word(Address):
    """A hash: 0x and 64 hex digits."""

    name = "HASH"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Return 32 bytes."""
        return value if isinstance(value, bytes) else self._hex(str(value), 32, param, ctx)


class Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """An amount as a decimal, exact."""

    name = "AMOUNT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the amount."""
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or not 0 < amount < 10**9:
            self.fail(f"{str(value)[:80]!r} is no amount above 0", param, ctx)
        return amount


def _stacked(function: click.decorators.FC, *options: Any) -> click.decorators.FC:  # noqa: ANN401
    for option in reversed(options):
        function = option(function)
    return function


def servers_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add --rpc, --rpc-quorum and --rpc-timeout."""
    return _stacked(
        function,
        click.option(
            "--rpc",
            multiple=True,
            envvar=RPC_VARIABLE,
            show_envvar=True,
            metavar="URL|@FILE",
            help="RPC server of the chain; give several. @FILE, one URL a line, or the variable"
            " keeps access keys out of the process list.",
        ),
        click.option(
            "--rpc-quorum",
            type=click.IntRange(1, 16),
            metavar="K",
            help="How many servers have to say the same.  [default: more than half; of one or two"
            " all that answer]",
        ),
        click.option(
            "--rpc-timeout",
            type=click.FloatRange(0.1, 300),
            default=10.0,
            show_default=True,
            metavar="SECONDS",
            help="Longest wait for one answer.",
        ),
    )


def chain_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add what names chain, servers and contract."""
    return _stacked(
        servers_options(function),
        click.option(
            "--chain",
            "chain_name",
            default="base",
            show_default=True,
            metavar="NAME|ID",
            help="base, base-sepolia, or the id of any EVM chain.",
        ),
        click.option(
            "--contract",
            type=Address(),
            help="Address of the anchor contract.  [default: the one address of this version]",
        ),
    )


def paying_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add what names the relayer and limits what it pays."""
    return _stacked(
        function,
        click.option(
            "--relayer-key",
            type=PATH,
            envvar="NOUS_LEDGER_RELAYER_KEY",
            show_envvar=True,
            help="Keystore file (version 3) of the account that pays.",
        ),
        click.option(
            "--relayer-passphrase-file",
            type=PATH,
            help="File with its passphrase, readable by you alone.",
        ),
        click.option(
            "--relayer-passphrase-env",
            metavar="NAME",
            help="Name of the environment variable with its passphrase.",
        ),
        click.option(
            "--max-cost",
            type=Amount(),
            default="0.001",
            show_default=True,
            metavar="ETH",
            help="Most that one transaction may cost, all fees together.",
        ),
        click.option(
            "--eth-price",
            type=Amount(),
            metavar="USD",
            help="Price of 1 ETH, to show costs in USD; it is not looked up.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Show what would be sent and its cost; send nothing."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What the options of `servers_options` say."""

    rpc: tuple[str, ...]
    rpc_quorum: int | None
    rpc_timeout: float

    def pool(self, chain_id: int, *, all_must_agree: bool = False) -> RpcPool:
        """Return the servers of a chain.

        Raises:
            InputError: none is named, or one twice.
        """
        from nous_ledger.anchor.rpc import RpcPool

        urls = list(self.urls())
        if not urls:
            raise InputError(
                "input",
                "no RPC server is named",
                hint=f"name one with --rpc, or in {RPC_VARIABLE}",
            )
        quorum = self.rpc_quorum
        if quorum is None and all_must_agree:
            quorum = len(urls)
        return RpcPool(urls, chain_id, quorum=quorum, timeout_s=self.rpc_timeout)

    def urls(self) -> Iterator[str]:
        """Yield the URLs of the servers, those in files too."""
        for text in self.rpc:
            if text.startswith("@"):
                lines = read_bounded(Path(text[1:]), _MAX_URLS_BYTES, "input").decode(
                    "ascii", "replace"
                )
                yield from (line.strip() for line in lines.splitlines() if line.strip())
            else:
                yield text


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Chain, servers and contract that the options name."""

    servers: Servers
    chain: Chain
    pool: RpcPool
    contract: ContractReader


def take_target(options: dict[str, Any]) -> Target:
    """Return what the options of `chain_options` name, and take them out of the rest."""
    from nous_ledger.anchor.artifact import load_artifact
    from nous_ledger.anchor.chains import find_chain
    from nous_ledger.anchor.state import ContractReader

    chain = find_chain(options.pop("chain_name"))
    servers = take_servers(options)
    pool = servers.pool(chain.chain_id)
    address = options.pop("contract")
    contract = ContractReader(pool, load_artifact().address if address is None else address)
    return Target(servers=servers, chain=chain, pool=pool, contract=contract)


def take_servers(options: dict[str, Any]) -> Servers:
    """Return what the options of `servers_options` say, and take them out of the rest."""
    names = ("rpc", "rpc_quorum", "rpc_timeout")
    return Servers(**{name: options.pop(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What the options of `paying_options` say."""

    relayer_key: Path | None
    relayer_passphrase_file: Path | None
    relayer_passphrase_env: str | None
    max_cost: Decimal
    eth_price: Decimal | None
    dry_run: bool

    @property
    def max_wei(self) -> int:
        """Most wei for one transaction."""
        return int(self.max_cost * _ETHER)

    def relayer(self) -> Relayer:
        """Return who pays; asks for the passphrase on a terminal unless an option tells it.

        Raises:
            InputError: no key is named, or there is no terminal to ask at.
            KeyFileError: key-missing, key-permissions, key-format, key-passphrase.
            AnchorUseError: extra-missing.
        """
        from nous_ledger.anchor.relayer import AddressOnly, keystore_address, read_keystore

        path = self.relayer_key
        if path is None:
            raise InputError(
                "input",
                "no relayer is named: who pays?",
                hint="name its keystore file with --relayer-key; `nous-ledger anchor new-relayer`"
                " makes one",
            )
        if self.dry_run and (address := keystore_address(path)) is not None:
            return AddressOnly(address)  # no passphrase is needed to reckon
        return read_keystore(path, self._passphrase())

    def relayer_address(self) -> bytes:
        """Return the address of who pays, without a passphrase where its file names it."""
        from nous_ledger.anchor.relayer import keystore_address

        address = None if self.relayer_key is None else keystore_address(self.relayer_key)
        return self.relayer().address if address is None else address

    def _passphrase(self) -> str:
        if self.relayer_passphrase_env is not None:
            passphrase = os.environ.get(self.relayer_passphrase_env, "")
            if not passphrase:
                raise InputError("input", f"{self.relayer_passphrase_env} is not set")
            return passphrase
        return read_passphrase(self.relayer_passphrase_file, ask=True) or ""

    def sender(self, target: Target, outbox: Outbox) -> Sender:
        """Return what sends for this relayer."""
        from nous_ledger.anchor.sender import Sender

        return Sender(target.pool, target.chain, self.relayer(), outbox, max_cost=self.max_wei)

    def cost_to_json(self, step: Step, cost: Cost) -> dict[str, Any]:
        """Return what a step may cost at most."""
        from nous_ledger.anchor.fees import format_ether

        usd = None
        if self.eth_price is not None:
            usd = f"{Decimal(cost.total) / _ETHER * self.eth_price:.6f}"
        return {
            "purpose": step.purpose,
            "summary": step.summary,
            "calldata_bytes": len(step.data),
            "gas": cost.gas,
            "max_fee_per_gas": cost.fees.most,
            "tip_per_gas": cost.fees.tip,
            "fee_below": cost.below,
            "total_wei": cost.total,
            "total_eth": format_ether(cost.total),
            "total_usd": usd,
            "within_max_cost": cost.total <= self.max_wei,
        }


def take_payment(options: dict[str, Any]) -> Payment:
    """Return what the options of `paying_options` say, and take them out of the rest."""
    names = (
        *("relayer_key", "relayer_passphrase_file", "relayer_passphrase_env"),
        *("max_cost", "eth_price", "dry_run"),
    )
    return Payment(**{name: options.pop(name) for name in names})


outbox_option: Final = click.option(
    "--outbox",
    "outbox_file",
    type=PATH,
    help="File that every transaction is written to before it is sent.  [default: anchor.db in"
    " the ledger's folder]",
)


@contextlib.contextmanager
def open_outbox(named: Path | None, outbox_file: Path | None) -> Iterator[Outbox]:
    """Give the outbox that was named, or the ledger's."""
    from nous_ledger.anchor.outbox import OUTBOX_NAME, Outbox

    path = ledger_folder(named) / OUTBOX_NAME if outbox_file is None else outbox_file
    with Outbox(path) as outbox:
        yield outbox


def tell_troubles(troubles: tuple[str, ...]) -> None:
    """Say on stderr what did not work and is tried again."""
    from nous_ledger.cli.terminal import printable

    for trouble in troubles:
        tell(f"note: {printable(trouble)}")
