"""What waited for an opening is dialled within minutes, without a burst, and delays nothing else. On virtual time.

`-s` shows the figures.
"""

import pytest

from tests.proof.outage.opening import NEWCOMERS, Opening, play
from tests.proof.outage.stack import MAX_POLLS_PER_SECOND, SWEEP_EVERY

SEED = 1
FEW, MANY, TEN_THOUSAND = 10, 400, 10_000

MOST_A_SECOND = 1.25 * MAX_POLLS_PER_SECOND
"""The sweep dispatches at its rate limit. What was queued a moment before may be dialled in the same second."""

FIRST_CALL_SECONDS = {Opening.WINDOWS_OPEN: SWEEP_EVERY + 5, Opening.CALLS_RESUMED: 10 + SWEEP_EVERY + 5}
"""The next sweep, and some seconds for the first call. After a pause, ten seconds until it has ended everywhere."""

LAST_CALL_SECONDS = {Opening.WINDOWS_OPEN: 300 + SWEEP_EVERY, Opening.CALLS_RESUMED: 300 + 3 * SWEEP_EVERY}
"""The spread and the next sweep. After a pause also the keeper's look, and another one when there are thousands."""


@pytest.mark.parametrize("waiting", [MANY, pytest.param(TEN_THOUSAND, marks=pytest.mark.proof)])
@pytest.mark.parametrize("opening", Opening)
def test_an_opening_is_no_burst_and_delays_nothing_else(opening: Opening, waiting: int) -> None:
    # When what waited may be dialled, and requests and polls go on
    figures = play(opening, waiting, SEED)
    print(f"\nseed {SEED}: {figures}")  # noqa: T201 - figures are for people

    # Then every person is rung once, within minutes
    assert figures.statuses == {"completed": waiting + NEWCOMERS}
    assert (figures.rung_twice, figures.dead_letters) == (0, 0)
    assert 0 <= figures.first_call <= FIRST_CALL_SECONDS[opening]
    assert figures.last_call <= LAST_CALL_SECONDS[opening]
    assert figures.posts_a_second <= MOST_A_SECOND

    # And who arrives meanwhile is dialled at once
    assert figures.newcomer <= 2

    # And each sweep ends before the next, and looks at all that is due
    assert figures.longest_sweep < SWEEP_EVERY
    assert figures.late <= 1.25 * SWEEP_EVERY
    assert figures.poll_late <= 1.05 * SWEEP_EVERY


@pytest.mark.parametrize("swept", [0.0, 0.15, 0.8])
def test_the_first_call_after_a_pause_comes_soon_whenever_a_sweep_does(swept: float) -> None:
    # When calls are resumed at another moment between two sweeps
    figures = play(Opening.CALLS_RESUMED, FEW, SEED, swept)

    assert figures.first_call <= FIRST_CALL_SECONDS[Opening.CALLS_RESUMED]
    assert figures.statuses == {"completed": FEW + NEWCOMERS}
