"""Bundles under one head are those that are written one by one."""

import pytest

from nous_ledger.protocol.bundle import Bundle, KeyEventEntry, format_bundle
from nous_ledger.protocol.bundle_writer import BundleWriter
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.types import Hash32, LeafIndex
from tests.property.sample_log import sample_log


def test_it_writes_what_format_bundle_writes() -> None:
    bundle = sample_log().bundle(3)
    writer = BundleWriter(bundle.checkpoint, bundle.key_events)
    for index in (0, 1, 300, 2**53 - 1):
        for body in (bundle.body, b"", b"x" * 300, b"x" * 32_768):
            for path in ((), bundle.path, (Hash32(b"h" * 32),) * 63):
                expected = Bundle(
                    index=LeafIndex(index),
                    path=path,
                    checkpoint=bundle.checkpoint,
                    record=bundle.record,
                    body=body,
                    key_events=bundle.key_events,
                )
                written = writer.write(LeafIndex(index), path, bundle.record, body)
                assert written == format_bundle(expected)


@pytest.mark.parametrize("part", ["checkpoint", "key event"])
def test_what_no_bundle_may_have_is_refused_at_once(part: str) -> None:
    bundle = sample_log().bundle(3)
    checkpoint, events = bundle.checkpoint, bundle.key_events
    if part == "checkpoint":
        checkpoint = checkpoint[:-1]
    else:
        events = (KeyEventEntry(record=b"short", body=b"", path=()),)
    with pytest.raises(FormatError) as caught:
        BundleWriter(checkpoint, events)
    assert caught.value.code == "not-a-bundle"
