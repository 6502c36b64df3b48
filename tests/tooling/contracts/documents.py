"""The contracts' documents, as a tool of somebody else's would read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator, Registry

DOCS = Path(__file__).parents[3] / "docs/integrate"
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


def document(name: str) -> Schema:
    """A YAML document of docs."""
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
    """What a `$ref` leads to: a place in the document, or a schema's file beside it. Raises when there is none."""
    file, _, pointer = reference.partition("#")
    found: Any = read(DOCS / file) if file else document
    for step in pointer.split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found
