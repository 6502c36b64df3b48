"""The contracts' documents, read as other tools read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator, Registry

DOCS = Path(__file__).parents[3] / "docs/integrate"
SCHEMAS = sorted((DOCS / "schemas").glob("*.json"))

type Schema = dict[str, Any]


def read(path: Path) -> Schema:
    """A schema from its file."""
    schema: Schema = json.loads(path.read_text())
    return schema


def schema(name: str) -> Schema:
    """A schema by its name, such as `call-request`."""
    return read(DOCS / "schemas" / f"{name}.json")


def validator(name: str) -> Draft202012Validator:
    """A validator for a schema, formats included."""
    registry = Registry([(f"json-schema:///{path.name}", read(path)) for path in SCHEMAS])
    return Draft202012Validator(schema(name), registry=registry, validate_formats=True)


def document(name: str) -> Schema:
    """A YAML document of docs/integrate."""
    loaded: Schema = yaml.safe_load((DOCS / name).read_text())
    return loaded


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    match part:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for each in part.values():
                yield from references(each)
        case list():
            for each in part:
                yield from references(each)


def target(document: Schema, reference: str) -> Any:
    """The target of a `$ref`: a place in the document or in a schema's file. Raises if it doesn't exist."""
    file, _, pointer = reference.partition("#")
    found: Any = read(DOCS / file) if file else document
    for step in pointer.split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found
