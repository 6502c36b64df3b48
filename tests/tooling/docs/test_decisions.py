"""The decision records are numbered, listed and have the same sections."""

import re

import pytest

from tests.tooling.docs.markdown import PROJECT, table

FOLDER = PROJECT / "docs/explain/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_numbers_have_no_gap() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_index_lists_every_record_in_order() -> None:
    rows = table((FOLDER / "README.md").read_text(), "record")

    assert [row[0] for row in rows] == [f"[{path.name[:4]}]({path.name})" for path in RECORDS]
    assert all(row[1].endswith(".") for row in rows)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_sections(path: object) -> None:
    text = (FOLDER / str(path)).read_text()

    assert re.findall(r"^#+ .+$", text, re.MULTILINE)[1:] == [
        "## Context",
        "## Decision",
        "## Consequences",
        "## When to revisit",
    ]
    # Short enough to be read
    assert len(text.split()) < 400
