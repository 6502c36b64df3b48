"""Items as DynamoDB has them, ``{"status": {"S": "calling"}}``, and as plain values, ``{"status": "calling"}``."""

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

type Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def typed(item: Mapping[str, Any]) -> Item:
    """Plain values as DynamoDB takes them."""
    return {name: _serialize(value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Item:
    """An item of DynamoDB as plain values; numbers are Decimals."""
    return {name: _deserialize(value) for name, value in item.items()}
