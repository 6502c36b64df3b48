import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
LAYER = "layers/dependencies/requirements.txt"
DEVELOPMENT = "requirements-dev.txt"
FILES = (
    LAYER,
    DEVELOPMENT,
    "local/requirements.txt",
    "local/lambda-runtime.txt",
    "tests/client_generators/requirements.txt",
)

# Where the layer's packages run, whatever this machine is.
LAMBDA = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}


def entries(file: str) -> list[tuple[str, list[str]]]:
    """Each requirement of a file with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / file).read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(" --hash=")[0].strip(), line.split(" --hash=")[1:]) for line in lines if line.strip()]


def pins(file: str) -> dict[str, str]:
    """The version of each package that a file names."""
    pinned: dict[str, str] = {}
    for text, _ in entries(file):
        requirement = Requirement(text)
        [specifier] = requirement.specifier
        assert specifier.operator == "==", text
        pinned[canonicalize_name(requirement.name)] = specifier.version
    return pinned


def project_dependencies() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def closure(requirements: list[Requirement]) -> set[str]:
    """The packages that these need on Lambda, by the metadata of what is installed here."""
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is None or requirement.marker.evaluate(LAMBDA | {"extra": extra}):
            name = canonicalize_name(requirement.name)
            new = {(name, wanted) for wanted in ("", *requirement.extras)} - seen
            seen |= new
            needed = [Requirement(text) for text in distribution(name).requires or []]
            waiting += [(each, wanted) for _, wanted in new for each in needed]
    return {name for name, _ in seen}


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_is_pinned_with_hashes_and_comes_from_no_named_place(file: str) -> None:
    for text, hashes in entries(file):
        assert re.fullmatch(r"[a-z0-9._-]+==[^ ]+( ; .+)?", text), text
        assert hashes, text
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", value) for value in hashes), text


def test_the_layer_satisfies_the_project() -> None:
    pinned = pins(LAYER)
    for requirement in project_dependencies():
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"


def test_the_layer_holds_what_the_project_needs_and_nothing_else() -> None:
    assert pins(LAYER).keys() == closure(project_dependencies())


def test_development_and_tests_run_on_the_layers_versions() -> None:
    layer, development = pins(LAYER), pins(DEVELOPMENT)
    assert {name: development[name] for name in layer} == layer
    assert {name: distribution(name).version for name in layer} == layer
