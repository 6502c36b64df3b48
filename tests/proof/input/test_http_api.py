"""docs/integrate/openapi.yaml and the real handlers agree: every answer to any request is in the document.

schemathesis makes requests from the document, both ones that match it and ones that break it.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks
from starlette.applications import Starlette

from tests.proof.input.conftest import EXAMPLES, LONG, SEED, Edges, record
from tests.proof.input.gateway import gateway, routes
from tests.proof.input.webhooks import REQUEST, SIGNATURE
from tests.tooling.contracts.documents import DOCS

DOCUMENT = schemathesis.openapi.from_path(DOCS / "openapi.yaml")
type Operation = APIOperation[Any, Any, Any, Any]

OPERATIONS = {f"{each.method} {each.path}": DOCUMENT[each.path][each.method] for each in routes()}
WEBHOOK = OPERATIONS["POST /webhooks/allomia/{requestId}/{attempt}/{signature}"]
GET_CALL = OPERATIONS["GET /calls/{requestId}"]
AUTHORIZED = {"Authorization": "AWS4-HMAC-SHA256 of-an-authorized-client"}

CONFORMS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

bounded = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

on_each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
# Each example is one request to a handler and a few to the table.
few_and_many = pytest.mark.parametrize(
    "examples",
    [
        pytest.param(EXAMPLES // 3, id="short"),
        pytest.param(EXAMPLES * LONG // 3, id="long", marks=pytest.mark.proof),
    ],
)
valid_and_broken = pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))


@pytest.fixture(scope="module")
def app(edges: Edges) -> Starlette:
    """The template's HTTP API, whose handlers use the table and the secrets of these tests."""
    return gateway(edges.resources.cloud.environment() | edges.environment)


@few_and_many
@valid_and_broken
@on_each_operation
def test_every_answer_is_in_the_document(
    app: Starlette, operation: Operation, mode: GenerationMode, examples: int
) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(operation.as_strategy(mode))
    def conforms(case: Case[Any]) -> None:
        response = case.call_and_validate(app=app, headers=AUTHORIZED, checks=CONFORMS)
        assert response.status_code in {400, 403, 404}

    conforms()


@few_and_many
def test_a_webhook_is_recorded_exactly_when_it_matches_the_document(
    app: Starlette, edges: Edges, examples: int
) -> None:
    signed = {"requestId": REQUEST, "attempt": 1, "signature": SIGNATURE}

    def post(case: Case[Any]) -> tuple[int, str]:
        edges.put(record("dispatching", REQUEST))
        response = case.call_and_validate(app=app, checks=CONFORMS)
        return response.status_code, (edges.item(REQUEST) or {})["status"]

    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(WEBHOOK.as_strategy(GenerationMode.POSITIVE, path_parameters=signed))
    def valid(case: Case[Any]) -> None:
        body: Any = case.body
        assert post(case) == (200, body["status"])

    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(WEBHOOK.as_strategy(GenerationMode.NEGATIVE, path_parameters=signed))
    def broken(case: Case[Any]) -> None:
        code, status = post(case)
        assert code in {200, 400}  # 200 for a status that is noted
        assert status == "dispatching"

    valid()
    broken()


@pytest.mark.parametrize("status", ["dispatching", "calling", "completed", "unknown"])
@pytest.mark.parametrize("key", [REQUEST, f"north~{REQUEST}"])
def test_a_report_matches_the_document(app: Starlette, edges: Edges, status: str, key: str) -> None:
    edges.put(record(status, key))
    case = GET_CALL.Case(path_parameters={"requestId": key})

    response = case.call_and_validate(app=app, headers=AUTHORIZED, checks=CONFORMS)

    report = response.json()
    organization = "north" if "~" in key else None
    assert (report.get("organization"), report["requestId"], report["status"]) == (organization, REQUEST, status)
    edges.remove(key)


def test_an_unsigned_request_gets_no_report(app: Starlette) -> None:
    case = GET_CALL.Case(path_parameters={"requestId": REQUEST})

    assert case.call_and_validate(app=app, checks=CONFORMS).status_code == 403
