"""The one exception of the naive reading: a rule that does not hold, by its code."""

from typing import NoReturn

MAX_UINT = 2**53 - 1


class RuleError(Exception):
    """A rule of the protocol does not hold; `code` is the stable error code."""

    def __init__(self, code: str) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code


def reject(code: str) -> NoReturn:
    """Refuse the input."""
    raise RuleError(code)


def require(holds: object, code: str) -> None:
    """Refuse the input with `code` unless `holds` is true."""
    if not holds:
        reject(code)
