"""The mistakes that are made, and what counts as noticed."""

from collections import defaultdict
from textwrap import dedent

import pytest

from tests.tooling.mutation.mutants import Mutant, mutants_of
from tests.tooling.mutation.run import Result, complaints, explained, source_of

SOURCE = '''
"""Not this."""

from enum import Enum

type Word = str | int
STATUSES = {"new", "done"}


@dataclass(frozen=True)
class Calls:
    kept: int = 90

    def end(self, status: str) -> bool:
        """Nor this."""
        if status not in STATUSES:
            raise KeyError
        match status:
            case "new" | "old" if self.kept:
                self.write(cast("Word", status))
        return True
'''


def changes(source: str) -> dict[str, set[str]]:
    """What is changed into what, by the function that it is in."""
    found = defaultdict(set)
    for mutant in mutants_of("calls", source):
        where, _, change = mutant.name.partition("\n")
        found[where].add(change)
    return found


def test_every_place_gets_its_mistakes_even_in_a_decorated_class_and_outside_of_functions() -> None:
    found = changes(SOURCE)

    assert found["calls."] >= {
        '- STATUSES = {"new", "done"}\n+ STATUSES = None',
        '- STATUSES = {"new", "done"}\n+ STATUSES = {"done"}',
        '- STATUSES = {"new", "done"}\n+ STATUSES = {"NEW", "done"}',
    }
    assert found["calls.Calls"] == {"- kept: int = 90\n+ kept: int = None", "- kept: int = 90\n+ kept: int = 91"}
    assert found["calls.Calls.end"] >= {
        "- if status not in STATUSES:\n+ if status in STATUSES:",
        "- raise KeyError\n+ pass",
        '- case "new" | "old" if self.kept:\n+ case "new" | "old" if not (self.kept):',
        '- case "new" | "old" if self.kept:\n+ case "new" | "old":',
        '- case "new" | "old" if self.kept:\n+ case "old" if self.kept:',
        '- self.write(cast("Word", status))\n+ pass',
        '- self.write(cast("Word", status))\n+ self.write(None)',
        "- return True\n+ return None",
        "- return True\n+ return False",
    }


@pytest.mark.parametrize("words", ["Not this", "Nor this", "import", "type", "frozen", "bool", '"WORD"'])
def test_what_only_speaks_to_the_reader_stays(words: str) -> None:
    assert not [change for each in changes(SOURCE).values() for change in each if words in change.split("\n+")[-1]]


def test_mistakes_that_look_alike_have_names_of_their_own() -> None:
    source = dedent("""
        def ask():
            if here():
                return 1
            return 1
    """)
    names = [mutant.name for mutant in mutants_of("calls", source)]

    assert len(names) == len(set(names))
    assert {"calls.ask\n- return 1\n+ return 2", "calls.ask\n- return 1\n+ return 2\n(2 of the same)"} <= set(names)


def test_every_explained_survivor_is_a_mutant_of_the_code_as_it_is() -> None:
    places = defaultdict(set)
    for name in explained():
        module, _, function = name.partition("\n")[0].partition(".")
        places[module].add(function)
    possible = {
        mutant.name
        for module, functions in places.items()
        for mutant in mutants_of(module, source_of(module), functions)
    }

    assert explained().keys() - possible == set()


def result(name: str, by: str | None) -> Result:
    return Result(Mutant(name, "calls", "", range(1), ""), by, stuck=False, tests=1)


def test_what_survives_must_be_explained_and_what_is_explained_must_survive() -> None:
    results = [result("noticed", "test_it"), result("known", None), result("new", None), result("mended", "test_it")]

    assert complaints(results, ["known", "mended", "gone"]) == [
        "survives: new",
        "explained, but does not survive: mended",
        "explained, but does not survive: gone",
    ]
