"""These tests also run on clouds other than the local one: with late indexes, and on an AWS account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.cloud import LocalCloud
from tests.aws_account.cloud import AwsAccountCloud, session_of
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import SampleAttempts
from tests.cloud.world import CloudWorld
from tests.late_indexes import LateIndexes, NeverInStep, wait_for_index
from tests.world import CloudResources, create_calls_table

HERE = Path(__file__).parent
BETTER = {
    "purge_queue": "AWS purges a queue once a minute only: give the test a queue of its own",
    r"\.scan\(": "a scan has pages: use tests/cloud/reading.py",
    r"\.query\(": "a query has pages: use the adapters",
    r"IndexName=": "an index may be late: use tests/cloud/reading.py",
}


def test_nothing_here_needs_a_cloud_that_is_better_than_aws() -> None:
    files = {path.name: path.read_text() for path in HERE.glob("*.py") if path.stem != Path(__file__).stem}
    del files["reading.py"]

    found = [(name, why) for name, text in files.items() for each, why in BETTER.items() if re.search(each, text)]
    assert found == []


# Late indexes.


@pytest.fixture(params=[True, False], ids=["waits", "does not wait"])
def late(cloud: LocalCloud, request: pytest.FixtureRequest) -> Iterator[tuple[Any, bool]]:
    """A client of DynamoDB through late indexes, and whether a read of one waits."""
    with LateIndexes(cloud.endpoint_url, waits=request.param) as front:
        session: Any = boto3.session.Session(cloud.account, "local", region_name=cloud.region)
        yield session.client("dynamodb", endpoint_url=front.url), request.param


def test_a_late_index_shows_a_write_once_it_is_waited_for(late: tuple[Any, bool]) -> None:
    dynamodb, waits = late
    attempts = SampleAttempts.over(dynamodb, create_calls_table(dynamodb))

    attempt = attempts.dispatching()

    assert len(attempts.due_entries(attempt.key)) == int(waits)


def test_an_index_that_stays_behind_is_not_waited_for_forever(cloud: LocalCloud) -> None:
    with LateIndexes(cloud.endpoint_url, waits=False) as front:
        session: Any = boto3.session.Session(cloud.account, "local", region_name=cloud.region)
        dynamodb = session.client("dynamodb", endpoint_url=front.url)
        table = create_calls_table(dynamodb)
        attempts = SampleAttempts.over(dynamodb, table)
        attempts.dispatching()

        with pytest.raises(NeverInStep, match="due"):
            wait_for_index(partial(asked, dynamodb), table, "due", seconds=0)
        wait_for_index(partial(asked, dynamodb), table, "due")


def asked(dynamodb: Any, _operation: str, params: dict[str, Any]) -> Any:
    """An answer of DynamoDB as the front has it."""

    class Answer:
        @staticmethod
        def json() -> Any:
            return dynamodb.scan(**params)

    return Answer()


# An AWS account, which is the local cloud's here.


def what_is_there(cloud: LocalCloud) -> list[set[str]]:
    """The names of what a test may leave."""
    return [
        set(everything(cloud, "dynamodb", "list_tables", "TableNames")),
        set(everything(cloud, "sqs", "list_queues", "QueueUrls")),
        {each["ARN"] for each in everything(cloud, "secretsmanager", "list_secrets", "SecretList")},
        {
            each["StackName"]
            for each in everything(cloud, "cloudformation", "describe_stacks", "Stacks")
            if not each["StackStatus"].startswith("DELETE")
        },
    ]


def everything(cloud: LocalCloud, service: Any, operation: str, name: str) -> Iterator[Any]:
    """What a service lists, page by page: a page of tables ends at a hundred."""
    for page in cloud.client(service).get_paginator(operation).paginate():
        yield from page.get(name, [])


def test_on_an_account_every_request_is_signed_again_and_everything_is_removed(cloud: LocalCloud) -> None:
    session = session_of({"region": cloud.region, "key": cloud.account, "secret": "local", "token": None})
    before = what_is_there(cloud)

    with AwsAccountCloud(session, lambda _: cloud.endpoint_url) as account:
        assert account.account == cloud.account
        resources = CloudResources(account)
        operated = OperatedStack(account)
        assert operated.run("list") == 0
        attempts = SampleAttempts.over(account.client("dynamodb"), resources.table_name)
        world = CloudWorld(resources, attempts)
        key = world.placed()
        assert len(attempts.due_entries(key)) == 1
        world.close()
        during = what_is_there(cloud)

    assert [len(some - others) > 0 for some, others in zip(during, before, strict=True)] == [True] * 4
    assert what_is_there(cloud) == before
