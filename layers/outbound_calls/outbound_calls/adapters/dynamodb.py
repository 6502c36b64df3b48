"""Plain values in DynamoDB's types, and back. By boto3's own conversion."""

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

type Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def to_dynamodb(item: Mapping[str, Any]) -> Item:
    """Plain values in DynamoDB's types: ``{"status": "calling"}`` becomes ``{"status": {"S": "calling"}}``."""
    return {name: _serialize(value) for name, value in item.items()}


def from_dynamodb(item: Mapping[str, Any]) -> Item:
    """DynamoDB's types as plain values. Numbers are Decimals."""
    return {name: _deserialize(value) for name, value in item.items()}
