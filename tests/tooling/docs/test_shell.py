"""The commands on the pages are valid, and name what exists: operations of AWS, modules, parameters, logs."""

import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session
from samtranslator.yaml_helper import yaml_parse

from outbound_calls.contracts.vocabulary import ParkReason, Priority, ReasonCode, Status
from outbound_calls.runtime.telemetry import Metric, waiting_metric
from tests.tooling.docs.markdown import PAGES, PROJECT, code, fences, read

BLOCKS = {path: fences(path.read_text(), "sh") for path in PAGES}
PIECES = [piece for path, blocks in BLOCKS.items() for piece in [*blocks, *code(path.read_text())]]

_AWS = re.compile(r"\baws (?:--\S+ \S+ )?([a-z]+) ([a-z-]+)([^\n;|]*)")
_FOR_EVERY_COMMAND = {"endpoint-url", "output", "query"}
_OF_THE_CLI = {
    "cloudformation deploy": {"capabilities", "parameter-overrides", "stack-name", "template-file"},
    "configure export-credentials": {"format"},
    "logs tail": {"filter-pattern", "since"},
}
"""Commands that the AWS CLI adds to AWS's own, with their options."""

_RENAMED = {"notification-endpoint": "endpoint"}
"""Options that the AWS CLI gives another name."""


def commands_in(pieces: list[str]) -> Iterator[tuple[str, str, set[str]]]:
    """The commands of the AWS CLI: service, operation, and options without their hyphens."""
    for piece in pieces:
        for service, operation, rest in _AWS.findall(piece.replace("\\\n", " ")):
            options = set(re.findall(r" --([a-z][a-z-]+)", rest)) - _FOR_EVERY_COMMAND
            yield service, operation, {_RENAMED.get(each, each) for each in options}


@pytest.fixture(scope="module")
def aws() -> Session:
    return Session()


def options_of(aws: Session, service: str, operation: str) -> tuple[set[str], set[str]]:
    """The options that an operation takes, and those that it requires."""
    model: Any = aws.get_service_model(service)
    (name,) = (each for each in model.operation_names if xform_name(each, "-") == operation)
    members = model.operation_model(name).input_shape.members
    booleans = {f"no-{xform_name(each, '-')}" for each, shape in members.items() if shape.type_name == "boolean"}
    required = {xform_name(each, "-") for each in model.operation_model(name).input_shape.required_members}
    return {xform_name(each, "-") for each in members} | booleans, required


def test_commands_of_aws_have_operations_and_options_that_exist(aws: Session) -> None:
    named = list(commands_in(PIECES))

    assert len(named) > 30
    for service, operation, options in named:
        own = _OF_THE_CLI.get(f"{service} {operation}")
        assert options <= (options_of(aws, service, operation)[0] if own is None else own), (service, operation)


def test_commands_of_aws_in_blocks_have_the_options_that_are_required(aws: Session) -> None:
    blocks = [block for blocks in BLOCKS.values() for block in blocks]

    for service, operation, options in commands_in(blocks):
        if f"{service} {operation}" not in _OF_THE_CLI:
            given = {each.removeprefix("no-") for each in options}
            assert options_of(aws, service, operation)[1] <= given, (service, operation)


@pytest.mark.parametrize("path", [path for path, blocks in BLOCKS.items() if blocks], ids=lambda path: path.stem)
def test_every_block_of_commands_is_valid_shell(path: Path) -> None:
    for block in BLOCKS[path]:
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, timeout=10, check=False)
        assert checked.stderr == ""


def test_every_module_that_is_run_exists() -> None:
    named = {name for piece in PIECES for name in re.findall(r"python -m ([a-z_.]+)", piece)}

    assert {name for name in named if find_spec(name) is None} == set()


def test_deployments_set_parameters_that_exist() -> None:
    templates = ["template.yaml", "rehearsal/template.yaml"]
    templates += [str(path.relative_to(PROJECT)) for path in PROJECT.glob("examples/*.yaml")]
    templates += [str(path.relative_to(PROJECT)) for path in PROJECT.glob(".github/aws/*.yaml")]
    known = {name for each in templates for name in yaml_parse(read(each)).get("Parameters", {})}

    commands = [piece.replace("\\\n", " ") for piece in PIECES if "--parameter-overrides" in piece]
    given = {name for each in commands for name in re.findall(r" ([A-Z]\w+)=", each)}
    assert len(given) > 5
    assert given <= known


METRICS = {*Metric, *map(waiting_metric, Priority)}
QUERIES = [(group, query) for piece in PIECES for group, query in re.findall(r"\bask ([a-z-]+) '([^'\n]+)'", piece)]


@pytest.mark.parametrize(("group", "query"), QUERIES)
def test_a_query_of_a_log_asks_for_what_is_logged(group: str, query: str) -> None:
    folder = PROJECT / "functions" / group.replace("-", "_")
    sources = [*folder.glob("*.py"), *(PROJECT / "layers/outbound_calls/outbound_calls/use_cases").glob("*.py")]
    text = "\n".join(path.read_text() for path in sources)

    assert f"/aws/lambda/${{AWS::StackName}}/{group}\n" in read("template.yaml")
    for listed in re.findall(r'message (?:=|in) (\[[^]]+\]|"[^"]+")', query):
        assert {message for message in re.findall(r'"([^"]+)"', listed) if f'"{message}"' not in text} == set()
    assert all(words in text for words in re.findall(r"message like /([a-z][^/]+)/", query))
    assert set(re.findall(r'\bcode = "([^"]+)"', query)) <= {*ParkReason, *ReasonCode, "other-call-recorded"}
    assert set(re.findall(r'\bstatus = "([^"]+)"', query)) <= set(Status)
    assert set(re.findall(r"\b[A-Z][a-z]+[A-Za-z]*\b", re.sub(r'"[^"]*"', "", query))) <= METRICS
