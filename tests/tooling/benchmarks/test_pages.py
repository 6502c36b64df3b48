"""The pages say what the figures say, and the figures are of this stack."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks import figures, money, pages, plots
from benchmarks.figures import Figures
from benchmarks.money import Line, Region, Shape
from benchmarks.recovery import most_within
from local.sam import ROOT


@pytest.fixture(scope="module")
def taken() -> Figures:
    return figures.read()


def test_the_pages_are_made_of_the_figures(taken: Figures) -> None:
    # When this fails, `make cost` writes them again.
    assert pages.PERFORMANCE.read_text() == pages.performance(taken)
    assert pages.COST.read_text() == pages.cost(taken)


def test_a_page_names_the_figures_that_are_older_than_it_says(taken: Figures) -> None:
    page = pages.performance(replace(taken, older={"batch": "2026-01-01, another processor"}))

    assert "Not measured again then: batch (2026-01-01, another processor)." in page


def test_the_pictures_are_drawn_of_the_figures(taken: Figures, tmp_path: Path) -> None:
    plots.draw(taken, tmp_path)

    assert {each.name: each.read_bytes() for each in plots.FOLDER.iterdir()} == {
        each.name: each.read_bytes() for each in tmp_path.iterdir()
    }
    assert max(each.stat().st_size for each in tmp_path.iterdir()) < 60_000


def test_the_figures_are_complete(taken: Figures) -> None:
    assert [stage.calls for stage in taken.endurance.stages] == [100, 1_000, 10_000]
    assert taken.recovery.calls == 10_000
    assert sum(taken.recovery.recorded.values()) == taken.recovery.calls
    assert taken.full_batch.calls == 10
    assert taken.single_calls.calls == 1
    assert [each.calls for each in taken.console] == [1_000, 10_000]


def test_what_is_billed_each_month_is_in_the_template(taken: Figures) -> None:
    by_price = {line.price: line for line in money.of_months(len(taken.full_batch.metrics)) if line.price != "trace"}
    resources = money.template()["Resources"].values()

    assert by_price["dashboard"].per_month == len([each for each in resources if "Dashboard" in each["Type"]])
    assert by_price["secret"].per_month == 3
    assert by_price["alarmMetric"].per_month >= len([each for each in resources if each["Type"].endswith("::Alarm")])
    assert by_price["expressRequest"].per_month == 43_800


def test_every_price_has_a_source_and_every_line_a_price(taken: Figures) -> None:
    table = money.price_table().prices
    lines = [*money.of_months(1), *money.of_recovered_calls(taken), *money.of_reads()]
    for some in [*money.both_shapes(taken).values(), *money.timers().values()]:
        lines += some

    assert {line.price for line in lines} == table.keys()
    for price in table.values():
        assert urlsplit(price.source).scheme == "https"
        assert price.of_aws == (urlsplit(price.source).hostname == "aws.amazon.com")
        assert (price.canada is None) == (price.canada_source is None)


def test_the_free_tier_is_taken_off_once_for_all_lines_of_a_price() -> None:
    lines = [Line("one", "sqsRequest", per_month=1_000_000), Line("other", "sqsRequest", per_call=1)]

    assert money.total(lines, 500_000) == pytest.approx(0.6)
    assert money.total(lines, 500_000, free_tier=True) == pytest.approx(0.2)
    assert money.total(lines[:1], 0, free_tier=True) == 0


def test_a_price_that_was_not_found_is_taken_for_a_tenth_more() -> None:
    assert Line("", "sqsRequest", per_call=1).dollars(1e6, Region.CANADA) == pytest.approx(0.44)
    assert Line("", "standardTransition", per_call=1).dollars(1e6, Region.CANADA) == pytest.approx(25)


def test_the_money_is_as_little_as_was_aimed_at(taken: Figures) -> None:
    shapes = money.both_shapes(taken)
    fixed = money.total(money.of_months(len(taken.full_batch.metrics)), 0, free_tier=True)

    assert money.per_million(shapes[Shape.BURSTS]) < money.LIMIT_OF_A_MILLION == 9
    assert fixed < money.LIMIT_OF_A_MONTH == 4
    calls, requests = taken.full_batch.calls, taken.full_batch.requests
    assert requests["dynamodb:PutItem"] + requests["dynamodb:UpdateItem"] == 3 * calls
    assert taken.full_batch.write_units <= 6 * calls
    # The policy is read once in five seconds beside it.
    assert calls <= taken.full_batch.reads <= calls + 1


def test_the_capacity_page_counts_with_the_same_units(taken: Figures) -> None:
    units = taken.full_batch.write_units // taken.full_batch.calls
    ((writes, _),) = taken.full_batch.writes.items()
    of_table = sum(int(each.partition("+")[0][-1]) for each in writes.split(", "))

    page = (ROOT / "docs/operate/capacity.md").read_text()
    assert f"{1000 * units:,} units a second, with both indexes" in page
    assert (units, of_table) == (6, 3)
    assert f"the quota is reached at {40_000 // units // 100 * 100:,} calls a second" in page


def test_what_a_policy_adds_is_priced(taken: Figures) -> None:
    lines = money.of_features()["AlloMia's id of the organization, for its call log"]
    (start,) = money.of_cold_starts(taken)["PlaceCallFunction"]

    assert money.per_million(lines) == pytest.approx(0.625)
    assert start.per_call == pytest.approx(0.5 * taken.cold_start["PlaceCallFunction"].imported.ms.median / 1000)


def test_each_queue_that_lambda_polls_is_billed(taken: Figures) -> None:
    (line,) = (each for each in money.of_months(len(taken.full_batch.metrics)) if each.price == "sqsRequest")

    assert line.what.endswith("2 empty queues")
    assert line.per_month == 2 * 15 * 43_800


def test_the_most_within_a_second() -> None:
    assert most_within([], 1.0) == 0
    assert most_within([0.0, 0.5, 0.9, 1.0, 1.4], 1.0) == 4
    assert most_within([0.0, 1.0, 2.0], 1.0) == 1
