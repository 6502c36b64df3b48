# ruff: noqa: N803 - the arguments have boto3's names
"""A DynamoDB table in memory. It has what `CallsTable` uses of DynamoDB, and raises `Unsupported` for the rest.

One table with its indexes, which don't lag. `test_table.py` compares it with the local cloud's DynamoDB, operation by
operation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from botocore.exceptions import ClientError

type Value = dict[str, Any]
"""A value in DynamoDB's types, such as ``{"N": "1"}``."""

type Item = dict[str, Value]
type Key = tuple[str, int]


class ConditionalCheckFailed(ClientError):
    """The condition of a write is false."""


class Unsupported(NotImplementedError):
    """An expression or option that this table doesn't implement."""


def client_error(kind: type[ClientError], code: str, operation: str, item: Item | None = None) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}} | ({"Item": item} if item else {})
    return kind(answer, operation)


class TableInMemory:
    """Answers as a boto3 DynamoDB client does. Items share their values with what was passed in: don't change them."""

    class exceptions:  # noqa: N801 - boto3's name
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed

    def __init__(self, items: Mapping[Key, Item] | None = None) -> None:
        self.items: dict[Key, Item] = dict(items or {})

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        del TableName
        if not ConsistentRead:
            raise Unsupported("an eventually consistent read may return anything that was there before")
        item = self.items.get(_key(Key))
        return {"Item": dict(item)} if item else {}

    def put_item(
        self,
        *,
        TableName: str,
        Item: Item,
        ConditionExpression: str = "",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        del TableName
        key = _key(Item)
        old = self.items.get(key)
        if ConditionExpression and not _condition(ConditionExpression)(old or {}, _Placeholders({}, {})):
            raise _condition_failed(old, ReturnValuesOnConditionCheckFailure, "PutItem")
        self.items[key] = _canonical(Item)
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str,
        ExpressionAttributeNames: Mapping[str, str],
        ExpressionAttributeValues: Mapping[str, Value],
        ConditionExpression: str = "",
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        del TableName
        names = _Placeholders(ExpressionAttributeNames, ExpressionAttributeValues)
        condition, change = _condition(ConditionExpression), _change(UpdateExpression)
        if (
            _placeholders(UpdateExpression, ConditionExpression)
            != ExpressionAttributeNames.keys() | ExpressionAttributeValues.keys()
        ):
            # A placeholder without a value, or a value that no expression uses.
            raise client_error(ClientError, "ValidationException", "UpdateItem")
        old = self.items.get(_key(Key))
        if not condition(old or {}, names):
            raise _condition_failed(old, ReturnValuesOnConditionCheckFailure, "UpdateItem")
        new = change(old or dict(Key), names)
        self.items[_key(Key)] = new
        return {"Attributes": dict(new)} if ReturnValues == "ALL_NEW" else {}

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Value],
        IndexName: str = "",
        ProjectionExpression: str = "",
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        Select: str = "",
        Limit: int = 1000,
    ) -> dict[str, Any]:
        del TableName, Select
        values = ExpressionAttributeValues
        match IndexName, KeyConditionExpression:
            case "due", "dueShard = :shard":
                found = self._due(Decimal(values[":shard"]["N"]), Decimal("Infinity"))
            case "ended", "endedOn = :day AND recordedAt >= :since":
                since = Decimal(values[":since"]["N"])
                found = [
                    item
                    for item in self._in_index("endedOn", values[":day"])
                    if Decimal(item["recordedAt"]["N"]) >= since
                ]
                found.sort(key=lambda item: Decimal(item["recordedAt"]["N"]), reverse=not ScanIndexForward)
            case "waiting", "waitsFor = :setting":
                found = self._in_index("waitsFor", values[":setting"])
            case "due", "dueShard = :shard AND dueAt <= :sweptAt":
                found = self._due(*(Decimal(values[name]["N"]) for name in (":shard", ":sweptAt")))
            case "", "requestId = :requestId" if ConsistentRead:
                found = [
                    item for (request, _), item in sorted(self.items.items()) if request == values[":requestId"]["S"]
                ]
            case _:
                raise Unsupported(KeyConditionExpression)
        if ProjectionExpression:
            names = [(ExpressionAttributeNames or {})[token] for token in ProjectionExpression.split(", ")]
            found = [{name: item[name] for name in names if name in item} for item in found]
        return {"Items": found[:Limit]}

    def get_paginator(self, operation: str) -> _Paginator:
        assert operation == "query"
        return _Paginator(self)

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        ((name, asked),) = RequestItems.items()
        names = [asked["ExpressionAttributeNames"][token] for token in asked["ProjectionExpression"].split(", ")]
        found = [self.items[_key(key)] for key in asked["Keys"] if _key(key) in self.items]
        return {"Responses": {name: [{each: item[each] for each in names if each in item} for item in found]}}

    def _in_index(self, attribute: str, value: Value) -> list[Item]:
        return [item for _, item in sorted(self.items.items()) if item.get(attribute) == value]

    def _due(self, shard: Decimal, until: Decimal) -> list[Item]:
        found = [
            {name: item[name] for name in ("requestId", "attempt", "dueShard", "dueAt")}
            for item in self.items.values()
            if "dueShard" in item and "dueAt" in item
            if Decimal(item["dueShard"]["N"]) == shard and Decimal(item["dueAt"]["N"]) <= until
        ]
        return sorted(found, key=lambda item: Decimal(item["dueAt"]["N"]))


class _Paginator:
    def __init__(self, table: TableInMemory) -> None:
        self._table = table

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield self._table.query(**arguments)


class _Placeholders:
    """The names and values of one request's placeholders."""

    def __init__(self, names: Mapping[str, str], values: Mapping[str, Value]) -> None:
        self.names, self.values = names, values

    def path(self, token: str) -> str:
        return self.names[token] if token.startswith("#") else token

    def value(self, token: str, item: Item) -> Value | None:
        return self.values[token] if token.startswith(":") else item.get(self.path(token))


@functools.cache
def _placeholders(*expressions: str) -> frozenset[str]:
    return frozenset(re.findall(r"[#:]\w+", " ".join(expressions)))


type _Condition = Callable[[Item, _Placeholders], bool]
type _Change = Callable[[Item, _Placeholders], Item]

_TOKEN = re.compile(r"\s*([#:]?\w+|[(),=+-])")


class _Tokens:
    def __init__(self, text: str) -> None:
        self._left = list(self._split(text))
        self._text = text

    def _split(self, text: str) -> Iterator[str]:
        place, text = 0, text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if not match:
                raise Unsupported(text)
            yield match[1]
            place = match.end()

    def peek(self) -> str:
        return self._left[0] if self._left else ""

    def take(self, *expected: str) -> str:
        if not self._left or (expected and self._left[0] not in expected):
            raise Unsupported(self._text)
        return self._left.pop(0)

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self._left.pop(0)
            return True
        return False

    def operand(self) -> str:
        token = self.take()
        if not re.fullmatch(r"[#:]?[A-Za-z_]\w*", token):
            raise Unsupported(self._text)
        return token


@functools.cache
def _condition(text: str) -> _Condition:
    if not text:
        return lambda _item, _names: True
    tokens = _Tokens(text)
    condition = _any_of(tokens)
    if tokens.peek():
        raise Unsupported(text)
    return condition


def _any_of(tokens: _Tokens) -> _Condition:
    parts = [_all_of(tokens)]
    while tokens.accept("OR"):
        parts.append(_all_of(tokens))
    return lambda item, names: any(part(item, names) for part in parts)


def _all_of(tokens: _Tokens) -> _Condition:
    parts = [_single(tokens)]
    while tokens.accept("AND"):
        parts.append(_single(tokens))
    return lambda item, names: all(part(item, names) for part in parts)


def _single(tokens: _Tokens) -> _Condition:
    if tokens.accept("("):
        inner = _any_of(tokens)
        tokens.take(")")
        return inner
    if tokens.peek() in {"attribute_not_exists", "attribute_exists"}:
        exists = tokens.take() == "attribute_exists"
        tokens.take("(")
        path = tokens.operand()
        tokens.take(")")
        return lambda item, names: (names.path(path) in item) is exists
    left = tokens.operand()
    if tokens.take("=", "IN") == "=":
        right = [tokens.operand()]
    else:
        tokens.take("(")
        right = [tokens.operand()]
        while tokens.accept(","):
            right.append(tokens.operand())
        tokens.take(")")
    return lambda item, names: any(_equal(names.value(left, item), names.value(token, item)) for token in right)


@functools.cache
def _change(text: str) -> _Change:
    tokens = _Tokens(text)
    sets: list[tuple[str, str, str | None]] = []
    removes: list[str] = []
    adds: list[tuple[str, str]] = []
    while tokens.peek():
        clause = tokens.take("SET", "REMOVE", "ADD")
        while True:
            path = tokens.operand()
            if clause == "SET":
                tokens.take("=")
                first = tokens.operand()
                sets.append((path, first, tokens.operand() if tokens.accept("+") else None))
            elif clause == "REMOVE":
                removes.append(path)
            else:
                adds.append((path, tokens.operand()))
            if not tokens.accept(","):
                break

    def change(item: Item, names: _Placeholders) -> Item:
        paths = [names.path(path) for path in [*(path for path, *_ in sets), *removes, *(path for path, _ in adds)]]
        if len(set(paths)) < len(paths) or {"requestId", "attempt"} & set(paths):
            raise client_error(ClientError, "ValidationException", "UpdateItem")
        new = dict(item)
        for path, first, second in sets:
            value = names.value(first, item)
            if second is not None:
                value = _sum(value, names.value(second, item))
            if value is None:
                raise client_error(ClientError, "ValidationException", "UpdateItem")
            new[names.path(path)] = value
        for path, token in adds:
            name = names.path(path)
            new[name] = _sum(item.get(name, {"N": "0"}), names.values[token])
        for path in removes:
            new.pop(names.path(path), None)
        return _canonical(new)

    return change


def _sum(left: Value | None, right: Value | None) -> Value:
    if not left or not right or "N" not in left or "N" not in right:
        raise client_error(ClientError, "ValidationException", "UpdateItem")
    return {"N": str(Decimal(left["N"]) + Decimal(right["N"]))}


def _equal(left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return False
    if "N" in left and "N" in right:
        return Decimal(left["N"]) == Decimal(right["N"])
    return left == right


def _canonical(item: Item) -> Item:
    """The item with its numbers as DynamoDB returns them: no exponent, no trailing zeros."""
    return {name: _canonical_value(value) for name, value in item.items()}


def _canonical_value(value: Value) -> Value:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return {kind: _canonical_number(content)}
        case "M":
            return {kind: _canonical(content)}
        case "S" | "BOOL" | "NULL":
            return dict(value)
        case _:
            raise Unsupported(kind)


@functools.lru_cache(100_000)
def _canonical_number(text: str) -> str:
    return format(Decimal(text).normalize(), "f")


def _key(item: Item) -> Key:
    return item["requestId"]["S"], int(item["attempt"]["N"])


def _condition_failed(old: Item | None, returned: str, operation: str) -> ClientError:
    item = dict(old) if old and returned == "ALL_OLD" else None
    return client_error(ConditionalCheckFailed, "ConditionalCheckFailedException", operation, item)
