"""How the tests are shared out between workers (`pytest -n 2 --dist loadgroup`)."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DEPLOYED = "deployed"
"""The group of all tests that work on a deployed stack: they share one local cloud, and one machine bears only one."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file together, and all those of deployed stacks."""
    item.add_marker(pytest.mark.xdist_group(_group(item)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests of deployed stacks: they take longest."""
    items.sort(key=lambda item: _group(item) != DEPLOYED)


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(TESTS)
    return DEPLOYED if path.parts[0] == "stack" or path.parts[:2] == ("proof", "chaos") else str(path)
