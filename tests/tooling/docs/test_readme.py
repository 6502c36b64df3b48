"""What the README shows is what the code does."""

import json
import re
import subprocess
import sys
from http import HTTPStatus

import pytest
from samtranslator.yaml_helper import yaml_parse

from benchmarks import money
from examples.upstream import NEXT_STEP, request_for
from local.cloud import LocalCloud
from outbound_calls.contracts import MAX_MESSAGE_BYTES, CallRequest, OutcomeEvent, read_message
from outbound_calls.lifecycle import PLACE_WITHIN_SECONDS, TERMINAL, Status
from outbound_calls.publish import DETAIL_TYPE, SOURCE
from outbound_calls.reports import CallReport
from outbound_calls.telemetry import Metric
from tests.tooling.docs.markdown import PROJECT, code, fences, prose, read, table
from tests.tooling.template.rendering import Template, read_template


@pytest.fixture(scope="module")
def readme() -> str:
    return read("README.md")


@pytest.fixture(scope="module")
def template() -> Template:
    return read_template()


def test_the_parameters_and_their_defaults_are_the_templates(readme: str, template: Template) -> None:
    written = [(name, default) for name, default, _ in table(readme, "parameter", "default")]

    declared = {
        f"`{name}`": "" if "Default" not in each else f"`{each['Default']}`" if each["Default"] != "" else "empty"
        for name, each in template["Parameters"].items()
    }
    assert sorted(written) == sorted(declared.items())


def test_the_outputs_are_the_templates(readme: str, template: Template) -> None:
    written = [name for row in table(readme, "output") for name in code(row[0])]

    assert sorted(written) == sorted(template["Outputs"])


def test_commands_ask_for_outputs_and_resources_that_exist(readme: str, template: Template) -> None:
    commands = "\n".join([*fences(readme, "sh"), *code(readme)])

    outputs = template["Outputs"].keys() | yaml_parse(read("examples/upstream.yaml"))["Outputs"].keys()
    assert set(re.findall(r"(?<!-)\boutput (\w+)", commands)) <= outputs
    assert set(re.findall(r"\bresource (\w+)", commands)) <= template["Resources"].keys()
    assert set(re.findall(r"\b(\w+Function)\b", readme)) <= template["Resources"].keys()


def test_the_environments_are_those_of_samconfig(readme: str) -> None:
    named = set(re.findall(r"--config-env (\w+)", readme))

    assert named
    assert named <= set(re.findall(r"^\[(\w+)\.deploy\.parameters\]", read("samconfig.toml"), re.MULTILINE))


def test_the_fields_of_a_request_and_their_rules_are_the_contracts(readme: str) -> None:
    written = [(name, rule) for name, rule, _ in table(readme, "field", "rule")]

    assert written == [(f"`{field.alias}`", field.description) for field in CallRequest.model_fields.values()]


def test_the_request_that_is_shown_is_accepted(readme: str) -> None:
    (shown,) = (block for block in fences(readme, "json") if "phoneNumber" in block)
    request = read_message(shown)

    assert isinstance(request, CallRequest)
    assert set(json.loads(shown)) == {field.alias for field in CallRequest.model_fields.values()}


def test_the_request_on_the_command_line_is_accepted(readme: str) -> None:
    bodies = re.findall(r"--message-body '([^']+)'", readme)

    assert bodies
    for body in bodies:
        assert isinstance(read_message(body), CallRequest)


def test_the_event_that_is_shown_is_one_that_is_published(readme: str) -> None:
    (shown,) = (json.loads(block) for block in fences(readme, "json") if "detail-type" in block)

    assert (shown["source"], shown["detail-type"]) == (SOURCE, DETAIL_TYPE)
    assert json.loads(OutcomeEvent.model_validate(shown["detail"]).model_dump_json()) == shown["detail"]


def test_the_report_that_is_shown_is_one_that_is_told(readme: str) -> None:
    (shown,) = (json.loads(block) for block in fences(readme, "json") if '"attempts"' in block)

    assert CallReport.model_validate(shown).wire() == shown


def test_every_answer_of_the_status_api_is_explained(readme: str) -> None:
    explained = {int(number) for row in table(readme, "answer", "what it means") for number in row[0].split(", ")}
    code_of_function = read("functions/get_call/app.py")

    own = {HTTPStatus[name].value for name in re.findall(r"HTTPStatus\.([A-Z_]+)", code_of_function)}
    gateways = {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    assert explained == own | gateways


def test_every_status_is_explained_once(readme: str) -> None:
    explained = [name for row in table(readme, "status") for name in code(row[0])]

    assert sorted(explained) == sorted(Status)
    not_yet = explained[: len(Status) - len(TERMINAL)]
    assert set(not_yet) == set(Status) - TERMINAL  # "The first three"


def test_every_metric_that_is_named_exists(readme: str) -> None:
    named = set(re.findall(r"Counted as `(\w+)`", readme)) | {"OutcomeUnknown"}

    assert named <= set(Metric) | {"OutcomeUnknown"}


def test_the_numbers_in_the_text_are_those_of_the_code(readme: str, template: Template) -> None:
    resources = template["Resources"]
    properties = {name: each["Properties"] for name, each in resources.items()}
    reads = properties["GetCallFunction"]["Events"]["Read"]["Properties"]["RouteSettings"]
    stream = properties["PublishOutcomeFunction"]["Events"]["Outcome"]["Properties"]
    alarms = [name for name, each in properties.items() if "AlarmActions" in each]
    text = prose(readme)

    for said in (
        f"{MAX_MESSAGE_BYTES:,} bytes at most",
        f"again after {properties['CallQueue']['VisibilityTimeout']} seconds",
        f"After {PLACE_WITHIN_SECONDS // 3600} hours it is `rejected`",
        f"More than {template['Parameters']['MaxWebhooksPerSecond']['Default']} webhooks a second",
        f"More than {reads['ThrottlingRateLimit']} reads a second (bursts of {reads['ThrottlingBurstLimit']})",
        f"{stream['MaximumRetryAttempts']} times or for six hours",
        f"There are {len(alarms)} alarms",
    ):
        assert said in text
    assert stream["MaximumRecordAgeInSeconds"] == 6 * 3600
    assert properties["CallQueue"]["RedrivePolicy"]["maxReceiveCount"] == 5  # "five times in all"


def test_the_costs_are_those_that_are_aimed_at(readme: str) -> None:
    assert f"less than {money.LIMIT_OF_A_MILLION} dollars for a million healthy calls" in readme
    assert f"less than {money.LIMIT_OF_A_MONTH} dollars a month" in readme


def test_the_examples_that_are_shown_are_the_files(readme: str) -> None:
    assert fences(readme, "python") == [read("examples/producer.py"), read("examples/read_call.py")]


def test_the_producer_sends_a_request_that_is_accepted() -> None:
    with LocalCloud() as cloud:
        sqs = cloud.client("sqs")
        url = sqs.create_queue(QueueName="calls")["QueueUrl"]

        subprocess.run(
            [sys.executable, PROJECT / "examples/producer.py", url],
            env=cloud.environment(),
            check=True,
            timeout=30,
        )

        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    request = read_message(message["Body"])
    assert isinstance(request, CallRequest)
    assert request.request_id == "reminder-A-1001"


def test_what_the_upstream_system_says_is_what_its_code_says(readme: str) -> None:
    (shown,) = (block for block in fences(readme, "text") if "A-1001" in block)

    for line in shown.splitlines():
        appointment, status, step = re.split("[:;] ", line, maxsplit=2)
        assert NEXT_STEP[status] == step
        assert appointment in {each["id"] for each in json.loads(read("examples/appointments.json"))}


def test_the_upstream_systems_requests_are_accepted() -> None:
    for appointment in json.loads(read("examples/appointments.json")):
        assert isinstance(read_message(json.dumps(request_for(appointment))), CallRequest)
