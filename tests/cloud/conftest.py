"""One local cloud for all these tests, and in it one table: each test makes attempts of its own."""

import os
from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from tests.cloud.parts import FaultyNetwork, SampleAttempts
from tests.cloud.world import CloudWorld
from tests.second_engine.engine import SecondEngineCloud
from tests.world import CloudResources

SECOND_ENGINE = "TESTS_SECOND_ENGINE"
"""With this variable, these tests run on another implementation of DynamoDB (`make second-engine`)."""


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    kind = SecondEngineCloud if os.environ.get(SECOND_ENGINE) else LocalCloud
    with kind() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def resources(cloud: LocalCloud) -> CloudResources:
    return CloudResources(cloud)


@pytest.fixture(scope="session")
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
