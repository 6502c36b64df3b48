"""What holds for all tests: their surroundings, and how they are distributed among workers (`pytest -n 2`)."""

from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

from tests.surroundings import isolate

_COLOUR = isolate()

DEPLOYED, OPERATED = "deployed", "operated"
"""The two groups of tests that need a deployed stack. Each group shares one local cloud; both take about as long."""

OPERATION = {"test_alarms.py", "test_calls.py", "test_counts.py", "test_releases.py", "test_upstream.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let pytest's own output obey the terminal that it is written to."""
    if config.option.color == "auto":
        config.option.color = _COLOUR


def group_of(nodeid: str) -> str:
    """The group a test belongs to: its file, or one of the two groups with a deployed stack."""
    path = PurePosixPath(nodeid.partition("::")[0])
    if path.is_relative_to("tests/stack"):
        return OPERATED if path.name in OPERATION else DEPLOYED
    return DEPLOYED if path.is_relative_to("tests/proof/chaos") else str(path)


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Run each group on one worker."""
    return _ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests of deployed stacks, which take longest."""
    items.sort(key=lambda item: group_of(item.nodeid) not in {DEPLOYED, OPERATED})
