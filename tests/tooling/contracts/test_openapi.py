"""docs/integrate/openapi.yaml is OpenAPI 3.1, and has every route of the template and every status of the handlers."""

import ast
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from outbound_calls.receive import _ANSWERS, _FORBIDDEN
from tests.proof.input.gateway import routes
from tests.tooling.contracts.documents import DOCS, Schema, document, references, schema, target
from tests.tooling.template.rendering import PROJECT, read_template

GATEWAYS_OWN = {404, 413, 429, 503}
"""API Gateway's: no such path, a body of more than 10 MB, a route's throttle, a function that cannot be reached."""

type Operation = dict[str, Any]


@pytest.fixture(scope="module")
def openapi() -> Schema:
    return document("openapi.yaml")


def operations(openapi: Schema) -> dict[tuple[str, str], Operation]:
    return {(method, path): each for path, item in openapi["paths"].items() for method, each in item.items()}


def statuses_in(*files: Path) -> set[int]:
    """Every status that is written in these files, as `HTTPStatus.NAME`."""
    return {
        HTTPStatus[node.attr].value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HTTPStatus"
    }


def test_it_is_openapi(openapi: Schema) -> None:
    validate(openapi, base_uri=(DOCS / "openapi.yaml").as_uri(), cls=OpenAPIV31SpecValidator)


def test_every_reference_leads_somewhere(openapi: Schema) -> None:
    for reference in references(openapi):
        assert target(openapi, reference), reference


def test_every_route_is_in_it_and_no_other(openapi: Schema) -> None:
    assert operations(openapi).keys() == {(route.method.lower(), route.path) for route in routes()}


def test_a_route_that_asks_for_iam_says_so(openapi: Schema) -> None:
    for route in routes():
        operation = operations(openapi)[route.method.lower(), route.path]
        assert operation["security"] == ([{"sigv4": []}] if route.needs_iam else [])


def test_every_status_of_a_handler_is_in_it_and_no_other(openapi: Schema) -> None:
    for route in routes():
        files = [PROJECT / route.folder / "app.py"]
        if "receive_webhook" in route.folder:
            files.append(PROJECT / "layers/outbound_calls/outbound_calls/receive.py")
        written = {int(each) for each in operations(openapi)[route.method.lower(), route.path]["responses"]}
        assert written == statuses_in(*files) | GATEWAYS_OWN | ({403} if route.needs_iam else set()), route


def test_the_words_of_a_webhook_that_is_accepted_are_those_of_the_code(openapi: Schema) -> None:
    accepted = openapi["paths"]["/webhooks/allomia/{requestId}/{attempt}/{signature}"]["post"]["responses"]["200"]
    words = accepted["content"]["application/json"]["schema"]["properties"]["message"]["enum"]

    assert words == [said for status, said in _ANSWERS.values() if status is HTTPStatus.OK]
    assert _FORBIDDEN.status == 403


def test_the_parameters_are_those_of_the_paths_and_the_schemas(openapi: Schema) -> None:
    for (_, path), operation in operations(openapi).items():
        parameters = [target(openapi, each["$ref"]) if "$ref" in each else each for each in operation["parameters"]]
        assert [each["name"] for each in parameters] == re.findall(r"{(\w+)}", path)
    rule = openapi["components"]["parameters"]["requestId"]["schema"]
    said = schema("call-report")["properties"]["requestId"]
    assert rule == {name: each for name, each in said.items() if name != "description"}
    attempt = schema("call-outcome")["properties"]["attempt"]
    (given,) = (
        each["schema"]
        for each in operations(openapi)[("post", "/webhooks/allomia/{requestId}/{attempt}/{signature}")]["parameters"]
        if each.get("name") == "attempt"
    )
    assert given == {name: each for name, each in attempt.items() if name != "description"}


def test_the_outputs_that_are_named_are_the_templates(openapi: Schema) -> None:
    named = set(re.findall(r"\b(?:Webhook|StatusApi)(?:Url|Arn)\b", (DOCS / "openapi.yaml").read_text()))

    assert named
    assert named <= read_template()["Outputs"].keys()
