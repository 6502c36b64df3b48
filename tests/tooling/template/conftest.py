"""The template is read once for all tests here, and transformed once per environment."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.tooling.template.rendering import RenderedStack, Template, read_template, render, transform

type StackOf = Callable[..., RenderedStack]


@pytest.fixture(scope="session")
def written() -> Template:
    """The template as it stands in the file."""
    return read_template()


@pytest.fixture(scope="session")
def stack_of() -> StackOf:
    """Renders the stack for parameters: `stack_of(Environment="prod")`."""

    @cache
    def transformed(**known_to_sam: str) -> Template:
        return transform(read_template(), known_to_sam)

    def stack(**parameters: str) -> RenderedStack:
        known_to_sam = {name: parameters[name] for name in ("Environment", "Rollout") if name in parameters}
        return render(transformed(**known_to_sam), parameters)

    return stack


@pytest.fixture(scope="session")
def stack(stack_of: StackOf) -> RenderedStack:
    """The stack with default parameters: one for dev."""
    return stack_of()


@pytest.fixture(scope="session")
def prod(stack_of: StackOf) -> RenderedStack:
    """The stack with every resource that there can be."""
    return stack_of(Environment="prod")
