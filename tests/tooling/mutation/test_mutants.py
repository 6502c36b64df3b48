"""Which mutants are made, how one replaces its module, and what counts as killed."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from textwrap import dedent

import pytest

from tests.tooling.mutation.mutants import Mutant, mutants_of
from tests.tooling.mutation.run import MODULES, ROOT, Baseline, Result, complaints, explained, source_of

SOURCE = '''
"""Docstring."""

from enum import Enum

type Word = str | int
STATUSES = {"new", "done"}


@dataclass(frozen=True)
class Calls:
    kept: int = 90

    def end(self, status: str) -> bool:
        """Method docstring."""
        if status not in STATUSES:
            raise KeyError
        match status:
            case "new" | "old" if self.kept:
                self.write(cast("Word", status))
        return True
'''


def changes(source: str) -> dict[str, set[str]]:
    """The changes that are made, by function."""
    found = defaultdict(set)
    for mutant in mutants_of("calls", source):
        where, _, change = mutant.name.partition("\n")
        found[where].add(change)
    return found


def test_methods_of_decorated_classes_and_code_outside_of_functions_are_mutated() -> None:
    found = changes(SOURCE)

    assert found["calls."] >= {
        '- STATUSES = {"new", "done"}\n+ STATUSES = None',
        '- STATUSES = {"new", "done"}\n+ STATUSES = {"done"}',
        '- STATUSES = {"new", "done"}\n+ STATUSES = {"XXnewXX", "done"}',
    }
    assert '- STATUSES = {"new", "done"}\n+ STATUSES = {"NEW", "done"}' not in found["calls."]
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


def test_a_boundary_is_moved_both_ways_and_checks_in_a_row_are_swapped() -> None:
    source = dedent("""
        def ask(a, b):
            if a < b:
                return 1
            if 0 <= a < 9:
                raise KeyError
            yield 1
            yield 2
    """)
    found = changes(source)["calls.ask"]

    assert found >= {
        *("- if a < b:\n+ if a < b + 1:", "- if a < b:\n+ if a < b - 1:"),
        *("- if 0 <= a < 9:\n+ if 0 - 1 <= a < 9:", "- if 0 <= a < 9:\n+ if 0 <= a < 9 + 1:"),
        "+ if 0 <= a < 9:\n+     raise KeyError\n- if 0 <= a < 9:\n-     raise KeyError",
        "+ yield 2\n- yield 2",
    }


@pytest.mark.parametrize("words", ["Docstring", "Method docstring", "import", "type", "frozen", "bool", '"WORD"'])
def test_what_only_people_or_the_type_checker_read_is_not_mutated(words: str) -> None:
    assert not [change for each in changes(SOURCE).values() for change in each if words in change.split("\n+")[-1]]


def test_equal_changes_have_different_names() -> None:
    source = dedent("""
        def ask():
            if here():
                return 1
            return 1
    """)
    names = [mutant.name for mutant in mutants_of("calls", source)]

    assert len(names) == len(set(names))
    assert {"calls.ask\n- return 1\n+ return 2", "calls.ask\n- return 1\n+ return 2\n(number 2 with this text)"} <= set(
        names
    )


# Making the mutants takes long. `make mutation` reports such names as well.
@pytest.mark.proof
def test_every_explained_survivor_is_a_mutant_of_the_current_code() -> None:
    functions = defaultdict(set)
    for name in explained():
        place = name.partition("\n")[0]
        module = next(module for module in MODULES if place.startswith(f"{module}."))
        functions[module].add(place.removeprefix(f"{module}."))
    possible = {
        mutant.name for module in functions for mutant in mutants_of(module, source_of(module), functions[module])
    }

    assert explained().keys() - possible == set()


def result(name: str, killed_by: str | None) -> Result:
    return Result(Mutant(name, "calls", "", range(1), ""), killed_by, timed_out=False, tests=1)


def test_survivors_must_be_explained_and_explained_mutants_must_survive() -> None:
    results = [result("killed", "test_it"), result("known", None), result("new", None), result("fixed", "test_it")]

    assert complaints(results, ["known", "fixed", "gone"]) == [
        "survives: new",
        "explained, but does not survive: fixed",
        "explained, but does not survive: gone",
    ]


REPLACES = """
import sys
from pathlib import Path

from tests.tooling.mutation.mutants import Mutant
from tests.tooling.mutation.run import replace, source_of

replace(Mutant("", sys.argv[1], "", range(0), source_of(sys.argv[1])), Path(sys.argv[2]))

from outbound_calls.policy import number_zones, rules

assert Path(number_zones.__file__ if "zones" in sys.argv[1] else rules.__file__).parent == Path(sys.argv[2])
assert number_zones.recipient_zones("+14165550123", None, None)
assert rules.preset_document("canada")
"""


@pytest.mark.parametrize("module", ["policy.number_zones", "policy.rules"])
def test_a_mutant_finds_what_its_module_reads_from_beside_itself(tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPLACES, module, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_module_of_constants_alone_is_tried_with_every_test_that_is_for_it() -> None:
    baseline = Baseline({"tests/unit/policy/test_a.py::test": 1.0, "tests/unit/test_b.py::test": 2.0})
    baseline.reached["policy.rules"]["tests/unit/policy/test_a.py::test"].add(7)
    mutants = [Mutant("", module, "", range(3, 4), "") for module in ("policy.caps", "use_cases.polls")]

    tests = list(baseline.seconds)
    assert [baseline.tests_for(each) for each in mutants] == [tests[:1], tests]
