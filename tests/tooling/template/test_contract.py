"""What others build on: parameters, outputs, samconfig.toml, and names that let several stacks share an account."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from outbound_calls.contracts.vocabulary import Preset
from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, RenderedStack, Template

UUID: Final = "0b7f3a52-6a3c-4d5c-9c51-2f1d9f0a7e11"
SECRET: Final = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:"
ENVIRONMENTS: Final = ["local", "dev", "staging", "prod"]

NUMBERS: Final = {
    "WebhookGraceSeconds": (180, 1, 3600),
    "CallDeadlineSeconds": (7200, 5, 86400),
    "RetentionDays": (90, 30, 3650),
    "MaxWorkers": (5, 2, 1000),
    "DueShards": (4, 1, 16),
    "MaxPollsPerSecond": (100, 1, 1000),
    "MaxWebhooksPerSecond": (200, 1, 10000),
}
"""Default, minimum, maximum."""

CHOICES: Final = {
    "CallingPolicy": ("canada", ["canada", "united-states-health-care", "open"]),
    "Environment": ("dev", ENVIRONMENTS),
    "Architecture": ("arm64", ["arm64", "x86_64"]),
    "Rollout": ("Gradual", ["Gradual", "AtOnce"]),
    "SnapStart": ("None", ["None", "PublishedVersions"]),
}
"""Default, allowed values."""

TEXTS: Final[dict[str, tuple[str | None, list[str], list[str]]]] = {
    "AllomiaApiKeySecretArn": (
        None,
        [f"{SECRET}allomia-AbC123", f"{SECRET}team/allomia/key-3afdec"],
        ["", "the-key-itself", "allomia-AbC123", f"{SECRET}allomia"],
    ),
    "AllomiaBaseUrl": (
        "https://allomia.com",
        ["https://allomia.example/v2", "http://127.0.0.1:8080", "http://localhost:8080/allomia"],
        ["", "http://allomia.com", "https://allomia.com/", "https://allomia.com?x=1", "http://localhost.evil.example"],
    ),
    "WebhookBaseUrl": (
        "",
        ["https://hooks.clinic.example", "http://localhost:4566/_aws/execute-api/4f1a2b3c/$default"],
        ["http://hooks.clinic.example", "https://hooks.clinic.example/", "hooks.clinic.example"],
    ),
    "DefaultAssistantId": ("", [UUID], ["my assistant"]),
    "DefaultPhoneNumberId": ("", [UUID.upper()], ["+15145550100"]),
    "AlarmEmail": ("", ["on-call@clinic.example"], ["on-call"]),
    "LocalEndpointUrl": ("", ["http://localhost:4566"], ["http://10.0.0.1:4566", "https://dynamodb.amazonaws.com"]),
}
"""Default, other valid values, invalid values."""

API: Final = "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
OUTPUTS: Final = {
    "CallQueueUrl": "${CallQueue}",
    "CallQueueArn": "${CallQueue.Arn}",
    "InvalidMessagesQueueUrl": "${InvalidMessagesQueue}",
    "DeadLetterQueueUrl": "${DeadLetterQueue}",
    "CallsTableName": "${CallsTable}",
    "PolicyTableName": "${PolicyTable}",
    "WebhookUrl": f"{API}/webhooks/allomia",
    "StatusApiUrl": f"{API}/calls",
    "StatusApiArn": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*/GET/calls/*",
    "PollerArn": "${Poller}",
    "OutcomeBusName": "${OutcomeBus}",
    "PlaceCallFunctionName": "${PlaceCallFunction}",
    "ReceiveWebhookFunctionName": "${ReceiveWebhookFunction}",
    "PollCallsFunctionName": "${PollCallsFunction}",
    "GetCallFunctionName": "${GetCallFunction}",
    "DashboardUrl": "https://console.aws.amazon.com/cloudwatch/home?region=${AWS::Region}#dashboards/dashboard/${Dashboard}",
    "AlarmTopicArn": "${AlarmTopic}",
}


def test_the_parameters(written: Template) -> None:
    parameters = written["Parameters"]
    groups = written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert {
        name: (each.get("Default"), each["MinValue"], each["MaxValue"])
        for name, each in parameters.items()
        if each["Type"] == "Number"
    } == NUMBERS
    choices = {
        name: (each["Default"], each["AllowedValues"]) for name, each in parameters.items() if "AllowedValues" in each
    }
    assert choices == CHOICES
    assert parameters.keys() == NUMBERS.keys() | CHOICES.keys() | TEXTS.keys()
    # Each has a description and a group in the console
    assert all(each["Description"] for each in parameters.values())
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(parameters)


@pytest.mark.parametrize("name", TEXTS)
def test_the_pattern_of_a_parameter(written: Template, name: str) -> None:
    default, valid, invalid = TEXTS[name]
    parameter = written["Parameters"][name]

    assert parameter.get("Default") == default
    assert parameter["ConstraintDescription"]
    for value in (*valid, default or valid[0], *([""] if default == "" else [])):
        assert re.fullmatch(parameter["AllowedPattern"], value), value
    for value in invalid:
        assert not re.fullmatch(parameter["AllowedPattern"], value), value


def test_the_calling_policy_is_a_preset_that_the_code_has(written: Template) -> None:
    allowed = written["Parameters"]["CallingPolicy"]["AllowedValues"]

    assert sorted(allowed) == sorted(Preset)
    # Nothing that a person forgets to choose means "anything goes"
    assert written["Parameters"]["CallingPolicy"]["Default"] != Preset.OPEN


def test_only_a_local_environment_accepts_a_local_endpoint(written: Template) -> None:
    rule = written["Rules"]["LocalEndpointOnlyLocally"]

    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Environment"}, "local"]}]}
    assert [each["Assert"] for each in rule["Assertions"]] == [{"Fn::Equals": [{"Ref": "LocalEndpointUrl"}, ""]}]


def test_the_outputs(stack: RenderedStack) -> None:
    assert {name: output["Value"] for name, output in stack.outputs.items()} == OUTPUTS
    assert all(output["Description"] for output in stack.outputs.values())
    # The ARN in a client's policy is the one for which the route invokes its function
    assert OUTPUTS["StatusApiArn"] in [each["SourceArn"] for _, each in stack.of_type("AWS::Lambda::Permission")]


@pytest.mark.parametrize("base", ["", "https://hooks.clinic.example"])
def test_a_custom_domain_is_for_webhooks_only(stack_of: StackOf, base: str) -> None:
    stack = stack_of(WebhookBaseUrl=base)
    url = stack.outputs["WebhookUrl"]["Value"]

    assert url == f"{base or API}/webhooks/allomia"
    assert stack.variables("PlaceCallFunction")["WEBHOOK_URL"] == url
    assert stack.outputs["StatusApiUrl"]["Value"] == OUTPUTS["StatusApiUrl"]


def test_every_explicit_name_contains_the_stacks_name(stack: RenderedStack) -> None:
    for logical_id, resource in stack.resources.items():
        kind = resource["Type"].rpartition("::")[2].removesuffix("Version")
        # These have a name within their function or API
        if kind not in {"Alias", "Stage"}:
            for key in ("Name", f"{kind}Name"):
                assert "${AWS::StackName}" in resource["Properties"].get(key, "${AWS::StackName}"), logical_id


def test_the_template_contains_no_secret(stack: RenderedStack) -> None:
    secrets = dict(stack.of_type("AWS::SecretsManager::Secret"))
    assert secrets.keys() == {"SigningSecret", "NumberHashSecret"}
    for secret in secrets.values():
        assert secret["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}
        assert "SecretString" not in secret
    for function, _ in stack.of_type("AWS::Lambda::Function"):
        for name, value in stack.variables(function).items():
            if re.search("KEY|SECRET|TOKEN|PASSWORD", name):
                assert name.endswith("_SECRET_ARN")
                assert value in {"${AllomiaApiKeySecretArn}", "${SigningSecret.Id}", "${NumberHashSecret.Id}"}


DEPLOYED: Final = (
    *("template.yaml", "samconfig.toml", "statemachines/poller.asl.json"),
    *(".github/aws/deploy-role.yaml", ".github/aws/execution-role.yaml"),
    *("examples/upstream.yaml", "examples/outcomes-over-https.yaml"),
    *("docs/operate/operator-policy.json", "docs/operate/on-call-policy.json"),
)


@pytest.mark.parametrize("path", DEPLOYED)
def test_nothing_that_is_deployed_names_a_partition_or_an_account(path: str) -> None:
    """GovCloud and China are partitions of their own, with other ARNs."""
    assert not re.search(r"arn:aws:|\b[0-9]{12}\b", (PROJECT / path).read_text())


def splits_in(value: Any) -> Iterator[Any]:
    """What each Fn::Split in a part of the template splits."""
    match value:
        case {"Fn::Split": [_, text]}:
            yield text
        case dict():
            for each in value.values():
                yield from splits_in(each)
        case list():
            for each in value:
                yield from splits_in(each)


def test_no_text_that_is_split_can_be_empty(written: Template) -> None:
    """AWS documents no result for that, and Select would find nothing."""
    parameters = written["Parameters"]
    for text in splits_in(written["Resources"]):
        named = parameters.get(text.get("Ref", ""), {})
        given = text.get("Fn::Sub", "").endswith(("-", "//"))
        assert given or ("AllowedPattern" in named and "Default" not in named)


@pytest.fixture(scope="module")
def samconfig() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "samconfig.toml").read_text())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_has_its_deploy_settings(samconfig: dict[str, Any], environment: str) -> None:
    name = f"allomia-outbound-calls-{environment}"

    assert samconfig[environment]["global"]["parameters"] == {"stack_name": name}
    assert samconfig[environment]["build"]["parameters"] == {"cached": True, "parallel": True}
    assert samconfig[environment]["deploy"]["parameters"] == {
        "capabilities": "CAPABILITY_IAM",
        "resolve_s3": True,
        "s3_prefix": name,
        "fail_on_empty_changeset": False,
        # Only the local environment may call at any hour, so that a demo works at night.
        "parameter_overrides": [
            f"Environment={environment}",
            *(["CallingPolicy=open"] if environment == "local" else []),
        ],
        **({"confirm_changeset": True} if environment == "prod" else {}),
    }


def test_a_deploy_without_an_environment_goes_to_dev(samconfig: dict[str, Any]) -> None:
    assert samconfig["default"]["global"] == samconfig["dev"]["global"]
    assert samconfig["default"]["deploy"] == samconfig["dev"]["deploy"]


@pytest.mark.parametrize("command", ["local_invoke", "local_start_api"])
def test_sam_local_reads_the_files_that_make_local_writes(samconfig: dict[str, Any], command: str) -> None:
    settings = samconfig["default"][command]["parameters"]
    files = settings["env_vars"], settings["parameter_overrides"].removeprefix("file://")

    assert files == ("events/env.json", "events/parameters.yaml")
    assert {f"/{file}" for file in files} <= set((PROJECT / ".gitignore").read_text().splitlines())
