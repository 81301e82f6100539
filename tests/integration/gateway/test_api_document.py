"""The API's document against the gateway itself: every route is asked, every answer is checked."""

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from nous_ledger.gateway.api_document import make_document, make_page
from nous_ledger.gateway.api_schemas import SCHEMAS
from nous_ledger.gateway.api_table import OPERATIONS, ROUTES, ApiRoute
from nous_ledger.gateway.identity import KIND_API_KEY
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.jsonform import format_uuid
from tests.integration.gateway.rig import AUDITOR, KEY, Answer, Rig, running_gateway
from tests.integration.ledger_drafts import make_draft
from tests.wallets import ALICE

ROOT = Path(__file__).parents[3]
DOCUMENT = make_document()
ADDRESS = f"0x{ALICE.address.hex()}"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, dict[str, str]]]:
    """A gateway over a log with some receipts, and what stands in for the parameters of paths."""
    folder = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        with Ledger.create(folder / "ledger", next_key_out=None) as ledger:
            seed, now = random.Random(9), int(time.time() * 1000)
            subject = ledger.subject(KIND_API_KEY, KEY.encode())
            drafts = [make_draft(seed, time_ms=now, subject=subject) for _ in range(3)]
            ledger.append_many(drafts)
            places = {
                "id": format_uuid(drafts[0].id),
                "index": "1",
                "path": "entries/000.p/1",
                "address": ADDRESS,
                "user": subject.hex(),
            }
            with running_gateway(ledger, "http://127.0.0.1:9") as rig:
                yield rig, places


def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema)


def request_of(route: ApiRoute, rig: Rig) -> Any:
    if route.name != "bind":
        return {}
    deadline = int(time.time()) + 60
    subject = rig.ledger.subject(KIND_API_KEY, KEY.encode())
    signature = ALICE.sign(rig.ledger.log_id, subject, 1, deadline)
    return {
        "wallet": ADDRESS,
        "nonce": 1,
        "deadline": deadline,
        "signature": f"0x{signature.hex()}",
    }


def ask(
    rig: Rig, route: ApiRoute, places: dict[str, str], credential: str | None, query: str = ""
) -> Answer:
    path = re.sub(r"{([a-z]+)}", lambda name: quote(places[name[1]]), route.template)
    body = request_of(route, rig)
    return rig.call(path + query, body, method=route.method, credential=credential)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_answers_as_it_is_documented(
    asked: tuple[Rig, dict[str, str]], route: ApiRoute
) -> None:
    rig, places = asked
    auditing = route.who.startswith("an auditor")
    query = "?model=gpt-5" if route.name == "leaderboard_of_model" else ""
    answer = ask(rig, route, places, AUDITOR if auditing else KEY, query)
    operation = DOCUMENT["paths"][route.template][route.method.lower()]
    documented = operation["responses"][str(answer.status)]["content"]
    assert answer.status == route.status
    (media,) = documented
    assert answer.headers["content-type"] == media
    assert answer.headers["x-content-type-options"] == "nosniff"
    if route.schema:
        validator(route.schema).validate(json.loads(answer.body))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_who_may_not_is_answered_as_documented(
    asked: tuple[Rig, dict[str, str]], route: ApiRoute
) -> None:
    """Asked without any right, and asked for nonsense: only documented errors come."""
    rig, places = asked
    operation = DOCUMENT["paths"][route.template][route.method.lower()]
    nonsense = dict.fromkeys(places, "%00")
    for credential, given in ((None, places), (None, nonsense), (KEY, nonsense)):
        answer = ask(rig, route, given, credential)
        assert str(answer.status) in operation["responses"]
        if answer.status >= 400:
            validator("Error").validate(json.loads(answer.body))
        public = route.who == "everyone" or route.part == OPERATIONS
        assert public or credential is not None or answer.status >= 400


def test_the_router_knows_no_route_that_is_not_documented(rig: Rig) -> None:
    app = json.loads(rig.get("/openapi.json").body)
    assert app == json.loads(json.dumps(DOCUMENT))
    named = {(route.method, route.template) for route in ROUTES}
    assert len(named) == len(ROUTES)
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    for path, method, allowed in (
        ("/v1/statements", "PUT", "POST"),
        ("/v1/receipts", "POST", "GET"),
    ):
        refused = rig.call(path, {}, method=method)
        assert (refused.status, allowed in refused.headers["allow"]) == (405, True)
        validator("Error").validate(json.loads(refused.body))


def test_the_document_is_well_formed() -> None:
    """Hand-written checks of what OpenAPI 3.1 asks for."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        for reference in re.findall(r"#/components/schemas/(\w+)", json.dumps(schema)):
            assert reference in SCHEMAS, name
    seen = set()
    for path, operations in DOCUMENT["paths"].items():
        assert path.startswith("/")
        for operation in operations.values():
            seen.add(operation["operationId"])
            places = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert places == set(re.findall(r"{([a-z]+)}", path))
            assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
            for parameter in operation["parameters"]:
                Draft202012Validator.check_schema(parameter["schema"])
            assert all(re.fullmatch("[1-5][0-9][0-9]", code) for code in operation["responses"])
            assert all(answer["description"] for answer in operation["responses"].values())
            for needed in operation["security"]:
                assert needed.keys() <= DOCUMENT["components"]["securitySchemes"].keys()
            assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert seen == {route.name for route in ROUTES}


def test_the_page_loads_nothing_from_anywhere(rig: Rig) -> None:
    answer = rig.get("/docs")
    text = answer.body.decode()
    assert text == make_page()
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.findall(r"<(?:script|link|img|iframe)|src=|https?://|@import|url\(", text)
    for route in ROUTES:
        assert f"<code>{route.method} {route.template}</code>" in text


def test_the_tables_of_the_documentation_are_those_of_the_code() -> None:
    document = ROOT / "docs" / "read-api.md"
    checked = [sys.executable, "-m", "cogapp", "--check", "-e", str(document)]
    assert subprocess.run(checked, cwd=ROOT, capture_output=True, check=False).returncode == 0
    text = document.read_text(encoding="utf-8")
    assert all(f"| `{route.method} {route.template}` |" in text for route in ROUTES)
