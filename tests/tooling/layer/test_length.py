"""A function fits on a screen, and so does a test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("benchmarks", "calls", "examples", "functions", "layers", "local", "rehearsal", "tests", "tools")
SCREEN = 45
"""Lines. Neither a function's parameters count nor its docstring: an option's help stands in the parameters of its
command."""

LONGER = {
    "tools/schemas.py::contracts": "a table, entry by entry",
    "local/up.py::hints": "one text",
}


def long_functions(folder: str) -> Iterator[str]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > SCREEN:
                yield f"{path.relative_to(ROOT)}::{node.name}"


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if len(node.body) > 1 and ast.get_docstring(node) is not None else node.body[0]
    return (node.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_fits_on_a_screen(folder: str) -> None:
    assert set(long_functions(folder)) == {name for name in LONGER if name.startswith(f"{folder}/")}


def test_only_statements_count() -> None:
    text = "\n".join(
        ["def f(", *["    a,", "    b,"], "):", '    """Docs.', "", '    More."""', "    x = 1", "    y = 2"]
    )
    [function] = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert lines(function) == 2
