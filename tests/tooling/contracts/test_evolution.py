"""A contract changes compatibly, or gets a new version.

`released` holds the schemas of the last release; before the first one it is empty. What the stack reads must stay
accepted: the new schema covers the old one. What the stack sends must stay understood: the old schema covers the new
one.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema_rs import CanonicalSchema, canonical

from tests.tooling.contracts.documents import SCHEMAS, Schema, read, schema

RELEASED = Path(__file__).parent / "released"
READ = {"call-request", "webhook"}
YES = canonical.Containment.YES

type Change = Callable[[Schema], object]


def is_compatible(name: str, old: Schema, new: Schema) -> bool:
    if _version(old) != _version(new):
        return True
    wider, narrower = (new, old) if name in READ else (old, new)
    # An undecided comparison counts as incompatible.
    return _canonical(wider).covers(_canonical(narrower)) == YES


def incompatible(released: Path) -> set[str]:
    """The schemas in a folder that today's aren't compatible with, or that are gone."""
    today = {path.name: read(path) for path in SCHEMAS}
    return {
        path.stem
        for path in released.glob("*.json")
        if path.name not in today or not is_compatible(path.stem, read(path), today[path.name])
    }


def _version(schema: Schema) -> object:
    return schema["properties"].get("version", {}).get("const")


def _canonical(schema: Schema) -> CanonicalSchema:
    properties = {name: each for name, each in schema["properties"].items() if "$ref" not in each}
    return jsonschema_rs.canonicalize({**schema, "properties": properties}, validate_formats=True)


def test_the_schemas_are_compatible_with_the_last_release() -> None:
    assert incompatible(RELEASED) == set(), "see docs/integrate/contracts.md"


def test_a_release_is_compared_file_by_file(tmp_path: Path) -> None:
    # Given a release that had today's schemas, one more, and one field that upstream could send
    for path in SCHEMAS:
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "dropped.json").write_text(SCHEMAS[0].read_text())
    request = (tmp_path / "call-request.json").read_text()
    (tmp_path / "call-request.json").write_text(request.replace('"batch"', '"group"'))

    assert incompatible(tmp_path) == {"dropped", "call-request"}


COMPATIBLE: dict[str, tuple[str, Change]] = {
    "a new optional field of a request": (
        "call-request",
        lambda each: each["properties"].update(callAfter={"type": "string"}),
    ),
    "a longer text": ("call-request", lambda each: each["properties"]["customerName"].update(maxLength=300)),
    "a new field of an outcome": (
        "call-outcome",
        lambda each: (each["properties"].update(cost={"type": "number"}), each["required"].append("cost")),
    ),
    "a new reason code": (
        "call-outcome",
        lambda each: each["properties"]["reasonCode"]["examples"].append("do-not-call"),
    ),
    "another description": (
        "request-report",
        lambda each: each["properties"]["status"].update(description="where it is"),
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
    "a request without a field": ("call-request", lambda each: each["properties"].pop("metadata")),
    "a new status": ("call-outcome", lambda each: each["properties"]["status"]["enum"].append("voicemail")),
    "an outcome without a field": ("call-outcome", lambda each: each["required"].remove("metadata")),
    "an outcome with a null": (
        "call-outcome",
        lambda each: each["properties"]["requestId"].update(type=["string", "null"]),
    ),
    "an outcome with another type": ("call-outcome", lambda each: each["properties"]["attempt"].update(type="string")),
    "an event with another detail type": (
        "call-outcome-event",
        lambda each: each["properties"]["detail-type"].update(const="Outcome"),
    ),
    "a message without an attribute": ("invalid-message", lambda each: each["required"].remove("field")),
    "a report without a field": ("request-report", lambda each: each["required"].remove("attempts")),
}


def _changed(name: str, change: Change) -> Schema:
    changed = copy.deepcopy(schema(name))
    change(changed)
    return changed


@pytest.mark.parametrize(("name", "change"), COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_is_recognized(name: str, change: Change) -> None:
    assert is_compatible(name, schema(name), _changed(name, change))


@pytest.mark.parametrize(("name", "change"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_an_incompatible_change_is_recognized(name: str, change: Change) -> None:
    assert not is_compatible(name, schema(name), _changed(name, change))
