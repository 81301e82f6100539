"""The error tree: stable codes, each of one class, and two branches that never mix."""

import ast
from collections.abc import Iterator
from pathlib import Path

from nous_ledger.protocol import errors
from nous_ledger.protocol.errors import (
    ERROR_CODES,
    BodyError,
    LabelError,
    LedgerError,
    ReceiptError,
    SignatureError,
    UnavailableError,
    default_hint,
)

CORE = Path(errors.__file__).parent


def class_of(name: str) -> type[LedgerError]:
    found = getattr(errors, name)
    assert issubclass(found, LedgerError)
    return found  # type: ignore[no-any-return]  # the line above says what it is


def raised_codes() -> Iterator[tuple[str, str, str]]:
    """Yield (where, class, code) of every error that the core makes with a written-out code."""
    for path in sorted(CORE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            name = node.func.id
            if name.endswith("Error") and hasattr(errors, name) and node.args:
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield f"{path.name}:{node.lineno}", name, str(code.value)


RAISED = tuple(raised_codes())


def test_every_error_has_a_code_of_its_class() -> None:
    """CONV-6."""
    for _, name, code in RAISED:
        assert issubclass(class_of(name), class_of(ERROR_CODES[code].family)), (name, code)


def test_the_search_finds_the_errors() -> None:
    assert len(RAISED) > 200
    assert {name for _, name, _ in RAISED} >= {"SignatureError", "UnavailableError", "LabelError"}


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code, info in ERROR_CODES.items():
        assert code == code.lower().strip()
        assert info.meaning, code
        assert info.hint, code
        assert default_hint(code) == info.hint, code
        assert issubclass(class_of(info.family), LedgerError), code


def test_could_not_check_is_no_kind_of_wrong() -> None:
    """CONV-7."""
    tree = [class_of(name) for name in vars(errors) if name.endswith("Error")]
    wrong = [cls for cls in tree if cls not in (LedgerError, UnavailableError)]
    assert {SignatureError, BodyError, errors.InputError} <= set(wrong)
    assert not any(issubclass(cls, UnavailableError) for cls in wrong)
    # A code of receipts is one of BodyError or LabelError.
    families = {info.family for info in ERROR_CODES.values()}
    assert {cls.__name__ for cls in tree} - families == {"LedgerError", "ReceiptError"}


def test_bodies_have_errors_of_their_own() -> None:
    """A caller that catches BodyError gets those of receipts and labels too."""
    assert issubclass(ReceiptError, BodyError)
    assert issubclass(LabelError, BodyError)


def test_what_an_error_carries() -> None:
    error = SignatureError("mismatch", "another key", found=b"\x02", hint="look there")
    assert (error.code, error.message, str(error)) == ("mismatch", "another key", "another key")
    assert (error.hint, error.attrs) == ("look there", {"found": b"\x02"})
    assert SignatureError("mismatch", "another key").hint == ERROR_CODES["mismatch"].hint
    assert LedgerError("elsewhere", "of another layer").hint == ""
