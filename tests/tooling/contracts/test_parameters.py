"""The template's parameters and outputs change compatibly, or with the version.

`released/template` holds those of the last release; before the first one there are none.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import parameters
from tools.parameters import breaks, document

RELEASED = Path(__file__).parent / "released/template/parameters.json"

type Change = Callable[[dict[str, Any]], object]

BREAKING: dict[str, tuple[Change, str]] = {
    "a parameter that is gone": (lambda it: it["parameters"].pop("MaxWorkers"), "parameter MaxWorkers is gone"),
    "an output that is gone": (lambda it: it["outputs"].pop("PollerArn"), "output PollerArn is gone"),
    "a new parameter without a default": (
        lambda it: it["parameters"].update(Clinic={"type": "String"}),
        "parameter Clinic is new and has no default",
    ),
    "another default": (
        lambda it: it["parameters"]["CallingPolicy"].update(default="open"),
        "parameter CallingPolicy has another default",
    ),
    "fewer choices": (
        lambda it: it["parameters"]["Rollout"].update(allowedValues=["Gradual"]),
        "parameter Rollout allows less",
    ),
    "a lower maximum": (
        lambda it: it["parameters"]["DueShards"].update(maxValue=15),
        "parameter DueShards has a stricter maxValue",
    ),
    "a higher minimum": (
        lambda it: it["parameters"]["DueShards"].update(minValue=2),
        "parameter DueShards has a stricter minValue",
    ),
    "a new limit": (
        lambda it: it["parameters"]["AlarmEmail"].update(maxLength=80),
        "parameter AlarmEmail has a stricter maxLength",
    ),
}
COMPATIBLE: dict[str, Change] = {
    "a new parameter": lambda it: it["parameters"].update(Clinic={"type": "String", "default": ""}),
    "a new output": lambda it: it["outputs"].update(ClinicArn="The clinic"),
    "another description": lambda it: it["parameters"]["DueShards"].update(description="Shards"),
    "a higher maximum": lambda it: it["parameters"]["DueShards"].update(maxValue=17),
}


def changed(change: Change) -> dict[str, Any]:
    after = copy.deepcopy(dict(document()))
    change(after)
    return after


def test_the_file_is_that_of_the_template() -> None:
    assert parameters.FILE.read_text() == parameters.text(), "run: make schemas"


def test_the_parameters_fit_the_last_release() -> None:
    """A release that breaks a deployment has another minor version before 1.0.0, and another major one after."""
    if RELEASED.exists():
        released = json.loads(RELEASED.read_text())
        line = 1 if released["version"].startswith("0.") else 0
        if released["version"].split(".")[: line + 1] == document()["version"].split(".")[: line + 1]:
            assert breaks(released, document()) == []


@pytest.mark.parametrize(("change", "why"), BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_is_recognized(change: Change, why: str) -> None:
    assert breaks(document(), changed(change)) == [why]


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_is_recognized(change: Change) -> None:
    assert breaks(document(), changed(change)) == []
