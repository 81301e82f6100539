"""The audit of streams as a sentinel remembers it: every bet, to the bit, with the state.

What a span adds is written in the transaction that moves the audit past that span. So
the bets are always those of the leaves that are audited, whenever the sentinel ends.

Spec:
    PROTOCOL.md, section "Streams of receipts" (SENT-29 to SENT-31).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.protocol.audit_kept import (
    add_stream,
    key_from_text,
    key_to_text,
    service_from_text,
    service_to_text,
)
from nous_ledger.protocol.audit_report import streams_to_json, summary_to_json
from nous_ledger.protocol.audit_streams import AuditedStreams, Service, StreamKey
from nous_ledger.protocol.errors import InputError
from sentinel.audit.findings import Finding
from sentinel.audit.ports import Changes
from sentinel.audit.verdicts import take_counts
from sentinel.errors import StateError
from sentinel.state import LogRow, State
from sentinel.state_tables import LogTables

_SUMS: Final = ("receipts", "unread", "beyond", "output_beyond")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsView:
    """The audit of the streams of a log as far as its records are audited.

    Attributes:
        streams: the bets.
        erased: samples whose bodies were erased after they had been taken, by stream.
    """

    streams: AuditedStreams
    erased: dict[StreamKey, int]

    def to_json(self) -> dict[str, Any]:
        """Return every parameter and number; `erased_samples` is what nobody can read any more.

        Spec:
            AUD-11, SENT-31.
        """
        found = streams_to_json(self.streams)
        for row, erased in zip(found["streams"], self.erased.values(), strict=True):
            row["erased_samples"] = erased
        return found | {"erased_samples": sum(self.erased.values())}

    def summary(self) -> dict[str, Any]:
        """Return what all streams come to together, without any single one."""
        return summary_to_json(self.streams) | {"erased_samples": sum(self.erased.values())}


class StreamMemory:
    """The streams of one log."""

    def __init__(self, tables: LogTables) -> None:
        """Go on with the streams of a log.

        Raises:
            StateError: state-corrupt.
        """
        self._tables = tables
        self._log = tables.row.number
        self.view = _load(tables)
        self._numbers = {key: n for n, key in enumerate(self.view.streams.streams, start=1)}
        self._services = {s: n for n, s in enumerate(self.view.streams.output, start=1)}
        self._changed: set[StreamKey] = set()
        self._answered: set[Service] = set()
        self._samples: dict[int, StreamKey] = {}
        self._gone: set[int] = set()

    def take(self, changes: Changes) -> list[Finding]:
        """Take what a span adds, and return the verdicts that it leads to."""
        streams, found = self.view.streams, list[Finding]()
        for sample, verdicts in take_counts(streams, changes):
            self._samples[sample.leaf] = sample.stream
            self._changed.add(sample.stream)
            self._numbers.setdefault(sample.stream, len(self._numbers) + 1)
            self.view.erased.setdefault(sample.stream, 0)
            found += verdicts
        for service, _ in changes.outputs:
            if service in streams.output:
                self._answered.add(service)
                self._services.setdefault(service, len(self._services) + 1)
        self._note_erased(changes.announced)
        return found

    def write(self) -> None:
        """Write what was taken, within the transaction of the caller."""
        streams, write = self.view.streams, self._tables.write_rows
        sums = [str(getattr(streams, name)) for name in _SUMS]
        write("INSERT OR REPLACE INTO stream_sums VALUES (?, ?, ?, ?, ?)", [(self._log, *sums)])
        write(
            "INSERT OR REPLACE INTO stream_services VALUES (?, ?, ?, ?)",
            [
                (self._log, self._services[s], service_to_text(s), str(streams.output[s]))
                for s in self._answered
            ],
        )
        write(
            "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?)",
            [
                (
                    *(self._log, self._numbers[key], key_to_text(key)),
                    *(streams.streams[key].encode(), self.view.erased[key]),
                )
                for key in self._changed
            ],
        )
        write(
            "INSERT OR REPLACE INTO samples VALUES (?, ?, ?)",
            [(self._log, leaf, self._numbers[key]) for leaf, key in self._samples.items()],
        )
        write(
            "DELETE FROM samples WHERE log = ? AND leaf = ?", [(self._log, n) for n in self._gone]
        )
        self._answered.clear()
        self._changed.clear()
        self._gone.clear()
        self._samples.clear()

    def _note_erased(self, leaves: Iterable[int]) -> None:
        """Count samples that redactions name; one that is named twice is erased once."""
        if not self._numbers:
            return
        keys, named = list(self._numbers), set(leaves) - self._gone
        erased = [(n, self._samples.pop(n)) for n in named & self._samples.keys()]
        sql = "SELECT leaf, stream FROM samples WHERE log = ? AND leaf IN ({})"
        erased += [(leaf, keys[k - 1]) for leaf, k in self._tables.select(sql, named)]
        for leaf, key in erased:
            self._gone.add(leaf)
            self._changed.add(key)
            self.view.erased[key] += 1


def read_streams(state: State, row: LogRow) -> StreamsView:
    """Return the audit of the streams of a log as it was committed last.

    Raises:
        StateError: state-corrupt, state-io.
    """
    return _load(LogTables(state, row))


def _load(tables: LogTables) -> StreamsView:
    log, streams, erased = (tables.row.number,), AuditedStreams(), dict[StreamKey, int]()
    sums = "SELECT receipts, unread, beyond, output_beyond FROM stream_sums WHERE log = ?"
    services = "SELECT name, output FROM stream_services WHERE log = ? ORDER BY number"
    audits = "SELECT name, audit, erased FROM streams WHERE log = ? ORDER BY number"
    try:
        for values in tables.execute(sums, log):
            for name, value in zip(_SUMS, values, strict=True):
                setattr(streams, name, int(value))
        for name, output in tables.execute(services, log):
            streams.output[service_from_text(name)] = int(output)
        for name, audit, gone in tables.execute(audits, log):
            key = key_from_text(name)
            add_stream(streams, key, audit)
            erased[key] = gone
    except (InputError, ValueError) as error:
        text = f"what is remembered of the streams of {tables.row.origin} is damaged"
        raise StateError("state-corrupt", text) from error
    return StreamsView(streams=streams, erased=erased)
