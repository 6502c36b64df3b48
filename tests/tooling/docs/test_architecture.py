"""The state diagram in docs/explain/architecture.md has the transitions of the code."""

import re

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, TRANSITIONS
from tests.tooling.docs.markdown import fences, read
from tools import answers_table

PAGE = read("docs/explain/architecture.md")


def test_the_life_of_an_attempt_has_the_transitions_of_the_code() -> None:
    (diagram,) = (each for each in fences(PAGE, "mermaid") if each.startswith("stateDiagram"))
    (outcomes,) = re.findall(r"^ +outcome: (.+)$", diagram, re.MULTILINE)
    assert {Status(name) for name in outcomes.split(", ")} == ALLOMIA_OUTCOMES

    drawn = {
        (None if before == "[*]" else Status(before), status)
        for before, after in re.findall(r"^ +(\S+) --> (\S+)$", diagram, re.MULTILINE)
        for status in (ALLOMIA_OUTCOMES if after == "outcome" else {Status(after)})
    }
    assert drawn == {(before, after) for before, all_after in TRANSITIONS.items() for after in all_after}


def test_the_imports_point_down_the_list_of_packages() -> None:
    packages = re.findall(r"^\| `(\w+)` \|", PAGE.partition("| package | contents |")[2], re.MULTILINE)

    assert packages == ["contracts", "domain", "policy", "adapters", "use_cases", "runtime"]


def test_the_table_of_answers_is_what_the_client_makes_of_them() -> None:
    assert answers_table.PAGE.read_text() == answers_table.page(), "run python -m tools.answers_table"
