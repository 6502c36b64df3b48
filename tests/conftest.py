"""What applies to all tests: surroundings, time limit, and how workers share them (`pytest -n 4`)."""

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

from tests.surroundings import isolate

_COLOUR = isolate()

from tests.recording import requests  # noqa: E402 - botocore, in these surroundings

requests.listen()

DEPLOYED, OPERATED = "deployed", "operated"
"""The two groups of tests that need a deployed stack. Each group shares one local cloud; both take about as long."""

OPERATION = {
    "test_alarms.py",
    "test_calls.py",
    "test_rehearsal.py",
    "test_releases.py",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the time limit that pyproject.toml sets."""
    parser.addini("test_seconds", "How long a test may take, and each of set-up and teardown.")


@contextmanager
def _limited(config: pytest.Config) -> Iterator[None]:
    """Fail what runs longer. The failure shows the line where it waits."""
    seconds = float(config.getini("test_seconds"))
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        # The mutation tests have a stricter limit of their own.
        yield
        return

    def stop(*_: object) -> None:
        pytest.fail(f"not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Limit the fixtures, such as a deployment."""
    with _limited(item.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Limit the test itself."""
    with _limited(item.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Limit the end of the fixtures."""
    with _limited(item.config):
        return (yield)


@pytest.fixture(autouse=True)
def _requests_that_aws_accepts() -> Iterator[None]:
    """Fail a test in which a request was made that AWS refuses and the emulator doesn't."""
    yield
    assert requests.refused() == []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let pytest's own output obey the terminal that it is written to."""
    if config.option.color == "auto":
        config.option.color = _COLOUR


def group_of(nodeid: str) -> str:
    """The group a test belongs to: its file, or one of the two groups with a deployed stack."""
    path = nodeid.partition("::")[0]
    if path.startswith("tests/stack/"):
        return OPERATED if path.removeprefix("tests/stack/") in OPERATION else DEPLOYED
    return OPERATED if path.startswith("tests/proof/chaos/") else path


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Run each group on one worker."""
    return _ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests of deployed stacks, which take longest."""
    items.sort(key=lambda item: group_of(item.nodeid) not in {DEPLOYED, OPERATED})
