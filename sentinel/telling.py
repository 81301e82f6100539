"""Whom a round is told to: the terminal or a pipe, Prometheus, a webhook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sentinel.metrics import Metrics
from sentinel.render import render_round, render_watch, round_lines, stored_to_json
from sentinel.report import RoundReport
from sentinel.state import State
from sentinel.state_findings import mark_told, untold_findings
from sentinel.terminal import say
from sentinel.webhook import MAX_WAITING, Webhook

_LATEST: Final = MAX_WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Tells each round to whoever wants to know.

    Attributes:
        state: where what was found is remembered.
        as_json: print JSON lines.
        briefly: print one line for a round in which all is well.
        metrics: takes the figures; None for nobody.
        webhook: takes new findings; None for nobody.
    """

    state: State
    as_json: bool
    briefly: bool
    metrics: Metrics | None = None
    webhook: Webhook | None = None

    def __call__(self, report: RoundReport) -> None:
        """Tell a round."""
        if self.metrics is not None:
            self.metrics.note(report)
        self.offer(report.origin)
        if self.as_json:
            say("\n".join(round_lines(report)))
        else:
            say(render_watch(report) if self.briefly else render_round(report))

    def offer(self, origin: str) -> None:
        """Hand new findings to the webhook, and remember which ones were delivered."""
        if self.webhook is None:
            return
        self._mark_told(self.webhook)
        for row in self.state.logs():
            if row.origin == origin:
                for found in untold_findings(self.state, row.number, _LATEST):
                    if not self.webhook.offer(found.id, stored_to_json(found, origin)):
                        return

    def finish(self) -> None:
        """Let the webhook deliver what it has, and remember what it delivered."""
        if self.webhook is not None:
            self.webhook.close()
            self._mark_told(self.webhook)

    def _mark_told(self, webhook: Webhook) -> None:
        if webhook.delivered:
            mark_told(self.state, webhook.delivered)
