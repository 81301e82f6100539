"""The audit of streams as text, to go on from: every bet with the bits that it had.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-15.
"""

from __future__ import annotations

import json
from typing import Any, Final

from nous_ledger.protocol.audit_streams import (
    MAX_SERVICES,
    MAX_STREAMS,
    AuditedStreams,
    Service,
    StreamKey,
)
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.label import MAX_OFFSET
from nous_ledger.protocol.stream_audit import alarm_level, decode_stream_audit

FORM: Final = "nous-ledger/1 streams"
_SUMS: Final = ("receipts", "unread", "beyond", "output_beyond")
_HASH: Final = 32


def service_to_text(service: Service) -> str:
    """Return the name of a service as text."""
    return json.dumps(_service_row(service))


def service_from_text(text: str) -> Service:
    """Return the service that `service_to_text` named.

    Raises:
        InputError: the text names none.
    """
    return _service(_parsed(text))


def key_to_text(key: StreamKey) -> str:
    """Return the name of a stream as text."""
    return json.dumps(
        [_service_row(key.service), key.method, key.vocab.hex(), key.lowest, key.highest]
    )


def key_from_text(text: str) -> StreamKey:
    """Return the stream that `key_to_text` named.

    Raises:
        InputError: the text names none.
    """
    return _key(_parsed(text))


def streams_to_text(streams: AuditedStreams) -> str:
    """Return all streams as text, for `streams_from_text` to go on from."""
    return json.dumps(
        {
            "form": FORM,
            "alpha": streams.alpha,
            "sums": [getattr(streams, name) for name in _SUMS],
            "services": [[*_service_row(s), tokens] for s, tokens in streams.output.items()],
            "streams": [
                [key_to_text(key), audit.encode().hex()] for key, audit in streams.streams.items()
            ],
        }
    )


def streams_from_text(text: str) -> AuditedStreams:
    """Return the streams that `streams_to_text` wrote.

    Raises:
        InputError: the text is no such thing.
    """
    found = _parsed(text)
    try:
        if found["form"] != FORM:
            raise _damaged()
        streams = AuditedStreams(float(found["alpha"]))
        for name, value in zip(_SUMS, found["sums"], strict=True):
            setattr(streams, name, _natural(value))
        for *row, tokens in found["services"]:
            streams.output[_service(row)] = _natural(tokens)
        for name, audit in found["streams"]:
            add_stream(streams, key_from_text(name), bytes.fromhex(audit))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged() from error
    if len(streams.output) > MAX_SERVICES or len(streams.output) != len(found["services"]):
        raise _damaged()
    return streams


def add_stream(streams: AuditedStreams, key: StreamKey, data: bytes) -> None:
    """Add the next stream as it stood.

    Args:
        streams: takes it.
        key: its name.
        data: what `StreamAudit.encode` returned.

    Raises:
        InputError: the bytes are no such thing, or not of this stream at this place.
    """
    audit, number = decode_stream_audit(data), len(streams.streams) + 1
    offsets = (audit.offsets[0], audit.offsets[-1])
    fits = offsets == (key.lowest, key.highest) and key.service in streams.output
    level = alarm_level(number, streams.alpha)
    if not fits or audit.level != level or key in streams.streams or number > MAX_STREAMS:
        raise _damaged()
    streams.streams[key] = audit


def _service_row(service: Service) -> list[Any]:
    return [
        *(service.source, service.provider, service.upstream),
        *(service.operation, service.model),
    ]


def _service(row: Any) -> Service:  # noqa: ANN401 - whatever JSON held
    try:
        source, *texts = row
        provider, upstream, operation, model = map(_text, texts)
    except (TypeError, ValueError) as error:
        raise _damaged() from error
    return Service(
        source=_natural(source),
        provider=provider,
        upstream=upstream,
        operation=operation,
        model=model,
    )


def _key(row: Any) -> StreamKey:  # noqa: ANN401 - whatever JSON held
    try:
        service, method, vocab, lowest, highest = row
        found = StreamKey(
            service=_service(service),
            method=_text(method),
            vocab=bytes.fromhex(_text(vocab)),
            lowest=int(lowest),
            highest=int(highest),
        )
    except (TypeError, ValueError) as error:
        raise _damaged() from error
    if len(found.vocab) != _HASH or not -MAX_OFFSET <= found.lowest <= found.highest <= MAX_OFFSET:
        raise _damaged()
    return found


def _text(value: Any) -> str:  # noqa: ANN401 - whatever JSON held
    if type(value) is not str:
        raise _damaged()
    return value


def _natural(value: Any) -> int:  # noqa: ANN401 - whatever JSON held
    if type(value) is not int or value < 0:
        raise _damaged()
    return value


def _parsed(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged() from error


def _damaged() -> InputError:
    return InputError("input", "this is not the kept state of an audit of streams")
