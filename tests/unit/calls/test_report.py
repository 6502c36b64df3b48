"""A report's numbers, and the same numbers as CSV and as a page."""

import base64
import csv
import hashlib
import io
import re
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from typing import override

import pytest

from calls.operations.reporting import NOT_SEEN, CallsReport, Group, Period, group_of, report_csv
from calls.pages.report import Language, Words, all_words, report_page, shares
from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.contracts.vocabulary import Dialled, ParkReason, ReasonCode, Status
from outbound_calls.domain.transitions import TERMINAL
from tests.unit.calls.reports import LINES, REPORT, TODAY, YESTERDAY, line

# The numbers.


def test_the_totals_are_the_sums_of_the_lines() -> None:
    assert REPORT.requests == 1224
    assert REPORT.by_status == {"completed": 912, "no-answer": 100, "rejected": 3, "unknown": 4, "scheduled": 205}
    assert REPORT.phone_rang == {"yes": 1012, "maybe": 4, "no": 208}
    assert REPORT.by_group == {"completed": 912, "not-reached": 100, "not-called": 3, "unknown": 4, "open": 205}
    assert sum(each.requests for each in REPORT.outcomes) == REPORT.requests
    assert {name: len(lines) for name, lines in REPORT.by_organization.items()} == {"": 6, "north": 2}


def test_what_needs_a_person_comes_first_where_a_phone_may_have_rung() -> None:
    to_do = [(each.status, each.code, each.requests) for each in REPORT.to_do]

    assert to_do == [
        ("unknown", "no-outcome", 4),
        ("rejected", "refused-by-allomia", 2),
        ("scheduled", "key-declined", 5),
    ]


def test_the_trend_has_each_day_even_one_without_calls() -> None:
    days = REPORT.days

    assert (len(days), next(iter(days)), list(days)[-1]) == (14, "2026-11-18", TODAY)
    assert days["2026-11-18"] == {}
    assert days[YESTERDAY] == {"completed": 400, "not-reached": 100}
    assert days[TODAY] == {"completed": 912, "not-reached": 100, "not-called": 3, "unknown": 4}


@pytest.mark.parametrize("status", [*Status, NOT_SEEN])
def test_every_status_has_its_place(status: str) -> None:
    report = REPORT.model_copy(update={"lines": [line(status, 1)]})

    assert report.by_status == {status: 1}
    assert report.outcomes[0].status == status
    assert (group_of(status) is Group.OPEN) == (status not in TERMINAL)


def test_a_day_begins_at_the_clinics_midnight_also_when_the_clocks_change() -> None:
    november_first = Period(date(2026, 11, 1), date(2026, 11, 1), time_zone("America/Toronto"))

    assert november_first.until - november_first.since == 25 * 3600
    assert november_first.day_of(november_first.since - 1) == date(2026, 10, 31)
    assert november_first.day_of(november_first.until) == date(2026, 11, 2)


# CSV.


def test_csv_has_a_row_for_each_line_and_the_same_sum() -> None:
    rows = list(csv.DictReader(io.StringIO(report_csv(REPORT))))

    assert len(rows) == len(LINES) + 2
    assert sum(int(row["requests"]) for row in rows if row["day"] != YESTERDAY) == REPORT.requests
    assert sum(int(row["requests"]) for row in rows if row["needsAPerson"] == "yes") == 11


# The page.


@dataclass
class Seen(HTMLParser):
    """What is in a page."""

    opened: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append(tag)
        self.attributes += attrs

    @override
    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    @classmethod
    def of(cls, page: str) -> "Seen":
        seen = cls()
        seen.feed(page)
        return seen


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        (Language.ENGLISH, ["Calls on Tuesday, December 1, 2026", "1,224", "75%", "Result unknown", "maybe"]),
        (Language.FRENCH, ["Appels du mardi 1er décembre 2026", "1\u202f224", "75\u00a0%", "Résultat inconnu"]),
    ],
)
def test_a_page_shows_the_numbers_in_its_language(language: Language, shown: list[str]) -> None:
    page = report_page(REPORT, language)

    assert f'<html lang="{language}">' in page
    assert [words for words in shown if words not in " ".join(Seen.of(page).text)] == []


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    page = report_page(REPORT)
    seen = Seen.of(page)

    assert {"script", "link", "img", "iframe", "a", "form"} & set(seen.opened) == set()
    assert [name for name, _ in seen.attributes if name in {"src", "href", "style"} or name.startswith("on")] == []
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert "url(" not in style[1]


def test_a_page_escapes_what_others_wrote() -> None:
    page = report_page(REPORT.model_copy(update={"file": "<script>alert(1)</script>.csv", "prefix": '"><b>'}))

    assert "<script>" not in page
    assert '<b>"' not in page
    assert "&lt;script&gt;" in page


def test_a_page_without_calls_says_so() -> None:
    page = report_page(REPORT.model_copy(update={"lines": [], "trend": []}))

    assert "There are no calls to report." in page
    assert "<rect" not in page


def test_both_languages_have_the_same_words_and_values() -> None:
    english, french = (all_words()[language] for language in Language)

    assert english.keys() == french.keys()
    values = re.compile(r"{(\w+?)[34]?}")
    assert {name: set(values.findall(text)) for name, text in english.items()} == {
        name: set(values.findall(text)) for name, text in french.items()
    }


def test_every_code_that_a_report_shows_has_words() -> None:
    codes = {*ReasonCode, *ParkReason} - {
        # Left out of reports, or over within minutes.
        ReasonCode.CANCELLED_UNSEEN,
        ParkReason.CIRCUIT_OPEN,
        ParkReason.SHORT_OF_TIME,
        ParkReason.ALLOMIA_UNREACHABLE,
        ParkReason.RATE_LIMITED,
        ParkReason.DIAL_AGAIN,
    }
    names = {f"code {code}" for code in codes} | {f"status {status}" for status in (*Status, NOT_SEEN)}
    names |= {each.value for each in Dialled} | {each.value for each in Group}

    assert names - all_words()["en"].keys() == set()


@pytest.mark.parametrize(
    ("count", "total", "shown"), [(0, 0, ""), (0, 9, "0%"), (1, 1000, "<1%"), (999, 1000, "99%"), (9, 9, "100%")]
)
def test_a_share_is_never_rounded_to_none_or_to_all(count: int, total: int, shown: str) -> None:
    assert Words(Language.ENGLISH).percent(count, total) == shown


def test_the_parts_of_a_bar_follow_each_other() -> None:
    assert list(shares({"completed": 1, "unknown": 3}, 8)) == [
        ("completed", "0.00", "12.50"),
        ("unknown", "12.50", "37.50"),
    ]


def test_a_report_of_several_days_names_them() -> None:
    report: CallsReport = REPORT.model_copy(update={"first_day": YESTERDAY})

    assert "from Monday, November 30, 2026 to Tuesday, December 1, 2026" in report_page(report)
