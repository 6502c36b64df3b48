import json
import subprocess
import tarfile
from datetime import date
from pathlib import Path

import pytest

from tools.release import BUILD, ReleaseError, date_section, make, notes, write_assets

TODAY = date(2026, 12, 1)
ENTRIES = "### Upgrading\n\nNothing to do.\n\n### Added\n\n- Everything.\n"
CHANGELOG = f"# Changelog\n\n## [Unreleased]\n\n{ENTRIES}"
RELEASED = f"# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n\n{ENTRIES}"
FILES = {
    "CHANGELOG.md": CHANGELOG,
    "pyproject.toml": '[project]\nversion = "0.0.1"\n',
    "docs/integrate/schemas/call-request.json": "{}",
    "docs/operate/parameters.json": '{"version": "0.0.1", "parameters": {}}',
    "layers/dependencies/requirements.txt": "",
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
        "template",
    }
    assert json.loads((root / "docs/operate/parameters.json").read_text())["version"] == "0.1.0"
    assert notes(root, "0.1.0") == ENTRIES.strip()


def test_a_release_says_what_an_upgrade_needs(root: Path) -> None:
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("Upgrading", "Changed"))
    git(root, "commit", "--quiet", "--all", "--message", "Say nothing of it")

    with pytest.raises(ReleaseError, match="what an upgrade to"):
        make(root, "0.1.0", TODAY)
    assert git(root, "status", "--porcelain") == ""


def test_the_same_build_gives_the_same_archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("template.yaml", "PlaceCallFunction/app.py"):
        (root / BUILD / name).parent.mkdir(parents=True, exist_ok=True)
        (root / BUILD / name).write_text(name)
    first, second = (tmp_path_factory.mktemp("release") / "dist" for _ in range(2))

    write_assets(root, first)
    (root / BUILD / "template.yaml").touch()
    write_assets(root, second)

    (archive,) = first.glob("*.tar.gz")
    assert archive.read_bytes() == (second / archive.name).read_bytes()
    with tarfile.open(archive) as content:
        files = {each.name.partition("/")[2] for each in content if each.isfile()}
    assert files == {"template.yaml", "PlaceCallFunction/app.py"}
    assert {path.name for path in first.iterdir()} - {archive.name} == {
        archive.name.replace(".tar.gz", ".cdx.json"),
        "call-request.json",
        "parameters.json",
    }


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
        ("docs/operate/parameters.json", "{}", "is not docs/operate/parameters"),
        ("CHANGELOG.md", RELEASED.replace("Upgrading", "Changed"), "has no '### Upgrading'"),
    ],
)
def test_a_tag_made_by_hand_is_found_out(root: Path, file: str, content: str, why: str) -> None:
    make(root, "0.1.0", TODAY)
    (root / file).write_text(content)

    with pytest.raises(ReleaseError, match=why):
        notes(root, "0.1.0")
