"""Everything that a page names exists, and its language passes the word list."""

import re
from pathlib import Path

import pytest

from tests.tooling.docs.markdown import PAGES, PROJECT, anchors, code, fences, links, prose, read
from tools import prose as language

MAX_README_WORDS = 1200
MADE_LATER = {"events/env.json"}  # by `make local`, while it runs
_PATH = re.compile(
    r"(?<![\w./-])(?:benchmarks|docs|events|examples|functions|layers|local|statemachines|tests)/"
    r"[\w.-]+(?:/[\w.-]+)*"
)
_MAKE = re.compile(r"^make ([a-z-]+)", re.MULTILINE)

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))


def test_the_readme_is_short() -> None:
    assert len(read("README.md").split()) <= MAX_README_WORDS


def test_every_page_is_in_the_index() -> None:
    indexed = {(PROJECT / "docs" / link.partition("#")[0]).resolve() for link in links(read("docs/README.md"))}
    pages = set(PROJECT.glob("docs/*/*.md"))

    assert pages - indexed == set()


@page
def test_every_link_within_the_repository_leads_somewhere(path: Path) -> None:
    for link in links(path.read_text()):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@page
def test_every_file_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    named = {found for piece in [*code(text), *fences(text, "sh")] for found in _PATH.findall(piece)}

    assert {name for name in named - MADE_LATER if not (PROJECT / name).exists()} == set()


@page
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    named = {found for piece in [*code(text), *fences(text, "sh")] for found in _MAKE.findall(piece)}

    assert named <= set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


@page
def test_every_environment_that_is_named_is_in_samconfig(path: Path) -> None:
    named = set(re.findall(r"--config-env ([a-z]+)", path.read_text()))

    assert named <= set(re.findall(r"^\[(\w+)\.deploy\.parameters\]", read("samconfig.toml"), re.MULTILINE))


@page
def test_every_diagram_is_one_that_github_draws(path: Path) -> None:
    for diagram in fences(path.read_text(), "mermaid"):
        assert diagram.split()[0] in {"flowchart", "stateDiagram-v2", "sequenceDiagram"}
        words = re.findall(r"\b(subgraph|alt|loop|opt|par|else|end)\b", re.sub(r'"[^"]*"|: .*', "", diagram))
        assert words.count("end") == len([word for word in words if word not in {"end", "else"}])
        for opening, closing in ("[]", "()", "{}"):
            assert diagram.count(opening) == diagram.count(closing)
        # GitHub's renderer treats a semicolon as the end of a statement.
        assert ";" not in diagram


@page
def test_no_fence_is_left_open(path: Path) -> None:
    assert "```" not in prose(path.read_text())


@page
def test_the_language_passes_the_word_list(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert language.main([str(path)]) == 0, capsys.readouterr().err
