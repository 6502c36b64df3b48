"""The tables of the template, read once in a process."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


class _Template(yaml.CSafeLoader):
    """Reads the template, without the values that CloudFormation's functions would compute."""


_Template.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@cache
def table_properties() -> Mapping[str, Mapping[str, Any]]:
    """The properties of each table, by its logical id."""
    template = yaml.load((ROOT / "template.yaml").read_text(), _Template)  # noqa: S506 - a SafeLoader
    kind = "AWS::DynamoDB::Table"
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


@cache
def projections() -> Mapping[str, frozenset[str]]:
    """The attributes that each index holds, by its name. An index of all attributes is not among them."""
    return {
        index["IndexName"]: frozenset(
            [each["AttributeName"] for each in [*table["KeySchema"], *index["KeySchema"]]]
            + index["Projection"].get("NonKeyAttributes", [])
        )
        for table in table_properties().values()
        for index in table.get("GlobalSecondaryIndexes", [])
        if index["Projection"]["ProjectionType"] != "ALL"
    }
