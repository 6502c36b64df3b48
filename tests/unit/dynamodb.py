"""DynamoDB and SQS played by a server on a socket: it gives the SDK's own requests the answers that a test names."""

from __future__ import annotations

import atexit
import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.unit.parts import HttpRequest, SocketServer, http_answer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

SESSION = boto3.session.Session("key", "secret", region_name="ca-central-1")
"""One for all clients, as reading the service's description takes the longest."""


def fault(code: str, status: str = "400 Bad Request", **details: Any) -> bytes:
    """An error's answer."""
    return http_answer(json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **details}), status)


def well(**answer: Any) -> bytes:
    """The answer of an operation that was done."""
    return http_answer(json.dumps(answer))


def number(value: int) -> dict[str, str]:
    """A number as DynamoDB has it."""
    return {"N": str(value)}


def update_of(key: Any, expression: str, names: Iterable[str], condition: str, **values: Any) -> dict[str, Any]:
    """An update of the calls table, as it is asked for."""
    return {
        "TableName": "calls",
        "Key": key,
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


class Asked:
    """What DynamoDB is to answer, in turn; the last answer again for whatever more is asked. And what it was asked."""

    def __init__(self, answers: tuple[bytes, ...] = ()) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def answer(self, connection: socket.socket, request: HttpRequest) -> bool:
        position = min(len(self.asked), len(self.answers) - 1)
        self.asked.append(json.loads(request.body))
        connection.sendall(self.answers[position])
        return True


@contextmanager
def client_of(url: str, tries: int = 1) -> Iterator[DynamoDBClient]:
    """A client that sends a request at most so many times, at once after a fault of the server."""
    config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": tries})
    client: DynamoDBClient = SESSION.client("dynamodb", endpoint_url=url, config=config)

    def delay(attempts: int, response: Any, **_: Any) -> Any:
        return 0 if attempts < tries and response and response[0].status_code >= 500 else None

    client.meta.events.register_first("needs-retry.dynamodb", delay)
    yield client
    client.close()


_kept = ExitStack()
"""The server of all tests and its clients, because making them takes the longest."""

atexit.register(_kept.close)


@cache
def _server() -> SocketServer:
    return _kept.enter_context(SocketServer(Asked().answer))


@cache
def _dynamodb(tries: int) -> DynamoDBClient:
    return _kept.enter_context(client_of(_server().url, tries))


@cache
def _sqs() -> SQSClient:
    client: SQSClient = SESSION.client("sqs", endpoint_url=_server().url, config=Config(proxies={}))
    _kept.callback(client.close)
    return client


def _answering(answers: tuple[bytes, ...]) -> Asked:
    """Have the server give these answers from now on."""
    asked = Asked(answers)
    _server().behave = asked.answer
    return asked


@contextmanager
def dynamodb(*answers: bytes, tries: int = 1) -> Iterator[tuple[DynamoDBClient, Asked]]:
    """A client whose requests get these answers. One test has one at a time."""
    yield _dynamodb(tries), _answering(answers)


@contextmanager
def dynamodb_and_sqs(*answers: bytes) -> Iterator[tuple[DynamoDBClient, SQSClient, Asked]]:
    """Two clients whose requests get these answers, in the order in which either asks. One test has one at a time."""
    yield _dynamodb(1), _sqs(), _answering(answers)
