"""A morning of reminders over few lines takes hardly longer than if no line were ever free. On virtual time.

`-s` shows the figures.
"""

import pytest

from tests.proof.outage.morning import SHARES, order_in_a_burst, play

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


@pytest.mark.proof
def test_the_more_urgent_are_dialled_first_although_thousands_came_before() -> None:
    lines, burst = 10, 1500

    # When urgent requests come last, after thousands of others
    order = order_in_a_burst(burst, lines, 8 * lines, SEED)

    # Then those are dialled first for which there were lines as they came, then the urgent, then the normal ones
    first, rest = order[:lines], order[lines:]
    assert all(name.startswith("low-") for name in first)
    assert {name.partition("-")[0] for name in rest[: 2 * lines]} == {"urgent"}
    assert {name.partition("-")[0] for name in rest[2 * lines :]} == {"normal"}
