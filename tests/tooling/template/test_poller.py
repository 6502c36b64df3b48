"""The poller: how it is started, and its definition held against the rules that every state must keep.

What the definition does is tested where it runs; the emulator checks no definition before it runs it.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from cfnlint.api import ManualArgs, lint_file  # type: ignore[import-untyped]

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, Stack, Template

DEFINITION: Final = PROJECT / "statemachines/poller.asl.json"

# docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
EXPRESS_SECONDS: Final = 5 * 60

# Its role allows these two and nothing else.
TASKS: Final = {"arn:aws:states:::aws-sdk:dynamodb:query", "arn:aws:states:::lambda:invoke"}


class State(NamedTuple):
    """A state, and the names of those that it may go to."""

    name: str
    body: Template
    siblings: Template

    @property
    def next_names(self) -> list[str]:
        transitions = [self.body, *self.body.get("Choices", []), *self.body.get("Catch", [])]
        names = [each["Next"] for each in transitions if "Next" in each]
        return names + ([self.body["Default"]] if "Default" in self.body else [])


def machines_in(definition: Template) -> Iterator[Template]:
    """The machine itself and the one inside each Map."""
    yield definition
    for body in definition["States"].values():
        if "ItemProcessor" in body:
            yield from machines_in(body["ItemProcessor"])


def states_in(definition: Template) -> Iterator[State]:
    for machine in machines_in(definition):
        for name, body in machine["States"].items():
            yield State(name, body, machine["States"])


def state(definition: Template, name: str) -> Template:
    (found,) = [each.body for each in states_in(definition) if each.name == name]
    return found


def faults(definition: Template) -> list[str]:
    """What is wrong with a definition, in words."""
    return [
        *_structural_faults(definition),
        *(f"{each.name}: {fault}" for each in states_in(definition) for fault in _task_faults(each.body)),
    ]


def _structural_faults(definition: Template) -> Iterator[str]:
    for machine in machines_in(definition):
        states = {name: State(name, body, machine["States"]) for name, body in machine["States"].items()}
        reached: set[str] = set()
        to_visit = [machine["StartAt"]]
        while to_visit:
            name = to_visit.pop()
            if name not in states:
                yield f"{name} is gone to and does not exist"
            elif name not in reached:
                reached.add(name)
                to_visit += states[name].next_names
        yield from (f"{name} is never reached" for name in states.keys() - reached)
        for name, each in states.items():
            ends = each.body.get("End", False) or each.body["Type"] in {"Succeed", "Fail"}
            if ends == bool(each.next_names):
                yield f"{name} must either end or go on"


def _task_faults(body: Template) -> Iterator[str]:
    if body["Type"] != "Task":
        return
    if body["Resource"] not in TASKS:
        yield "calls what the role does not allow"
    if "TimeoutSeconds" not in body:
        yield "may wait for ever"
    retriers, catchers = body.get("Retry", []), body.get("Catch", [])
    if [retrier["ErrorEquals"] for retrier in retriers] != [["States.ALL"]]:
        yield "does not retry everything"
    if any(retrier.get("JitterStrategy") != "FULL" for retrier in retriers):
        yield "all shards retry at the same moment"
    if [catcher["ErrorEquals"] for catcher in catchers] != [["States.ALL"]]:
        yield "a fault would stop the other shards"
    if any("faults" not in catcher.get("Assign", {}) for catcher in catchers):
        yield "a fault would go unseen"


@pytest.fixture(scope="session")
def definition(stack: Stack) -> Template:
    """The definition as Step Functions gets it."""
    text = DEFINITION.read_text()
    for name, value in stack.properties("Poller")["DefinitionSubstitutions"].items():
        assert f"${{{name}}}" in text, f"{name} is given and not used"
        text = text.replace(f"${{{name}}}", str(value))
    loaded: Template = json.loads(text)
    return loaded


def test_everything_that_the_definition_asks_for_is_given(stack: Stack) -> None:
    asked_for = set(re.findall(r"\$\{(\w+)\}", DEFINITION.read_text()))
    assert asked_for == stack.properties("Poller")["DefinitionSubstitutions"].keys()


def test_the_template_names_the_definition(written: Template) -> None:
    assert PROJECT / written["Resources"]["Poller"]["Properties"]["DefinitionUri"] == DEFINITION


def test_the_number_of_shards_is_the_one_that_calls_are_spread_over(stack_of: StackOf) -> None:
    stack = stack_of(DueShards="9")
    placing, polling = (
        stack.properties(f"{name}Function")["Environment"]["Variables"] for name in ("PlaceCall", "PollCalls")
    )

    assert stack.properties("Poller")["DefinitionSubstitutions"]["DueShards"] == "9"
    assert placing["DUE_SHARDS"] == "9"
    # Each page keeps to its share of the pace.
    assert polling["DUE_SHARDS"] == "9"


def test_the_poller_is_express_traced_and_logs_errors_without_their_data(stack: Stack) -> None:
    properties = stack.properties("Poller")

    assert properties["StateMachineType"] == "EXPRESS"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    assert properties["LoggingConfiguration"]["Level"] == "ERROR"
    assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_the_poller_is_started_every_minute(stack: Stack) -> None:
    ((_, schedule),) = stack.of_type("AWS::Scheduler::Schedule")

    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule.get("State", "ENABLED") == "ENABLED"
    assert schedule["Target"]["Arn"] == "${Poller}"
    assert schedule["Target"]["RoleArn"] == "${PollerScheduleRole.Arn}"


def test_the_definition_keeps_the_rules(definition: Template) -> None:
    assert faults(definition) == []


def test_a_sweep_ends_itself_before_express_workflows_are_cut_off(definition: Template) -> None:
    assert definition["TimeoutSeconds"] < EXPRESS_SECONDS


def test_a_page_gets_the_time_that_its_function_has(definition: Template, stack: Stack) -> None:
    timeout = stack.properties("PollCallsFunction")["Timeout"]
    assert timeout < state(definition, "PollPage")["TimeoutSeconds"] <= timeout + 10


def test_a_page_that_only_times_out_leaves_the_sweep_time_to_say_so(definition: Template) -> None:
    seconds = 0.0
    for name in ("QueryPage", "PollPage"):
        task = state(definition, name)
        (retrier,) = task["Retry"]
        seconds += (1 + retrier["MaxAttempts"]) * task["TimeoutSeconds"]
        seconds += retrier["MaxAttempts"] * retrier["MaxDelaySeconds"]

    assert seconds < definition["TimeoutSeconds"]


def test_the_query_is_for_what_is_due_in_the_index(definition: Template) -> None:
    query = state(definition, "FirstPage")["Assign"]["query"]

    assert query["IndexName"] == "due"
    assert query["TableName"] == "${CallsTable}"
    assert query["KeyConditionExpression"] == "dueShard = :shard AND dueAt <= :sweptAt"


def test_a_sweep_begins_no_poll_any_more_when_the_next_one_begins(definition: Template, stack: Stack) -> None:
    ((_, schedule),) = stack.of_type("AWS::Scheduler::Schedule")
    until = re.fullmatch(
        r"\{% \$number\(\$sweptAt\) \+ (\d+) %\}", state(definition, "PollPage")["Arguments"]["Payload"]["until"]
    )
    (more,) = state(definition, "IsThereMore")["Choices"]
    pages = re.search(r"and \$millis\(\) / 1000 < \$number\(\$sweptAt\) \+ (\d+) ", more["Condition"])

    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert until
    assert pages
    # A page that is begun last has some time to be worked on.
    assert int(pages[1]) < int(until[1]) < 60


BREAKAGES: Final[dict[str, Callable[[Template], object]]] = {
    "no timeout": lambda each: state(each, "PollPage").pop("TimeoutSeconds"),
    "no retry": lambda each: state(each, "QueryPage").pop("Retry"),
    "no jitter": lambda each: state(each, "PollPage")["Retry"][0].pop("JitterStrategy"),
    "no catch": lambda each: state(each, "PollPage").pop("Catch"),
    "a catch that forgets": lambda each: state(each, "QueryPage")["Catch"][0].pop("Assign"),
    "a way to nowhere": lambda each: state(each, "IsThereMore").update(Default="Nowhere"),
    "a state without a way to it": lambda each: state(each, "IsAnythingDue")["Choices"].clear(),
    "a dead end": lambda each: state(each, "FirstPage").pop("Next"),
    "another task": lambda each: state(each, "QueryPage").update(Resource="arn:aws:states:::aws-sdk:dynamodb:scan"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_definition_is_noticed(definition: Template, breakage: str) -> None:
    changed = copy.deepcopy(definition)
    BREAKAGES[breakage](changed)

    assert faults(changed)


def lint(definition: Template, folder: Path) -> list[str]:
    """The rules that the definition breaks for cfn-lint, which knows the States Language."""
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineType": "EXPRESS",
            "RoleArn": "arn:aws:iam::123456789012:role/poller",
            "Definition": definition,
        },
    }
    path = folder / "machine.json"
    path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}}))
    return [match.rule.id for match in lint_file(path, config=ManualArgs(regions=["ca-central-1"]))]


def test_the_definition_is_valid_in_the_states_language(definition: Template, tmp_path: Path) -> None:
    assert lint(definition, tmp_path) == []


def test_the_states_language_is_really_checked(definition: Template, tmp_path: Path) -> None:
    changed = copy.deepcopy(definition)
    state(changed, "PollPage")["Type"] = "Tusk"

    assert lint(changed, tmp_path) == ["E3601"]
