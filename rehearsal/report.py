"""The report of a rehearsal, for people and for tools. It has no phone number."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.demo import Case, Check
from rehearsal.measured import RunFigures
from rehearsal.steps import Stage


@dataclass(frozen=True)
class Report:
    """What a rehearsal showed, without a phone number."""

    stack: str
    started_at: str
    ended_at: str
    holds: bool
    guarantees: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    left_out: list[str]
    functions: list[dict[str, Any]]
    costs: list[dict[str, Any]]

    def write(self, folder: Path) -> Path:
        """Write both forms; returns the path of the Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.stack}-{self.started_at.replace(':', '')}"
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        path = folder / f"{name}.md"
        path.write_text(self.markdown())
        return path

    def markdown(self) -> str:
        """The report for people."""
        lines = [
            f"# Rehearsal of {self.stack}",
            f"From {self.started_at} to {self.ended_at}. **{'All guarantees held' if self.holds else 'FAILED'}.**",
            _table(self.guarantees),
            "## Calls",
            _table(self.calls),
            *self._figures(),
            "## Not part of it",
            "\n".join(f"- {each}" for each in self.left_out),
        ]
        return "\n\n".join(lines) + "\n"

    def _figures(self) -> list[str]:
        if not self.functions:
            return []
        costs = "In US dollars, at list prices of us-east-1, without the free tier and without AlloMia's charges."
        return ["## What AWS did", _table(self.functions), "## What it cost", costs, _table(self.costs)]


def _table(rows: list[dict[str, Any]]) -> str:
    head = list(rows[0]) if rows else []
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(
    stage: Stage,
    checks: Iterable[Check],
    requests: Iterable[Case],
    calls: Mapping[str, Mapping[str, Any]],
    dials: Mapping[str, tuple[int, int]],
    figures: RunFigures | None,
    left_out: Sequence[str],
) -> Report:
    """The report of a rehearsal."""
    found = [asdict(each) for each in checks]
    rows = []
    for case in requests:
        call = calls.get(case.request_id, {})
        ended = call.get("recordedAt")
        row = {"what": case.what, "status": call.get("status", "none"), "source": call.get("outcomeSource", "")}
        seconds = "" if ended is None else ended - call["createdAt"]
        rows.append(row | {"seconds": seconds, "dials": dials.get(case.request_id, (0, 0))[1]})
    return Report(
        stack=stage.stack.name,
        started_at=f"{stage.began:%Y-%m-%dT%H:%M:%SZ}",
        ended_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        holds=all(each["holds"] for each in found),
        guarantees=found,
        calls=rows,
        left_out=list(left_out),
        functions=figures.functions if figures else [],
        costs=figures.costs if figures else [],
    )
