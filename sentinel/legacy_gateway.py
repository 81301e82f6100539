"""A nous-v2 gateway over HTTP: its three questions, each answer bounded.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.legacy import LegacyPublicKey
from nous_ledger.protocol.types import MAX_UINT
from sentinel.audit.legacy_memory import LegacyChain
from sentinel.audit.legacy_wire import parse_chain, parse_json, parse_key_answer, parse_page
from sentinel.http_source import HttpSource

PAGE_ROWS: Final = 1_000
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_RECORDS: Final = 1_000_000
"""Records that are read of one gateway; what has more could not be checked."""

Rows = Sequence[Mapping[str, object]]


class LegacyGateway(HttpSource):
    """Reads a gateway below a URL."""

    def key(self) -> LegacyPublicKey:
        """Return the key that the gateway states for itself.

        Raises:
            UnavailableError: unreachable.
            LegacyError: legacy-format (it is no key of P-256).
        """
        return parse_key_answer(self._json("api/pubkey", MAX_ANSWER_BYTES))

    def chain(self) -> LegacyChain:
        """Return the count and the root over so many records.

        Raises:
            UnavailableError: unreachable.
        """
        return parse_chain(self._json("api/chain", MAX_ANSWER_BYTES))

    def pages(self, *, rows: int = PAGE_ROWS, most: int = MAX_RECORDS) -> Iterator[Rows]:
        """Yield all records from the first on, page by page.

        An exactly full last page says that there are more: then one more is read, which
        is empty.

        Args:
            rows: most records of a page.
            most: records after which to give up.

        Raises:
            UnavailableError: unreachable (also if ids do not ascend, or there is no end).
        """
        after, read, more = 0, 0, True
        while more:
            path = f"api/records?after={after}&limit={rows}"
            page, more = parse_page(self._json(path, MAX_PAGE_BYTES), rows)
            if not page:
                return
            after = _last_id(page, after)
            read += len(page)
            if read > most:
                raise UnavailableError(
                    "unreachable", f"{self.name} has more than {most} records to read"
                )
            yield page

    def _json(self, path: str, limit: int) -> object:
        return parse_json(self._fetch(path, limit))


def _last_id(page: Rows, after: int) -> int:
    """Return the id of the last record, which the next page begins after."""
    for row in page:
        number = row.get("id")
        # Where this does not hold, records could be served twice or for ever.
        if type(number) is not int or not after < number <= MAX_UINT:
            raise UnavailableError("unreachable", "the records are not in ascending order of ids")
        after = number
    return after
