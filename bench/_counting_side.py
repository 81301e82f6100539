"""A gateway that counts every answer again, or none: one side of bench/reconcile.py."""

import os
import re
import sys
import threading
import time
from dataclasses import replace

from nous_ledger.gateway import app as gateway
from nous_ledger.gateway import exact
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.counting import ProcessCounter
from nous_ledger.gateway.server import GatewayConfig, run_gateway
from nous_ledger.ledger import Ledger
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table

BUILTIN = builtin_table()
COUNTER = ProcessCounter()


def table() -> TokenizerTable:
    """Return the table of tokenizers with a rule for whatever the upstream says it is."""
    rule = replace(BUILTIN.rules[0], providers=frozenset({"custom"}), names=re.compile(".*"))
    return replace(BUILTIN, rules=(rule,))


def _tell_cpu_time() -> None:
    """Tell what the gateway and the process that counts for it have taken together."""
    for _ in sys.stdin:
        pid = COUNTER.pid
        # The clock of another process, as clock_getcpuclockid(3) would name it.
        counting = 0 if pid is None else time.clock_gettime_ns((~pid << 3) | 2)
        print(time.process_time_ns() + counting, flush=True)
    os._exit(0)


def main(folder: str, upstream: str, recount: str) -> None:
    """Run until stdin ends."""
    threading.Thread(target=_tell_cpu_time, daemon=True).start()
    gateway.ProcessCounter = lambda: COUNTER  # type: ignore[assignment,attr-defined]
    exact.builtin_table = table  # type: ignore[assignment,attr-defined]
    app = AppConfig(upstreams={"openai": upstream}, recount=recount == "on")
    with Ledger.create(folder, next_key_out=None) as ledger:
        run_gateway(
            ledger, GatewayConfig(port=0, app=app), ready=lambda url: print(url, flush=True)
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
