"""docs/contribute/local.md has the simulator's numbers and settings."""

import json

from local.simulator.behaviour import Post, Status, Webhook
from local.simulator.faults import Faults
from local.simulator.magic_numbers import as_markdown
from tests.tooling.docs.markdown import code, read, table


def test_the_magic_numbers_are_those_that_the_simulator_prints() -> None:
    page = read("docs/contribute/local.md")

    assert page.split("<!-- numbers -->\n")[1].split("<!-- /numbers -->")[0] == as_markdown() + "\n"


def test_the_settings_and_their_defaults_are_those_of_the_control_endpoint() -> None:
    written = [(name, default) for name, default, _ in table(read("docs/contribute/local.md"), "setting", "default")]

    defaults = Faults().model_dump(mode="json")
    assert written == [
        (f"`{name}`", f"`{value if isinstance(value, str) else json.dumps(value)}`") for name, value in defaults.items()
    ]


def test_every_value_of_a_setting_is_named() -> None:
    rows = {row[0]: row[2] for row in table(read("docs/contribute/local.md"), "setting", "default")}

    assert set(code(rows["`post`"])) == set(Post)
    assert set(code(rows["`webhooks`"])) == set(Webhook)
    assert set(code(rows["`status`"])) == set(Status)
