"""The layer's packages import only from those above them, and only the runtime knows the environment."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers/outbound_calls/outbound_calls"
ROOMS = ["contracts", "domain", "policy", "adapters", "use_cases", "runtime"]
"""From the top down: each may import from itself and from those before it."""

FILES = sorted(path for room in ROOMS for path in (LAYER / room).glob("*.py"))
SERVICES = {"boto3", "botocore", "httpx"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_imports_only_from_its_own_room_and_those_above(path: Path) -> None:
    allowed = ROOMS[: ROOMS.index(path.parent.name) + 1]
    own = [name for name in imports(path) if name.startswith("outbound_calls.")]
    assert {name.split(".")[1] for name in own} <= set(allowed)
    assert not any(name.startswith(("functions", "calls", "local", "tests", "tools")) for name in imports(path))


def loaded_by(path: Path) -> set[str]:
    """The modules of the layer that a module loads, at once or when it needs them."""
    for node in ast.walk(tree := ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {name for node in found for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names))}
    return {name.removeprefix("outbound_calls.") for name in names if name and name.startswith("outbound_calls.")}


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {f"{path.parent.name}.{path.stem}": path for path in FILES}
    graph = {name: loaded_by(path) & modules.keys() for name, path in modules.items()}

    TopologicalSorter(graph).prepare()


def test_every_module_is_in_a_room() -> None:
    assert {path.name for path in LAYER.glob("*.py")} == {"__init__.py"}
    assert {path.name for path in LAYER.iterdir() if path.is_dir()} - {"__pycache__"} == set(ROOMS)


def test_contracts_domain_and_policy_use_no_service() -> None:
    pure = [path for path in FILES if path.parent.name in {"contracts", "domain", "policy"}]
    assert {name.split(".")[0] for path in pure for name in imports(path)} & SERVICES == set()


def test_domain_and_policy_read_no_clock() -> None:
    pure = [path for path in FILES if path.parent.name in {"domain", "policy"}]
    assert {name for path in pure for name in imports(path)} & {"time", "random", "uuid", "threading"} == set()


def test_no_module_of_the_layer_reads_the_environment() -> None:
    assert [path for path in FILES if "os" in imports(path)] == []


def test_what_operators_do_is_apart_from_how_it_is_shown() -> None:
    for path in [*ROOT.glob("calls/operations/*.py"), *ROOT.glob("calls/pages/*.py")]:
        shown_by = ("calls.cli", "calls.console", "typer", "rich", "starlette")
        assert not [name for name in imports(path) if name.startswith(shown_by)], path


@pytest.mark.parametrize("app", sorted(ROOT.glob("functions/*/app.py")), ids=lambda path: path.parent.name)
def test_a_function_is_thin(app: Path) -> None:
    assert len(app.read_text().splitlines()) <= 100


ELSEWHERE = {"AllomiaClient", "http_client", "WaitingAttempts"}
"""The command asks AlloMia through the operator's own proxy, if there is one; the functions never do. The last one has
no part of its own: it is a view of the calls table."""


@pytest.mark.parametrize("folder", ["calls", "functions", "local", "benchmarks", "rehearsal", "tools"])
def test_what_the_assembly_builds_is_built_nowhere_else(folder: str) -> None:
    own = {name for name in imports(LAYER / "runtime/assembly.py") if name.startswith("outbound_calls.")}
    parts = {name.rpartition(".")[2] for name in own if ".adapters." in name} - ELSEWHERE
    assert "CallsTable" in parts
    for path in (ROOT / folder).rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        assert {call.id for call in calls if isinstance(call, ast.Name)} & parts == set(), path
