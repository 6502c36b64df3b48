import json
import subprocess
from pathlib import Path

import yaml

from local.bridge import Bridge
from local.up import docker, sam_files

ROOT = Path(__file__).parents[3]
VARIABLES = {"PlaceCallFunction": {"ALLOMIA_BASE_URL": "http://127.0.0.1:8070"}}
PARAMETERS = {"Architecture": "x86_64", "LocalEndpointUrl": "http://127.0.0.1:8071"}


def test_containers_get_addresses_that_they_can_reach(tmp_path: Path) -> None:
    with sam_files(tmp_path, VARIABLES, PARAMETERS, "172.17.0.1"):
        variables = json.loads((tmp_path / "env.json").read_text())
        parameters = yaml.safe_load((tmp_path / "parameters.yaml").read_text())

    assert variables == {"PlaceCallFunction": {"ALLOMIA_BASE_URL": "http://172.17.0.1:8070"}}
    assert parameters == {"Architecture": "x86_64", "LocalEndpointUrl": "http://172.17.0.1:8071"}
    assert list(tmp_path.iterdir()) == []


def test_a_second_local_environment_leaves_the_first_ones_files_alone(tmp_path: Path) -> None:
    with sam_files(tmp_path, VARIABLES, PARAMETERS, "127.0.0.1"):
        with sam_files(tmp_path, {}, {}, "127.0.0.1") as second:
            assert second == 2
        assert {path.name for path in tmp_path.iterdir()} == {"env.json", "parameters.yaml"}
        assert json.loads((tmp_path / "env.json").read_text()) == VARIABLES


def test_a_file_left_behind_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "env.json").write_text("left by a process that was killed, and longer than what replaces it" * 9)

    with sam_files(tmp_path, VARIABLES, PARAMETERS, "127.0.0.1") as number:
        assert number == 1
        assert json.loads((tmp_path / "env.json").read_text()) == VARIABLES


def test_it_reports_whether_it_found_docker() -> None:
    with Bridge(8070, address="192.0.2.1") as none:
        assert docker(none).startswith("Docker: not found")
    with Bridge(0, address="127.0.0.1") as found:
        assert docker(found) == "Docker: found. Containers reach this stack at 127.0.0.1."


def test_git_ignores_these_files() -> None:
    files = [f"events/{name}" for name in ("env.json", "env-2.json", "parameters.yaml", "parameters-2.yaml")]

    done = subprocess.run(
        ["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.stdout.split() == files
