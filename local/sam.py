"""The SAM command line: how it is run here, and `sam build` when something that goes into it has changed."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".aws-sam/build"

SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers", "statemachines")
SAM_SECONDS = 300.0


class SamError(Exception):
    """A sam command failed; the message is what it printed."""


def run_sam(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run sam in the project's root.

    Raises:
        SamError: It failed.
    """
    # sam leaves a folder behind for each part that it packs.
    with tempfile.TemporaryDirectory(prefix="allomia-sam-") as scratch:
        done = subprocess.run(
            [ROOT / ".venv/bin/sam", *arguments],
            cwd=ROOT,
            env={**environment, "SAM_CLI_TELEMETRY": "0", "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SAM_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        raise SamError(f"sam {arguments[0]} failed:\n{done.stdout[-8000:]}")


def build() -> Path:
    """Build both layers and every function into .aws-sam/build, and return that folder.

    Safe to call from several processes at once: one builds, the others wait and find it done.

    Raises:
        SamError: The template is refused or something cannot be built.
    """
    with (ROOT / ".venv/build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # sam empties the folder before it builds, so the mark is there only while the build is whole.
        mark, fingerprint = BUILD / ".fingerprint", _fingerprint()
        if not mark.exists() or mark.read_text() != fingerprint:
            run_sam(["build"], _build_environment())
            mark.write_text(fingerprint)
    return BUILD


def _build_environment() -> dict[str, str]:
    # A `make` around this process must not speak to the layers' own makes.
    of_make = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    # Asked for by sam, used for nothing: a build talks to no cloud.
    return environment | {"AWS_DEFAULT_REGION": "ca-central-1"}


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in _files():
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for name in SOURCES:
        source = ROOT / name
        if source.is_file():
            yield source
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
