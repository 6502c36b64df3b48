"""The records of decisions are numbered, listed and of one form."""

import re

import pytest

from tests.tooling.docs.markdown import PROJECT, table

FOLDER = PROJECT / "docs/explain/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_they_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_every_record_is_listed_in_order() -> None:
    rows = table((FOLDER / "README.md").read_text(), "record")

    assert [row[0] for row in rows] == [f"[{path.name[:4]}]({path.name})" for path in RECORDS]
    assert all(row[1].endswith(".") for row in rows)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_what_was_chosen_why_and_until_when(path: object) -> None:
    text = (FOLDER / str(path)).read_text()

    assert re.findall(r"^#+ .+$", text, re.MULTILINE)[1:] == [
        "## Context",
        "## Decision",
        "## Consequences",
        "## What would make us look again",
    ]
    # Short enough to be read
    assert len(text.split()) < 400
