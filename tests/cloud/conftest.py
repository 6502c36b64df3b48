"""One local cloud for all these tests, and in it one table: every test makes calls of its own."""

from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from tests.cloud.parts import Calls, Network, create_calls_table
from tests.cloud.world import Surroundings


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture(scope="session")
def calls(cloud: LocalCloud) -> Calls:
    dynamodb = cloud.client("dynamodb")
    return Calls.over(dynamodb, create_calls_table(dynamodb))


@pytest.fixture(scope="session")
def surroundings(cloud: LocalCloud, calls: Calls) -> Surroundings:
    return Surroundings(cloud, calls)


@pytest.fixture(scope="session")
def lasting_network(cloud: LocalCloud) -> Iterator[Network]:
    with Network(cloud) as network:
        yield network


@pytest.fixture
def network(lasting_network: Network) -> Network:
    """The network, whole again."""
    lasting_network.heal()
    return lasting_network
