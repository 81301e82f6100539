"""The method bytes/1 on answers that nobody would send, read twice by different readers.

The library and the independent reading of the vectors must say the same of every answer,
however it is damaged, and the library must say the same however the answer is cut.
"""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from nous_ledger.gateway.formats import parser_of
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import OUTPUT_UNSPLIT, OUTPUT_VISIBLE
from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.tally import VisibleOutput
from tests.conformance.test_vectors_bytes1 import receipt_of
from tests.conformance.vector_files import Case, cases_of, load
from tests.event_streams import framed, header
from tests.property.fuzzing import mutate_bytes
from vectors.generate.rules import bytes1
from vectors.generate.rules.checks import RuleError
from vectors.generate.rules.frames import cut
from vectors.generate.rules.visible import Raw, read_json

CASES = [case for case in cases_of(load("bytes1"), "Bounds") if case["status"] == 0]
BY_API = {
    name: [case for case in CASES if case["api"] == API[name]]
    for name in (
        "openai.chat", "openai.responses", "anthropic.messages", "openai.completions",
        "gemini.generate", "bedrock.converse", "cohere.v2", "ollama.chat", "ollama.generate",
        "mistral.chat",
    )
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, "", "né", "\ud800", "STOP", "stop", "text", "thinking",
    [], {}, [{}], {"a": 1}, [1, "x"], ["ab"], {"text": "abc"}, {"type": "text", "text": "a"},
    {"name": "f", "args": {"é": 1}}, {"toolUse": {"name": "n", "input": {"a": 1}}}, 2**60,
)  # fmt: skip


def _bytes(case: Case) -> bytes:
    given = case["response"]
    return given.encode() if isinstance(given, str) else bytes.fromhex(given["hex"])


def _plain(raw: Raw) -> Any:
    if isinstance(raw.value, dict):
        return {name: _plain(member) for name, member in raw.value.items()}
    return [_plain(item) for item in raw.value] if isinstance(raw.value, list) else raw.value


def _changed(rng: Random, value: Any, names: list[str]) -> Any:
    """Return a value with something in it replaced, left out, doubled or renamed."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return rng.choice(ODD)
    if isinstance(value, list):
        return _changed_list(rng, value, names)
    return _changed_object(rng, value, names)


def _changed_list(rng: Random, value: list[Any], names: list[str]) -> list[Any]:
    at = rng.randrange(len(value))
    before, behind = value[:at], value[at + 1 :]
    match rng.randrange(6):
        case 0:
            return before + behind
        case 1:
            return [*before, value[at], value[at], *behind]
    return [*before, _changed(rng, value[at], names), *behind]


def _changed_object(rng: Random, value: dict[str, Any], names: list[str]) -> dict[str, Any]:
    name = rng.choice(list(value))
    match rng.randrange(8):
        case 0:
            return {key: item for key, item in value.items() if key != name}
        case 1:
            return value | {rng.choice(names): rng.choice(ODD)}
        case 2:
            return {rng.choice(names) if key == name else key: item for key, item in value.items()}
    return value | {name: _changed(rng, value[name], names)}


def _write(rng: Random, value: Any) -> bytes:
    text = json.dumps(
        value,
        ensure_ascii=rng.random() < 0.7,
        indent=rng.choice([None, None, 1]),
        separators=rng.choice([None, (",", ":")]),
    )
    return text.encode("utf-8", "surrogatepass")


def _framed(rng: Random, api: int, values: list[tuple[str, Any]]) -> bytes:
    """Return events as they would be sent."""
    written = [(name, _write(rng, value)) for name, value in values]
    if api == API["bedrock.converse"]:
        return b"".join(framed(header(":event-type", name), data) for name, data in written)
    lines = [data.replace(b"\n", b" ") for _, data in written]
    if api in (API["ollama.chat"], API["ollama.generate"]):
        return b"".join(line + rng.choice([b"\n", b"\r\n"]) for line in lines)
    if api == API["gemini.generate"] and rng.random() < 0.5:
        return b"[" + rng.choice([b",", b" ,\n"]).join(lines) + b"]"
    return b"".join(b"data: " + line + rng.choice([b"\n\n", b"\r\n\r\n"]) for line in lines)


def _damaged(rng: Random, case: Case, names: list[str], others: list[bytes]) -> bytes:
    """Return a case's response with its values or its bytes changed."""
    data = _bytes(case)
    if rng.random() < 0.3:
        return mutate_bytes(rng, data, others)
    try:
        if not case["streamed"]:
            return _write(rng, _changed(rng, _plain(read_json(data)), names))
        values = [(event.name, _plain(event.value)) for event in cut(case["api"], data)]
    except RuleError:
        return mutate_bytes(rng, data, others)
    if not values:
        return data
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(values))
        name, value = values[at]
        if rng.random() < 0.2:
            values.insert(at, rng.choice(values))
        else:
            values[at] = (name, _changed(rng, value, names))
    return _framed(rng, case["api"], values)


def _names(given: list[Case]) -> list[str]:
    """Return the member names that stand in some cases."""
    found: Counter[str] = Counter()

    def walk(raw: Raw) -> None:
        for name, member in raw.value.items() if isinstance(raw.value, dict) else ():
            found[name] += 1
            walk(member)
        for item in raw.items():
            walk(item)

    for case in given:
        if not case["streamed"] and case["visible"]:
            walk(read_json(_bytes(case)))
    return sorted(found)


@pytest.mark.parametrize("name", BY_API)
def test_two_readers_agree_on_damaged_answers(name: str, full: bool) -> None:
    """LBL-8 to LBL-11, whatever the answer."""
    rng, given = Random(name), BY_API[name]
    names, others = _names(given), [_bytes(case) for case in given]
    seen: Counter[bool] = Counter()
    for _ in range(20_000 if full else 150):
        case = rng.choice(given)
        data = _damaged(rng, case, names, others)
        request = rng.choice(given)["request"] if rng.random() < 0.2 else case["request"]
        expected = bytes1.bounds(case["api"], request, data, streamed=case["streamed"])
        for kind, bounds in zip((OUTPUT_VISIBLE, OUTPUT_UNSPLIT), expected, strict=True):
            found = recount_bounds(receipt_of(case, kind), request.encode(), data).get(kind)
            got = None if found is None else [found.lower, found.upper]
            assert got == bounds, (request, case["streamed"], data)
            seen[bounds is not None] += 1
    assert min(seen[True], seen[False]) > 0.05 * seen.total()


def _read(api: int, data: bytes, places: list[int]) -> VisibleOutput | None:
    meter = Meter(api, streamed=True, parser=parser_of(api, data), keep_text=True)
    start = 0
    for end in [*places, len(data)]:
        meter.feed(data[start:end])
        start = end
    meter.close()
    return meter.visible_output()


@pytest.mark.parametrize("name", BY_API)
def test_what_is_visible_does_not_depend_on_the_pieces(name: str, full: bool) -> None:
    rng = Random(name)
    given = [case for case in BY_API[name] if case["streamed"]]
    names, others = _names(BY_API[name]), [_bytes(case) for case in given]
    for _ in range(2_000 if full else 20):
        case = rng.choice(given)
        data = _damaged(rng, case, names, others) if rng.random() < 0.5 else _bytes(case)
        whole = _read(case["api"], data, [])
        cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.randint(1, 12)))
        for places in (cuts, list(range(len(data)))):
            assert _read(case["api"], data, places) == whole, data
