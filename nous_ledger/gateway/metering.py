"""One call's usage, visible output and ending, read from its response body.

A meter looks on while the body passes. It takes the decoded bytes in whatever
pieces they come and tells at the end what a receipt should say. It never raises
on what an upstream sends: what cannot be read is not counted.

`metering` of the result: `none` no usage value arrived; `partial` some arrived,
but not the final one; `malformed` a number was not usable; `final` otherwise.

Spec:
    PROTOCOL.md USAGE-1 to USAGE-4, BKT-5, LBL-10.
"""

from __future__ import annotations

from typing import Final

from nous_ledger.gateway.formats import is_framing, make_watch
from nous_ledger.gateway.framing import StreamEvent, StreamParser
from nous_ledger.gateway.repeats import Repeats
from nous_ledger.gateway.reported_cost import read_cost
from nous_ledger.gateway.sse import SseParser
from nous_ledger.gateway.watch import Watch
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.hashing import MAX_USAGE_BYTES, MAX_USAGE_VALUES
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.registries import ANOMALY, METERING
from nous_ledger.protocol.types import PicoUsd
from nous_ledger.protocol.values import maker, value
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.labels import label_counts
from nous_ledger.reconcile.tally import VisibleOutput

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""Longest body of a call that is not streamed whose usage is read."""

METERING_NONE: Final = METERING["none"]
_FINAL: Final = METERING["final"]
_PARTIAL: Final = METERING["partial"]
_MALFORMED: Final = METERING["malformed"]

_USAGE_MALFORMED: Final = ANOMALY["usage_malformed"]
_DUPLICATE: Final = ANOMALY["duplicate_usage"]
_TOO_LONG: Final = ANOMALY["usage_too_long"]
_NOT_TEXT: Final = ANOMALY["output_not_text_only"]
_NOTHING: Final[frozenset[int]] = frozenset()


@value
class Metered:
    """What a meter found.

    Attributes:
        metering: 0 none, 1 final, 2 partial, 3 malformed.
        usage: labelled buckets, kinds ascending.
        provider_total: the provider's own total, if it gave one.
        reported_cost: the price that the provider named, in pico-USD.
        raw_usage: exact JSON bytes of the usage values that the receipt commits to.
        anomalies: anomaly numbers.
        model: the model that answered, as the upstream named it.
        service_tier: as the upstream named it.
        ended: the body came to the end that its format prescribes.
        failed: the upstream reported an error in the body.
        incomplete: the answer was cut short by a length limit or a filter.
        output: what the caller got, if that is known in full.
    """

    metering: int = METERING_NONE
    usage: tuple[Bucket, ...] = ()
    provider_total: int | None = None
    reported_cost: PicoUsd | None = None
    raw_usage: tuple[bytes, ...] = ()
    anomalies: frozenset[int] = _NOTHING
    model: str | None = None
    service_tier: str | None = None
    ended: bool = True
    failed: bool = False
    incomplete: bool = False
    output: VisibleOutput | None = None

    def with_usage(self, usage: tuple[Bucket, ...]) -> Metered:
        """Return the same with other labels."""
        return _new_metered(
            metering=self.metering,
            usage=usage,
            provider_total=self.provider_total,
            reported_cost=self.reported_cost,
            raw_usage=self.raw_usage,
            anomalies=self.anomalies,
            model=self.model,
            service_tier=self.service_tier,
            ended=self.ended,
            failed=self.failed,
            incomplete=self.incomplete,
            output=self.output,
        )


_new_metered: Final = maker(Metered)
NOTHING_METERED: Final = Metered()


class Meter:
    """Looks on at one response body.

    Use `feed` for every piece and `close` at the end, then `result`.
    """

    def __init__(
        self,
        api: int,
        *,
        streamed: bool,
        parser: StreamParser | None = None,
        strip: bool = False,
        cost: tuple[str, ...] = (),
        keep_text: bool = False,
    ) -> None:
        """Start a body.

        Args:
            api: wire format of the call; of an unmetered one nothing is read.
            streamed: the body is a stream.
            parser: cuts the stream into events; server-sent ones unless given.
            strip: hold back events until they are whole, and leave out the usage
                chunk that the client did not ask for.
            cost: where in the usage the price in US dollars stands.
            keep_text: keep the answer, for its tokens to be counted.
        """
        self._strip = strip
        self._watch: Watch | None = make_watch(api)
        self._keeps = keep_text
        if keep_text and self._watch is not None:
            self._watch.visible.keep_text()
        self._parser = (parser or SseParser()) if streamed and self._watch else None
        self._sse = self._parser if isinstance(self._parser, SseParser) else None
        self._repeats = None if self._sse is None else Repeats()
        self._cost = cost
        self._body: bytes | bytearray = b""
        # Something passed by that could not be read, or is not framed as its format is.
        self._blind = self._parser is not None and not is_framing(api, self._parser)
        self._lost = _NOTHING  # anomalies of what could not be read

    @property
    def ended(self) -> bool:
        """Whether the stream's own end mark has passed."""
        return self._watch is not None and self._watch.ended

    def feed(self, piece: bytes) -> bytes:
        """Take the next decoded bytes and return what the client is to get of them."""
        sse = self._sse
        if sse is not None:
            done = self._skip(piece, 0) if sse.between_events else 0
            if done == len(piece):
                return piece  # nearly every one
            kept = self._feed_events(sse, piece, done)
            return kept if self._strip else piece
        if self._parser is not None:
            kept = self._kept(self._parser.feed(piece))
            return kept if self._strip else piece
        if self._watch is not None and not self._blind:
            self._keep(piece)
        return piece

    def close(self) -> bytes:
        """Take the end of the body and return what the client is still to get."""
        if self._parser is not None:
            kept = self._kept(self._parser.close())
            self._blind |= not self._parser.whole
            return kept if self._strip else b""
        if self._watch is not None and self._body:
            self._read_body(self._watch)
        return b""

    def _skip(self, piece: bytes, at: int) -> int:
        """Take the text of events that bring nothing else; return where they end."""
        if self._repeats is None:
            return at
        texts: list[bytes] | None = [] if self._keeps else None
        done, length = self._repeats.skip(piece, at, texts)
        if done > at and self._watch is not None:
            self._watch.visible.add_text(length, b"".join(texts).decode() if texts else "")
        return done

    def _feed_events(self, parser: SseParser, piece: bytes, at: int) -> bytes:
        """Read the events in some bytes, those that bring nothing but text in no time.

        Args:
            parser: cuts them out.
            piece: the bytes.
            at: where the first that was not read begins.
        """
        kept = [piece[:at]]
        length = len(piece)
        while at < length:
            if parser.between_events and (done := self._skip(piece, at)) > at:
                kept.append(piece[at:done])
                at = done
                continue
            # One event in full; it may be one that the next ones are like.
            end = piece.find(b"\n\n", at) + 2
            if end < 2:
                end = length
            kept.append(self._kept(parser.feed(piece[at:end])))
            at = end
        return b"".join(kept)

    def _kept(self, events: list[StreamEvent]) -> bytes:
        return b"".join([event.raw for event in events if not self._read(event)])

    def _keep(self, piece: bytes) -> None:
        """Keep bytes of a whole body; nearly always they are all of it."""
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body + piece)
        if len(self._body) > MAX_BODY_BYTES:
            self._lost |= {_TOO_LONG}
            self.lose_sight()

    def lose_sight(self) -> None:
        """Note that a part of the body cannot be read, so nothing visible is known in full."""
        self._blind = True
        self._body = b""

    def result(
        self, *, hidden_ruled_out: bool, all_shown: bool, reached: bool, cut: bool
    ) -> Metered:
        """Return what a receipt should say.

        Args:
            hidden_ruled_out: the request left no room for hidden thinking.
            all_shown: the request left no room for output that is not shown.
            reached: the caller got the whole response, and it was no error.
            cut: the body broke off before its transport said that it was over.
        """
        watch = self._watch
        if watch is None:
            return NOTHING_METERED
        ended = watch.ended or (not cut and (watch.answered or self._parser is None))
        reading = watch.usage_reading()
        raw = tuple([usage[0] for usage in watch.usages])
        too_long = len(raw) > MAX_USAGE_VALUES or sum(map(len, raw)) > MAX_USAGE_BYTES
        output = watch.visible.result()
        anomalies = self._anomalies(watch, output, reading.anomalies, too_long=too_long)
        # LBL-10: what did not reach the caller in full cannot be counted again.
        known = reached and ended and all_shown and output.applicable
        visible = output if known and not (watch.failed or self._blind) else None
        return _new_metered(
            metering=self._metering(watch, anomalies, ended=ended),
            usage=label_counts(reading.counts, visible, hidden_ruled_out=hidden_ruled_out),
            provider_total=reading.provider_total,
            reported_cost=read_cost(raw[-1], self._cost) if raw and self._cost else None,
            raw_usage=() if too_long else raw,
            anomalies=anomalies,
            model=watch.model,
            service_tier=watch.service_tier,
            ended=ended,
            failed=watch.failed,
            incomplete=watch.incomplete,
            output=visible,
        )

    def visible_output(self) -> VisibleOutput | None:
        """Return what was visible in all that was fed, None if that is not known in full."""
        visible = None if self._watch is None or self._blind else self._watch.visible.result()
        return visible if visible is not None and visible.applicable else None

    def _anomalies(
        self, watch: Watch, output: VisibleOutput, of_usage: frozenset[int], *, too_long: bool
    ) -> frozenset[int]:
        found = of_usage if watch.usages else of_usage | self._lost
        if too_long:
            found |= {_TOO_LONG}
        if watch.final_usages > 1:
            found |= {_DUPLICATE}
        return found if output.text_only else found | {_NOT_TEXT}

    @staticmethod
    def _metering(watch: Watch, anomalies: frozenset[int], *, ended: bool) -> int:
        if not watch.usages:
            return METERING_NONE
        if _USAGE_MALFORMED in anomalies:
            return _MALFORMED
        return _FINAL if watch.settled or (ended and watch.usage_is_cumulative) else _PARTIAL

    def _read(self, event: StreamEvent) -> bool:
        """Read one event; return whether it is nothing but the usage chunk."""
        watch = self._watch
        if watch is None:
            return False
        if self._repeats is not None:
            self._repeats.forget()
        if event.failed:
            watch.failed = self._blind = True
        if event.last:
            watch.ended = True
        if event.oversized or event.damaged:
            self._blind = True
            self._lost |= {_TOO_LONG if event.oversized else _USAGE_MALFORMED}
        elif event.data is not None:
            if event.data.strip() == b"[DONE]" and self._sse is not None:
                watch.ended = True
                return False
            try:
                located = parse_json(event.data)
                alone = watch.take_event(located, event.name)
            except FormatError:
                self._unreadable(event.data)
                return False
            only = None if self._repeats is None else watch.only_text(located.value)
            if only is not None and self._repeats is not None:
                self._repeats.learn(event.raw, *only)
            return alone
        return False

    def _read_body(self, watch: Watch) -> None:
        data = bytes(self._body)
        self._body = b""
        try:
            watch.take_body(parse_json(data))
        except FormatError:
            self._unreadable(data)

    def _unreadable(self, data: bytes) -> None:
        self._blind = True
        if b'"usage' in data:
            self._lost |= {_USAGE_MALFORMED}
