"""One local cloud for all these tests, and in it one table for each module: each test makes attempts of its own.

The local cloud takes the longer to search an index, the more attempts its table holds.
"""

import os
from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from tests.aws_account.cloud import AwsAccountCloud
from tests.cloud.operator import Calls, OperatedStack
from tests.cloud.parts import FaultyNetwork, SampleAttempts
from tests.cloud.world import CloudWorld
from tests.late_indexes import LateIndexCloud
from tests.second_engine.engine import SecondEngineCloud
from tests.world import CloudResources

CLOUDS = {
    "local": LocalCloud,
    # Another implementation of DynamoDB, and indexes that are late (`make second-engine`).
    "second-engine": SecondEngineCloud,
    "late-indexes": LateIndexCloud,
    # A real account (`make rehearse CLOUD_TESTS=1`).
    "aws-account": AwsAccountCloud,
}


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with CLOUDS[os.environ.get("TESTS_CLOUD", "local")]() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def resources(cloud: LocalCloud) -> CloudResources:
    return CloudResources(cloud)


@pytest.fixture(scope="module")
def attempts(cloud: LocalCloud, resources: CloudResources) -> SampleAttempts:
    return SampleAttempts.over(cloud.client("dynamodb"), resources.table_name)


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts) -> Iterator[CloudWorld]:
    world = CloudWorld(resources, attempts)
    yield world
    world.close()


@pytest.fixture(scope="session")
def session_network(cloud: LocalCloud) -> Iterator[FaultyNetwork]:
    with FaultyNetwork(cloud) as network:
        yield network


@pytest.fixture
def network(session_network: FaultyNetwork) -> FaultyNetwork:
    """A network that works until the test breaks it."""
    session_network.heal()
    return session_network


@pytest.fixture
def tries() -> int:
    """How many times a client of the networked world sends what gets no answer."""
    return 1


@pytest.fixture
def networked_world(
    resources: CloudResources, attempts: SampleAttempts, network: FaultyNetwork, tries: int
) -> Iterator[CloudWorld]:
    """The use cases behind that network."""
    world = CloudWorld(resources, attempts, lambda service, *_: network.client(service, tries))
    yield world
    world.close()


@pytest.fixture
def operated(cloud: LocalCloud) -> OperatedStack:
    """A stack of this test's own, on which commands run."""
    return OperatedStack(cloud)


@pytest.fixture
def calls(operated: OperatedStack, capsys: pytest.CaptureFixture[str]) -> Calls:
    return lambda *arguments: operated.calls(capsys, *arguments)
