"""Runs the SAM command line, and `sam build` only when something that goes into the build has changed.

python -m local.sam    builds
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".aws-sam/build"
PYTHON = ROOT / ".venv/bin/python"

SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers", "statemachines")
SAM_SECONDS = 300.0


class SamError(Exception):
    """A sam command failed; the message is what it printed."""


def run_sam(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run sam in the project's root.

    Raises:
        SamError: It failed.
    """
    with tempfile.TemporaryDirectory(prefix="allomia-sam-") as scratch:
        # Its own settings folder: the home folder may be read-only, and there is no check for a newer sam.
        Path(scratch, "metadata.json").write_text(
            json.dumps({"telemetryEnabled": False, "lastVersionCheck": time.time()})
        )
        done = subprocess.run(
            [PYTHON, "-m", "samcli", *arguments],
            cwd=ROOT,
            # sam leaves a temporary folder behind for each part that it packs.
            env={**environment, "SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": scratch, "TMPDIR": scratch},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SAM_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        raise SamError(f"sam {arguments[0]} failed:\n{done.stdout[-8000:]}")


def build() -> Path:
    """Build both layers and every function into .aws-sam/build unless that is up to date; returns that folder.

    Safe to call from several processes at once: one builds while the others wait.

    Raises:
        SamError: sam rejects the template, or something cannot be built.
    """
    with (ROOT / ".venv/build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # sam empties the folder before it builds, so the mark exists only while the build is complete.
        mark, fingerprint = BUILD / ".fingerprint", _fingerprint()
        if not mark.exists() or mark.read_text() != fingerprint:
            run_sam(["build"], _build_environment(os.environ))
            mark.write_text(fingerprint)
    return BUILD


def _build_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without AWS settings (a profile may not exist) and an outer make's options."""
    environment = {
        name: value
        for name, value in given.items()
        if not name.startswith(("AWS_", "PYTHON")) and name not in {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
    }
    # sam asks for a region, although a build uses no cloud. uv must trust what the system trusts.
    return environment | {"AWS_DEFAULT_REGION": "ca-central-1", "UV_SYSTEM_CERTS": "true"}


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


def main() -> int:
    """Build, and print where; returns the exit code."""
    try:
        print(f"Built into {build().relative_to(ROOT)}.")
    except SamError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
