"""What each function is told by its environment, and what is said when that is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from outbound_calls.lifecycle import PollSchedule
from outbound_calls.settings import (
    GetCallSettings,
    PlaceCallSettings,
    PollCallsSettings,
    PublishOutcomeSettings,
    ReceiveWebhookSettings,
    Settings,
)
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

EVERY = {"POWERTOOLS_SERVICE_NAME": "calls-dev", "POWERTOOLS_METRICS_NAMESPACE": "AllomiaOutboundCalls"}
ENVIRONMENTS: dict[type[Settings], dict[str, str]] = {
    PlaceCallSettings: EVERY
    | {
        "CALLS_TABLE_NAME": "calls",
        "INVALID_MESSAGES_QUEUE_URL": "https://sqs.ca-central-1.amazonaws.com/123456789012/rejected",
        "ALLOMIA_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:key-AbCdEf",
        "ALLOMIA_BASE_URL": "https://allomia.com",
        "SIGNING_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:signing-AbCdEf",
        "WEBHOOK_URL": "https://hooks.example/webhooks/allomia",
        "WEBHOOK_GRACE_SECONDS": "180",
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
        "CALL_QUEUE_URL": "http://localhost:4566/123456789012/calls",
        "ALLOMIA_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:key-AbCdEf",
        "ALLOMIA_BASE_URL": "http://127.0.0.1:8080",
        "WEBHOOK_GRACE_SECONDS": "180",
        "CALL_DEADLINE_SECONDS": "7200",
        "RETENTION_DAYS": "90",
        "DUE_SHARDS": "4",
        "MAX_POLLS_PER_SECOND": "100",
    },
    PublishOutcomeSettings: EVERY | {"OUTCOME_BUS_NAME": "outcomes"},
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
    "CALL_QUEUE_URL": ["zqx"],
    "ALLOMIA_BASE_URL": ["allomia.com", "https://allomia.com/#zqx"],
    "WEBHOOK_URL": ["hooks.example"],
    "WEBHOOK_GRACE_SECONDS": ["0", "-1", "1.5", "soon-zqx"],
    "CALL_DEADLINE_SECONDS": ["0", "zqx"],
    "MAX_POLLS_PER_SECOND": ["0", "zqx"],
    "DUE_SHARDS": ["0", "17", "four-zqx"],
    "RETENTION_DAYS": ["0", "zqx"],
}


def refusal(kind: type[Settings], environment: dict[str, str]) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.from_environment(environment)
    return str(caught.value)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_the_environment_of_the_template_is_taken_among_whatever_else_is_set(kind: type[Settings]) -> None:
    told = kind.from_environment(ENVIRONMENTS[kind] | {"PATH": "/usr/bin", "AWS_REGION": "ca-central-1"})

    expected: dict[str, Any] = {name.lower(): value for name, value in ENVIRONMENTS[kind].items()}
    assert {name: str(value) for name, value in told.model_dump().items() if value is not None} == expected


@pytest.mark.parametrize(("kind", "name"), VARIABLES)
def test_a_missing_variable_is_named(kind: type[Settings], name: str) -> None:
    environment = {other: value for other, value in ENVIRONMENTS[kind].items() if other != name}

    assert f"\n{name.lower()}\n  Field required" in refusal(kind, environment)


@pytest.mark.parametrize(("kind", "name"), VARIABLES)
def test_an_empty_variable_is_named(kind: type[Settings], name: str) -> None:
    assert f"\n{name.lower()}\n" in refusal(kind, ENVIRONMENTS[kind] | {name: ""})


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name in VARIABLES for value in WRONG.get(name, [])]
)
def test_a_wrong_variable_is_named_without_what_is_in_it(kind: type[Settings], name: str, value: str) -> None:
    said = refusal(kind, ENVIRONMENTS[kind] | {name: value})

    assert f"\n{name.lower()}\n" in said
    assert "zqx" not in said


@pytest.mark.parametrize("name", ["DEFAULT_ASSISTANT_ID", "DEFAULT_PHONE_NUMBER_ID"])
def test_a_default_may_be_missing_or_empty_but_not_wrong(name: str) -> None:
    environment = ENVIRONMENTS[PlaceCallSettings]

    for given in ({}, {name: ""}):
        assert getattr(PlaceCallSettings.from_environment(environment | given), name.lower()) is None
    assert f"\n{name.lower()}\n" in refusal(PlaceCallSettings, environment | {name: "assistant"})


def test_the_defaults_are_read() -> None:
    told = PlaceCallSettings.from_environment(
        ENVIRONMENTS[PlaceCallSettings]
        | {"DEFAULT_ASSISTANT_ID": ASSISTANT_ID, "DEFAULT_PHONE_NUMBER_ID": PHONE_NUMBER_ID.upper()}
    )

    assert (told.default_assistant_id, told.default_phone_number_id) == (ASSISTANT_ID, PHONE_NUMBER_ID)


def test_a_deadline_may_not_lie_before_the_first_poll() -> None:
    environment = ENVIRONMENTS[PollCallsSettings] | {"CALL_DEADLINE_SECONDS": "179"}

    assert "CALL_DEADLINE_SECONDS must not be less than WEBHOOK_GRACE_SECONDS" in refusal(
        PollCallsSettings, environment
    )


def test_the_poll_schedule_is_made_of_both() -> None:
    told = PollCallsSettings.from_environment(ENVIRONMENTS[PollCallsSettings])

    assert told.schedule == PollSchedule(grace=180, deadline=7200)


def test_the_pace_is_shared_out_between_the_shards() -> None:
    told = PollCallsSettings.from_environment(ENVIRONMENTS[PollCallsSettings])

    assert told.polls_per_second == 25
