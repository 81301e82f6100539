"""The file format: a suite has flags with their meaning, groups, and numbered cases.

Every case is run through the naive reading when it is added, so that a file can neither
call a case valid that the rules refuse nor give it another error code.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from vectors.generate.rules.checks import RuleError

Json = dict[str, Any]
Check = Callable[[Json], Mapping[str, Any]]
PROTOCOL = "nous-ledger/1"
GENERATOR = "vectors/generate"


class Group:
    """Cases that share a type and some values; `check` gives what a valid case expects."""

    def __init__(self, suite: "Suite", kind: str, check: Check, shared: Json) -> None:
        self.suite, self.kind, self.check, self.shared = suite, kind, check, shared
        self.tests: list[Json] = []

    def valid(self, comment: str, *flags: str, **inputs: Any) -> Json:
        """Add a case that must be accepted; return it with what the check gives."""
        return self._add(comment, flags, inputs, "")

    def invalid(self, comment: str, error: str, *flags: str, **inputs: Any) -> Json:
        """Add a case that must be refused with this code."""
        return self._add(comment, flags, inputs, error)

    def _add(self, comment: str, flags: tuple[str, ...], inputs: Json, error: str) -> Json:
        found, expected = "", {}
        try:
            expected = dict(self.check({**self.shared, **inputs}))
        except RuleError as refusal:
            found = refusal.code
        if found != error:
            message = f"{self.suite.name}: {comment}: {found or 'valid'}, not {error or 'valid'}"
            raise AssertionError(message)
        return self.add(comment, flags, {**inputs, **expected}, error, valid=not error)

    def add(
        self, comment: str, flags: tuple[str, ...], fields: Json, error: str, *, valid: bool
    ) -> Json:
        """Keep a case that was checked."""
        self.suite.count += 1
        test = {"comment": comment, "flags": list(flags), **fields}
        test |= {"result": "valid" if valid else "invalid", "error": error}
        self.tests.append(test)
        self.suite.used |= set(flags)
        return test


class Suite:
    """One vector file."""

    def __init__(self, name: str, algorithm: str, section: str, *header: str) -> None:
        self.name, self.algorithm, self.section = name, algorithm, section
        self.header = list(header)
        self.notes: dict[str, Json] = {}
        self.groups: list[Group] = []
        self.count = 0
        self.used: set[str] = set()

    def flag(self, name: str, bug_type: str, description: str, effect: str, ids: str) -> None:
        """Explain a flag; `ids` are the requirements that its cases test."""
        self.notes[name] = {
            "bugType": bug_type,
            "description": description,
            "effect": effect,
            "requirements": ids.split(),
        }

    def group(self, kind: str, check: Check, **shared: Any) -> Group:
        """Start a group."""
        group = Group(self, kind, check, shared)
        self.groups.append(group)
        return group

    def document(self) -> Json:
        """Return the file as one JSON object."""
        unexplained = self.used ^ set(self.notes)
        if unexplained:
            message = f"{self.name}: flags not explained or not used: {sorted(unexplained)}"
            raise AssertionError(message)
        numbers = itertools.count(1)
        groups = [
            {
                "type": group.kind,
                "source": GENERATOR,
                **group.shared,
                "tests": [{"tcId": next(numbers), **test} for test in group.tests],
            }
            for group in self.groups
        ]
        return {
            "protocol": PROTOCOL,
            "algorithm": self.algorithm,
            "schema": f"schema/{self.name}.json",
            "section": self.section,
            "generator": GENERATOR,
            "numberOfTests": self.count,
            "header": self.header,
            "notes": self.notes,
            "testGroups": groups,
        }

    def text(self) -> str:
        """Return the file as it is written."""
        return json.dumps(self.document(), indent=1) + "\n"


def known_answer(_: Json) -> Json:
    """Check nothing: the builder of a known answer computes it itself."""
    return {}


def unhex(text: str) -> bytes:
    """Return the bytes of lower-case hex."""
    return bytes.fromhex(text)
