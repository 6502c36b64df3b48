"""Every schedule of the real use cases keeps the promises; see `world.py` for what may happen in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.explorer.scenarios import DEEP, QUICK, RANDOM
from tests.proof.explorer.search import Figures, explore, wander
from tests.proof.explorer.world import Scenario

ROOT = Path(__file__).resolve().parents[3]
SEED = int(os.environ.get("PROOF_SEED", "2031"))
"""For the schedules that are drawn at random; `PROOF_SEED=7 make proof` draws others."""

type Tell = pytest.CaptureFixture[str]


def tell(capsys: Tell, figures: Figures) -> None:
    with capsys.disabled():
        # Not to standard output, which pytest-xdist's workers do not pass on.
        print(f"\n  {figures}", file=sys.stderr, flush=True)  # noqa: T201 - the figures are what one runs it for


@pytest.mark.parametrize("scenario", QUICK.values(), ids=lambda scenario: scenario.name)
def test_every_schedule_keeps_the_promises(scenario: Scenario, capsys: Tell) -> None:
    figures = explore(scenario)
    tell(capsys, figures)
    assert figures.ends


@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_schedules_drawn_at_random_keep_the_promises(scenario: Scenario, capsys: Tell) -> None:
    tell(capsys, wander(scenario, SEED, walks=100))


@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_the_same_seed_draws_the_same_schedules_in_every_process(scenario: Scenario) -> None:
    draw = (
        "import sys; from tests.proof.explorer.scenarios import RANDOM; from tests.proof.explorer.search import wander;"
        "figures = wander(RANDOM[int(sys.argv[1])], int(sys.argv[2]), walks=20);"
        "print(figures.states, figures.steps, figures.longest)"
    )
    # Python orders a set of texts otherwise in each process, by a seed of its own.
    drawn = {
        subprocess.run(
            [sys.executable, "-c", draw, str(RANDOM.index(scenario)), str(SEED)],
            cwd=ROOT,
            env={"PYTHONPATH": "layers/outbound_calls:.", "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2", "3")
    }
    assert len(drawn) == 1


@pytest.mark.proof
@pytest.mark.parametrize("scenario", DEEP, ids=lambda scenario: scenario.name)
def test_every_schedule_keeps_the_promises_in_depth(scenario: Scenario, capsys: Tell) -> None:
    figures = explore(scenario)
    tell(capsys, figures)
    assert figures.ends


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_many_schedules_drawn_at_random_keep_the_promises(scenario: Scenario, seed: int, capsys: Tell) -> None:
    tell(capsys, wander(scenario, seed, walks=1000))
