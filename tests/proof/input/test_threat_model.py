"""docs/explain/threat-model.md names a test for each protection, and each of these tests exists."""

import ast
import re

from tests.tooling.template.rendering import PROJECT

MODEL = (PROJECT / "docs/explain/threat-model.md").read_text()
BOUNDARIES = MODEL.split("\n## ")[1:]


def test_every_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", MODEL))
    there = {
        (path, node.name)
        for path in {path for path, _ in named}
        for node in ast.parse((PROJECT / path).read_text()).body
        if isinstance(node, ast.FunctionDef)
    }

    assert len(named) > 40
    assert named - there == set()


def test_every_protection_is_shown_by_a_test() -> None:
    rows = [line for line in MODEL.splitlines() if line.startswith("| ") and "| shown by |" not in line]

    assert len(rows) > 30
    assert [row for row in rows if not re.search(r"\| (`tests/[^`]+` ?)+\|$", row)] == []


def test_every_boundary_says_who_is_there_and_what_remains() -> None:
    assert len(BOUNDARIES) == 8
    for boundary in BOUNDARIES:
        assert "On the other side: " in boundary
        assert "What remains:" in boundary
