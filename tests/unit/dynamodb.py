"""A DynamoDB that answers as a test says: a server on a socket, asked by the SDK's own client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.unit.parts import HttpRequest, SocketServer, http_answer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONDITION = "ConditionalCheckFailedException"


def well(**answer: Any) -> bytes:
    return http_answer(json.dumps(answer))


def fault(code: str, status: str = "400 Bad Request", **details: Any) -> bytes:
    return http_answer(json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **details}), status)


REFUSED_WITHOUT_ITEM = fault(CONDITION)


class Table:
    """What DynamoDB is to answer, in turn; the last answer again for whatever more is asked. And what it was asked."""

    def __init__(self, answers: tuple[bytes, ...] = ()) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []

    def answer(self, connection: socket.socket, request: HttpRequest) -> bool:
        position = min(len(self.asked), len(self.answers) - 1)
        self.asked.append(json.loads(request.body))
        connection.sendall(self.answers[position])
        return True


_SESSION = boto3.session.Session("key", "secret", region_name="ca-central-1")
"""One for all clients, as reading the service's description takes the longest."""


@contextmanager
def client_of(url: str, tries: int = 1) -> Iterator[DynamoDBClient]:
    config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": tries})
    client = _SESSION.client("dynamodb", endpoint_url=url, config=config)
    yield client
    client.close()


@contextmanager
def answering(*answers: bytes, tries: int = 1) -> Iterator[tuple[DynamoDBClient, Table]]:
    """A client, and the table that gives it these answers."""
    table = Table(answers)
    with SocketServer(table.answer) as server, client_of(server.url, tries) as client:
        yield client, table
