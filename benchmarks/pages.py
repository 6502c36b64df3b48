"""benchmarks/results/performance.md and docs/operate/cost.md: the text of the templates, the numbers of the figures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import rich.box
from rich.table import Table as RichTable

from benchmarks import batch, cold_start, console, endurance, money, recovery, warm_webhook
from benchmarks.figures import FILE, Figures
from benchmarks.function import HERE
from benchmarks.healthy_call import FUNCTIONS, READS, HealthyCalls, Said
from benchmarks.money import Line, Price, Region, Shape
from benchmarks.plots import draw
from local.sam import ROOT

NAMES = {
    "PlaceCallFunction": "place_call",
    "ReceiveWebhookFunction": "receive_webhook",
    "PollCallsFunction": "poll_calls",
    "PublishOutcomeFunction": "publish_outcome",
    "GetCallFunction": "get_call",
}
MILLION = 1_000_000
PERFORMANCE = FILE.with_name("performance.md")
COST = ROOT / "docs/operate/cost.md"


@dataclass(frozen=True)
class Table:
    """A head and rows of words. As text it is Markdown."""

    head: Sequence[str]
    rows: Iterable[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def rich(self) -> RichTable:
        """The same for the terminal."""
        table = RichTable(*self.head, box=rich.box.SIMPLE)
        for row in self.rows:
            table.add_row(*row)
        return table


def write(figures: Figures) -> None:
    """Write both pages and draw their pictures."""
    PERFORMANCE.write_text(performance(figures))
    COST.write_text(cost(figures))
    draw(figures)


def performance(figures: Figures) -> str:
    """benchmarks/results/performance.md."""
    ((writes, _),) = figures.full_batch.writes.items()
    webhook = figures.cold_start["ReceiveWebhookFunction"].imported
    tables = {
        "summary": summary(figures),
        "cold_start": _cold_start(figures),
        "modules": _modules(figures),
        "package": _package(figures),
        "warm_webhook": _ratio(
            "CPU of a request, ms",
            ("receive_webhook", f"{figures.warm_webhook.handler_ms:.2f}"),
            ("a bare UpdateItem", f"{figures.warm_webhook.bare_ms:.2f}"),
            f"{figures.warm_webhook.ratio:.2f}",
        ),
        "batch": _ratio(
            "wall time, ms",
            ("a batch of ten", f"{figures.batch.batch_ms:.0f}"),
            ("one bare call", f"{figures.batch.single_ms:.0f}"),
            f"{figures.batch.ratio:.2f}",
        ),
        "healthy_call": _healthy_call(figures),
        "endurance": _endurance(figures),
        "memory": _memory(figures),
        "recovery": _recovery(figures),
        "console": _console(figures),
    }
    return _template("performance").format(
        it=figures,
        packages=", ".join(f"{name} {version}" for name, version in figures.machine.packages.items()),
        requests=warm_webhook.REQUESTS,
        posts=figures.endurance.batches * endurance.CALLS,
        writes=writes,
        older="".join(f" Not measured again then: {name} ({when})." for name, when in figures.older.items()),
        floor_of_plain=webhook.of_plain.median / webhook.of_floor.median,
        most_polls=money.template()["Parameters"]["MaxPollsPerSecond"]["Default"],
        tables=tables,
    )


def cost(figures: Figures) -> str:
    """docs/operate/cost.md."""
    tables = {
        "million": _million(figures),
        "month": _month(figures),
        "together": _together(figures),
        "features": _features(),
        "cold": _start_costs(figures),
        "timers": _timers(),
        "prices": _prices(),
    }
    return _template("cost").format(
        aws_ms=1000 * money.AWS_ANSWER_SECONDS,
        answer_seconds=batch.ANSWER_SECONDS,
        burst=money.BURST_CALLS_PER_SECOND,
        call_seconds=money.CALL_SECONDS,
        read=money.per_million(money.of_reads()),
        recovered=money.per_million(money.of_recovered_calls(figures)),
        looked_up=money.price_table().looked_up,
        most_metrics=money.most_metrics(),
        tables=tables,
    )


def summary(figures: Figures) -> Table:
    """What is aimed at, and what was found."""
    full, stages = figures.full_batch, figures.endurance.stages
    million = money.per_million(money.both_shapes(figures)[Shape.BURSTS])
    fixed = money.total(money.of_months(len(full.metrics)), 0, free_tier=True)
    growth = sum(stages[-1].cpu_ms.values()) / sum(stages[0].cpu_ms.values())
    return Table(
        ("what", "found", "aim"),
        [
            (
                "CPU of a warm webhook, over a bare UpdateItem",
                f"{figures.warm_webhook.ratio:.2f}",
                f"at most {warm_webhook.LIMIT}",
            ),
            *_cold_starts(figures),
            ("time of a batch of ten, over one bare call", f"{figures.batch.ratio:.2f}", f"at most {batch.LIMIT}"),
            (
                f"write units of a call, its message up to {full.message_bytes} bytes",
                f"{full.write_units / full.calls:g}",
                "at most 6",
            ),
            ("reads of a call", f"{reads(full) / full.calls:g}", "at most 1"),
            (
                f"CPU of a call, up to the {stages[-1].calls:,}th over the first {stages[0].calls}",
                f"{growth:.2f}",
                f"at most {endurance.LIMIT}",
            ),
            (
                f"until {figures.recovery.calls:,} calls without webhook have their outcome",
                f"{figures.recovery.seconds:.0f} s",
                f"at most {recovery.LIMIT_SECONDS} s",
            ),
            (
                f"the console's first page, with {figures.console[-1].calls:,} calls",
                f"{figures.console[-1].seconds:.2f} s",
                f"at most {console.LIMIT_SECONDS:g} s",
            ),
            ("a million healthy calls, in bursts", f"{million:.2f} dollars", f"under {money.LIMIT_OF_A_MILLION}"),
            ("a month beside them, with the free tier", f"{fixed:.2f} dollars", f"under {money.LIMIT_OF_A_MONTH}"),
        ],
    )


def _cold_starts(figures: Figures) -> Iterator[tuple[str, str, str]]:
    for name, start in figures.cold_start.items():
        yield (
            f"first answer of a cold {NAMES[name]}, over the floor and over a plain build",
            f"{start.answered.of_floor.median:.2f} and {start.answered.of_plain.median:.2f}",
            "at most {} and {}".format(*cold_start.LIMITS[name]),
        )


def reads(healthy: HealthyCalls) -> int:
    """Requests that read a table."""
    return sum(count for name, count in healthy.requests.items() if name in READS)


def _template(name: str) -> str:
    return (HERE / f"templates/{name}.md").read_text()


def _console(figures: Figures) -> Table:
    return Table(
        ("calls", "seconds", "CPU, ms", "memory, MB", "requests to DynamoDB"),
        [
            (
                f"{each.calls:,}",
                f"{each.seconds:.2f}",
                f"{each.cpu_ms:.0f}",
                f"{each.peak_kilobytes / 1024:.1f}",
                ", ".join(f"{count} {name}" for name, count in each.requests.items()),
            )
            for each in figures.console
        ],
    )


def _ratio(what: str, one: tuple[str, str], other: tuple[str, str], ratio: str) -> Table:
    return Table(("", what), [one, other, ("**ratio**", f"**{ratio}**")])


def _cold_start(figures: Figures) -> Table:
    return Table(
        (
            "function",
            *(f"{part}{of}" for part in ("import", "first answer") for of in (", ms", " over floor", " over plain")),
        ),
        [
            (
                NAMES[name],
                *(
                    cell
                    for taken in (start.imported, start.answered)
                    for cell in (f"{taken.ms:.0f}", f"{taken.of_floor.median:.2f}", f"{taken.of_plain.median:.2f}")
                ),
            )
            for name, start in figures.cold_start.items()
        ],
    )


def _modules(figures: Figures) -> Table:
    owners = next(iter(figures.cold_start.values())).modules_ms
    return Table(
        ("function", *(f"{owner}, ms" for owner in owners)),
        [
            (NAMES[name], *(f"{start.modules_ms[owner]:.0f}" for owner in owners))
            for name, start in figures.cold_start.items()
        ],
    )


def _package(figures: Figures) -> Table:
    return Table(
        ("part", "KB", "KB zipped", "KB of byte code", "files"),
        [
            (
                name,
                *(f"{size / 1000:,.0f}" for size in (each.bytes, each.zipped_bytes, each.byte_code_bytes)),
                str(each.files),
            )
            for name, each in figures.package.items()
        ],
    )


def _healthy_call(figures: Figures) -> Table:
    both = (figures.full_batch, figures.single_calls)

    def row(what: str, count: Callable[[HealthyCalls], float]) -> tuple[str, ...]:
        return (what, *(f"{count(each) / each.calls:g}" for each in both))

    def asked(name: str) -> Callable[[HealthyCalls], float]:
        return lambda healthy: healthy.requests[name]

    def invoked(function: str) -> Callable[[HealthyCalls], float]:
        return lambda healthy: healthy.said[function].invocations

    def said(count: Callable[[Said], int]) -> Callable[[HealthyCalls], float]:
        return lambda healthy: sum(count(each) for each in healthy.said.values())

    return Table(
        ("for each call", f"{figures.full_batch.calls} in a batch", "one alone"),
        [
            *(row(name, asked(name)) for name in figures.full_batch.requests),
            row("reads", reads),
            row("write units", lambda healthy: healthy.write_units),
            *(
                row(f"invocations of {name}", invoked(function))
                for function, name in NAMES.items()
                if function in FUNCTIONS
            ),
            ("transitions of Step Functions", "0", "0"),
            row("log lines", said(lambda each: each.lines)),
            row("bytes of these", said(lambda each: each.bytes)),
        ],
    )


def _endurance(figures: Figures) -> Table:
    head = ("calls up to", *(f"CPU of {NAMES[each]}, ms" for each in endurance.FUNCTIONS), "requests", "write units")
    return Table(
        head,
        [
            (
                f"{stage.calls:,}",
                *(f"{stage.cpu_ms[each]:.2f}" for each in endurance.FUNCTIONS),
                f"{stage.requests:g}",
                f"{stage.write_units:g}",
            )
            for stage in figures.endurance.stages
        ],
    )


def _memory(figures: Figures) -> Table:
    first, last = figures.endurance.samples[0], figures.endurance.samples[-1]
    return Table(
        ("", f"MB after {first.calls + endurance.CALLS:,} calls", f"after {last.calls:,}", "sockets, then and then"),
        [
            (
                NAMES[each],
                f"{first.resident_mb[each]:.1f}",
                f"{last.resident_mb[each]:.1f}",
                f"{first.sockets[each]}, {last.sockets[each]}",
            )
            for each in endurance.FUNCTIONS
        ],
    )


def _recovery(figures: Figures) -> Table:
    it = figures.recovery
    return Table(
        ("", f"{it.calls:,} calls"),
        [
            ("ended", ", ".join(f"{count:,} {how}" for how, count in it.recorded.items())),
            ("until the last one", f"{it.seconds:.0f} s"),
            ("requests to AlloMia", f"{it.polls:,}, {it.polls / it.calls:g} for each call"),
            ("the most within a second", f"{it.most_polls_per_second}"),
            ("the most within ten", f"{it.most_polls_in_ten_seconds}"),
        ],
    )


def _million(figures: Figures) -> Table:
    shapes, table = money.both_shapes(figures), money.price_table()
    sides = list(shapes.values())

    def totals(what: str, of: Callable[[list[Line]], float]) -> tuple[str, ...]:
        return (what, "", "", "", *(f"{of(side):.2f}" for side in sides))

    return Table(
        ("what", "price", *(f"{shape}: units a call" for shape in shapes), *(f"{shape}, $" for shape in shapes)),
        [
            *(
                (
                    pair[0].what,
                    _dollars(table.prices[pair[0].price]),
                    *(f"{line.per_call:.3g}" for line in pair),
                    *(f"{line.dollars(MILLION):.2f}" for line in pair),
                )
                for pair in zip(*sides, strict=True)
            ),
            ("**Sum**", "", "", "", *(f"**{money.per_million(side):.2f}**" for side in sides)),
            totals("without X-Ray", lambda side: money.per_million([line for line in side if line.price != "trace"])),
            totals("in ca-central-1", lambda side: money.per_million(side, Region.CANADA)),
        ],
    )


def _month(figures: Figures) -> Table:
    lines, table = money.of_months(len(figures.full_batch.metrics)), money.price_table()
    return Table(
        ("what", "units", "price", "$", "with the free tier, $"),
        [
            *(
                (
                    line.what,
                    f"{line.per_month:,.0f}",
                    _dollars(table.prices[line.price]),
                    f"{line.dollars(0):.2f}",
                    f"{money.total([line], 0, free_tier=True):.2f}",
                )
                for line in lines
            ),
            ("**Sum**", "", "", *(f"**{money.total(lines, 0, free_tier=free):.2f}**" for free in (False, True))),
        ],
    )


def _together(figures: Figures) -> Table:
    fixed = money.of_months(len(figures.full_batch.metrics))
    columns = [(shape, lines, free) for shape, lines in money.both_shapes(figures).items() for free in (False, True)]
    return Table(
        ("calls a month", *(f"{shape}{', with the free tier' if free else ''}, $" for shape, _, free in columns)),
        [
            (
                f"{calls:,}",
                *(f"{money.total(lines + fixed, calls, free_tier=free):.2f}" for _, lines, free in columns),
            )
            for calls in money.CALLS_A_MONTH
        ],
    )


def _features() -> Table:
    return Table(
        ("with", "reads more", "writes more", "a million calls, $"),
        [
            (name, *(f"{line.per_call:g}" for line in lines), f"{money.per_million(lines):.2f}")
            for name, lines in money.of_features().items()
        ],
    )


def _start_costs(figures: Figures) -> Table:
    return Table(
        ("function", "GB-seconds", "a thousand starts, $"),
        [
            (NAMES[name], f"{lines[0].per_call:.3f}", f"{money.per_million(lines) / 1000:.4f}")
            for name, lines in money.of_cold_starts(figures).items()
        ],
    )


def _timers() -> Table:
    return Table(
        ("way", "a million calls, $", *(f"{calls:,} a month, $" for calls in money.CALLS_A_MONTH)),
        [
            (
                way,
                f"{money.per_million(lines):.2f}",
                *(f"{money.total(lines, calls):.2f}" for calls in money.CALLS_A_MONTH),
            )
            for way, lines in money.timers().items()
        ],
    )


def _prices() -> Table:
    return Table(
        ("what", "us-east-1, $", "ca-central-1, $", "free each month", "source"),
        [
            (
                price.what,
                _dollars(price),
                _dollars(price, Region.CANADA) + "†"
                if price.canada is None
                else f"[{_dollars(price, Region.CANADA)}]({price.canada_source})",
                f"{price.free_each_month:,.0f}" if price.free_each_month else "",
                f"[{'AWS' if price.of_aws else 'third party'}, {price.dated}]({price.source})",
            )
            for price in money.price_table().prices.values()
        ],
    )


def _dollars(price: Price, region: Region = Region.VIRGINIA) -> str:
    dollars = price.of_one(region) * price.per
    shown = f"{dollars:.2f}" if round(dollars, 2) == round(dollars, 6) else f"{dollars:.6g}"
    return shown if price.per == 1 else f"{shown} per million"
