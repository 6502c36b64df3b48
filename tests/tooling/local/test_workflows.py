"""GitHub's workflows: actions are pinned, commands exist, and permissions are minimal."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

ROOT: Final = Path(__file__).parents[3]
FILES: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED: Final = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
ENVIRONMENTS: Final = ("staging", "prod")
DEPLOY: Final = {"contents": "read", "id-token": "write"}
PUBLISH: Final = {"contents": "write", "id-token": "write", "attestations": "write"}
RIGHTS: Final = {"staging": DEPLOY, "prod": DEPLOY, "release": PUBLISH}

type Workflow = dict[Any, Any]

workflow = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def read(path: Path) -> Workflow:
    content: Workflow = yaml.safe_load(path.read_text())
    return content


def commands(path: Path) -> list[str]:
    return [step["run"] for job in read(path)["jobs"].values() for step in job.get("steps", []) if "run" in step]


def test_there_are_three() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "deploy.yml", "release.yml"]


@workflow
def test_what_is_used_is_pinned_to_a_commit_whose_version_is_named(path: Path) -> None:
    used = re.findall(r"^\s*-? *uses: (.+)$", path.read_text(), re.MULTILINE)

    assert used
    assert [each for each in used if not each.startswith("./.github/") and not PINNED.fullmatch(each)] == []


def test_an_action_has_one_version_everywhere() -> None:
    used = {each for path in FILES for each in re.findall(r"uses: (\w\S+@.+)$", path.read_text(), re.MULTILINE)}

    assert len({each.split("@")[0] for each in used}) == len(used)


@workflow
def test_what_is_run_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(path):
        program, *arguments = command.split()
        if program == "make":
            assert set(arguments) <= targets
        else:
            assert program in {".venv/bin/sam", "gh"} or command.removeprefix(".venv/bin/").startswith(
                "python -m tools.release "
            )


@workflow
def test_nothing_is_allowed_that_is_not_needed(path: Path) -> None:
    content = read(path)

    assert content["permissions"] == {}
    for name, job in content["jobs"].items():
        assert job["permissions"] == RIGHTS.get(name, {"contents": "read"})
        # One that calls another workflow has its limit there.
        assert "uses" in job or 0 < job["timeout-minutes"] <= 60
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"] == {"persist-credentials": False}
    # No secret is there to be stolen: AWS trusts GitHub's word on which workflow it is
    assert "secrets." not in path.read_text()


def test_pull_requests_and_main_are_checked_and_pull_requests_get_no_credentials() -> None:
    ci, deploy, release = (read(path) for path in FILES)

    # YAML takes `on` for true.
    assert ci[True].keys() == {"pull_request", "workflow_call"}
    # One workflow for each ref, so that no commit is checked twice.
    assert deploy[True] == {"push": {"branches": ["main"]}}
    assert release[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    for caller in (deploy, release):
        assert caller["jobs"]["check"]["uses"] == "./.github/workflows/ci.yml"
    assert release["jobs"]["release"]["needs"] == "check"
    assert "configure-aws-credentials" not in FILES[0].read_text()
    # Linting is part of it, and runs once.
    assert commands(FILES[0]) == ["make setup", "make test", "make client-generators"]


def test_every_commit_of_main_is_checked() -> None:
    concurrency = read(FILES[0])["concurrency"]

    # GitHub drops a run that waits in its group when another one comes.
    assert "github.sha" in concurrency["group"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


@pytest.mark.parametrize(
    ("environment", "path"),
    [("staging", "deploy.yml"), ("prod", "release.yml")],
)
def test_an_environment_is_deployed_from_its_own_ref_after_the_checks_one_at_a_time(
    environment: str, path: str
) -> None:
    job = read(ROOT / ".github/workflows" / path)["jobs"][environment]

    assert (job["environment"], job["needs"]) == (environment, "check")
    assert job["if"] == "vars.DEPLOY == 'true'"
    assert job["concurrency"] == {"group": f"deploy-{environment}", "cancel-in-progress": False}
    steps = [step.get("run", step.get("uses", "")).split("@")[0] for step in job["steps"]]
    assert steps.index("make build") < steps.index("aws-actions/configure-aws-credentials")
    assert f"sam deploy --config-env {environment} " in steps[-1]
    # There is no one to confirm.
    assert ("--no-confirm-changeset" in steps[-1]) is (environment == "prod")


def test_everything_that_a_release_publishes_is_attested_and_the_code_has_a_bill_of_materials() -> None:
    steps = read(ROOT / ".github/workflows/release.yml")["jobs"]["release"]["steps"]
    runs = [step.get("run", "") for step in steps]
    attested = [step["with"] for step in steps if step.get("uses", "").startswith("actions/attest@")]

    build, assets = runs.index("make build"), runs.index(".venv/bin/python -m tools.release assets dist")
    publish = len(steps) - 1
    assert runs[publish].startswith("gh release create ")
    assert runs[publish].endswith(" dist/*")
    assert build < assets < publish - len(attested)
    assert attested == [
        {"subject-path": "dist/*"},
        {"subject-path": "dist/*.tar.gz", "sbom-path": "dist/allomia-outbound-calls.cdx.json"},
    ]


def test_aws_trusts_the_jobs_of_one_environment_and_hands_on_one_role() -> None:
    template = yaml_parse((ROOT / ".github/aws/deploy-role.yaml").read_text())
    role = template["Resources"]["DeployRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    (policy,) = role["Policies"]
    rights = {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}

    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
        }
    }
    assert template["Parameters"]["Environment"]["AllowedValues"] == list(ENVIRONMENTS)
    assert rights["PassExecutionRole"]["Resource"] == {"Ref": "ExecutionRoleArn"}
    everywhere = {name for name, each in rights.items() if each["Resource"] == "*"}
    # It reads a template that it is given, and nothing of the account.
    assert everywhere == {"ReadTemplateParameters"}
    assert not [each for each in rights.values() if "*" in str(each["Action"])]


@pytest.mark.parametrize(
    ("repository", "accepted"),
    [
        ("clinic/calls", True),
        ("clinic@1234/calls@567890", True),
        ("clinic@1234/calls", False),
        ("clinic@x/calls@1", False),
        ("clinic/calls:ref:refs/heads/main", False),
        ("*/*", False),
    ],
)
def test_the_deploy_role_takes_both_forms_of_a_repository(repository: str, accepted: bool) -> None:
    pattern = yaml_parse((ROOT / ".github/aws/deploy-role.yaml").read_text())["Parameters"]["Repository"][
        "AllowedPattern"
    ]

    assert bool(re.fullmatch(pattern, repository)) is accepted


def test_a_fault_would_be_found_by_the_linter(tmp_path: Path) -> None:
    careless = read(FILES[0])
    careless["jobs"]["check"]["steps"].append({"run": "echo ${{ github.event.pull_request.title }}"})
    path = tmp_path / ".github/workflows/careless.yml"
    path.parent.mkdir(parents=True)
    # Workflow files may be JSON, which is YAML as well.
    path.write_text(json.dumps({"on" if key is True else key: each for key, each in careless.items()}, indent=2))

    done = subprocess.run(
        [ROOT / ".venv/bin/zizmor", "--offline", "--no-progress", "--quiet", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "template-injection" in done.stdout
