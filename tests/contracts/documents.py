"""The contracts' documents, as a tool of somebody else's would read them."""

import json
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = sorted((DOCS / "schemas").glob("*.json"))
RELEASED = sorted((Path(__file__).parent / "released").glob("*.json"))

type Schema = dict[str, Any]


def read(path: Path) -> Schema:
    """A schema, as it lies in its file."""
    schema: Schema = json.loads(path.read_text())
    return schema


def schema(name: str) -> Schema:
    """A schema by its name, such as `call-request`."""
    return read(DOCS / "schemas" / f"{name}.json")


def registry(folder: list[Path]) -> Registry:
    """Schemas that refer to each other by their names."""
    return Registry([(f"json-schema:///{path.name}", read(path)) for path in folder])


def validator(name: str) -> Draft202012Validator:
    """Says whether a value keeps a schema, formats included."""
    return Draft202012Validator(schema(name), registry=registry(SCHEMAS), validate_formats=True)
