"""What suits every width of a terminal: rows that lose nothing, and times, counts and words that are short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class _Row:
    cells: list[Text]
    long: Text


@dataclass(slots=True)
class Listing:
    """Rows of short cells, which are never cut, and one long text, such as an id.

    The long text of a row goes into the last column if it fits there, and else, indented, on a line of its own. A
    column whose name begins with `>` holds numbers. A column that holds nothing isn't shown.
    """

    columns: list[str]
    long: str
    _rows: list[_Row] = field(default_factory=list)

    def add(self, *cells: str | Text, long: str | Text) -> None:
        """Add a row."""
        self._rows.append(_Row([_text(cell) for cell in cells], _text(long)))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = [number for number in range(len(self.columns)) if any(row.cells[number] for row in self._rows)]
        names = [Text(self.columns[number].removeprefix(">")) for number in shown]
        widths = [
            max(cell_len(each.plain) for each in (names[place], *(row.cells[number] for row in self._rows)))
            for place, number in enumerate(shown)
        ]
        to_the_right = [self.columns[number].startswith(">") for number in shown]
        room = options.max_width - sum(widths) - _GAP * len(widths)
        fits = [not shown or cell_len(row.long.plain) <= room for row in self._rows]

        def line(cells: Iterable[Text], long: Text) -> Text:
            padded = []
            for cell, width, right in zip(cells, widths, to_the_right, strict=True):
                gap = " " * (width - cell_len(cell.plain))
                padded.append(Text.assemble(gap, cell) if right else Text.assemble(cell, gap))
            return Text(" " * _GAP).join([*padded, long])

        yield _folded(line(names, Text(self.long if any(fits) else "")), "bold")
        for row, beside in zip(self._rows, fits, strict=True):
            yield _folded(line([row.cells[number] for number in shown], row.long if beside else Text()))
            if not beside:
                yield _folded(Text.assemble(" " * _GAP, row.long))


def _folded(text: Text, style: str = "") -> Text:
    text.rstrip()
    text.overflow = "fold"
    text.style = style
    return text


def _text(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(value)


def local_time(text: str | None) -> str:
    """A time on the wire by the clock of this computer, short: ``12-01 09:30``."""
    return _local(text, "%m-%d %H:%M")


def local_moment(text: str | None) -> str | None:
    """A time on the wire by the clock of this computer, whole: ``2026-12-01 09:30:00 EST``."""
    return _local(text, "%Y-%m-%d %H:%M:%S %Z") or None


def _local(text: str | None, pattern: str) -> str:
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).astimezone().strftime(pattern)
    except ValueError:
        return text


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def tallied(counts: Mapping[str, int]) -> str:
    """Counts by name, in a line."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
