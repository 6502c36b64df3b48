"""The diagrams of docs/explain/architecture.md say what the code says."""

import re

from outbound_calls.lifecycle import ALLOMIA_OUTCOMES, TRANSITIONS, Status
from tests.tooling.docs.markdown import fences, read


def test_the_life_of_an_attempt_is_drawn_as_it_is_written() -> None:
    (diagram,) = (
        each for each in fences(read("docs/explain/architecture.md"), "mermaid") if each.startswith("stateDiagram")
    )
    (outcomes,) = re.findall(r"^ +outcome: (.+)$", diagram, re.MULTILINE)
    assert {Status(name) for name in outcomes.split(", ")} == ALLOMIA_OUTCOMES

    drawn = {
        (None if before == "[*]" else Status(before), status)
        for before, after in re.findall(r"^ +(\S+) --> (\S+)$", diagram, re.MULTILINE)
        for status in (ALLOMIA_OUTCOMES if after == "outcome" else {Status(after)})
    }
    assert drawn == {(before, after) for before, all_after in TRANSITIONS.items() for after in all_after}
