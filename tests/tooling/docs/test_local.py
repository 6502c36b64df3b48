"""docs/contribute/local.md has the simulator's numbers and settings."""

import pytest

from local.simulator import organization_id
from local.simulator.faults import settings_as_markdown
from local.simulator.magic_numbers import as_markdown
from tests.tooling.docs.markdown import read


@pytest.mark.parametrize(("name", "table"), [("numbers", as_markdown()), ("settings", settings_as_markdown())])
def test_the_table_is_the_one_that_the_simulator_prints(name: str, table: str) -> None:
    page = read("docs/contribute/local.md")

    assert page.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0] == table + "\n"


def test_the_id_of_the_stacks_organization_is_the_simulators() -> None:
    assert f"`{organization_id('own')}`" in read("docs/contribute/local.md")
