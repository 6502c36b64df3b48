"""A morning of reminders over few lines takes hardly longer than if no line were ever free. On virtual time.

`-s` shows the figures.
"""

import pytest

from tests.proof.outage.morning import SHARES, play

SEED = 1
FEW, TEN_THOUSAND = 150, 10_000
LONGER_THAN_IDEAL = 1.05


@pytest.mark.parametrize(
    ("requests", "lines"),
    [(FEW, 5), *(pytest.param(TEN_THOUSAND, lines, marks=pytest.mark.proof) for lines in (10, 50, 200))],
)
def test_lines_are_busy_while_anyone_waits(requests: int, lines: int) -> None:
    # When reminders come all at once, and some people are busy or don't answer
    figures = play(requests, lines, SEED)
    print(f"\nseed {SEED}: {figures}")  # noqa: T201 - figures are for people

    # Then there are never more calls than lines, each person has the outcome, and no dial was lost or doubled
    assert figures.most_at_once == lines
    assert sum(figures.statuses.values()) == requests
    assert figures.statuses.keys() == SHARES.keys()
    assert (figures.rung_twice, figures.dead_letters) == (0, 0)

    # And hardly any time was lost
    assert figures.finished <= LONGER_THAN_IDEAL * figures.ideal
