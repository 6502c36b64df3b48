"""What others build on: parameters, outputs, and that several stacks can live in one account."""

import re
import tomllib
from typing import Final

import pytest

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, Stack, Template

PARAMETERS: Final[dict[str, object]] = {
    "AllomiaApiKeySecretArn": None,
    "AllomiaBaseUrl": "https://allomia.com",
    "WebhookBaseUrl": "",
    "DefaultAssistantId": "",
    "DefaultPhoneNumberId": "",
    "WebhookGraceSeconds": 180,
    "CallDeadlineSeconds": 7200,
    "MaxWorkers": 5,
    "RetentionDays": 90,
    "AlarmEmail": "",
    "DueShards": 4,
    "MaxPollsPerSecond": 100,
    "MaxWebhooksPerSecond": 200,
    "Environment": "dev",
    "Architecture": "arm64",
    "Rollout": "Gradual",
    "SnapStart": "None",
    "LocalEndpointUrl": "",
}

BOUNDS: Final = {
    "WebhookGraceSeconds": (1, 3600),
    "CallDeadlineSeconds": (5, 86400),
    "RetentionDays": (1, 3650),
    "MaxWorkers": (2, 1000),
    "DueShards": (1, 16),
    "MaxPollsPerSecond": (1, 1000),
    "MaxWebhooksPerSecond": (1, 10000),
}

CHOICES: Final = {
    "Environment": ["local", "dev", "staging", "prod"],
    "Architecture": ["arm64", "x86_64"],
    "Rollout": ["Gradual", "AtOnce"],
    "SnapStart": ["None", "PublishedVersions"],
}

UUID: Final = "0b7f3a52-6a3c-4d5c-9c51-2f1d9f0a7e11"
SECRET: Final = "arn:aws:secretsmanager:ca-central-1:123456789012:secret:"

ACCEPTED: Final = [
    ("AllomiaApiKeySecretArn", f"{SECRET}allomia-AbC123"),
    ("AllomiaApiKeySecretArn", f"{SECRET}team/allomia/key-3afdec"),
    ("AllomiaBaseUrl", "https://allomia.com"),
    ("AllomiaBaseUrl", "https://allomia.example/v2"),
    ("AllomiaBaseUrl", "http://127.0.0.1:8080"),
    ("AllomiaBaseUrl", "http://localhost:8080/allomia"),
    ("WebhookBaseUrl", ""),
    ("WebhookBaseUrl", "https://hooks.clinic.example"),
    ("WebhookBaseUrl", "http://4f1a2b3c.execute-api.localhost:4566"),
    ("WebhookBaseUrl", "http://localhost:4566/_aws/execute-api/4f1a2b3c/$default"),
    ("DefaultAssistantId", ""),
    ("DefaultAssistantId", UUID),
    ("DefaultPhoneNumberId", UUID.upper()),
    ("AlarmEmail", ""),
    ("AlarmEmail", "on-call@clinic.example"),
    ("LocalEndpointUrl", ""),
    ("LocalEndpointUrl", "http://localhost:4566"),
]

REFUSED: Final = [
    ("AllomiaApiKeySecretArn", ""),
    ("AllomiaApiKeySecretArn", "the-key-itself"),
    ("AllomiaApiKeySecretArn", "allomia-AbC123"),
    ("AllomiaApiKeySecretArn", f"{SECRET}allomia"),
    ("AllomiaBaseUrl", ""),
    ("AllomiaBaseUrl", "http://allomia.com"),
    ("AllomiaBaseUrl", "https://allomia.com/"),
    ("AllomiaBaseUrl", "https://allomia.com?x=1"),
    ("AllomiaBaseUrl", "http://localhost.evil.example"),
    ("WebhookBaseUrl", "http://hooks.clinic.example"),
    ("WebhookBaseUrl", "https://hooks.clinic.example/"),
    ("WebhookBaseUrl", "hooks.clinic.example"),
    ("DefaultAssistantId", "my assistant"),
    ("DefaultPhoneNumberId", "+15145550100"),
    ("AlarmEmail", "on-call"),
    ("LocalEndpointUrl", "http://10.0.0.1:4566"),
    ("LocalEndpointUrl", "https://dynamodb.ca-central-1.amazonaws.com"),
]

OUTPUTS: Final = {
    "CallQueueUrl": "${CallQueue}",
    "CallQueueArn": "${CallQueue.Arn}",
    "InvalidMessagesQueueUrl": "${InvalidMessagesQueue}",
    "DeadLetterQueueUrl": "${DeadLetterQueue}",
    "CallsTableName": "${CallsTable}",
    "WebhookUrl": "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/webhooks/allomia",
    "StatusApiUrl": "https://${HttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/calls",
    "StatusApiArn": ("arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*/GET/calls/*"),
    "PollerArn": "${Poller}",
    "OutcomeBusName": "${OutcomeBus}",
    "PlaceCallFunctionName": "${PlaceCallFunction}",
    "ReceiveWebhookFunctionName": "${ReceiveWebhookFunction}",
    "PollCallsFunctionName": "${PollCallsFunction}",
    "GetCallFunctionName": "${GetCallFunction}",
    "DashboardUrl": "https://console.aws.amazon.com/cloudwatch/home?region=${AWS::Region}#dashboards/dashboard/${Dashboard}",
    "AlarmTopicArn": "${AlarmTopic}",
}

PHYSICAL_NAMES: Final = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}

# These types own no physical name that could collide: they hang on another resource, or AWS gives them an id.
NAMELESS: Final = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
}


def test_the_parameters_and_their_defaults(written: Template) -> None:
    assert {name: each.get("Default") for name, each in written["Parameters"].items()} == PARAMETERS


def test_the_bounds_of_numbers(written: Template) -> None:
    numbers = {name: each for name, each in written["Parameters"].items() if each["Type"] == "Number"}
    assert {name: (each["MinValue"], each["MaxValue"]) for name, each in numbers.items()} == BOUNDS


def test_the_choices(written: Template) -> None:
    with_choices = {
        name: each["AllowedValues"] for name, each in written["Parameters"].items() if "AllowedValues" in each
    }
    assert with_choices == CHOICES


def test_every_other_text_has_a_pattern_that_its_default_meets(written: Template) -> None:
    for name, each in written["Parameters"].items():
        if each["Type"] == "String" and name not in CHOICES:
            assert "ConstraintDescription" in each, name
            assert re.fullmatch(each["AllowedPattern"], each.get("Default", f"{SECRET}allomia-AbC123")), name


@pytest.mark.parametrize(("parameter", "value"), ACCEPTED)
def test_a_good_value_is_accepted(written: Template, parameter: str, value: str) -> None:
    assert re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


@pytest.mark.parametrize(("parameter", "value"), REFUSED)
def test_a_bad_value_is_refused(written: Template, parameter: str, value: str) -> None:
    assert not re.fullmatch(written["Parameters"][parameter]["AllowedPattern"], value)


def test_every_parameter_is_described_and_has_its_place_in_the_console(written: Template) -> None:
    groups = written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PARAMETERS)
    assert all(each["Description"] for each in written["Parameters"].values())


def test_a_local_endpoint_is_for_the_local_environment_alone(written: Template) -> None:
    assert written["Rules"]["LocalEndpointOnlyLocally"]["RuleCondition"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Environment"}, "local"]}]
    }
    (assertion,) = written["Rules"]["LocalEndpointOnlyLocally"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Equals": [{"Ref": "LocalEndpointUrl"}, ""]}


def test_the_outputs(stack: Stack) -> None:
    assert {name: output["Value"] for name, output in stack.outputs.items()} == OUTPUTS
    assert all(output["Description"] for output in stack.outputs.values())


def test_webhooks_come_to_the_domain_that_was_given(stack_of: StackOf) -> None:
    stack = stack_of(WebhookBaseUrl="https://hooks.clinic.example")
    variables = stack.properties("PlaceCallFunction")["Environment"]["Variables"]

    assert stack.outputs["WebhookUrl"]["Value"] == "https://hooks.clinic.example/webhooks/allomia"
    assert variables["WEBHOOK_URL"] == stack.outputs["WebhookUrl"]["Value"]


def test_without_a_domain_webhooks_come_to_the_stacks_own_address(stack: Stack) -> None:
    variables = stack.properties("PlaceCallFunction")["Environment"]["Variables"]
    assert variables["WEBHOOK_URL"] == stack.outputs["WebhookUrl"]["Value"]


def test_what_may_be_read_is_what_the_routes_function_may_be_invoked_for(stack: Stack) -> None:
    arns = [permission["SourceArn"] for _, permission in stack.of_type("AWS::Lambda::Permission")]

    assert stack.outputs["StatusApiArn"]["Value"] in arns


def test_the_status_api_is_at_its_own_address_whatever_is_in_front_of_the_webhook(stack_of: StackOf) -> None:
    stack = stack_of(WebhookBaseUrl="https://hooks.clinic.example")

    assert stack.outputs["StatusApiUrl"]["Value"] == OUTPUTS["StatusApiUrl"]


def test_names_that_must_be_given_carry_the_stacks_name(stack: Stack) -> None:
    for logical_id, resource in stack.resources.items():
        if resource["Type"] not in NAMELESS:
            name = resource["Properties"].get(PHYSICAL_NAMES[resource["Type"]])
            assert name is None or "${AWS::StackName}" in name, logical_id


def test_no_secret_stands_in_the_template(stack: Stack) -> None:
    ((_, secret),) = stack.of_type("AWS::SecretsManager::Secret")
    assert secret["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}
    assert "SecretString" not in secret
    for _, function in stack.of_type("AWS::Lambda::Function"):
        for name, value in function["Environment"]["Variables"].items():
            if re.search("KEY|SECRET|TOKEN|PASSWORD", name):
                assert name.endswith("_SECRET_ARN")
                assert value in {"${AllomiaApiKeySecretArn}", "${SigningSecret.Id}"}


@pytest.mark.parametrize("environment", CHOICES["Environment"])
def test_each_environment_has_its_deploy_settings(environment: str) -> None:
    settings = tomllib.loads((PROJECT / "samconfig.toml").read_text())[environment]
    deploy = settings["deploy"]["parameters"]

    assert settings["global"]["parameters"]["stack_name"] == f"allomia-outbound-calls-{environment}"
    assert settings["build"]["parameters"] == {"cached": True, "parallel": True}
    assert deploy["parameter_overrides"] == [f"Environment={environment}"]
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert deploy["resolve_s3"] is True
    assert deploy.get("confirm_changeset", False) is (environment == "prod")


def test_a_deploy_without_an_environment_is_one_to_dev() -> None:
    settings = tomllib.loads((PROJECT / "samconfig.toml").read_text())
    assert settings["default"]["global"] == settings["dev"]["global"]
    assert settings["default"]["deploy"] == settings["dev"]["deploy"]


def test_the_deploy_settings_name_no_account() -> None:
    assert not re.search(r"[0-9]{12}", (PROJECT / "samconfig.toml").read_text())
