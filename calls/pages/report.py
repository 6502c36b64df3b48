"""A report as one page that a manager can open, print and forward. English or French."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from calls.operations.reporting import CallsReport, Group, ReportLine

_FOLDER = Path(__file__).parent


class Language(StrEnum):
    """The languages of a page."""

    ENGLISH = "en"
    FRENCH = "fr"


def environment(*folders: Path) -> Environment:
    """The templates of these folders and this one. What they show is escaped, and a missing name is an error."""
    return Environment(
        loader=FileSystemLoader([*folders, _FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


def report_page(report: CallsReport, language: Language = Language.ENGLISH) -> str:
    """The page of a report."""
    style = report_style()
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            language=language.value,
            style=Markup(style),  # noqa: S704 - a file of this folder
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            **report_values(report, Words(language)),
        )
    )


def report_style() -> str:
    """The style sheet of a report."""
    return (_FOLDER / "report.css").read_text(encoding="utf-8")


def report_values(report: CallsReport, words: Words) -> dict[str, object]:
    """What the template of a report's body needs."""
    return {
        "report": report,
        "title": _title(report, words),
        "about": _about(report, words),
        "made_at": words.moment(report.made_at),
        "busiest": max((sum(counts.values()) for counts in report.days.values()), default=0),
        "word": words.word,
        "number": words.number,
        "percent": words.percent,
        "outcome": words.outcome,
        "short_date": words.short_date,
        "described": words.described,
        "shares": shares,
        "by_group": by_group,
        "total": lambda counts: sum(counts.values()),
    }


@cache
def all_words() -> dict[str, dict[str, str]]:
    """Every word of the pages, by language and name."""
    words: dict[str, dict[str, str]] = json.loads((_FOLDER / "words.json").read_text(encoding="utf-8"))
    return words


@dataclass(frozen=True, slots=True)
class Words:
    """The words, numbers and dates of one language."""

    language: Language

    def word(self, name: str, /, **values: object) -> str:
        """The words with this name."""
        return all_words()[self.language][name].format(**values)

    def number(self, count: int) -> str:
        """A count."""
        return f"{count:,}".replace(",", self.word("thousands"))

    def duration(self, seconds: int) -> str:
        """A time span, in its largest unit and the next."""
        minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
        if days:
            return self.word("days and hours", days=days, hours=hours % 24)
        if hours:
            return self.word("hours and minutes", hours=hours, minutes=minutes % 60)
        return self.word("minutes and seconds", minutes=minutes, seconds=seconds % 60)

    def percent(self, count: int, total: int) -> str:
        """A share. Less than one percent is not nothing, and what isn't all is less than a hundred."""
        if not total:
            return ""
        if 0 < count * 100 < total:
            return self.word("less than one percent")
        share = round(count * 100 / total)
        return self.word("percent", number=min(share, 99) if count < total else share)

    def outcome(self, status: str, code: str | None) -> str:
        """A status, with why."""
        known = all_words()[self.language]
        words = known.get(f"status {status}", status)
        return f"{words} ({known.get(f'code {code}', code)})" if code else words

    def code(self, code: str | None) -> str:
        """Why a call wasn't made, or waits."""
        return all_words()[self.language].get(f"code {code}", code or "")

    def date(self, text: str, pattern: str = "date format") -> str:
        """An ISO date in words."""
        day = date.fromisoformat(text)
        return self.word(
            pattern,
            weekday=self.word("weekdays").split()[day.weekday()],
            weekday_short=self.word("weekdays short").split()[day.weekday()],
            month=self.word("months").split()[day.month - 1],
            month_short=self.word("months short").split()[day.month - 1],
            day=self.word("first of the month") if day.day == 1 else day.day,
            year=day.year,
        )

    def short_date(self, text: str) -> str:
        """An ISO date, short."""
        return self.date(text, "short date")

    def moment(self, text: str) -> str:
        """An ISO time by its own clock."""
        moment = datetime.fromisoformat(text)
        return f"{self.date(moment.date().isoformat())} {self.time(moment)}"

    def short_moment(self, moment: datetime) -> str:
        """A time by its own clock, short."""
        return f"{self.short_date(moment.date().isoformat())} {self.time(moment)}"

    def time(self, moment: datetime) -> str:
        """The time of day."""
        return self.word("time format", hour=moment.hour, minute=moment.minute)

    def described(self, counts: Mapping[str, int]) -> str:
        """Counts by group in words, for those who can't see the bar."""
        return ", ".join(f"{self.word(group)}: {self.number(count)}" for group, count in counts.items())


def by_group(lines: Iterable[ReportLine]) -> dict[str, int]:
    """How many requests of these lines are in each group."""
    counted: Counter[str] = Counter()
    for line in lines:
        counted[line.group] += line.requests
    return {group.value: counted[group] for group in Group if counted[group]}


def shares(counts: Mapping[str, int], total: int) -> Iterator[tuple[str, str, str]]:
    """The parts of a bar: each group with where it begins and how wide it is, in percent."""
    begins = 0.0
    for group, count in counts.items():
        width = 100 * count / total
        yield group, f"{begins:.2f}", f"{width:.2f}"
        begins += width


def _title(report: CallsReport, words: Words) -> str:
    if report.file:
        return words.word("file", name=report.file)
    if report.first_day == report.last_day:
        return words.word("day", day=words.date(report.first_day))
    return words.word("days", first=words.date(report.first_day), last=words.date(report.last_day))


def _about(report: CallsReport, words: Words) -> str:
    """What the report is limited to."""
    names = {"organization": report.organization, "batch": report.batch, "prefix": report.prefix}
    return ", ".join(words.word(kind, name=name) for kind, name in names.items() if name)
