"""The ledger's own error codes: one table, told apart from the protocol's."""

import ast

from nous_ledger.ledger import errors
from nous_ledger.ledger.errors import LEDGER_ERROR_CODES
from nous_ledger.protocol.errors import ERROR_CODES, InputError, LedgerError, UnavailableError
from tests.architecture.repository import python_files

FAMILIES = ("LedgerUseError", "StoreError", "KeyFileError", "SignerError", "StoreContentError")


def _raised() -> set[tuple[str, str]]:
    """Class and code of every error that the ledger's source makes."""
    found = set()
    for path in python_files("nous_ledger/ledger"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FAMILIES
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add((node.func.id, str(node.args[0].value)))
    return found


def test_every_code_that_is_raised_stands_in_the_table() -> None:
    raised = _raised()
    assert {(family, code) for family, code in raised if code in LEDGER_ERROR_CODES} == raised
    assert all(LEDGER_ERROR_CODES[code].family == family for family, code in raised)


def test_no_code_is_the_protocols() -> None:
    assert LEDGER_ERROR_CODES.keys().isdisjoint(ERROR_CODES)


def test_every_code_says_what_to_do() -> None:
    for code, info in LEDGER_ERROR_CODES.items():
        error = getattr(errors, info.family)(code, "what happened", place=7)
        assert isinstance(error, LedgerError), code
        assert (error.code, error.message, error.attrs) == (code, "what happened", {"place": 7})
        assert error.hint == info.hint, code
        assert getattr(errors, info.family)(code, "x", hint="do this").hint == "do this", code


def test_the_families_map_to_exit_codes() -> None:
    assert issubclass(errors.LedgerUseError, InputError)
    assert issubclass(errors.StoreError, UnavailableError)
    assert issubclass(errors.KeyFileError, UnavailableError)
    assert not issubclass(errors.StoreContentError, UnavailableError | InputError)
