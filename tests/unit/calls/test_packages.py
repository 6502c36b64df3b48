"""Imports point one way: cli, console, pages, operations, layer. Operations neither print nor know who shows them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud import ROOT

FORBIDDEN = {
    "operations": (
        "calls.cli",
        "calls.console",
        "calls.pages",
        "typer",
        "rich",
        "jinja2",
        "starlette",
        "functions",
        "local",
        "tools",
    ),
    "console": ("calls.cli", "typer", "rich", "functions", "local", "tools"),
    "pages": ("calls.cli", "calls.console", "starlette", "typer", "rich", "functions", "local", "tools"),
    "cli": ("functions", "local", "tools"),
}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    modules = [*(ROOT / "calls" / package).glob("*.py")]

    assert modules
    wrong = {
        (path.name, name)
        for path in modules
        for name in imported(path)
        for forbidden in FORBIDDEN[package]
        if name == forbidden or name.startswith(f"{forbidden}.")
    }
    assert wrong == set()
