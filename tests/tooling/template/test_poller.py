"""The poller: what starts it, and the rules that its definition must follow. tests/stack shows what it does.

The emulator checks no definition before it runs it, and accepts more than AWS: a newer JSONata, and conditions that
aren't booleans.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tooling.template.conftest import StackOf
from tests.tooling.template.rendering import PROJECT, RenderedStack, Template, lint

DEFINITION: Final = PROJECT / "statemachines/poller.asl.json"

# docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
EXPRESS_SECONDS: Final = 5 * 60


@pytest.fixture(scope="module")
def definition(stack: RenderedStack) -> Template:
    """The definition with its substitutions, all of which it must use."""
    text, substitutions = DEFINITION.read_text(), stack.properties("Poller")["DefinitionSubstitutions"]
    assert set(re.findall(r"\$\{(\w+)\}", text)) == substitutions.keys()
    loaded: Template = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: str(substitutions[found[1]]), text))
    return loaded


def machines_in(definition: Template) -> list[Template]:
    """The definition itself and the one inside each Map."""
    inner = [each["ItemProcessor"] for each in definition["States"].values() if "ItemProcessor" in each]
    return [definition, *(machine for each in inner for machine in machines_in(each))]


@pytest.fixture(scope="module")
def states(definition: Template) -> dict[str, Template]:
    """All states by name, including those inside a Map."""
    return {name: state for machine in machines_in(definition) for name, state in machine["States"].items()}


def next_names(state: Template) -> set[str]:
    transitions = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {each[key] for each in transitions for key in ("Next", "Default") if key in each}


def test_the_template_starts_this_definition_every_minute(written: Template, stack: RenderedStack) -> None:
    ((_, schedule),) = stack.of_type("AWS::Scheduler::Schedule")

    assert PROJECT / written["Resources"]["Poller"]["Properties"]["DefinitionUri"] == DEFINITION
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule.get("State", "ENABLED") == "ENABLED"
    assert schedule["Target"]["Arn"] == "${Poller}"
    assert schedule["Target"]["RoleArn"] == "${PollerScheduleRole.Arn}"


def test_the_functions_and_the_poller_agree_on_the_number_of_shards(stack_of: StackOf) -> None:
    stack = stack_of(DueShards="9")

    assert stack.properties("Poller")["DefinitionSubstitutions"]["DueShards"] == "9"
    assert stack.variables("PlaceCallFunction")["DUE_SHARDS"] == "9"
    # Each page gets its share of the rate limit
    assert stack.variables("PollCallsFunction")["DUE_SHARDS"] == "9"


def test_the_poller_is_express_traced_and_logs_errors_without_their_data(stack: RenderedStack) -> None:
    properties = stack.properties("Poller")

    assert properties["StateMachineType"] == "EXPRESS"
    assert properties["TracingConfiguration"] == {"Enabled": True}
    assert properties["LoggingConfiguration"]["Level"] == "ERROR"
    assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False


def test_the_definition_is_valid_in_the_states_language(definition: Template, tmp_path: Path) -> None:
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineType": "EXPRESS",
            "RoleArn": "arn:aws:iam::123456789012:role/poller",
            "Definition": definition,
        },
    }
    text = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Machine": machine}})
    path = tmp_path / "machine.json"
    path.write_text(text.replace("${AWS::Partition}", "aws"))

    assert lint(path) == []


def test_every_state_is_reachable_and_leads_to_an_end(definition: Template) -> None:
    for machine in machines_in(definition):
        reached, waiting = set(), [machine["StartAt"]]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += next_names(machine["States"][name])
        assert reached == machine["States"].keys()
        for name, state in machine["States"].items():
            ends = state.get("End", False) or state["Type"] in {"Succeed", "Fail"}
            assert ends != bool(next_names(state)), name


def test_a_task_times_out_is_retried_with_jitter_and_counts_its_errors(states: dict[str, Template]) -> None:
    tasks = {name: state for name, state in states.items() if state["Type"] == "Task"}

    assert tasks.keys() == {"QueryPage", "PollPage"}
    for name, task in tasks.items():
        (retrier,), (catcher,) = task["Retry"], task["Catch"]
        assert task["TimeoutSeconds"], name
        assert retrier["ErrorEquals"] == catcher["ErrorEquals"] == ["States.ALL"], name
        assert retrier["JitterStrategy"] == "FULL", name
        assert catcher["Assign"]["faults"] == "{% $faults + 1 %}", name


NEWER_JSONATA: Final = re.compile(r"\?\s*[?:]")
"""`??` and `?:` came with JSONata 2.1. AWS has 2.0.6, and would refuse the definition."""

BOOLEAN: Final = re.compile(r"[^<>=!]+ (<|<=|=|!=|>=|>|in) [^<>=!]+|\$(exists|not|boolean|contains)\(.*\)")


def is_newer(expression: str) -> bool:
    return bool(NEWER_JSONATA.search(re.sub(r"'[^']*'|\"[^\"]*\"", "''", expression)))


def is_boolean(condition: str) -> bool:
    return all(BOOLEAN.fullmatch(part) for part in re.split(r" (?:and|or) ", condition))


def expressions_in(value: Any) -> Iterator[str]:
    """The JSONata expressions in a part of a definition."""
    match value:
        case str() if value.startswith("{%"):
            yield value[2:-2].strip()
        case dict() | list():
            for each in value.values() if isinstance(value, dict) else value:
                yield from expressions_in(each)


def test_aws_accepts_every_expression(definition: Template, states: dict[str, Template]) -> None:
    choices = [choice for state in states.values() for choice in state.get("Choices", [])]
    conditions = [condition for choice in choices for condition in expressions_in(choice["Condition"])]

    assert len(conditions) == 3
    assert [condition for condition in conditions if not is_boolean(condition)] == []
    assert [expression for expression in expressions_in(definition) if is_newer(expression)] == []


def test_what_aws_refuses_is_found() -> None:
    assert is_newer("$states.result.Items ?? []")
    assert is_newer("$faults ?: 0")
    assert not is_newer("$exists($a) ? $a : 'why ??'")
    assert not is_boolean("$items")
    assert not is_boolean("$count($items)")
    assert not is_boolean("$count($items) > 0 and $items")


def test_the_query_finds_due_attempts_in_the_index(states: dict[str, Template]) -> None:
    query = states["FirstPage"]["Assign"]["query"]

    assert (query["TableName"], query["IndexName"]) == ("${CallsTable}", "due")
    assert query["KeyConditionExpression"] == "dueShard = :shard AND dueAt <= :sweptAt"


def test_a_sweep_times_out_after_its_tasks_and_before_express_workflows_do(
    definition: Template, states: dict[str, Template], stack: RenderedStack
) -> None:
    function = stack.properties("PollCallsFunction")["Timeout"]
    assert function < states["PollPage"]["TimeoutSeconds"] <= function + 10

    seconds = 0.0
    for task in (states["QueryPage"], states["PollPage"]):
        (retrier,) = task["Retry"]
        seconds += (1 + retrier["MaxAttempts"]) * task["TimeoutSeconds"]
        seconds += retrier["MaxAttempts"] * retrier["MaxDelaySeconds"]
    assert seconds < definition["TimeoutSeconds"] < EXPRESS_SECONDS


def test_only_the_first_page_of_a_shard_is_the_first(states: dict[str, Template]) -> None:
    page = states["PollPage"]

    assert states["FirstPage"]["Assign"]["isFirst"] is True
    assert page["Arguments"]["Payload"]["isFirst"] == "{% $isFirst %}"
    assert page["Assign"]["isFirst"] is page["Catch"][0]["Assign"]["isFirst"] is False
    assert [name for name, state in states.items() if "isFirst" in state.get("Assign", {})] == ["FirstPage", "PollPage"]


def test_a_sweep_starts_its_last_page_and_its_last_poll_before_the_next_sweep(states: dict[str, Template]) -> None:
    (more,) = states["IsThereMore"]["Choices"]
    texts = more["Condition"], states["PollPage"]["Arguments"]["Payload"]["until"]
    last_page, last_poll = (int(re.findall(r"\$number\(\$sweptAt\) \+ (\d+) ", text)[0]) for text in texts)

    assert "$millis() / 1000 < $number($sweptAt)" in more["Condition"]
    assert last_page < last_poll < 60
