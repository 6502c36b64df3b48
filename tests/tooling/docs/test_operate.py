"""docs/operate and the README have the template's parameters, outputs and numbers."""

import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from benchmarks import money
from outbound_calls.adapters.allomia import MAX_ANSWER_BYTES, MAX_EXCHANGE_SECONDS
from outbound_calls.adapters.call_log import MAX_PAGE_ENTRIES
from outbound_calls.adapters.circuit_breaker import CircuitBreaker
from outbound_calls.adapters.dial_marks import DIAL_KEPT_SECONDS
from outbound_calls.contracts.allomia import MAX_WEBHOOK_BYTES
from outbound_calls.contracts.messages import MAX_MESSAGE_BYTES
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.runtime.workers import WORKERS
from outbound_calls.use_cases.log_reads import MAX_PAGES
from outbound_calls.use_cases.polls import SECONDS_TO_POLL
from outbound_calls.use_cases.sweep import LOG_PATIENCE_SECONDS
from tests.tooling.docs.markdown import PAGES, code, fences, read, table
from tests.tooling.template.rendering import read_template

SINCE = "after the first failed read"
DEPLOY, CAPACITY, LIMITS = (read(f"docs/operate/{name}.md") for name in ("deploy", "capacity", "limits"))
TEMPLATE = read_template()
RETAINED = {"Fn::If": ["IsProd", "Retain", "Delete"]}
RESOURCES = {name: each.get("Properties", {}) for name, each in TEMPLATE["Resources"].items()}
DEFAULTS = {name: each.get("Default") for name, each in TEMPLATE["Parameters"].items()}
QUEUE, PUBLISH = (
    RESOURCES["CallQueue"],
    RESOURCES["PublishOutcomeFunction"]["Events"]["Outcome"]["Properties"],
)


def test_the_parameters_and_their_defaults() -> None:
    written = {name: default for name, default, _ in table(DEPLOY, "parameter", "default")}

    shown = {None: "", "": "empty"}
    assert written == {f"`{name}`": shown.get(value, f"`{value}`") for name, value in DEFAULTS.items()}


def test_the_outputs() -> None:
    assert sorted(name for row in table(DEPLOY, "output") for name in code(row[0])) == sorted(TEMPLATE["Outputs"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_commands_use_outputs_and_resources_that_exist(path: object) -> None:
    text = read(str(path))
    commands = "\n".join([*fences(text, "sh"), *code(text)])

    examples = [yaml_parse(read(f"examples/{name}.yaml")) for name in ("upstream", "outcomes-over-https")]
    outputs = {name for template in (TEMPLATE, *examples) for name in template["Outputs"]}
    assert set(re.findall(r"(?<!-)\boutput ([A-Z]\w+)", commands)) <= outputs
    # SAM names an event source mapping after its function and its event.
    sources = {f"{name}{event}" for name, each in RESOURCES.items() for event in each.get("Events", {})}
    assert set(re.findall(r"\bresource ([A-Z]\w+)", commands)) <= RESOURCES.keys() | sources


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("Request message", f"{MAX_MESSAGE_BYTES:,} bytes"),
        ("Message that the queue accepts", f"{QUEUE['MaximumMessageSize']:,} bytes"),
        ("Attempts per request", f"{MAX_ATTEMPT_NUMBER}"),
        ("Time until a request expires", f"{EXPIRE_AFTER_SECONDS // 3600} hours"),
        ("Messages on `CallQueue`", f"{QUEUE['MessageRetentionPeriod'] // 86400} days"),
        (
            "Deliveries of a message before it is a dead letter",
            f"{QUEUE['RedrivePolicy']['maxReceiveCount']}, {QUEUE['VisibilityTimeout']} seconds apart",
        ),
        ("Workers that place calls", f"`MaxWorkers`: {DEFAULTS['MaxWorkers']}"),
        ("Calls that one worker places side by side", f"{WORKERS}"),
        ("One exchange with AlloMia", f"{MAX_EXCHANGE_SECONDS:.0f} seconds, {MAX_ANSWER_BYTES:,} bytes of answer"),
        ("Time until `unknown`", f"`CallDeadlineSeconds`: {DEFAULTS['CallDeadlineSeconds']:,} s after dispatch"),
        (
            "Look at AlloMia's call log",
            f"Once at that time; if it can't be read, each sweep for {LOG_PATIENCE_SECONDS // 60} minutes {SINCE}",
        ),
        (
            "Pages of AlloMia's call log",
            f"{MAX_PAGES} of an organization in each sweep, of {MAX_PAGE_ENTRIES} calls each",
        ),
        ("Dials that a look at the call log compares", f"{DIAL_KEPT_SECONDS // 86_400} days"),
        (
            "Status requests to AlloMia",
            f"`MaxPollsPerSecond`: {DEFAULTS['MaxPollsPerSecond']}, with the pages of the call log",
        ),
        ("Webhooks", f"`MaxWebhooksPerSecond`: {DEFAULTS['MaxWebhooksPerSecond']}"),
        ("Webhook body", f"{MAX_WEBHOOK_BYTES:,} bytes"),
        (
            "Publishing an outcome",
            f"Retried for {PUBLISH['MaximumRecordAgeInSeconds'] // 3600} hours",
        ),
        ("Record of a finished call", f"`RetentionDays`: {DEFAULTS['RetentionDays']}"),
    ],
)
def test_a_limit_is_that_of_the_code(limit: str, value: str) -> None:
    assert {row[0]: row[1] for row in table(LIMITS, "limit", "value")}[limit] == value


def test_the_circuit_breaker_opens_as_the_limits_say() -> None:
    breaker = CircuitBreaker(lambda: 0.0)

    assert f"Opens after {breaker.threshold} consecutive failures, for {breaker.open_seconds:.0f} s" in LIMITS


@pytest.mark.parametrize(
    "text",
    [
        f"default of {DEFAULTS['MaxWorkers']} dials about {2 * WORKERS * DEFAULTS['MaxWorkers']} calls a second",
        "ten times what the defaults allow",
        f"`MaxWorkers`: {DEFAULTS['MaxWorkers']} by default",
        f"`MaxWebhooksPerSecond`: {DEFAULTS['MaxWebhooksPerSecond']} by default",
        f"`ParallelizationFactor` {PUBLISH['ParallelizationFactor']}, batches of {PUBLISH['BatchSize']}",
        f"with {TEMPLATE['Parameters']['DueShards']['MaxValue']}, the maximum, 8,000",
        f"pages of {RESOURCES['Poller']['DefinitionSubstitutions']['PageSize']} calls",
        f"defaults of {DEFAULTS['MaxPollsPerSecond']} and four shards",
        f"a poll takes {MAX_EXCHANGE_SECONDS:.0f} seconds at most",
        f"less than {SECONDS_TO_POLL:.0f} of its {RESOURCES['PollCallsFunction']['Timeout']} seconds",
    ],
)
def test_a_number_of_the_capacity_page_is_that_of_the_code(text: str) -> None:
    assert text in CAPACITY


def test_the_uninstall_section_says_what_stays() -> None:
    kinds = {name: each for name, each in TEMPLATE["Resources"].items() if each.get("DeletionPolicy") == RETAINED}
    rows = {row[0]: row[1] for row in table(DEPLOY, "what", "in prod", "elsewhere")}
    stays = {what for what, then in rows.items() if then.startswith("Stay")}
    queues = [each for each in TEMPLATE["Resources"].values() if each["Type"] == "AWS::SQS::Queue"]

    assert kinds.keys() == {"CallsTable", "PolicyTable", "NumberHashSecret"}
    assert {"Calls table", "Policy table with the do-not-call list", "Key of the number hashes"} <= stays
    assert len(queues) == 5
    assert rows["Messages in all five queues"] == "Lost"


def test_the_releases_page_names_what_shifts_and_what_only_crashes_stop() -> None:
    page = read("docs/operate/releases.md")
    released = [each for name, each in RESOURCES.items() if "CodeUri" in each and name != "CheckReleaseFunction"]
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    only_crashes = [
        each["CodeUri"].split("/")[1] for each in released if len(each["DeploymentPreference"]["Alarms"]) == 1
    ]

    assert f"{words[len(released) - 1].capitalize()} aliases shift at the same time" in page
    named = page.partition(" count none, so they have the first only")[0].rpartition(". ")[2]
    assert sorted(only_crashes) == sorted(re.findall(r"`(\w+)`", named))


def test_the_numbers_of_the_readme() -> None:
    readme = read("README.md")

    assert f"{len([each for each in RESOURCES.values() if 'AlarmActions' in each])} alarms" in readme
    assert f"Less than {money.LIMIT_OF_A_MILLION} dollars for a million healthy calls" in readme
    assert f"less than {money.LIMIT_OF_A_MONTH} dollars a month" in readme
