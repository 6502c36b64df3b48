"""How the tests are shared out between workers (`pytest -n 2`)."""

from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

DEPLOYED = "deployed"
"""All tests that work on a deployed stack: they share one local cloud, and one machine bears only one."""


def group_of(nodeid: str) -> str:
    """The tests of a file stay together, and those of deployed stacks."""
    path = PurePosixPath(nodeid.partition("::")[0])
    return DEPLOYED if path.is_relative_to("tests/stack") or path.is_relative_to("tests/proof/chaos") else str(path)


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Each group goes to one worker."""
    return _ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of deployed stacks: they take longest."""
    items.sort(key=lambda item: group_of(item.nodeid) != DEPLOYED)
