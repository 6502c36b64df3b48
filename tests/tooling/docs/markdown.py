"""Just enough Markdown to compare the documentation with the code."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("benchmarks/results/*.md")])

type Row = list[str]

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


def read(name: str) -> str:
    """A page, by its path from the root."""
    return (PROJECT / name).read_text()


def fences(page: str, language: str) -> list[str]:
    """The code blocks in this language."""
    return [body for found, body in _FENCE.findall(page) if found == language]


def prose(page: str) -> str:
    """The page without its code blocks."""
    return _FENCE.sub("", page)


def links(page: str) -> list[str]:
    """The targets of the page's links."""
    return _LINK.findall(prose(page))


def anchors(page: str) -> set[str]:
    """The headings, as GitHub names them in a link."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))}


def code(page: str) -> list[str]:
    """The text between single backticks."""
    return _CODE.findall(prose(page))


def table(page: str, *head: str) -> list[Row]:
    """The rows of the one table whose first columns have these names."""
    lines = page.splitlines()
    start = f"| {' | '.join(head)} |"
    (first,) = (number for number, line in enumerate(lines) if line.startswith(start))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
