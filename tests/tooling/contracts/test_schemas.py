"""The schemas in docs are those of the code, and each is true to its own examples."""

import json

import jsonschema_rs
import pytest

from local.schemas import PERSONAL, SCHEMAS, Contract, contracts
from outbound_calls.contracts import CallRequest, OutcomeEvent, Wire
from outbound_calls.reports import AttemptReport, CallReport
from tests.tooling.contracts.documents import read, schema, validator

CONTRACTS = list(contracts())

each = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


@each
def test_a_file_is_what_the_models_say(contract: Contract) -> None:
    assert contract.file.read_text() == contract.text(), "run `make schemas`"


def test_there_is_no_other_file() -> None:
    assert {contract.file for contract in CONTRACTS} == set(SCHEMAS.iterdir())


@each
def test_a_schema_is_one_and_says_what_it_is(contract: Contract) -> None:
    document = read(contract.file)

    jsonschema_rs.meta.validate(document)
    assert document["$id"] == contract.file.name
    assert document["title"]
    assert document["description"]
    for name, field in document["properties"].items():
        assert field.keys() & {"description", "const", "$ref", "anyOf"} or contract.name == "call-outcome-event", name


@each
def test_the_examples_keep_their_schema(contract: Contract) -> None:
    examples = read(contract.file)["examples"]

    assert examples
    for example in examples:
        validator(contract.name).validate(example)


def test_the_fields_are_the_models() -> None:
    models: dict[str, type[Wire]] = {
        "call-request": CallRequest,
        "call-outcome": OutcomeEvent,
        "call-report": CallReport,
    }
    for name, model in models.items():
        assert list(schema(name)["properties"]) == [field.alias for field in model.model_fields.values()]
    attempt = schema("call-report")["properties"]["attempts"]["items"]
    assert list(attempt["properties"]) == [field.alias for field in AttemptReport.model_fields.values()]


def test_what_is_personal_is_marked_and_goes_nowhere() -> None:
    request = schema("call-request")["properties"]
    assert {name for name, field in request.items() if field.get("x-personal-data")} == set(PERSONAL)

    for name in ("call-outcome", "call-outcome-event", "call-report", "invalid-message"):
        assert not [field for field in PERSONAL if f'"{field}":' in json.dumps(schema(name)["properties"])]


def test_an_unknown_is_not_final_and_all_else_is() -> None:
    for example in schema("call-outcome")["examples"]:
        assert not validator("call-outcome").is_valid(example | {"final": not example["final"]})
