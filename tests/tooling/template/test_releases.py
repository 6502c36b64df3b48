"""How a new version takes over: what publishes it, who tries it, and how it gets its work."""

import copy
import graphlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from cfnlint.api import ManualArgs, lint_file  # type: ignore[import-untyped]

from outbound_calls.releases import SECONDS_TO_ANSWER
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import Json, Stack, Template, read_template, render, transform

ENVIRONMENTS: Final = ("local", "dev", "staging", "prod")
GRADUAL: Final = {"staging": "Canary10Percent5Minutes", "prod": "Canary10Percent10Minutes"}

RELEASED: Final = {
    "PlaceCallFunction": "FailedMessages",
    "ReceiveWebhookFunction": "WebhooksFailed",
    "PollCallsFunction": "PollsFailed",
    # It raises instead of counting, so that the stream delivers the batch again.
    "PublishOutcomeFunction": None,
    "GetCallFunction": None,
}

# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-version.html
LONGEST_DESCRIPTION: Final = 256

SECRET: Final = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:"
UUID: Final = "0b7f3a52-6a3c-4d5c-9c51-2f1d9f0a7e11"

# For each parameter two values that it may have. The first of a text is the longest that there may be.
VALUES: Final = {
    "AllomiaApiKeySecretArn": (f"{SECRET}{'n' * 70}-AbC123", f"{SECRET}other-AbC123"),
    "AllomiaBaseUrl": ("https://" + "b" * 40, "https://allomia.com"),
    "WebhookBaseUrl": ("https://" + "w" * 56, ""),
    "DefaultAssistantId": (UUID, ""),
    "DefaultPhoneNumberId": (UUID, "7c1e3d52-4b1f-4b8e-8f4d-2a9c6e0d7b02"),
    "WebhookGraceSeconds": ("3600", "180"),
    "CallDeadlineSeconds": ("86400", "7200"),
    "RetentionDays": ("3650", "90"),
    "MaxWorkers": ("1000", "5"),
    "DueShards": ("16", "4"),
    "MaxPollsPerSecond": ("1000", "100"),
    "MaxWebhooksPerSecond": ("10000", "200"),
    "Environment": ("staging", "prod"),
    "SnapStart": ("PublishedVersions", "None"),
    "Architecture": ("x86_64", "arm64"),
    "AlarmEmail": ("on-call@clinic.example", ""),
}
LONGEST: Final = {name: longest for name, (longest, _) in VALUES.items()}


def version_of(stack: Stack, function: str) -> tuple[str, Template]:
    """The logical id and the properties of a function's version."""
    ((logical_id, version),) = [
        each for each in stack.of_type("AWS::Lambda::Version") if each[1]["FunctionName"] == f"${{{function}}}"
    ]
    return logical_id, version


def versions(template: Template) -> set[str]:
    """Logical ids of all versions that a template as written would publish: CloudFormation publishes a new one for each
    id that is new to it."""
    return {logical_id for logical_id, _ in render(transform(template), {}).of_type("AWS::Lambda::Version")}


def with_conditions_decided(stack: Stack) -> Template:
    """The template that remains for an environment. Where no condition is left, cfn-lint takes none for undecided."""

    def decided(value: Json) -> Json:
        match value:
            case {"Fn::If": [str(condition), then, otherwise]}:
                return decided(then if stack._holds({"Condition": condition}) else otherwise)
            case dict():
                return {key: decided(each) for key, each in value.items()}
            case list():
                return [decided(each) for each in value]
            case _:
                return value

    template = copy.deepcopy(stack.template)
    template.pop("Metadata")
    template["Resources"] = {name: decided(template["Resources"][name]) for name in stack.resources}
    for resource in template["Resources"].values():
        resource.pop("Condition", None)
    return template


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_sam_makes_is_without_fault(stack_of: StackOf, environment: str, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(with_conditions_decided(stack_of(Environment=environment))))

    # (The conditions stay although they are decided.)
    found = lint_file(path, config=ManualArgs(regions=["ca-central-1"], ignore_checks=["W8001"]))

    assert [f"{match.rule.id} {match.message}" for match in found] == []


def references(value: Json) -> Iterator[str]:
    """The logical ids and parameters that a part of the template waits for."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), _]}:
            yield name
        case {"Fn::Sub": text}:
            yield from re.findall(r"\$\{(\w+)", text if isinstance(text, str) else text[0])
            yield from references([] if isinstance(text, str) else text[1])
        case dict():
            yield from references(list(value.values()))
        case list():
            for each in value:
                yield from references(each)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_waits_for_itself(stack_of: StackOf, environment: str) -> None:
    """An alias waits for what its UpdatePolicy names, which cfn-lint does not follow."""
    template = with_conditions_decided(stack_of(Environment=environment))
    waits = {name: set(references(each)) & template["Resources"].keys() for name, each in template["Resources"].items()}

    assert list(graphlib.TopologicalSorter(waits).static_order())


def test_whatever_starts_a_function_starts_its_live_version(stack: Stack) -> None:
    mappings = {mapping["FunctionName"] for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping")}
    machine = stack.properties("Poller")["DefinitionSubstitutions"]

    assert mappings == {"${PlaceCallFunctionAliaslive}", "${PublishOutcomeFunctionAliaslive}"}
    assert machine["PollCallsFunctionArn"] == "${PollCallsFunctionAliaslive}"
    for _, api in stack.of_type("AWS::ApiGatewayV2::Api"):
        uris = re.findall(r"functions/(\S+)/invocations", json.dumps(api["Body"]))
        assert uris
        assert all(uri.endswith("FunctionAliaslive}") for uri in uris)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_function_has_a_live_version(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)
    for function, _ in stack.of_type("AWS::Lambda::Function"):
        alias = stack.properties(f"{function}Aliaslive")
        assert (alias["Name"], alias["FunctionName"]) == ("live", f"${{{function}}}")
        assert alias["FunctionVersion"] == f"${{{version_of(stack, function)[0]}.Version}}"


@pytest.mark.parametrize(
    ("environment", "rollout"), [("local", "Gradual"), ("dev", "Gradual"), ("staging", "AtOnce"), ("prod", "AtOnce")]
)
def test_elsewhere_and_when_it_is_wanted_a_version_takes_over_at_once(
    stack_of: StackOf, environment: str, rollout: str
) -> None:
    stack = stack_of(Environment=environment, Rollout=rollout)

    assert not [name for name, each in stack.template["Resources"].items() if "CodeDeploy" in each["Type"]]
    assert not [name for name, each in stack.resources.items() if "UpdatePolicy" in each]
    assert "CheckReleaseFunction" not in stack.resources
    assert not [name for name in stack.resources if name.endswith("ReleaseAlarm")]


@pytest.mark.parametrize(("environment", "shift"), GRADUAL.items())
def test_a_version_takes_over_by_and_by_and_goes_back_when_its_function_fails(
    stack_of: StackOf, environment: str, shift: str
) -> None:
    stack = stack_of(Environment=environment)
    functions = {name for name, _ in stack.of_type("AWS::Lambda::Function")} - {"CheckReleaseFunction"}
    assert functions == RELEASED.keys()

    for function in functions:
        group = stack.properties(f"{function}DeploymentGroup")
        assert stack.resources[f"{function}Aliaslive"]["UpdatePolicy"] == {
            "CodeDeployLambdaAliasUpdate": {
                "ApplicationName": "${ServerlessDeploymentApplication}",
                "DeploymentGroupName": f"${{{function}DeploymentGroup}}",
                "BeforeAllowTrafficHook": "${CheckReleaseFunction}",
            }
        }
        assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{shift}"
        assert group["ServiceRoleArn"] == "${ReleaseRole.Arn}"
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        alarm = f"{function.removesuffix('Function')}ReleaseAlarm"
        assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": f"${{{alarm}}}"}]}


@pytest.mark.parametrize(("function", "failed"), RELEASED.items())
def test_the_alarm_sees_failures_of_the_live_version_and_those_that_the_code_counts(
    stack_of: StackOf, function: str, failed: str | None
) -> None:
    alarm = stack_of(Environment="prod").properties(f"{function.removesuffix('Function')}ReleaseAlarm")
    metrics = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each] or [alarm]

    seen = {(each["Namespace"], each["MetricName"]): each["Dimensions"] for each in metrics}
    assert seen.pop(("AWS/Lambda", "Errors")) == [
        {"Name": "FunctionName", "Value": f"${{{function}}}"},
        {"Name": "Resource", "Value": f"${{{function}}}:live"},
    ]
    assert seen == (
        {("AllomiaOutboundCalls", failed): [{"Name": "service", "Value": "${AWS::StackName}"}]} if failed else {}
    )
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    # Where nobody calls, nothing fails.
    assert alarm["TreatMissingData"] == "notBreaching"
    # One failure takes a release back, and wakes nobody.
    assert "AlarmActions" not in alarm


def test_the_check_has_time_for_every_try_and_reports_before_it_is_ended(stack_of: StackOf) -> None:
    """Each client tries four times."""
    check = stack_of(Environment="prod").properties("CheckReleaseFunction")
    assert check["Timeout"] >= 4 * SECONDS_TO_ANSWER + 30


def test_the_check_is_not_itself_released_by_and_by(stack_of: StackOf) -> None:
    stack = stack_of(Environment="prod")
    assert "UpdatePolicy" not in stack.resources["CheckReleaseFunctionAliaslive"]


CHANGES: Final[dict[str, Callable[[Template], object]]] = {
    "this project's code": lambda each: each["OutboundCallsLayer"]["Properties"].update(ContentUri="layers/changed"),
    "a package": lambda each: each["DependenciesLayer"]["Properties"].update(ContentUri="layers/changed"),
    "a handler": lambda each: [
        each[name]["Properties"].update(CodeUri="changed") for name in (*RELEASED, "CheckReleaseFunction")
    ],
    "memory": lambda each: [
        each[name]["Properties"].update(MemorySize=1024) for name in (*RELEASED, "CheckReleaseFunction")
    ],
    "a timeout": lambda each: [
        each[name]["Properties"].update(Timeout=59) for name in (*RELEASED, "CheckReleaseFunction")
    ],
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_publishes_a_version_of_every_function(what: str) -> None:
    changed = read_template()
    CHANGES[what](changed["Resources"])

    assert versions(read_template()).isdisjoint(versions(changed))


def test_no_change_publishes_no_version() -> None:
    assert versions(read_template()) == versions(read_template())


@pytest.mark.parametrize("function", [*RELEASED, "CheckReleaseFunction"])
@pytest.mark.parametrize("parameter", VALUES)
def test_a_parameter_publishes_a_version_of_the_functions_that_it_changes_and_of_no_other(
    stack_of: StackOf, parameter: str, function: str
) -> None:
    """CloudFormation replaces a version whose description changes. Lambda refuses to publish one of an unchanged
    function, which would fail the deployment, so neither may change without the other."""
    before = stack_of(**LONGEST)
    after = stack_of(**LONGEST | {parameter: VALUES[parameter][1]})

    changed = before.properties(function) != after.properties(function)
    assert (version_of(before, function)[1] != version_of(after, function)[1]) is changed


def test_every_parameter_is_looked_at(written: Template) -> None:
    # The emulator's address is the same as long as the emulator lives; how a version comes is nothing of the version.
    assert written["Parameters"].keys() - {"LocalEndpointUrl", "Rollout"} == VALUES.keys()


@pytest.mark.parametrize("function", [*RELEASED, "CheckReleaseFunction"])
def test_a_description_is_never_too_long(stack_of: StackOf, function: str) -> None:
    description = version_of(stack_of(**LONGEST), function)[1]["Description"]

    assert "${" not in description
    assert len(description) <= LONGEST_DESCRIPTION


def test_the_longest_values_are_those_that_the_template_accepts(written: Template) -> None:
    for name, (longest, _) in VALUES.items():
        parameter = written["Parameters"][name]
        if "MaxLength" in parameter:
            assert len(longest) == parameter["MaxLength"]
        elif "MaxValue" in parameter:
            assert longest == str(parameter["MaxValue"])
        if "AllowedPattern" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], longest)
    pattern = written["Parameters"]["AllomiaApiKeySecretArn"]["AllowedPattern"]
    assert not re.fullmatch(pattern, f"{SECRET}{'n' * 71}-AbC123")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_old_versions_go(stack_of: StackOf, environment: str) -> None:
    stack = stack_of(Environment=environment)
    ids = [logical_id for logical_id, _ in stack.of_type("AWS::Lambda::Version")]

    assert ids
    assert {stack.resources[logical_id]["DeletionPolicy"] for logical_id in ids} == {"Delete"}


@pytest.mark.parametrize("choice", ["None", "PublishedVersions"])
def test_snapshots_are_a_choice(stack_of: StackOf, choice: str) -> None:
    for _, function in stack_of(SnapStart=choice, Environment="prod").of_type("AWS::Lambda::Function"):
        assert function["SnapStart"] == {"ApplyOn": choice}
