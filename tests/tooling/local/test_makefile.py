import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INPUTS = (
    "Makefile",
    ".python-version",
    "requirements-dev.txt",
    "local/requirements.txt",
    "local/lambda-runtime.txt",
    "local/setup.sh",
    "layers/dependencies/requirements.txt",
)


def make(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder with a space, whose .venv was made for the folder in its stamp."""
    folder = tmp_path / "a clone"
    for name in INPUTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv").mkdir()
    return folder


@pytest.mark.parametrize(("of_this_folder", "runs"), [(True, False), (False, True)])
def test_setup_runs_again_for_a_copied_clone(clone: Path, of_this_folder: bool, runs: bool) -> None:
    (clone / ".venv/.complete").write_text(f"{clone if of_this_folder else ROOT}\n")

    assert ("local/setup.sh" in make(clone, "--dry-run", "setup")) is runs


def test_a_copied_environment_runs_the_code_beside_it() -> None:
    paths = (ROOT / ".venv/lib/python3.13/site-packages/calls.pth").read_text().split()

    assert [path for path in paths if Path(path).is_absolute()] == []


def test_commands_see_the_systems_certificates_and_no_aws_profile() -> None:
    shown = make(ROOT, "--eval", "show-environment:; @env", "show-environment", AWS_PROFILE="missing").splitlines()

    assert {"UV_SYSTEM_CERTS=true", "LC_ALL=C.UTF-8"} <= {*shown}
    assert [line for line in shown if line.startswith("AWS_PROFILE")] == []
    assert "export UV_SYSTEM_CERTS=true\n" in (ROOT / "local/setup.sh").read_text()


def test_a_home_that_cannot_be_written_is_not_needed() -> None:
    shown = make(ROOT, "--eval", "show-environment:; @env", "show-environment", HOME="/dev/null", UV_CACHE_DIR="")

    assert f"__SAM_CLI_APP_DIR={ROOT}/.venv/sam\n" in shown


def test_check_and_test_run_each_linter_once_and_have_an_end() -> None:
    planned = {target: make(ROOT, "--dry-run", target) for target in ("check", "test")}

    for steps in planned.values():
        assert [steps.count(linter) for linter in ("ruff check", "mypy", "zizmor")] == [1, 1, 1]
        assert steps.count("timeout --foreground") == 1
    assert "tests/unit" in planned["check"]
