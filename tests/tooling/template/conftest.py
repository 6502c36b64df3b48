"""The template is read and transformed once for all these tests, and once more for each environment."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.tooling.template.rendering import Stack, Template, read_template, render, transform


@pytest.fixture(scope="session")
def written() -> Template:
    """The template as it stands in the file."""
    return read_template()


type StackOf = Callable[..., Stack]


@pytest.fixture(scope="session")
def stack_of() -> StackOf:
    """Renders the stack for parameters: `stack_of(Environment="prod")`."""

    @cache
    def transformed(**known_to_sam: str) -> Template:
        return transform(read_template(), known_to_sam)

    def stack(**parameters: str) -> Stack:
        known_to_sam = {name: parameters[name] for name in ("Environment", "Rollout") if name in parameters}
        return render(transformed(**known_to_sam), parameters)

    return stack


@pytest.fixture(scope="session")
def stack(stack_of: StackOf) -> Stack:
    """The stack as it is deployed without any parameter but the one that has no default."""
    return stack_of()


@pytest.fixture(scope="session")
def widest(stack_of: StackOf) -> Stack:
    """The stack with everything in it that there ever is."""
    return stack_of(Environment="prod")
