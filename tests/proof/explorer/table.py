# ruff: noqa: N803 - the arguments have boto3's names
"""DynamoDB in memory. It has what `CallsTable` and `PolicyTable` use of it, and raises `Unsupported` for the rest.

The two tables with their indexes, which don't lag. An item's key knows its table. `test_table.py` compares it with the
local cloud's DynamoDB, operation by operation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from botocore.exceptions import ClientError

type Value = dict[str, Any]
"""A value in DynamoDB's types, such as ``{"N": "1"}``."""

type Item = dict[str, Value]
type Key = tuple[str, int | str]
"""An attempt's request and number, or a subject of the policy table and its entry."""


class ConditionalCheckFailed(ClientError):
    """The condition of a write is false."""


class TransactionCancelled(ClientError):
    """A transaction was not made."""


class Unsupported(NotImplementedError):
    """An expression or option that this table doesn't implement."""


SENT_ONCE = {"HTTPStatusCode": 400, "RetryAttempts": 0}
"""What the SDK says of a request that DynamoDB refused at once."""


def client_error(kind: type[ClientError], code: str, operation: str, item: Item | None = None) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": SENT_ONCE}
    return kind(answer | ({"Item": item} if item else {}), operation)


class TableInMemory:
    """Answers as a boto3 DynamoDB client does. Items share their values with what was passed in: don't change them."""

    class exceptions:  # noqa: N801 - boto3's name
        ConditionalCheckFailedException: ClassVar = ConditionalCheckFailed
        TransactionCanceledException: ClassVar = TransactionCancelled

    def __init__(self, items: Mapping[Key, Item] | None = None) -> None:
        self.items: dict[Key, Item] = dict(items or {})
        self._made: dict[str, list[Any]] = {}

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        del TableName
        if not ConsistentRead:
            raise Unsupported("an eventually consistent read may return anything that was there before")
        item = self.items.get(key_of(Key))
        return {"Item": dict(item)} if item else {}

    def put_item(
        self,
        *,
        TableName: str,
        Item: Item,
        ConditionExpression: str = "",
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Value] | None = None,
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        del TableName
        key = key_of(Item)
        old = self.items.get(key)
        names = _placeholders_of("PutItem", [ConditionExpression], ExpressionAttributeNames, ExpressionAttributeValues)
        if not _condition(ConditionExpression)(old or {}, names):
            raise _condition_failed(old, ReturnValuesOnConditionCheckFailure, "PutItem")
        self.items[key] = _canonical(Item)
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Item,
        UpdateExpression: str,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ExpressionAttributeValues: Mapping[str, Value] | None = None,
        ConditionExpression: str = "",
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        del TableName
        expressions = [UpdateExpression, ConditionExpression]
        condition, change = _condition(ConditionExpression), _change(UpdateExpression)
        names = _placeholders_of("UpdateItem", expressions, ExpressionAttributeNames, ExpressionAttributeValues)
        old = self.items.get(key_of(Key))
        if not condition(old or {}, names):
            raise _condition_failed(old, ReturnValuesOnConditionCheckFailure, "UpdateItem")
        new = change(old or dict(Key), names)
        self.items[key_of(Key)] = new
        return {"Attributes": dict(new)} if ReturnValues == "ALL_NEW" else {}

    def delete_item(
        self,
        *,
        TableName: str,
        Key: Item,
        ConditionExpression: str = "",
        ExpressionAttributeValues: Mapping[str, Value] | None = None,
    ) -> dict[str, Any]:
        del TableName
        names = _placeholders_of("DeleteItem", [ConditionExpression], None, ExpressionAttributeValues)
        if not _condition(ConditionExpression)(self.items.get(key_of(Key), {}), names):
            raise _condition_failed(None, "NONE", "DeleteItem")
        self.items.pop(key_of(Key), None)
        return {}

    def transact_write_items(self, *, TransactItems: list[Any], ClientRequestToken: str = "") -> dict[str, Any]:
        """All of the writes or none. Sent again under its token, a transaction changes nothing and succeeds.

        The SDK makes up a token for each call that has none.
        """
        if ClientRequestToken in self._made:
            if self._made[ClientRequestToken] != TransactItems:
                raise client_error(ClientError, "IdempotentParameterMismatchException", "TransactWriteItems")
            return {}
        after = TableInMemory(self.items)
        codes = [after._part(each) for each in TransactItems]
        if any(code != "None" for code in codes):
            answer: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
                "CancellationReasons": [{"Code": code} for code in codes],
                "ResponseMetadata": SENT_ONCE,
            }
            raise TransactionCancelled(answer, "TransactWriteItems")
        self.items = after.items
        if ClientRequestToken:
            self._made[ClientRequestToken] = TransactItems
        return {}

    def _part(self, write: Mapping[str, Any]) -> str:
        """Make one write of a transaction. Returns why it can't be made, or "None"."""
        ((kind, arguments),) = write.items()
        try:
            (self.put_item if kind == "Put" else self.update_item)(**arguments)
        except ConditionalCheckFailed:
            return "ConditionalCheckFailed"
        return "None"

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
        del TableName
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
            case "waiting", "waitsFor = :condition":
                found = [
                    {name: item[name] for name in _PROJECTED if name in item}
                    for item in self._in_index("waitsFor", values[":condition"])
                ]
                found.sort(key=lambda item: Decimal(item["waitsSince"]["N"]))
            case "due", "dueShard = :shard AND dueAt <= :sweptAt":
                found = self._due(*(Decimal(values[name]["N"]) for name in (":shard", ":sweptAt")))
            case "", "requestId = :requestId" if ConsistentRead:
                found = self._partition(values[":requestId"])
            case "", "subject = :subject AND entry BETWEEN :since AND :until" if ConsistentRead:
                first, last = values[":since"]["S"], values[":until"]["S"]
                found = [each for each in self._partition(values[":subject"]) if first <= each["entry"]["S"] <= last]
            case "", "subject = :subject" if ConsistentRead:
                found = self._partition(values[":subject"])
            case _:
                raise Unsupported(KeyConditionExpression)
        if ProjectionExpression:
            names = [(ExpressionAttributeNames or {})[token] for token in ProjectionExpression.split(", ")]
            found = [{name: item[name] for name in names if name in item} for item in found]
        found = found[:Limit]
        return {"Count": len(found)} if Select == "COUNT" else {"Items": found, "Count": len(found)}

    def get_paginator(self, operation: str) -> _Paginator:
        assert operation == "query"
        return _Paginator(self)

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        ((name, asked),) = RequestItems.items()
        names = [asked["ExpressionAttributeNames"][token] for token in asked["ProjectionExpression"].split(", ")]
        found = [self.items[key_of(key)] for key in asked["Keys"] if key_of(key) in self.items]
        return {"Responses": {name: [{each: item[each] for each in names if each in item} for item in found]}}

    def _partition(self, value: Value) -> list[Item]:
        found: list[Any] = [(entry, item) for (name, entry), item in self.items.items() if name == value["S"]]
        return [item for _, item in sorted(found, key=lambda each: each[0])]

    def _in_index(self, attribute: str, value: Value) -> list[Item]:
        found = [(key, item) for key, item in self.items.items() if item.get(attribute) == value]
        return [item for _, item in sorted(found, key=lambda each: each[0])]

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

    def place(self, token: str) -> tuple[str, str | None]:
        """An attribute, and what is meant in it if it is a map."""
        outer, dot, inner = token.partition(".")
        return self.path(outer), self.path(inner) if dot else None

    def value(self, token: str, item: Item) -> Value | None:
        if token.startswith(":"):
            return self.values[token]
        if token.startswith("size "):
            content = item.get(self.path(token.removeprefix("size ")), {}).get("M")
            return None if content is None else {"N": str(len(content))}
        name, inner = self.place(token)
        return item.get(name) if inner is None else item.get(name, {}).get("M", {}).get(inner)


@functools.cache
def _placeholders(*expressions: str) -> frozenset[str]:
    return frozenset(re.findall(r"[#:]\w+", " ".join(expressions)))


def _placeholders_of(
    operation: str, expressions: list[str], names: Mapping[str, str] | None, values: Mapping[str, Value] | None
) -> _Placeholders:
    """One request's placeholders: each expression's have a value, and each value is used."""
    found = _Placeholders(names or {}, values or {})
    if _placeholders(*expressions) != found.names.keys() | found.values.keys():
        raise client_error(ClientError, "ValidationException", operation)
    return found


_PROJECTED = ("requestId", "attempt", "waitsFor", "waitsSince", "policyVersion")


type _Condition = Callable[[Item, _Placeholders], bool]
type _Change = Callable[[Item, _Placeholders], Item]

_TOKEN = re.compile(r"\s*([#:]?\w+(?:\.#\w+)?|<=|[(),=<>+-])")


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
        if token == "size":
            self.take("(")
            token = f"size {self.take()}"
            self.take(")")
            return token
        if not re.fullmatch(r"[#:]?[A-Za-z_]\w*(\.#\w+)?", token):
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
        return lambda item, names: (names.value(path, item) is not None) is exists
    left = tokens.operand()
    if (comparison := tokens.take("=", "<", "<=", ">", "IN")) != "IN":
        right = [tokens.operand()]
    else:
        tokens.take("(")
        right = [tokens.operand()]
        while tokens.accept(","):
            right.append(tokens.operand())
        tokens.take(")")
    holds = {"<": _less, "<=": _not_more, ">": _more}.get(comparison, _equal)
    return lambda item, names: any(holds(names.value(left, item), names.value(token, item)) for token in right)


class _SetClause(NamedTuple):
    """`path = first`, `path = first + second`, or `path = if_not_exists(unless, first)`."""

    path: str
    first: str
    second: str | None
    unless: str | None

    @classmethod
    def read(cls, path: str, tokens: _Tokens) -> _SetClause:
        tokens.take("=")
        unless = None
        if tokens.accept("if_not_exists"):
            tokens.take("(")
            unless = tokens.operand()
            tokens.take(",")
            first = tokens.operand()
            tokens.take(")")
        else:
            first = tokens.operand()
        return cls(path, first, tokens.operand() if tokens.accept("+") else None, unless)

    def value(self, item: Item, names: _Placeholders) -> Value:
        value = names.value(self.first, item)
        if self.unless is not None:
            value = names.value(self.unless, item) or value
        if self.second is not None:
            value = _sum(value, names.value(self.second, item))
        if value is None:
            raise client_error(ClientError, "ValidationException", "UpdateItem")
        return value


@functools.cache
def _change(text: str) -> _Change:
    tokens = _Tokens(text)
    sets: list[_SetClause] = []
    removes: list[str] = []
    adds: list[tuple[str, str]] = []
    while tokens.peek():
        clause = tokens.take("SET", "REMOVE", "ADD")
        while True:
            path = tokens.operand()
            if clause == "SET":
                sets.append(_SetClause.read(path, tokens))
            elif clause == "REMOVE":
                removes.append(path)
            else:
                adds.append((path, tokens.operand()))
            if not tokens.accept(","):
                break

    def change(item: Item, names: _Placeholders) -> Item:
        paths = [names.place(path) for path in [*(each.path for each in sets), *removes, *(path for path, _ in adds)]]
        whole = {outer for outer, inner in paths if inner is None}
        if (
            len(set(paths)) < len(paths)
            or _KEY_NAMES & whole
            or any(outer in whole for outer, inner in paths if inner is not None)
            or any(inner is not None and "M" not in item.get(outer, {}) for outer, inner in paths)
        ):
            raise client_error(ClientError, "ValidationException", "UpdateItem")
        new = dict(item)
        for each in sets:
            _put(new, names.place(each.path), each.value(item, names))
        for path, token in adds:
            name = names.path(path)
            new[name] = _sum(item.get(name, {"N": "0"}), names.values[token])
        for path in removes:
            _put(new, names.place(path), None)
        return _canonical(new)

    return change


def _put(item: Item, place: tuple[str, str | None], value: Value | None) -> None:
    """Set or remove an attribute, or what is in a map. What an item shares with another one isn't changed."""
    outer, inner = place
    if inner is not None:
        content = dict(item[outer]["M"])
        _put(content, (inner, None), value)
        item[outer] = {"M": content}
    elif value is None:
        item.pop(outer, None)
    else:
        item[outer] = value


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


def _less(left: Value | None, right: Value | None) -> bool:
    return left is not None and right is not None and Decimal(left["N"]) < Decimal(right["N"])


def _not_more(left: Value | None, right: Value | None) -> bool:
    return _less(left, right) or _equal(left, right)


def _more(left: Value | None, right: Value | None) -> bool:
    return _less(right, left)


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
        case "L":
            return {kind: [_canonical_value(each) for each in content]}
        case "S" | "BOOL" | "NULL":
            return dict(value)
        case _:
            raise Unsupported(kind)


@functools.lru_cache(100_000)
def _canonical_number(text: str) -> str:
    return format(Decimal(text).normalize(), "f")


_KEY_NAMES = {"requestId", "attempt", "subject", "entry"}


def key_of(item: Item) -> Key:
    """The key in an item."""
    if "subject" in item:
        return item["subject"]["S"], item["entry"]["S"]
    return item["requestId"]["S"], int(item["attempt"]["N"])


def _condition_failed(old: Item | None, returned: str, operation: str) -> ClientError:
    item = dict(old) if old and returned == "ALL_OLD" else None
    return client_error(ConditionalCheckFailed, "ConditionalCheckFailedException", operation, item)
