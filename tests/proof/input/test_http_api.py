"""docs/integrate/openapi.yaml and the real handlers agree: whatever is sent, the answer is one that the document has.

schemathesis makes the requests from the document, those that keep it and those that break it.
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
from tests.proof.input.generate_webhooks import REQUEST, SIGNATURE
from tests.tooling.contracts.documents import DOCS

DOCUMENT = schemathesis.openapi.from_path(DOCS / "openapi.yaml")
type Operation = APIOperation[Any, Any, Any, Any]

OPERATIONS = {f"{each.method} {each.path}": DOCUMENT[each.path][each.method] for each in routes()}
WEBHOOK = "POST /webhooks/allomia/{requestId}/{attempt}/{signature}"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 of-somebody-who-may"}

CONFORMS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

bounded = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

on_each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
# Each example is a request to a handler and a few to the table.
few_and_many = pytest.mark.parametrize(
    "examples",
    [
        pytest.param(EXAMPLES // 3, id="short"),
        pytest.param(EXAMPLES * LONG // 3, id="long", marks=pytest.mark.proof),
    ],
)
kept_or_broken = pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: str(mode.value))


@pytest.fixture(scope="module")
def app(edges: Edges) -> Starlette:
    """The template's HTTP API, with the handlers at work on the table and the secret of these tests."""
    environment = {
        "POWERTOOLS_SERVICE_NAME": "http-api",
        "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls",
        "CALLS_TABLE_NAME": edges.table,
        "SIGNING_SECRET_ARN": edges.receive_webhooks.callbacks.secret.arn,
        "RETENTION_DAYS": "1",
    }
    return gateway(edges.cloud.environment() | environment)


@few_and_many
@kept_or_broken
@on_each_operation
def test_every_answer_is_in_the_document(
    app: Starlette, operation: Operation, mode: GenerationMode, examples: int
) -> None:
    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(operation.as_strategy(mode))
    def conforms(case: Case[Any]) -> None:
        response = case.call_and_validate(app=app, headers=SIGNED, checks=CONFORMS)
        assert response.status_code in {400, 403, 404}

    conforms()


@few_and_many
def test_what_keeps_the_document_is_recorded_and_what_breaks_it_is_not(
    app: Starlette, edges: Edges, examples: int
) -> None:
    signed = {"requestId": REQUEST, "attempt": 1, "signature": SIGNATURE}

    def post(case: Case[Any]) -> tuple[int, str]:
        edges.put(record("dispatching", REQUEST))
        response = case.call_and_validate(app=app, checks=CONFORMS)
        return response.status_code, (edges.item(REQUEST) or {})["status"]

    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(OPERATIONS[WEBHOOK].as_strategy(GenerationMode.POSITIVE, path_parameters=signed))
    def recorded(case: Case[Any]) -> None:
        body: Any = case.body
        assert post(case) == (200, body["status"])

    @seed(SEED)
    @settings(bounded, max_examples=examples)
    @given(OPERATIONS[WEBHOOK].as_strategy(GenerationMode.NEGATIVE, path_parameters=signed))
    def refused(case: Case[Any]) -> None:
        assert post(case) == (400, "dispatching")

    recorded()
    refused()


@pytest.mark.parametrize("status", ["dispatching", "calling", "completed", "unknown"])
def test_a_call_is_told_as_the_document_says(app: Starlette, edges: Edges, status: str) -> None:
    edges.put(record(status, REQUEST))
    case = OPERATIONS["GET /calls/{requestId}"].Case(path_parameters={"requestId": REQUEST})

    response = case.call_and_validate(app=app, headers=SIGNED, checks=CONFORMS)

    assert (response.status_code, response.json()["status"]) == (200, status)


def test_nobody_is_told_without_a_signature(app: Starlette) -> None:
    case = OPERATIONS["GET /calls/{requestId}"].Case(path_parameters={"requestId": REQUEST})

    assert case.call_and_validate(app=app, checks=CONFORMS).status_code == 403
