"""Every schedule of the real use cases keeps the guarantees. `scenarios.py` says what may happen in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.explorer.scenarios import DEEP, LARGE, QUICK, RANDOM, Scenario
from tests.proof.explorer.search import Exploration, explore, wander

ROOT = Path(__file__).resolve().parents[3]
SEED = int(os.environ.get("PROOF_SEED", "2031"))
"""For the random schedules; `PROOF_SEED=7 make proof` draws others."""

type Output = pytest.CaptureFixture[str]


def report(capsys: Output, exploration: Exploration) -> None:
    with capsys.disabled():
        # pytest-xdist's workers do not pass on standard output.
        print(f"\n  {exploration}", file=sys.stderr, flush=True)  # noqa: T201 - figures for the reader


QUICK_OR_LARGE = [
    pytest.param(scenario, marks=[pytest.mark.proof] if scenario.name in LARGE else [], id=scenario.name)
    for scenario in QUICK.values()
]


@pytest.mark.parametrize("scenario", QUICK_OR_LARGE)
def test_every_schedule_keeps_the_guarantees(scenario: Scenario, capsys: Output) -> None:
    exploration = explore(scenario)
    report(capsys, exploration)
    assert exploration.ends


@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_random_schedules_keep_the_guarantees(scenario: Scenario, capsys: Output) -> None:
    report(capsys, wander(scenario, SEED, walks=100))


@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_a_seed_draws_the_same_schedules_in_every_process(scenario: Scenario) -> None:
    draw = (
        "import sys; from tests.proof.explorer.scenarios import RANDOM; from tests.proof.explorer.search import wander;"
        "figures = wander(RANDOM[int(sys.argv[1])], int(sys.argv[2]), walks=10);"
        "print(figures.states, figures.steps, figures.longest)"
    )
    # Python orders a set of texts differently in each process, unless its hash seed is the same.
    drawn = {
        subprocess.run(
            [sys.executable, "-c", draw, str(RANDOM.index(scenario)), str(SEED)],
            cwd=ROOT,
            env={"PYTHONPATH": "layers/outbound_calls:.", "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(drawn) == 1


@pytest.mark.proof
@pytest.mark.parametrize("scenario", DEEP, ids=lambda scenario: scenario.name)
def test_every_schedule_keeps_the_guarantees_in_depth(scenario: Scenario, capsys: Output) -> None:
    # In a process of its own, since the states of the largest take two gigabytes.
    process = subprocess.run(
        [sys.executable, "-m", "tests.proof.explorer.search", scenario.name],
        cwd=ROOT,
        env={"PYTHONPATH": "layers/outbound_calls:."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    with capsys.disabled():
        print(f"\n  {process.stdout.strip()}", file=sys.stderr, flush=True)  # noqa: T201 - figures for the reader


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(SEED, SEED + 5))
@pytest.mark.parametrize("scenario", RANDOM, ids=lambda scenario: scenario.name)
def test_many_random_schedules_keep_the_guarantees(scenario: Scenario, seed: int, capsys: Output) -> None:
    report(capsys, wander(scenario, seed, walks=1000))
