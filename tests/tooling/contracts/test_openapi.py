"""docs/integrate/openapi.yaml is valid OpenAPI 3.1, with the template's routes and the statuses of the handlers."""

import ast
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import RequestKey
from outbound_calls.use_cases.receive import _ANSWERS, _ANSWERS_WITHOUT_OUTCOME
from tests.proof.input.gateway import routes
from tests.tooling.contracts.documents import DOCS, Schema, document, references, schema, target
from tests.tooling.template.rendering import PROJECT, read_template

GATEWAY_STATUSES = {404, 413, 429, 503}
"""API Gateway's own: no such path, a body of more than 10 MB, a route's rate limit, a function that doesn't answer."""

WEBHOOK = ("post", "/webhooks/allomia/{requestId}/{attempt}/{signature}")

type Operation = dict[str, Any]


@pytest.fixture(scope="module")
def openapi() -> Schema:
    return document("openapi.yaml")


def operations(openapi: Schema) -> dict[tuple[str, str], Operation]:
    return {(method, path): each for path, item in openapi["paths"].items() for method, each in item.items()}


def parameters(openapi: Schema, operation: Operation) -> dict[str, Schema]:
    """The schemas of an operation's parameters, in their order."""
    found = [target(openapi, each["$ref"]) if "$ref" in each else each for each in operation["parameters"]]
    return {each["name"]: each["schema"] for each in found}


def statuses_in(*files: Path) -> set[int]:
    """Every status in these files, written as `HTTPStatus.NAME`."""
    return {
        HTTPStatus[node.attr].value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HTTPStatus"
    }


def test_the_document_is_openapi_3_1(openapi: Schema) -> None:
    validate(openapi, base_uri=(DOCS / "openapi.yaml").as_uri(), cls=OpenAPIV31SpecValidator)


def test_every_reference_has_a_target(openapi: Schema) -> None:
    for reference in references(openapi):
        assert target(openapi, reference), reference


def test_the_document_has_the_routes_of_the_template(openapi: Schema) -> None:
    assert operations(openapi).keys() == {(route.method.lower(), route.path) for route in routes()}


def test_the_document_says_which_routes_need_iam(openapi: Schema) -> None:
    for route in routes():
        operation = operations(openapi)[route.method.lower(), route.path]
        assert operation["security"] == ([{"sigv4": []}] if route.needs_iam else [])


def test_the_document_has_the_statuses_of_the_handlers(openapi: Schema) -> None:
    for route in routes():
        files = [PROJECT / route.folder / "app.py"]
        if "receive_webhook" in route.folder:
            files.append(PROJECT / "layers/outbound_calls/outbound_calls/use_cases/receive.py")
        written = {int(each) for each in operations(openapi)[route.method.lower(), route.path]["responses"]}
        assert written == statuses_in(*files) | GATEWAY_STATUSES | ({403} if route.needs_iam else set()), route


def test_the_document_has_the_messages_of_accepted_webhooks(openapi: Schema) -> None:
    accepted = operations(openapi)[WEBHOOK]["responses"]["200"]["content"]["application/json"]["schema"]

    messages = accepted["properties"]["message"]["enum"]
    answers = [*_ANSWERS.values(), *_ANSWERS_WITHOUT_OUTCOME.values()]
    assert messages == list(dict.fromkeys(text for status, text in answers if status is HTTPStatus.OK))


def test_the_parameters_are_those_of_the_paths(openapi: Schema) -> None:
    for (_, path), operation in operations(openapi).items():
        assert list(parameters(openapi, operation)) == re.findall(r"{(\w+)}", path)
    attempt = schema("call-outcome")["properties"]["attempt"]
    assert parameters(openapi, operations(openapi)[WEBHOOK])["attempt"] == {
        name: each for name, each in attempt.items() if name != "description"
    }


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        *((text, True) for text in ("visit-2031", "...", "a" * 128, "north~visit-2031", "n" * 32 + "~a", "0-9~...")),
        *((text, False) for text in ("", ".", "..", "a/b", "a" * 129, "é", "a~b~c", "~a", "a~", "North~a", "north~..")),
        *((text, False) for text in ("n" * 33 + "~a", "north~a b", "nörth~a")),
    ],
)
def test_the_path_takes_a_request_with_or_without_its_organization(openapi: Schema, text: str, valid: bool) -> None:
    assert Draft202012Validator(openapi["components"]["parameters"]["requestId"]["schema"]).is_valid(text) is valid
    try:
        read = str(RequestKey.from_text(text)) == text
    except InvalidInput:
        read = False
    assert read is valid


def test_the_outputs_in_the_document_are_those_of_the_template(openapi: Schema) -> None:
    named = set(re.findall(r"\b(?:Webhook|StatusApi)(?:Url|Arn)\b", (DOCS / "openapi.yaml").read_text()))

    assert named
    assert named <= read_template()["Outputs"].keys()
