"""The picture of the dashboard in docs/operate/runbook.md: the template's own widgets, with a made-up day of calls.

python -m tools.dashboard    writes it
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate, batched, groupby
from statistics import quantiles
from typing import Any, Final

from samtranslator.yaml_helper import yaml_parse

from local.sam import ROOT

FILE: Final = ROOT / "docs/operate/images/dashboard.svg"

type Widget = Mapping[str, Any]
type Series = list[float | None]
"""A metric's values, one for each period. None: there is none for this period."""

# The made-up day: two batches of requests, and one every 75 seconds.

PERIOD: Final = 300
PERIODS: Final = 12 * 12
FIRST_HOUR: Final = 7
BATCHES: Final = {2 * 3600: 600, int(6.5 * 3600): 350}
"""How many requests arrive at once, by their second of the day; ten a minute are dialled."""

STATUSES: Final = {"Completed": 76, "NoAnswer": 12, "Busy": 6, "Failed": 4, "Cancelled": 2}
"""How many of a hundred requests end like this."""

IN_ALARM: Final = {"InvalidMessagesAlarm"}


@dataclass(frozen=True)
class Day:
    """What the metrics of the made-up day show."""

    counts: Mapping[str, Mapping[int, float]]
    """The metrics that count, by period."""
    seconds: Mapping[int, Sequence[int]]
    """How long the calls took that ended in a period."""

    def series(self, name: str, resource: str, stat: str) -> Series:
        """The values of a metric. One that this day knows nothing about counts nothing."""
        if name == "DispatchToOutcomeSeconds":
            percent = int(stat.removeprefix("p"))
            return [self._percentile(period, percent) for period in range(PERIODS)]
        values = self.counts.get(f"{name} {resource}", self.counts.get(name, {}))
        return [values.get(period, 0.0) for period in range(PERIODS)]

    def _percentile(self, period: int, percent: int) -> float | None:
        seconds = self.seconds.get(period)
        return quantiles([*seconds, *seconds], n=100, method="inclusive")[percent - 1] if seconds else None


def made_up_day() -> Day:
    """The same day each time."""
    counts: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    seconds: dict[int, list[int]] = defaultdict(list)
    arrivals = [(second, second) for second in range(0, PERIODS * PERIOD - 300, 75)]
    arrivals += [(second, second + 6 * place) for second, size in BATCHES.items() for place in range(size)]
    ends = [status for status, share in STATUSES.items() for _ in range(share)]
    for number, (arrived, dispatched) in enumerate(arrivals):
        status, at = ends[number * 37 % 100], dispatched // PERIOD
        for period in range(arrived // PERIOD, at):
            counts["ApproximateNumberOfMessagesVisible CallQueue"][period] += 1
            age = (period + 1) * PERIOD - arrived
            counts["ApproximateAgeOfOldestMessage CallQueue"][period] = age
        if status == "Cancelled":
            counts["OutcomeByUpstream"][at] += 1
            counts["OutcomeCancelled"][at] += 1
            continue
        by_poll = number % 40 == 7
        took = (180 if by_poll else 30) + number * 53 % (200 if status == "Completed" else 40)
        ended = (dispatched + took) // PERIOD
        counts["CallsPlaced"][at] += 1
        counts["CallsParked"][at] += number % 90 == 50
        counts["DuplicateMessages"][at] += number % 80 == 20
        counts["PollsUnavailable"][ended] += number % 160 == 7
        counts["OutcomeByPoll" if by_poll else "OutcomeByWebhook"][ended] += 1
        counts[f"Outcome{status}"][ended] += 1
        seconds[ended].append(took)
    noticed = max(BATCHES) // PERIOD
    counts["InvalidMessages"][noticed] = 2
    counts["ApproximateNumberOfMessagesVisible InvalidMessagesQueue"] = dict.fromkeys(range(noticed, PERIODS), 2.0)
    return Day(counts, seconds)


# The dashboard's body, as the template has it.


def widgets() -> list[Widget]:
    """The widgets of a stack on AWS. A name that only a deployment knows stays as in the template: `${CallQueue}`."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    body, values = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in values.items():
        on_aws = value["Fn::If"][1] if "Fn::If" in value else value
        body = body.replace(f"${{{name}}}", on_aws["Fn::Sub"] if isinstance(on_aws, dict) else on_aws)
    shown: list[Widget] = json.loads(body)["widgets"]
    return shown


@dataclass(frozen=True)
class Line:
    """A metric or expression that a widget shows."""

    label: str
    values: Series
    right: bool = False


def lines_of(properties: Widget, day: Day) -> list[Line]:
    """What a widget shows of a day, with CloudWatch's shorthand expanded: `.` and `...` repeat the metric before."""
    hidden: dict[str, Series] = {}
    found, expressions = [], []
    before: list[str] = []
    for metric in properties["metrics"]:
        names = [each for each in metric if isinstance(each, str)]
        options: Mapping[str, Any] = next((each for each in metric if isinstance(each, dict)), {})
        if "expression" in options:
            expressions.append(options)
            continue
        if names[0] == "...":
            names = before[: len(before) - len(names) + 1] + names[1:]
        before = [before[at] if name == "." else name for at, name in enumerate(names)]
        _, name, *dimensions = before
        (*_, (_, value)) = batched(dimensions, 2, strict=True)
        resource = value.removeprefix("${").removesuffix("}").partition(".")[0]
        values = day.series(name, resource, options.get("stat", properties.get("stat", "")))
        if options.get("period", PERIOD) > PERIOD:
            values = [*accumulate(value or 0.0 for value in values)]
        if options.get("visible", True):
            found.append(Line(options.get("label", name), values, options.get("yAxis") == "right"))
        else:
            hidden[options["id"]] = values
    return [Line(each["label"], running_sum(each["expression"], hidden)) for each in expressions] + found


def running_sum(expression: str, metrics: Mapping[str, Series]) -> Series:
    """The value of `RUNNING_SUM(FILL(a,0)-FILL(b,0)…)`, the one form of an expression that the dashboard has."""
    term = r"([+-]?)FILL\((\w+),0\)"
    if not re.fullmatch(rf"RUNNING_SUM\(({term})+\)", expression):
        raise ValueError(f"not the form of an expression that can be drawn: {expression}")
    signs = {name: -1 if sign == "-" else 1 for sign, name in re.findall(term, expression)}
    changes = [sum(sign * (metrics[name][period] or 0) for name, sign in signs.items()) for period in range(PERIODS)]
    return [*accumulate(changes)]


# The drawing.

COLUMN, ROW, GAP = 50, 42, 8
LEFT, RIGHT, TITLE, HOURS, LEGEND = 38, 38, 30, 18, 15
CHARACTER = 6.4
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22")
STYLE = """
    text { font: 11px -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #44546a }
    .title { font-size: 13px; font-weight: 600; fill: #1b2733 }
    .number { font-size: 26px; fill: #1b2733; text-anchor: middle }
    .middle { text-anchor: middle }
    .end { text-anchor: end }
    .card { fill: #fff; stroke: #d5dbdb }
    .ok { fill: #e9f5ec; stroke: #2ca02c }
    .alarm { fill: #fdecea; stroke: #d62728 }
    .grid { stroke: #eaeded }
    .line { fill: none; stroke-width: 1.5 }"""


def picture() -> str:
    """The dashboard as SVG."""
    shown, day = widgets(), made_up_day()
    width = 24 * COLUMN + GAP
    height = max(each["y"] + each["height"] for each in shown) * ROW + GAP
    drawn = "\n".join(line for each in shown for line in _card(each, day))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">\n'
        '<title id="title">The dashboard of a stack, with a made-up day of calls</title>\n'
        f"<style>{STYLE}\n</style>\n"
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>\n{drawn}\n</svg>\n'
    )


def _card(widget: Widget, day: Day) -> Iterator[str]:
    properties = widget["properties"]
    width, height = widget["width"] * COLUMN - GAP, widget["height"] * ROW - GAP
    yield f'<g transform="translate({widget["x"] * COLUMN + GAP} {widget["y"] * ROW + GAP})">'
    yield f'<rect class="card" width="{width}" height="{height}" rx="4"/>'
    yield _text(12, 20, properties["title"], "title")
    if widget["type"] == "alarm":
        yield from _alarms(properties["alarms"], width)
    elif properties.get("view") == "singleValue":
        yield from _numbers(lines_of(properties, day), width, height)
    else:
        yield from _chart(lines_of(properties, day), width, height, stacked=properties.get("stacked", False))
    yield "</g>"


def _alarms(arns: Sequence[str], width: float) -> Iterator[str]:
    columns, step = 6, 40
    wide = (width - 24) / columns
    for at, arn in enumerate(arns):
        name = arn.removeprefix("${").removesuffix(".Arn}")
        x, y = 12 + at % columns * wide, TITLE + at // columns * step
        kind = "alarm" if name in IN_ALARM else "ok"
        yield f'<rect class="{kind}" x="{x:.0f}" y="{y}" width="{wide - 8:.0f}" height="{step - 8}" rx="3"/>'
        yield _text(x + 8, y + 20, name)


def _numbers(lines: Sequence[Line], width: float, height: float) -> Iterator[str]:
    step = (height - TITLE) / math.ceil(len(lines) / 2)
    for at, line in enumerate(lines):
        x, y = width * (1 + 2 * (at % 2)) / 4, TITLE + at // 2 * step + step / 2
        yield _text(x, y, f"{line.values[-1] or 0:.0f}", "number")
        yield _text(x, y + 20, line.label, "middle")


def _chart(lines: Sequence[Line], width: float, height: float, *, stacked: bool) -> Iterator[str]:
    legend = list(_legend(lines, width))
    bottom = height - HOURS - LEGEND * (1 + max(row for row, _ in legend))
    layers = _stack(lines) if stacked else lines
    tops = {right: _top([line for line in layers if line.right == right]) for right in (False, True)}
    across = (width - LEFT - RIGHT) / (PERIODS - 1)
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - TITLE)
        yield f'<path class="grid" d="M{LEFT} {y:.0f}H{width - RIGHT:.0f}"/>'
        yield _text(LEFT - 4, y + 4, f"{share * tops[False]:g}", "end")
        if any(line.right for line in lines):
            yield _text(width - RIGHT + 4, y + 4, f"{share * tops[True]:g}")
    for hour in range(0, 13, 4):
        x = LEFT + hour * 12 * across
        yield _text(min(x, width - RIGHT), bottom + 14, f"{FIRST_HOUR + hour:02}:00", "middle")
    # In a stack, the areas of those below cover the lower part of an area.
    for at, line in reversed([*enumerate(layers)]):
        scale = (bottom - TITLE) / tops[line.right]
        for part in _parts(line.values):
            path = " ".join(f"{LEFT + period * across:.1f},{bottom - value * scale:.1f}" for period, value in part)
            if stacked:
                yield f'<path fill="{COLOURS[at]}" d="M{path}V{bottom:.0f}H{LEFT}z"/>'
            else:
                yield f'<path class="line" stroke="{COLOURS[at]}" d="M{path}"/>'
    for at, (row, x) in enumerate(legend):
        y = height - 8 - LEGEND * (max(row for row, _ in legend) - row)
        yield f'<rect x="{x:.0f}" y="{y - 8:.0f}" width="8" height="8" fill="{COLOURS[at]}"/>'
        yield _text(x + 12, y, lines[at].label)


def _stack(lines: Sequence[Line]) -> list[Line]:
    """Each line on top of those before it."""
    values = [[value or 0.0 for value in line.values] for line in lines]
    sums = accumulate(values, lambda below, here: [sum(pair) for pair in zip(below, here, strict=True)])
    return [replace(line, values=[*above]) for line, above in zip(lines, sums, strict=True)]


def _legend(lines: Sequence[Line], width: float) -> Iterator[tuple[int, float]]:
    """The row and place of each label."""
    row, x = 0, 12.0
    for line in lines:
        wide = 24 + CHARACTER * len(line.label)
        if x + wide > width and x > 12:
            row, x = row + 1, 12.0
        yield row, x
        x += wide


def _top(lines: Sequence[Line]) -> float:
    """A round number that no value exceeds."""
    most = max((value for line in lines for value in line.values if value), default=1.0)
    step = 10.0 ** math.floor(math.log10(most))
    return next(step * factor for factor in (1, 2, 4, 6, 8, 10) if step * factor >= most)


def _parts(values: Series) -> Iterator[list[tuple[int, float]]]:
    """The values that follow each other, without the inner ones of a flat stretch."""
    for known, group in groupby(enumerate(values), lambda pair: pair[1] is not None):
        part = [(period, value) for period, value in group if value is not None]
        if known:
            around = zip([(0, math.nan), *part], part, [*part[1:], (0, math.nan)], strict=False)
            yield [here for left, here, right in around if not left[1] == here[1] == right[1]]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(picture())
