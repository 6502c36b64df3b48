"""How the tests are shared out between workers (`pytest -n 2 --dist loadgroup`)."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DEPLOYED = "deployed"
"""The group of all tests that work on a deployed stack: they share one local cloud, and one machine bears only one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together, and those of deployed stacks; these, the longest, begin first."""
    groups = {item: _group(item.path.relative_to(TESTS)) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: groups[item] != DEPLOYED)


def _group(path: Path) -> str:
    return DEPLOYED if path.parts[0] == "stack" or path.parts[:2] == ("proof", "chaos") else str(path)
