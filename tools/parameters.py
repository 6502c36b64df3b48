"""Writes docs/operate/parameters.json: the template's parameters and outputs, for those who deploy it by a script.

    python -m tools.parameters

A release publishes it. A test compares it with the last release's.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs/operate/parameters.json"

type Document = Mapping[str, Any]


def document() -> Document:
    """What the file holds."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "version": project["version"],
        "parameters": {
            name: {key[0].lower() + key[1:]: value for key, value in each.items()}
            for name, each in template["Parameters"].items()
        },
        "outputs": {name: each["Description"] for name, each in template["Outputs"].items()},
    }


def breaks(old: Document, new: Document) -> list[str]:
    """How the new document breaks a deployment that is written for the old one."""
    found = [f"output {name} is gone" for name in sorted(old["outputs"].keys() - new["outputs"].keys())]
    for name, before in old["parameters"].items():
        after = new["parameters"].get(name)
        found += [f"parameter {name} is gone"] if after is None else _changes(name, before, after)
    added = new["parameters"].keys() - old["parameters"].keys()
    return found + [
        f"parameter {name} is new and has no default"
        for name in sorted(added)
        if "default" not in new["parameters"][name]
    ]


def _changes(name: str, before: Document, after: Document) -> list[str]:
    found = [
        f"parameter {name} has another {rule}"
        for rule in ("type", "default", "allowedPattern")
        if before.get(rule) != after.get(rule)
    ]
    if not set(before.get("allowedValues", [])) <= set(after.get("allowedValues", [])):
        found.append(f"parameter {name} allows less")
    for rule, sign in (("minValue", 1), ("maxValue", -1), ("minLength", 1), ("maxLength", -1)):
        if rule in after and (rule not in before or sign * after[rule] > sign * before[rule]):
            found.append(f"parameter {name} has a stricter {rule}")
    return found


def text() -> str:
    """The file's text."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
