"""All measured figures, in benchmarks/results/performance.json. The pages are generated from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from benchmarks.batch import Batch
from benchmarks.cold_start import ColdStart
from benchmarks.console import FirstPage
from benchmarks.endurance import Endurance
from benchmarks.healthy_call import HealthyCalls, Idle
from benchmarks.machine import Machine
from benchmarks.package import Package
from benchmarks.recovery import Recovery
from benchmarks.warm_webhook import WarmWebhook
from local.sam import ROOT

FILE = ROOT / "benchmarks/results/performance.json"


@dataclass(frozen=True)
class Figures:
    """What was measured, and when, and on what."""

    taken: str
    """The day, in UTC."""

    machine: Machine
    cold_start: dict[str, ColdStart]
    package: dict[str, Package]
    warm_webhook: WarmWebhook
    batch: Batch
    full_batch: HealthyCalls
    single_calls: HealthyCalls
    idle: Idle
    endurance: Endurance
    recovery: Recovery
    console: list[FirstPage]
    older: Mapping[str, str] = field(default_factory=dict)
    """The questions that were not asked again then: the day and the processor of their figures."""


_FIGURES = TypeAdapter(Figures)


def read() -> Figures:
    """The figures as they were last taken."""
    return _FIGURES.validate_json(FILE.read_bytes())


def write(figures: Figures) -> None:
    """Keep the figures."""
    FILE.write_bytes(_FIGURES.dump_json(figures, indent=2) + b"\n")
