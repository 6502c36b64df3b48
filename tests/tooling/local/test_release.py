import subprocess
from datetime import date
from pathlib import Path

import pytest

from local.release import ReleaseError, date_section, make, notes

TODAY = date(2026, 12, 1)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Everything.\n"
RELEASED = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n### Added\n\n- Everything.\n"
FILES = {
    "CHANGELOG.md": CHANGELOG,
    "pyproject.toml": '[project]\nversion = "0.0.1"\n',
    "docs/integrate/schemas/call-request.json": "{}",
    "tests/tooling/contracts/released/README.md": "",
    "tests/tooling/contracts/released/gone.json": "{}",
}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.email", "someone@example.com")
    git(tmp_path, "config", "user.name", "Someone")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Before")
    return tmp_path


def test_a_release_is_one_commit_with_a_tag(root: Path) -> None:
    make(root, "0.1.0", TODAY)

    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", "v0.1.0^{commit}") == git(root, "rev-parse", "HEAD")
    assert (root / "CHANGELOG.md").read_text() == RELEASED
    assert 'version = "0.1.0"' in (root / "pyproject.toml").read_text()
    assert {path.name for path in (root / "tests/tooling/contracts/released").iterdir()} == {
        "README.md",
        "call-request.json",
    }
    assert notes(root, "0.1.0") == "### Added\n\n- Everything."


@pytest.mark.parametrize(
    "changelog",
    [
        "## [Unreleased]\n\n## 0.1.0 (unreleased)\n\n- Everything.\n",
        "## [Unreleased]\n\n## [0.1.0]\n\n- Everything.\n",
        "## [Unreleased]\n\n- Everything.\n",
    ],
)
def test_a_section_is_dated(changelog: str) -> None:
    assert date_section(changelog, "0.1.0", TODAY) == "## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n- Everything.\n"


@pytest.mark.parametrize(
    ("changelog", "why"),
    [
        ("## [Unreleased]\n", "nothing under Unreleased"),
        ("## [Unreleased]\n\n- More.\n\n## [0.1.0]\n\n- Everything.\n", "both"),
        (RELEASED, "is released"),
        ("# Changelog\n", "no section Unreleased"),
    ],
)
def test_there_must_be_something_to_release(changelog: str, why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        date_section(changelog, "0.1.0", TODAY)


@pytest.mark.parametrize("version", ["v0.1.0", "0.1", "0.1.0-rc1", "01.0.0"])
def test_a_version_has_three_numbers(root: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="not a version"):
        make(root, version, TODAY)


def test_nothing_else_may_be_changed_and_a_tag_is_made_once(root: Path) -> None:
    (root / "new").touch()
    with pytest.raises(ReleaseError, match="Commit or stash"):
        make(root, "0.1.0", TODAY)
    (root / "new").unlink()
    make(root, "0.1.0", TODAY)

    with pytest.raises(ReleaseError, match=r"tag v0\.1\.0 already"):
        make(root, "0.1.0", TODAY)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("CHANGELOG.md", CHANGELOG, "no dated section"),
        ("pyproject.toml", 'version = "0.2.0"\n', "not at version"),
        ("docs/integrate/schemas/call-request.json", '{"title": "changed"}', "are not those in"),
    ],
)
def test_a_tag_made_by_hand_is_found_out(root: Path, file: str, content: str, why: str) -> None:
    make(root, "0.1.0", TODAY)
    (root / file).write_text(content)

    with pytest.raises(ReleaseError, match=why):
        notes(root, "0.1.0")
