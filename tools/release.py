"""Makes a release: `make release VERSION=0.1.0` prepares, commits and tags it here; pushing the tag publishes it.

    python -m tools.release make 0.1.0     sets date and version, freezes the schemas, commits and tags
    python -m tools.release notes 0.1.0    checks that all of this is there, and prints the changelog section
    python -m tools.release assets DIST    writes what a release publishes into a folder, after `make build`

The frozen schemas and parameters are what later changes are compared with (tests/tooling/contracts). Needs only the
standard library and git, except for the assets, so that a workflow can run it without an environment.
"""

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
import tarfile
from datetime import UTC, date, datetime
from pathlib import Path

CHANGELOG = "CHANGELOG.md"
PROJECT = "pyproject.toml"
SCHEMAS = "docs/integrate/schemas"
FROZEN = "tests/tooling/contracts/released"
PARAMETERS = "docs/operate/parameters.json"
FROZEN_PARAMETERS = f"{FROZEN}/template/parameters.json"
BUILD = ".aws-sam/build"
UPGRADING = "### Upgrading"
"""The part of a release's section that says what to do when upgrading, even if that is nothing."""

GIT_SECONDS = 60.0

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_PROJECT_VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)
_HEADING = re.compile(r"^## \[?([^]\s]+)]?(.*)$", re.MULTILINE)
_DATED = re.compile(r" - \d{4}-\d\d-\d\d")


class ReleaseError(Exception):
    """The release cannot be made; the message says what is wrong."""


def make(root: Path, version: str, today: date) -> None:
    """Prepare the release in the working tree, commit it and tag it.

    Raises:
        ReleaseError: Nothing was committed.
    """
    _check_version(version)
    if _git(root, "status", "--porcelain"):
        raise ReleaseError("Commit or stash your changes first.")
    if _git(root, "tag", "--list", f"v{version}"):
        raise ReleaseError(f"There is a tag v{version} already.")
    changelog, project = root / CHANGELOG, root / PROJECT
    dated = date_section(changelog.read_text(), version, today)
    if UPGRADING not in section(dated, version):
        raise ReleaseError(f"{CHANGELOG} doesn't say under {UPGRADING!r} what an upgrade to {version} needs.")
    changelog.write_text(dated)
    project.write_text(_PROJECT_VERSION.sub(f'version = "{version}"', project.read_text(), count=1))
    parameters = root / PARAMETERS
    parameters.write_text(json.dumps(json.loads(parameters.read_text()) | {"version": version}, indent=2) + "\n")
    freeze(root)
    _git(root, "add", CHANGELOG, PROJECT, PARAMETERS, FROZEN)
    _git(root, "commit", "--quiet", "--message", f"Release {version}")
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"Release {version}")


def date_section(changelog: str, version: str, today: date) -> str:
    """The changelog with a dated section for this version, made of its undated section or of Unreleased.

    Raises:
        ReleaseError: There is nothing to release under that version.
    """
    titles = {found[1]: found for found in _HEADING.finditer(changelog)}
    if "Unreleased" not in titles:
        raise ReleaseError(f"{CHANGELOG} has no section Unreleased.")
    heading = f"## [{version}] - {today.isoformat()}"
    unreleased = section(changelog, "Unreleased")
    if version not in titles:
        if not unreleased:
            raise ReleaseError(f"{CHANGELOG} has nothing under Unreleased.")
        end = titles["Unreleased"].end()
        return f"{changelog[:end]}\n\n{heading}{changelog[end:]}"
    if unreleased:
        raise ReleaseError(f"{CHANGELOG} has both a section {version} and entries under Unreleased: move them.")
    own = titles[version]
    if _DATED.fullmatch(own[2]):
        raise ReleaseError(f"{CHANGELOG} says that {version} is released.")
    return f"{changelog[: own.start()]}{heading}{changelog[own.end() :]}"


def section(changelog: str, title: str) -> str:
    """The body of a section, without its heading; empty if there is no such section."""
    titles = list(_HEADING.finditer(changelog))
    for number, found in enumerate(titles):
        if found[1] == title:
            end = titles[number + 1].start() if number + 1 < len(titles) else len(changelog)
            return changelog[found.end() : end].strip()
    return ""


def freeze(root: Path) -> None:
    """Copy the schemas and the template's parameters to where later ones are compared with them."""
    (root / FROZEN_PARAMETERS).parent.mkdir(exist_ok=True)
    shutil.copyfile(root / PARAMETERS, root / FROZEN_PARAMETERS)
    for old in (root / FROZEN).glob("*.json"):
        old.unlink()
    for schema in sorted((root / SCHEMAS).glob("*.json")):
        shutil.copyfile(schema, root / FROZEN / schema.name)


def notes(root: Path, version: str) -> str:
    """The changelog section of a prepared release.

    Raises:
        ReleaseError: The changelog, the version or the frozen schemas are not those of this release.
    """
    _check_version(version)
    changelog = (root / CHANGELOG).read_text()
    dated = [found for found in _HEADING.finditer(changelog) if found[1] == version and _DATED.fullmatch(found[2])]
    text = section(changelog, version)
    if not (dated and text):
        raise ReleaseError(f"{CHANGELOG} has no dated section {version} with entries.")
    if UPGRADING not in text:
        raise ReleaseError(f"{CHANGELOG} has no {UPGRADING!r} for {version}.")
    project = _PROJECT_VERSION.search((root / PROJECT).read_text())
    if project is None or project[1] != version:
        raise ReleaseError(f"{PROJECT} is not at version {version}.")
    if _contents(root / SCHEMAS) != _contents(root / FROZEN):
        raise ReleaseError(f"The schemas in {FROZEN} are not those in {SCHEMAS}.")
    if (root / PARAMETERS).read_text() != (root / FROZEN_PARAMETERS).read_text():
        raise ReleaseError(f"{FROZEN_PARAMETERS} is not {PARAMETERS}.")
    return text


def write_assets(root: Path, folder: Path) -> None:
    """Write the built stack, its bill of materials, the schemas and the parameters.

    The archive of the built stack is what `sam deploy --template-file` takes. The same build gives the same bytes.
    """
    from tools.sbom import document  # reads what `make setup` installs

    folder.mkdir(parents=True)
    bill = document()
    component = bill["metadata"]["component"]
    name, top = component["name"], f"{component['name']}-{component['version']}"
    (folder / f"{name}.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")
    for path in [*sorted((root / SCHEMAS).glob("*.json")), root / PARAMETERS]:
        shutil.copyfile(path, folder / path.name)
    with (
        (folder / f"{name}.tar.gz").open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for path in sorted((root / BUILD).rglob("*")):
            archive.add(path, f"{top}/{path.relative_to(root / BUILD)}", recursive=False, filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def _check_version(version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is not a version such as 0.1.0.")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise ReleaseError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    """Do what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.release")
    parser.add_argument("what", choices=["make", "notes", "assets"])
    parser.add_argument("version", metavar="VERSION|DIST", help="such as 0.1.0, or a folder that doesn't exist yet")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    try:
        if arguments.what == "notes":
            print(notes(root, arguments.version))
            return 0
        if arguments.what == "assets":
            write_assets(root, Path(arguments.version))
            return 0
        make(root, arguments.version, datetime.now(UTC).date())
    except ReleaseError as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"Committed and tagged v{arguments.version}. Publish it with: git push origin HEAD v{arguments.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
