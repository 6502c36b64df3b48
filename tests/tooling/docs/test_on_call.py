"""The on-call policy allows the runbook's own commands, and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tests.tooling.docs.markdown import code, fences, read
from tests.tooling.template.test_execution_role import actions_in

POLICY: Final = json.loads(read("docs/operate/on-call-policy.json"))["Statement"]
PAGES: Final = ("docs/operate/runbook.md", "docs/operate/releases.md")

NAMED_OTHERWISE: Final = {
    # aws logs tail
    "logs:Tail": "logs:FilterLogEvents",
}
BY_HAND: Final = {
    # What a person does with a message that receive-message showed.
    "sqs:DeleteMessage",
}


def actions_of_the_commands() -> Iterator[str]:
    for page in PAGES:
        text = read(page)
        for command in [*fences(text, "sh"), *code(text)]:
            for service, operation in re.findall(r"\baws (?!--)([a-z]+) ([a-z-]+)", command):
                action = f"{service}:{operation.title().replace('-', '')}"
                yield NAMED_OTHERWISE.get(action, action)


def test_the_on_call_policy_allows_exactly_the_commands_of_the_runbook() -> None:
    assert actions_in(POLICY) - BY_HAND == set(actions_of_the_commands())


def test_it_reaches_one_stack() -> None:
    for statement in POLICY:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in resources:
            named = "STACK" in resource + json.dumps(statement.get("Condition", {})) or resource.startswith("ARN-OF-")
            assert named is (statement["Sid"] != "WithoutAResource")
