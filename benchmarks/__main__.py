"""Answers all questions, or those that are named, and writes the pages.

python -m benchmarks                          everything, which takes several minutes
python -m benchmarks warm_webhook batch       these again; the other figures stay as they were taken
python -m benchmarks --pages                  only the pages, from benchmarks/results/performance.json
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import batch, cold_start, endurance, figures, healthy_call, package, pages, recovery, warm_webhook
from benchmarks import console as console_page
from benchmarks.machine import Machine
from local.cloud import LocalCloud
from local.environment import API_KEY
from local.simulator import Simulator

console = Console()

COLD_STARTS = 9
"""Of each kind and function: there are fifteen to start, and each start takes a second or two."""


def _deployed() -> Mapping[str, object]:
    """What is counted on one deployed stack."""
    with (
        LocalCloud() as cloud,
        Simulator(gateway=cloud.endpoint_url, accepted_keys=(API_KEY,)) as allomia,
        healthy_call.counted_stack(cloud, allomia) as (world, wire),
    ):
        return {
            "full_batch": healthy_call.count_calls(world, wire),
            "single_calls": healthy_call.count_calls(world, wire, calls=1),
            "idle": healthy_call.count_idle(world, wire),
            "endurance": endurance.measure(world, wire),
        }


QUESTIONS: Mapping[str, Callable[[], Mapping[str, object]]] = {
    "cold_start": lambda: {"cold_start": cold_start.measure(COLD_STARTS)},
    "package": lambda: {"package": package.measure()},
    "warm_webhook": lambda: {"warm_webhook": warm_webhook.measure()},
    "batch": lambda: {"batch": batch.measure()},
    "deployed": _deployed,
    "recovery": lambda: {"recovery": recovery.measure()},
    "console": lambda: {"console": console_page.measure()},
}


def main(
    questions: Annotated[list[str] | None, typer.Argument(help=f"Of: {', '.join(QUESTIONS)}; all when none.")] = None,
    *,
    only_pages: Annotated[bool, typer.Option("--pages", help="Measure nothing.")] = False,
) -> None:
    """Measure, and write benchmarks/results/performance.md and docs/operate/cost.md."""
    if unknown := set(questions or []) - QUESTIONS.keys():
        console.print(f"no such question: {', '.join(sorted(unknown))}")
        raise typer.Exit(2)
    if not only_pages:
        _measure(questions or list(QUESTIONS))
    taken = figures.read()
    pages.write(taken)
    console.print(pages.summary(taken).rich())


def _measure(questions: list[str]) -> None:
    found: dict[str, Any] = {"taken": datetime.now(UTC).date().isoformat(), "machine": Machine.this()}
    for question in questions:
        began = time.monotonic()
        found |= QUESTIONS[question]()
        console.print(f"{question}: {time.monotonic() - began:.0f} s")
    if set(questions) == set(QUESTIONS):
        figures.write(figures.Figures(**found))
    else:
        before = figures.read()
        stood = f"{before.taken}, {before.machine.processor}"
        older = {name: before.older.get(name, stood) for name in QUESTIONS if name not in questions}
        figures.write(dataclasses.replace(before, **found, older=older))


if __name__ == "__main__":
    typer.run(main)
