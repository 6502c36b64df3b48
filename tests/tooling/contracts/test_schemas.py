"""The schemas in docs/integrate agree with the models, and their examples are valid."""

import json

import jsonschema_rs
import pytest

from outbound_calls.contracts.allomia import CallState
from outbound_calls.contracts.events import OutcomeEvent
from outbound_calls.contracts.messages import CallRequestMessage, CancelMessage, DoNotCallMessage
from outbound_calls.contracts.status_api import AllowanceReport, AttemptReport, RequestReport
from outbound_calls.contracts.wire import WireModel
from tests.tooling.contracts.documents import Schema, read, schema, validator
from tools.schemas import OPEN_CODES, PERSONAL, SCHEMAS, Contract, contracts

CONTRACTS = list(contracts())

each = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


@each
def test_a_file_has_what_its_model_says(contract: Contract) -> None:
    assert contract.file.read_text() == contract.text(), "run `make schemas`"


def test_every_file_belongs_to_a_contract() -> None:
    assert {contract.file for contract in CONTRACTS} == set(SCHEMAS.iterdir())


@each
def test_a_schema_is_valid_and_documents_its_fields(contract: Contract) -> None:
    document = read(contract.file)

    jsonschema_rs.meta.validate(document)
    assert document["$id"] == contract.file.name
    assert document["title"]
    assert document["description"]
    for name, field in document["properties"].items():
        assert field.keys() & {"description", "const", "$ref", "anyOf"} or contract.name == "call-outcome-event", name


@each
def test_the_examples_are_valid(contract: Contract) -> None:
    examples = read(contract.file)["examples"]

    assert examples
    for example in examples:
        validator(contract.name).validate(example)


def attempts() -> Schema:
    items: Schema = schema("request-report")["properties"]["attempts"]["items"]
    return items


@pytest.mark.parametrize(
    ("properties", "model"),
    [
        (schema("call-request")["properties"], CallRequestMessage),
        (schema("cancel")["properties"], CancelMessage),
        (schema("do-not-call")["properties"], DoNotCallMessage),
        (schema("call-outcome")["properties"], OutcomeEvent),
        (schema("request-report")["properties"], RequestReport),
        (attempts()["properties"], AttemptReport),
        (attempts()["properties"]["allowedBy"]["properties"], AllowanceReport),
        (schema("webhook")["properties"], CallState),
    ],
)
def test_the_fields_are_those_of_the_model(properties: Schema, model: type[WireModel]) -> None:
    assert list(properties) == [field.alias for field in model.model_fields.values() if not field.exclude]


def test_personal_fields_are_marked_and_in_no_other_contract() -> None:
    request = schema("call-request")["properties"]
    assert {name for name, field in request.items() if field.get("x-personal-data")} == set(PERSONAL)

    number = schema("do-not-call")["properties"]["doNotCall"]["properties"]["phoneNumber"]
    assert number["x-personal-data"] is True

    for name in ("cancel", "call-outcome", "call-outcome-event", "request-report", "invalid-message"):
        assert not [field for field in PERSONAL if f'"{field}":' in json.dumps(schema(name)["properties"])]


def test_an_unknown_outcome_is_never_final() -> None:
    outcome = validator("call-outcome")
    unknown = next(example for example in schema("call-outcome")["examples"] if example["status"] == "unknown")

    assert outcome.is_valid(unknown)
    assert not outcome.is_valid(unknown | {"final": True})


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        (schema("call-outcome")["properties"], {"reasonCode", "outcomeSource"}),
        (attempts()["properties"], {"reasonCode", "outcomeSource", "parkReason"}),
    ],
)
def test_a_field_that_may_get_new_codes_shows_those_of_today(properties: Schema, names: set[str]) -> None:
    assert properties.keys() & OPEN_CODES.keys() == names
    for name in names:
        assert properties[name]["examples"] == list(OPEN_CODES[name])
        assert "enum" not in properties[name]
