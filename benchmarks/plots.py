"""The pictures of the pages: small, and the same bytes for the same figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import money
from benchmarks.endurance import FUNCTIONS
from benchmarks.figures import Figures
from local.sam import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = ROOT / "benchmarks/results/plots"
STYLE: Any = {
    "svg.hashsalt": "allomia-outbound-calls",
    # Text stays text: smaller, and drawn with the reader's own fonts.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def draw(figures: Figures, folder: Path = FOLDER) -> None:
    """Draw all of them."""
    folder.mkdir(exist_ok=True)
    with _axes(folder / "memory.svg", "calls", "resident memory, MB") as axes:
        for name in FUNCTIONS:
            samples = figures.endurance.samples
            memory = [each.resident_mb[name] for each in samples]
            axes.plot([each.calls for each in samples], memory, label=name.removesuffix("Function"))
        axes.set_ylim(0)
    with _axes(folder / "recovery.svg", "seconds after the first sweep began", "calls without an outcome") as axes:
        for shard in range(len(figures.recovery.left[0].calls)):
            left = figures.recovery.left
            axes.plot([each.seconds for each in left], [each.calls[shard] for each in left], label=f"shard {shard}")
    with _axes(folder / "cost.svg", "calls a month", "dollars a month") as axes:
        fixed = money.of_months(len(figures.full_batch.metrics))
        for shape, lines in money.both_shapes(figures).items():
            for free_tier in (False, True):
                dollars = [money.total(lines + fixed, calls, free_tier=free_tier) for calls in money.CALLS_A_MONTH]
                label = f"{shape}{', with the free tier' if free_tier else ''}"
                axes.plot(money.CALLS_A_MONTH, dollars, "--" if free_tier else "-", marker="o", ms=3, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")


@contextmanager
def _axes(path: Path, across: str, up: str) -> Iterator["Axes"]:
    # Imported when it draws: it looks for all fonts of the machine first.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        axes = figure.subplots()
        yield axes
        axes.set(xlabel=across, ylabel=up)
        axes.legend()
        # Without a date, so that the same figures are the same file.
        figure.savefig(path, metadata={"Date": None, "Creator": None})
