"""A gateway that counts every answer again, or none: one side of bench/reconcile.py."""

import re
import sys
import threading
from dataclasses import replace

from bench._gateway_sides import _tell_cpu_time
from nous_ledger.gateway import exact
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayConfig, run_gateway
from nous_ledger.ledger import Ledger
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table

BUILTIN = builtin_table()


def table() -> TokenizerTable:
    """Return the table of tokenizers with a rule for whatever the upstream says it is."""
    rule = replace(BUILTIN.rules[0], providers=frozenset({"custom"}), names=re.compile(".*"))
    return replace(BUILTIN, rules=(rule,))


def main(folder: str, upstream: str, recount: str) -> None:
    """Run until stdin ends."""
    threading.Thread(target=_tell_cpu_time, daemon=True).start()
    exact.builtin_table = table  # type: ignore[assignment,attr-defined]
    app = AppConfig(upstreams={"openai": upstream}, recount=recount == "on")
    with Ledger.create(folder, next_key_out=None) as ledger:
        run_gateway(
            ledger, GatewayConfig(port=0, app=app), ready=lambda url: print(url, flush=True)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
