"""A contract changes so that nobody has to follow, or it changes its version.

`released` holds the schemas of the last release. What is sent to the stack must go on being accepted: the new schema
covers the old one. What the stack sends must go on being understood: the old one covers the new.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema_rs import CanonicalSchema, canonical

from tests.tooling.contracts.documents import RELEASED, SCHEMAS, Schema, read, schema

READ = {"call-request", "webhook"}
YES = canonical.Containment.YES

type Change = Callable[[Schema], object]


def is_compatible(name: str, old: Schema, new: Schema) -> bool:
    if _version(old) != _version(new):
        return True
    wider, narrower = (new, old) if name in READ else (old, new)
    # What cannot be decided counts as incompatible.
    return _canonical(wider).covers(_canonical(narrower)) == YES


def _version(schema: Schema) -> object:
    return schema["properties"].get("version", {}).get("const")


def _canonical(schema: Schema) -> CanonicalSchema:
    properties = {name: each for name, each in schema["properties"].items() if "$ref" not in each}
    return jsonschema_rs.canonicalize({**schema, "properties": properties}, validate_formats=True)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_a_schema_is_compatible_with_the_released_one(path: Path) -> None:
    assert is_compatible(path.stem, read(path), schema(path.stem)), "see docs/integrate/contracts.md"


def test_no_schema_was_taken_back() -> None:
    assert {path.name for path in RELEASED} <= {path.name for path in SCHEMAS}


COMPATIBLE: dict[str, tuple[str, Change]] = {
    "a new optional field of a request": (
        "call-request",
        lambda each: each["properties"].update(notBefore={"type": "string"}),
    ),
    "a longer text": ("call-request", lambda each: each["properties"]["customerName"].update(maxLength=300)),
    "a new field of an outcome": (
        "call-outcome",
        lambda each: (each["properties"].update(cost={"type": "number"}), each["required"].append("cost")),
    ),
    "another description": (
        "call-report",
        lambda each: each["properties"]["status"].update(description="where it stands"),
    ),
    "an incompatible outcome of another version": (
        "call-outcome",
        lambda each: (each["properties"]["version"].update(const="2"), each["required"].remove("metadata")),
    ),
}
INCOMPATIBLE: dict[str, tuple[str, Change]] = {
    "a new required field of a request": (
        "call-request",
        lambda each: (each["properties"].update(notBefore={"type": "string"}), each["required"].append("notBefore")),
    ),
    "a shorter text": ("call-request", lambda each: each["properties"]["customerName"].update(maxLength=100)),
    "a narrower pattern": (
        "call-request",
        lambda each: each["properties"]["phoneNumber"].update(pattern=r"^\+[1-9][0-9]{9,14}$"),
    ),
    "a field of a request that is no longer taken": ("call-request", lambda each: each["properties"].pop("metadata")),
    "a new status": ("call-outcome", lambda each: each["properties"]["status"]["enum"].append("cancelled")),
    "a field of an outcome that is gone": ("call-outcome", lambda each: each["required"].remove("metadata")),
    "null where there was none": (
        "call-outcome",
        lambda each: each["properties"]["requestId"].update(type=["string", "null"]),
    ),
    "another type": ("call-outcome", lambda each: each["properties"]["attempt"].update(type="string")),
    "another detail type": (
        "call-outcome-event",
        lambda each: each["properties"]["detail-type"].update(const="Outcome"),
    ),
    "an attribute that is gone": ("invalid-message", lambda each: each["required"].remove("field")),
    "a field of a report that may be absent": ("call-report", lambda each: each["required"].remove("attempts")),
}


def _changed(name: str, change: Change) -> Schema:
    changed = copy.deepcopy(schema(name))
    change(changed)
    return changed


@pytest.mark.parametrize(("name", "change"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_is_seen_as_one(name: str, change: Change) -> None:
    assert is_compatible(name, schema(name), _changed(name, change))


@pytest.mark.parametrize(("name", "change"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_an_incompatible_change_is_seen_as_one(name: str, change: Change) -> None:
    assert not is_compatible(name, schema(name), _changed(name, change))
