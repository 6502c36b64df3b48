"""How the tests are shared out between workers (`pytest -n 2`)."""

from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

DEPLOYED, OPERATED = "deployed", "operated"
"""The tests that work on a deployed stack: each of the two groups shares one local cloud, and takes about as long."""

OF_OPERATION = {"test_alarms.py", "test_calls.py", "test_counts.py", "test_releases.py", "test_upstream.py"}


def group_of(nodeid: str) -> str:
    """The tests of a file stay together, and those of deployed stacks."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if path.is_relative_to("tests/stack"):
        return OPERATED if path.name in OF_OPERATION else DEPLOYED
    return DEPLOYED if path.is_relative_to("tests/proof/chaos") else str(path)


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Each group goes to one worker."""
    return _ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of deployed stacks: they take longest."""
    items.sort(key=lambda item: group_of(item.nodeid) not in {DEPLOYED, OPERATED})
