"""How a new version takes over: what publishes it, what checks it, and how it gets its traffic."""

import graphlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from releases import SECONDS_TO_ANSWER
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import Json, RenderedStack, Template, lint, read_template, render, transform

ENVIRONMENTS: Final = ("local", "dev", "staging", "prod")
GRADUAL: Final = {"staging": "Canary10Percent5Minutes", "prod": "Canary10Percent10Minutes"}

FAULT_METRICS: Final = {
    "PlaceCallFunction": "FailedMessages",
    "ReceiveWebhookFunction": "WebhooksFailed",
    "PollCallsFunction": "PollsFailed",
    # These count no faults: those that read the stream raise, so that it delivers the batch again.
    "PublishOutcomeFunction": None,
    "ReleaseLinesFunction": None,
    "GetCallFunction": None,
}
ALL_FUNCTIONS: Final = (*FAULT_METRICS, "CheckReleaseFunction")

# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-version.html
LONGEST_DESCRIPTION: Final = 256

SECRET: Final = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:"
UUID: Final = "0b7f3a52-6a3c-4d5c-9c51-2f1d9f0a7e11"

VALUES: Final = {
    "AllomiaApiKeySecretArn": (f"{SECRET}{'n' * 70}-AbC123", f"{SECRET}other-AbC123"),
    "AllomiaBaseUrl": ("https://" + "b" * 56, "https://allomia.com"),
    "WebhookBaseUrl": ("https://" + "w" * 56, ""),
    "CallingPolicy": ("united-states-health-care", "canada"),
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
"""Two values for each parameter. The first is the longest valid one."""

LONGEST: Final = {name: longest for name, (longest, _) in VALUES.items()}


def release_alarms(function: str) -> list[str]:
    """The alarms that roll a release of this function back."""
    kinds = ["Errors", "Failures"] if FAULT_METRICS[function] else ["Errors"]
    return [f"{function.removesuffix('Function')}{kind}ReleaseAlarm" for kind in kinds]


def version_of(stack: RenderedStack, function: str) -> Template:
    """The properties of a function's version."""
    versions = (properties for _, properties in stack.of_type("AWS::Lambda::Version"))
    (version,) = (each for each in versions if each["FunctionName"] == f"${{{function}}}")
    return version


def version_ids(template: Template) -> set[str]:
    """Logical ids of the versions in a template. CloudFormation publishes a version for each new id."""
    return {logical_id for logical_id, _ in render(transform(template), {}).of_type("AWS::Lambda::Version")}


def references(value: Json) -> Iterator[str]:
    """The logical ids and parameters that a part of the template refers to."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
            yield name
        case {"Fn::Sub": text}:
            yield from re.findall(r"\$\{(\w+)", text if isinstance(text, str) else text[0])
            yield from references([] if isinstance(text, str) else text[1])
        case dict():
            yield from references(list(value.values()))
        case list():
            for each in value:
                yield from references(each)


@pytest.mark.parametrize(
    "environment",
    # prod has every resource that there can be, and local has the fewest.
    [each if each in {"local", "prod"} else pytest.param(each, marks=pytest.mark.proof) for each in ENVIRONMENTS],
)
def test_the_transformed_template_is_valid(stack_of: StackOf, environment: str, tmp_path: Path) -> None:
    template = stack_of(Environment=environment).without_conditions()
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template))

    # W8001: no resource uses the conditions any more. W2001: only SAM reads Rollout
    assert lint(path, "W8001", "W2001") == []
    # cfn-lint does not follow an alias's UpdatePolicy, so look for circular dependencies here
    resources = template["Resources"]
    graph = {name: set(references(each)) & resources.keys() for name, each in resources.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_everything_that_invokes_a_function_invokes_its_alias(stack: RenderedStack) -> None:
    sources = {mapping["FunctionName"] for _, mapping in stack.of_type("AWS::Lambda::EventSourceMapping")}
    integrations = re.findall(r"functions/(\S+)/invocations", json.dumps(stack.properties("HttpApi")["Body"]))
    poller = stack.properties("Poller")["DefinitionSubstitutions"]["PollCallsFunctionArn"]

    assert sources == {
        "${PlaceCallFunctionAliaslive}",
        "${PublishOutcomeFunctionAliaslive}",
        "${ReleaseLinesFunctionAliaslive}",
    }
    assert set(integrations) == {"${ReceiveWebhookFunctionAliaslive}", "${GetCallFunctionAliaslive}"}
    assert poller == "${PollCallsFunctionAliaslive}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alias_points_to_the_new_version_and_old_versions_are_deleted(
    stack_of: StackOf, environment: str
) -> None:
    stack = stack_of(Environment=environment)
    versions = {properties["FunctionName"]: name for name, properties in stack.of_type("AWS::Lambda::Version")}
    functions = dict(stack.of_type("AWS::Lambda::Function"))

    assert versions.keys() == {f"${{{function}}}" for function in functions}
    for function in functions:
        version = versions[f"${{{function}}}"]
        alias = stack.properties(f"{function}Aliaslive")
        assert (alias["Name"], alias["FunctionName"]) == ("live", f"${{{function}}}")
        assert alias["FunctionVersion"] == f"${{{version}.Version}}"
        assert stack.resources[version]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize(
    ("environment", "rollout"), [("local", "Gradual"), ("dev", "Gradual"), ("staging", "AtOnce"), ("prod", "AtOnce")]
)
def test_elsewhere_or_on_request_a_version_takes_over_at_once(
    stack_of: StackOf, environment: str, rollout: str
) -> None:
    stack = stack_of(Environment=environment, Rollout=rollout)

    assert not [name for name, each in stack.template["Resources"].items() if "CodeDeploy" in each["Type"]]
    assert not [name for name, each in stack.resources.items() if "UpdatePolicy" in each]
    # What CodeDeploy needs is there before the first gradual release. An alias waits for no policy of a role.
    kept = {name for name in stack.resources if name.startswith("CheckRelease") or name.endswith("ReleaseAlarm")}
    assert bool(kept) is (environment in GRADUAL)
    assert ({"ReleaseRole", "ReleasePolicy", "CheckReleasePolicy"} <= stack.resources.keys()) is bool(kept)


@pytest.mark.parametrize(("environment", "shift"), GRADUAL.items())
@pytest.mark.parametrize("function", FAULT_METRICS)
def test_a_version_takes_over_gradually_and_is_rolled_back_on_an_alarm(
    stack_of: StackOf, environment: str, shift: str, function: str
) -> None:
    stack = stack_of(Environment=environment)
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
    alarms = [{"Name": f"${{{name}}}"} for name in release_alarms(function)]
    assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": alarms}


@pytest.mark.parametrize(("function", "faults"), FAULT_METRICS.items())
def test_release_alarms_watch_errors_of_the_alias_and_counted_faults(
    prod: RenderedStack, function: str, faults: str | None
) -> None:
    alarms = [prod.properties(name) for name in release_alarms(function)]

    watched = {(each["Namespace"], each["MetricName"]): each["Dimensions"] for each in alarms}
    assert watched == {
        ("AWS/Lambda", "Errors"): [
            {"Name": "FunctionName", "Value": f"${{{function}}}"},
            {"Name": "Resource", "Value": f"${{{function}}}:live"},
        ],
        **({("AllomiaOutboundCalls", faults): [{"Name": "service", "Value": "${AWS::StackName}"}]} if faults else {}),
    }
    for alarm in alarms:
        assert (alarm["Statistic"], alarm["Threshold"], alarm["ComparisonOperator"]) == (
            *("Sum", 0, "GreaterThanThreshold"),
        )
        assert alarm["TreatMissingData"] == "notBreaching"
        # It rolls a release back, but notifies no one
        assert "AlarmActions" not in alarm


def test_an_alarm_on_errors_also_looks_at_the_minutes_of_invocations_that_took_long(prod: RenderedStack) -> None:
    """Lambda reports an error under the minute in which the invocation began.

    docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics.html
    """
    longest = max(prod.properties(function)["Timeout"] for function in FAULT_METRICS)
    alarms = [each for _, each in prod.of_type("AWS::CloudWatch::Alarm") if each.get("MetricName") == "Errors"]

    assert len(alarms) == 1 + len(FAULT_METRICS)
    for alarm in alarms:
        assert alarm["DatapointsToAlarm"] == 1
        assert alarm["Period"] * (alarm["EvaluationPeriods"] - 1) >= longest


def test_no_alarm_that_rolls_a_release_back_uses_metric_math(prod: RenderedStack) -> None:
    math = {name for name, each in prod.of_type("AWS::CloudWatch::Alarm") if "Metrics" in each}

    assert math == {"WebhooksMissingAlarm"}


def test_the_check_reports_before_it_times_out_and_is_not_released_gradually(prod: RenderedStack) -> None:
    # Each client makes four attempts
    assert prod.properties("CheckReleaseFunction")["Timeout"] >= 4 * SECONDS_TO_ANSWER + 30
    assert "UpdatePolicy" not in prod.resources["CheckReleaseFunctionAliaslive"]


def of_every_function(**properties: object) -> Callable[[Template], object]:
    return lambda resources: [resources[name]["Properties"].update(properties) for name in ALL_FUNCTIONS]


CHANGES: Final[dict[str, Callable[[Template], object]]] = {
    "this project's code": lambda each: each["OutboundCallsLayer"]["Properties"].update(ContentUri="layers/changed"),
    "a package": lambda each: each["DependenciesLayer"]["Properties"].update(ContentUri="layers/changed"),
    "a handler": of_every_function(CodeUri="changed"),
    "memory": of_every_function(MemorySize=1024),
    "a timeout": of_every_function(Timeout=59),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_publishes_a_version_of_every_function(change: str) -> None:
    changed = read_template()
    CHANGES[change](changed["Resources"])

    assert version_ids(read_template()).isdisjoint(version_ids(changed))
    assert version_ids(read_template()) == version_ids(read_template())


@pytest.mark.parametrize("parameter", VALUES)
def test_a_changed_parameter_publishes_versions_of_exactly_the_functions_that_it_changes(
    stack_of: StackOf, parameter: str
) -> None:
    """CloudFormation replaces a version whose description changes. Lambda refuses to publish a version of an unchanged
    function, and then the deployment fails. So description and function must change together."""
    before, after = stack_of(**LONGEST), stack_of(**LONGEST | {parameter: VALUES[parameter][1]})

    for function in ALL_FUNCTIONS:
        changed = before.properties(function) != after.properties(function)
        assert (version_of(before, function) != version_of(after, function)) is changed, function


@pytest.mark.parametrize("function", ALL_FUNCTIONS)
def test_the_longest_valid_values_fit_into_a_description(stack_of: StackOf, function: str) -> None:
    description = version_of(stack_of(**LONGEST), function)["Description"]

    assert "${" not in description
    assert len(description) <= LONGEST_DESCRIPTION


def test_the_longest_values_are_valid_and_the_longest(written: Template) -> None:
    parameters = written["Parameters"]
    # An emulator's endpoint stays the same; Rollout is no part of a version.
    assert parameters.keys() - {"LocalEndpointUrl", "Rollout"} == VALUES.keys()
    for name, longest in LONGEST.items():
        parameter = parameters[name]
        assert len(longest) == parameter.get("MaxLength", len(longest))
        assert longest == str(parameter.get("MaxValue", longest))
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), longest)
    assert not re.fullmatch(parameters["AllomiaApiKeySecretArn"]["AllowedPattern"], f"{SECRET}{'n' * 71}-AbC123")


@pytest.mark.parametrize("choice", ["None", "PublishedVersions"])
def test_snapstart_is_a_choice(stack_of: StackOf, choice: str) -> None:
    for _, function in stack_of(SnapStart=choice, Environment="prod").of_type("AWS::Lambda::Function"):
        assert function["SnapStart"] == {"ApplyOn": choice}
