import json
import subprocess
from pathlib import Path

from local.bridge import Bridge
from local.up import docker, environment_file

ROOT = Path(__file__).parents[3]
VARIABLES = {"PlaceCallFunction": {"ALLOMIA_BASE_URL": "http://127.0.0.1:8070"}}


def test_containers_get_an_address_that_they_reach(tmp_path: Path) -> None:
    with environment_file(tmp_path, VARIABLES, "172.17.0.1") as file:
        assert json.loads(file.read_text()) == {"PlaceCallFunction": {"ALLOMIA_BASE_URL": "http://172.17.0.1:8070"}}

    assert not file.exists()


def test_a_second_local_environment_leaves_the_firsts_file_alone(tmp_path: Path) -> None:
    with environment_file(tmp_path, VARIABLES, "127.0.0.1") as first:
        with environment_file(tmp_path, {}, "127.0.0.1") as second:
            assert second != first
        assert json.loads(first.read_text()) == VARIABLES


def test_a_file_left_behind_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "env.json").write_text("left by a process that was killed, and longer than what replaces it" * 9)

    with environment_file(tmp_path, VARIABLES, "127.0.0.1") as file:
        assert file.name == "env.json"
        assert json.loads(file.read_text()) == VARIABLES


def test_it_says_what_it_found_of_docker() -> None:
    with Bridge(8070, address="192.0.2.1") as none:
        assert docker(none).startswith("Docker: not found")
    with Bridge(0, address="127.0.0.1") as found:
        assert docker(found) == "Docker: found. Containers reach this stack at 127.0.0.1."


def test_git_ignores_the_file() -> None:
    files = ["events/env.json", "events/env-2.json"]

    done = subprocess.run(
        ["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.stdout.split() == files
