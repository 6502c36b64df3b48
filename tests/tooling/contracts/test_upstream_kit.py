"""What integrators' tools take says what the contracts say."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic import ConfigDict, TypeAdapter, ValidationError

from examples import contracts as types
from tests.tooling.contracts.documents import Schema, document, read, references, target
from tools.schemas import Contract, contracts
from tools.upstream_kit import OPENAPI, TYPESCRIPT, Field, Many, Object, Union, bundle, files, typescript

CONTRACTS = list(contracts())
FILES = files()

each = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


TYPES = {name: each for name, each in vars(types).items() if hasattr(each, "__total__")}
for each_type in TYPES.values():
    each_type.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)


def type_of(contract: Contract) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES["".join(word.capitalize() for word in contract.name.split("-"))])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == FILES[path], "run `make schemas`"


def test_the_openapi_document_is_valid_and_complete_in_itself() -> None:
    openapi = read(OPENAPI)

    validate(openapi, cls=OpenAPIV31SpecValidator)
    assert {reference.partition("#")[0] for reference in references(openapi)} == {""}
    for reference in references(openapi):
        assert target(openapi, reference), reference


def test_the_openapi_document_has_every_route_and_every_contract() -> None:
    openapi, original = bundle(), document("openapi.yaml")

    assert openapi["paths"].keys() == original["paths"].keys()
    assert openapi["components"].keys() == original["components"].keys()
    names = {"".join(word.capitalize() for word in contract.name.split("-")) for contract in CONTRACTS}
    assert names <= openapi["components"]["schemas"].keys()
    # A schema's own address would be the base of the references in it.
    assert '"$id"' not in json.dumps(openapi)


@each
def test_the_types_accept_the_examples(contract: Contract) -> None:
    for example in contract.examples:
        type_of(contract).validate_python(example)


@each
def test_the_types_have_the_fields_of_the_schema(contract: Contract) -> None:
    example: Schema = contract.examples[0]
    with pytest.raises(ValidationError, match="surname"):
        type_of(contract).validate_python(example | {"surname": "Ada"})
    for name in contract.schema.get("required", ()):
        with pytest.raises(ValidationError, match="required"):
            type_of(contract).validate_python({key: value for key, value in example.items() if key != name})


def test_typescript_has_the_same_types() -> None:
    written = TYPESCRIPT.read_text()

    assert {line.split()[2] for line in written.splitlines() if line.startswith("export interface")} == TYPES.keys()
    for name, type_ in TYPES.items():
        body = written.partition(f"export interface {name} {{\n")[2].partition("\n}")[0]
        fields = [line.strip() for line in body.splitlines() if not line.lstrip().startswith("/**")]
        optional = {field.split("?:")[0] for field in fields if "?: " in field}
        assert optional == type_.__optional_keys__
        assert len(fields) == len(type_.__annotations__)


def test_a_list_of_alternatives_is_written_with_parentheses() -> None:
    (_, shown) = typescript(
        [Object("Any", "", [Field("a", Many(Union(("string", "null"))), required=True, description="")])]
    ).split("\n\n")

    assert "  a: (string | null)[];" in shown
