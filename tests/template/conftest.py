"""The template is read and transformed once for all these tests."""

from collections.abc import Callable

import pytest

from tests.template.rendering import Stack, Template, read_template, render, transform


@pytest.fixture(scope="session")
def written() -> Template:
    """The template as it stands in the file."""
    return read_template()


@pytest.fixture(scope="session")
def transformed() -> Template:
    """The template as SAM hands it to CloudFormation."""
    return transform(read_template())


type StackOf = Callable[..., Stack]


@pytest.fixture(scope="session")
def stack_of(transformed: Template) -> StackOf:
    """Renders the stack for parameters: `stack_of(Environment="prod")`."""
    return lambda **parameters: render(transformed, parameters)


@pytest.fixture(scope="session")
def stack(stack_of: StackOf) -> Stack:
    """The stack as it is deployed without any parameter but the one that has no default."""
    return stack_of()
