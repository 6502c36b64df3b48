"""What every page names exists."""

import re
from pathlib import Path

import pytest

from tests.tooling.docs.markdown import PAGES, PROJECT, anchors, code, fences, links, prose, read

MADE_LATER = {"events/env.json"}  # by `make local`, while it runs
_PATH = re.compile(
    r"(?<![\w./-])(?:docs|events|examples|functions|layers|local|statemachines|tests)/[\w.-]+(?:/[\w.-]+)*"
)
_MAKE = re.compile(r"^make ([a-z]+)", re.MULTILINE)

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))


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

    assert named <= set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))


@page
def test_every_diagram_is_one_that_github_draws(path: Path) -> None:
    for diagram in fences(path.read_text(), "mermaid"):
        kind = diagram.split()[0]
        assert kind in {"flowchart", "stateDiagram-v2", "sequenceDiagram"}
        words = re.findall(r"\b(subgraph|alt|loop|opt|par|else|end)\b", re.sub(r'"[^"]*"|: .*', "", diagram))
        assert words.count("end") == len([word for word in words if word not in {"end", "else"}])
        for opening, closing in ("[]", "()", "{}"):
            assert diagram.count(opening) == diagram.count(closing)
        assert diagram.count('"') % 2 == 0
        # GitHub's renderer takes a semicolon for the end of a statement.
        assert ";" not in diagram


@page
def test_no_fence_is_left_open(path: Path) -> None:
    assert "```" not in prose(path.read_text())
