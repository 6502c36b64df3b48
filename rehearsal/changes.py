"""What a rehearsal changes in the account, each with its way back.

Every change is undone at the end of its block: after a failed check, after Ctrl-C, and where the change itself failed
half-way. A second Ctrl-C doesn't stop that. Each assumption about AWS names its source.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from calls.operations.stack import DeployedStack

UPDATE_SECONDS = 3600.0
"""For an update with gradual releases: each takes minutes, and CloudFormation waits for the slowest."""

SIGN = "Rehearsal"
"""The id of the statement in the bus's policy."""


class NotRehearsed(Exception):
    """The stack was not touched, or has back what was changed; the message says why."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and a polite kill meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Undo at the end what the block did, or did a part of. `undo` must not mind if there is nothing to undo."""
    try:
        yield
    finally:
        with uninterrupted():
            undo()


def update(stack: DeployedStack, parameters: Mapping[str, str], every_seconds: float = 10.0) -> str:
    """Give a stack other parameters, wait until it has them or is rolled back, and return its status.

    It goes on from where an interrupted update left the stack, and does nothing where the stack has these parameters.
    """
    cloudformation = stack.client("cloudformation")
    if settled(stack, every_seconds) == "UPDATE_ROLLBACK_FAILED":
        # As the page says: docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide,
        # "using-cfn-updating-stacks-continueupdaterollback".
        cloudformation.continue_update_rollback(StackName=stack.name)
        settled(stack, every_seconds)
    try:
        cloudformation.update_stack(
            StackName=stack.name,
            UsePreviousTemplate=True,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
    except ClientError as error:
        # docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html, "No updates to perform"
        if "No updates" not in error.response["Error"].get("Message", ""):
            raise
    return settled(stack, every_seconds)


def settled(stack: DeployedStack, every_seconds: float) -> str:
    """The stack's status, once nothing is in progress."""
    deadline = time.monotonic() + UPDATE_SECONDS
    while True:
        (described,) = stack.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
        status = str(described["StackStatus"])
        if not status.endswith("_IN_PROGRESS"):
            return status
        if time.monotonic() > deadline:
            raise NotRehearsed(f"{stack.name} is still in {status}")
        time.sleep(every_seconds)


@contextmanager
def with_parameters(stack: DeployedStack, changed: Mapping[str, str], every_seconds: float = 10.0) -> Iterator[None]:
    """The stack has other parameters, and gets its own back at the end.

    Raises:
        NotRehearsed: It did not take them, or did not take its own back.
    """
    given = dict(stack.parameters)

    def give_back() -> None:
        status = update(stack, given, every_seconds)
        if status not in {"UPDATE_COMPLETE", "CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}:
            raise NotRehearsed(f"{stack.name} is in {status}: deploy it again with its own parameters")

    with undone(give_back):
        status = update(stack, {**given, **changed}, every_seconds)
        if status != "UPDATE_COMPLETE":
            raise NotRehearsed(f"{stack.name} did not take the rehearsal's parameters: {status}")
        yield


@contextmanager
def subscribed(stack: DeployedStack) -> Iterator[str]:
    """A queue that receives the stack's outcome events; yields its URL."""
    sqs, events, name = stack.client("sqs"), stack.client("events"), f"{stack.name}-rehearsal"
    bus, pattern = stack.outputs["OutcomeBusName"], json.dumps({"source": ["allomia.outbound-calls"]})
    url = sqs.create_queue(QueueName=name)["QueueUrl"]

    def remove() -> None:
        rules = events.list_rules(NamePrefix=name, EventBusName=bus)["Rules"]
        for rule in rules:
            events.remove_targets(Rule=rule["Name"], EventBusName=bus, Ids=["events"])
            events.delete_rule(Name=rule["Name"], EventBusName=bus)
        sqs.delete_queue(QueueUrl=url)

    with undone(remove):
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "events", "Arn": arn}])
        yield url


@contextmanager
def stopped(stack: DeployedStack, function: str) -> Iterator[None]:
    """Lambda runs no version of the function meanwhile.

    A reserved concurrency of zero throttles every invocation, of all versions together:
    docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html. It can be taken from any account, because it
    leaves more for the others.
    """
    lambda_ = stack.client("lambda")
    before = lambda_.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")

    def start() -> None:
        if before is None:
            lambda_.delete_function_concurrency(FunctionName=function)
        else:
            lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=before)

    with undone(start):
        lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        yield


@contextmanager
def version_with(stack: DeployedStack, function: str, handler: str, layer_arn: str) -> Iterator[str]:
    """A version of the function with another handler, from a layer beside its own. Yields the version's number.

    The versions that the stack uses aren't touched: a published version keeps its configuration, and only $LATEST can
    be changed (docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html). Nothing runs $LATEST.
    """
    lambda_ = stack.client("lambda")
    before = lambda_.get_function_configuration(FunctionName=function)
    own = [each["Arn"] for each in before.get("Layers", [])]
    published: list[str] = []

    def configure(handler: str, layers: list[str]) -> None:
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=function)
        lambda_.update_function_configuration(FunctionName=function, Handler=handler, Layers=layers)
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=function)

    def remove() -> None:
        configure(before["Handler"], own)
        for version in published:
            lambda_.delete_function(FunctionName=function, Qualifier=version)

    with undone(remove):
        configure(handler, [*own, layer_arn])
        published.append(lambda_.publish_version(FunctionName=function)["Version"])
        lambda_.get_waiter("published_version_active").wait(FunctionName=function, Qualifier=published[0])
        yield published[0]


@contextmanager
def denied(stack: DeployedStack, role_arn: str) -> Iterator[None]:
    """The bus refuses events of this role meanwhile.

    An explicit deny in a resource's policy wins over what the role allows:
    docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. PutPermission with `Policy` puts
    the whole policy of the bus (docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html), so what
    stood in it is put again with it.
    """
    events, bus = stack.client("events"), stack.outputs["OutcomeBusName"]
    described = events.describe_event_bus(Name=bus)
    before = described.get("Policy")

    def allow() -> None:
        if before:
            events.put_permission(EventBusName=bus, Policy=before)
        else:
            events.remove_permission(EventBusName=bus, RemoveAllPermissions=True)

    with undone(allow):
        events.put_permission(EventBusName=bus, Policy=denying(before, described["Arn"], role_arn))
        yield


def denying(policy: str | None, bus_arn: str, role_arn: str) -> str:
    """A bus's policy, and beside what it says that this role may not put events."""
    document: dict[str, Any] = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    statement = {
        "Sid": SIGN,
        "Effect": "Deny",
        "Principal": {"AWS": role_arn},
        "Action": "events:PutEvents",
        "Resource": bus_arn,
    }
    return json.dumps(document | {"Statement": [*document["Statement"], statement]})
