"""How tests ask which error a call ends in."""

from collections.abc import Callable
from typing import ParamSpec

import pytest

from nous_ledger.protocol.errors import ERROR_CODES, LedgerError

P = ParamSpec("P")


def refusal(call: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> LedgerError:
    """Return the error that a call raises; fail if it raises none of ours."""
    with pytest.raises(LedgerError) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert ERROR_CODES[error.code].family in {base.__name__ for base in type(error).mro()}
    return error


def code_of(call: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> str:
    """Return the code of the error that a call raises."""
    return refusal(call, *args, **kwargs).code
