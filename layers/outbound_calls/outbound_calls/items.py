"""Items as DynamoDB has them, ``{"status": {"S": "calling"}}``, and as plain values, ``{"status": "calling"}``.

Of DynamoDB's types those that this stack writes: strings, numbers, truth values, maps and lists. (boto3 has this for
all types, at the price of importing boto3.)
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

type Item = dict[str, Any]


def typed(item: Mapping[str, Any]) -> Item:
    """Plain values as DynamoDB takes them. Raises TypeError for what it has no such type for; floats are not exact."""
    return {name: _typed(value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Item:
    """An item of DynamoDB as plain values; numbers are Decimals. Raises TypeError for types that are not ours."""
    return {name: _plain(value) for name, value in item.items()}


def _typed(value: object) -> dict[str, Any]:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case dict():
            return {"M": typed(value)}
        case list():
            return {"L": [_typed(each) for each in value]}
        case _:
            raise TypeError(f"no type of DynamoDB's for {type(value).__name__}")


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return Decimal(content)
        case "M":
            return plain(content)
        case "L":
            return [_plain(each) for each in content]
        case _:
            raise TypeError(f"DynamoDB's type {kind} is none of ours")
