"""The settings of each function, and the errors for wrong ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from outbound_calls.domain.timing import PollSchedule
from outbound_calls.runtime.settings import Settings
from outbound_calls.runtime.settings.get_call import GetCallSettings
from outbound_calls.runtime.settings.place_call import PlaceCallSettings
from outbound_calls.runtime.settings.poll_calls import PollCallsSettings
from outbound_calls.runtime.settings.publish_outcome import PublishOutcomeSettings
from outbound_calls.runtime.settings.receive_webhook import ReceiveWebhookSettings
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

EVERY = {"POWERTOOLS_SERVICE_NAME": "calls-dev", "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls"}
ENVIRONMENTS: dict[type[Settings], dict[str, str]] = {
    PlaceCallSettings: EVERY
    | {
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "NUMBER_HASH_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:hash-AbCdEf",
        "CALLING_POLICY": "united-states-health-care",
        "INVALID_MESSAGES_QUEUE_URL": "https://sqs.ca-central-1.amazonaws.com/123456789012/invalid",
        "HANDED_ON_QUEUE_URL": "https://sqs.ca-central-1.amazonaws.com/123456789012/handed-on",
        "ALLOMIA_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:key-AbCdEf",
        "ALLOMIA_BASE_URL": "https://allomia.com",
        "SIGNING_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:signing-AbCdEf",
        "WEBHOOK_URL": "https://hooks.example/webhooks/allomia",
        "WEBHOOK_GRACE_SECONDS": "180",
        "CALL_DEADLINE_SECONDS": "7200",
        "DUE_SHARDS": "4",
        "RETENTION_DAYS": "90",
    },
    ReceiveWebhookSettings: EVERY
    | {
        "CALLS_TABLE_NAME": "calls",
        "SIGNING_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:signing-AbCdEf",
        "RETENTION_DAYS": "90",
    },
    PollCallsSettings: EVERY
    | {
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "CALLING_POLICY": "canada",
        "CALL_QUEUE_URL": "http://localhost:4566/123456789012/calls",
        "HANDED_ON_QUEUE_URL": "http://localhost:4566/123456789012/handed-on",
        "ALLOMIA_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:key-AbCdEf",
        "ALLOMIA_BASE_URL": "http://127.0.0.1:8080",
        "WEBHOOK_GRACE_SECONDS": "180",
        "CALL_DEADLINE_SECONDS": "7200",
        "RETENTION_DAYS": "90",
        "DUE_SHARDS": "4",
        "MAX_POLLS_PER_SECOND": "100",
    },
    PublishOutcomeSettings: EVERY
    | {
        "OUTCOME_BUS_NAME": "outcomes",
        "FAILED_OUTCOMES_QUEUE_URL": "https://sqs.ca-central-1.amazonaws.com/123456789012/failed-outcomes",
    },
    ReleaseLinesSettings: EVERY
    | {
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "CALLING_POLICY": "open",
        "HANDED_ON_QUEUE_URL": "http://localhost:4566/123456789012/handed-on",
    },
    GetCallSettings: EVERY | {"CALLS_TABLE_NAME": "calls"},
}
VARIABLES = [(kind, name) for kind, environment in ENVIRONMENTS.items() for name in environment]
WRONG = {
    "INVALID_MESSAGES_QUEUE_URL": [
        "rejected",
        "ftp://host/queue",
        "https://",
        "https://host/a b",
        "https://host/?a=zqx",
    ],
    "CALLING_POLICY": ["Canada", "ontario-zqx"],
    "CALL_QUEUE_URL": ["zqx"],
    "HANDED_ON_QUEUE_URL": ["zqx"],
    "ALLOMIA_BASE_URL": ["allomia.com", "https://allomia.com/#zqx"],
    "WEBHOOK_URL": ["hooks.example"],
    "WEBHOOK_GRACE_SECONDS": ["0", "-1", "1.5", "soon-zqx"],
    "CALL_DEADLINE_SECONDS": ["0", "zqx"],
    "MAX_POLLS_PER_SECOND": ["0", "zqx"],
    "DUE_SHARDS": ["0", "17", "four-zqx"],
    "RETENTION_DAYS": ["0", "zqx"],
}


def error_of(kind: type[Settings], environment: dict[str, str]) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.from_environment(environment)
    return str(caught.value)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_settings_are_read_beside_other_variables(kind: type[Settings]) -> None:
    settings = kind.from_environment(ENVIRONMENTS[kind] | {"PATH": "/usr/bin", "AWS_REGION": "ca-central-1"})

    expected: dict[str, Any] = {name.lower(): value for name, value in ENVIRONMENTS[kind].items()}
    assert {name: str(value) for name, value in settings.model_dump().items() if value is not None} == expected


@pytest.mark.parametrize(("kind", "name"), VARIABLES)
def test_a_missing_variable_is_named(kind: type[Settings], name: str) -> None:
    environment = {other: value for other, value in ENVIRONMENTS[kind].items() if other != name}

    assert f"\n{name.lower()}\n  Field required" in error_of(kind, environment)


@pytest.mark.parametrize(("kind", "name"), VARIABLES)
def test_an_empty_variable_is_named(kind: type[Settings], name: str) -> None:
    assert f"\n{name.lower()}\n" in error_of(kind, ENVIRONMENTS[kind] | {name: ""})


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name in VARIABLES for value in WRONG.get(name, [])]
)
def test_a_wrong_variable_is_named_without_its_content(kind: type[Settings], name: str, value: str) -> None:
    error = error_of(kind, ENVIRONMENTS[kind] | {name: value})

    assert f"\n{name.lower()}\n" in error
    assert "zqx" not in error


@pytest.mark.parametrize("name", ["DEFAULT_ASSISTANT_ID", "DEFAULT_PHONE_NUMBER_ID"])
def test_a_default_may_be_missing_or_empty_but_not_wrong(name: str) -> None:
    environment = ENVIRONMENTS[PlaceCallSettings]

    for given in ({}, {name: ""}):
        assert getattr(PlaceCallSettings.from_environment(environment | given), name.lower()) is None
    assert f"\n{name.lower()}\n" in error_of(PlaceCallSettings, environment | {name: "assistant"})


def test_the_defaults_are_read() -> None:
    settings = PlaceCallSettings.from_environment(
        ENVIRONMENTS[PlaceCallSettings]
        | {"DEFAULT_ASSISTANT_ID": ASSISTANT_ID, "DEFAULT_PHONE_NUMBER_ID": PHONE_NUMBER_ID.upper()}
    )

    assert (settings.default_assistant_id, settings.default_phone_number_id) == (ASSISTANT_ID, PHONE_NUMBER_ID)


def test_a_deadline_may_not_lie_before_the_first_poll() -> None:
    environment = ENVIRONMENTS[PollCallsSettings] | {"CALL_DEADLINE_SECONDS": "179"}

    assert "CALL_DEADLINE_SECONDS must not be less than WEBHOOK_GRACE_SECONDS" in error_of(
        PollCallsSettings, environment
    )


def test_the_poll_schedule_has_grace_and_deadline() -> None:
    settings = PollCallsSettings.from_environment(ENVIRONMENTS[PollCallsSettings])

    assert settings.schedule == PollSchedule(grace_seconds=180, deadline_seconds=7200)


def test_the_rate_limit_is_divided_between_the_shards() -> None:
    settings = PollCallsSettings.from_environment(ENVIRONMENTS[PollCallsSettings])

    assert settings.polls_per_second == 25
