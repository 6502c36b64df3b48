"""Lines on the deployed stack: the end of a call hands its line on, to the first who waits."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest

from local.environment import KEY_WITH_ID, LocalEnvironment
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.domain.lines import COUNT_AFTER_SECONDS
from tests.stack.conftest import wait_until
from tests.stack.test_stack import post, signature_of
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

ORGANIZATION = "clinic-lines"
ANSWERED, STUCK = "+15005550100", "+15005550400"
LINES = 2
IN_FORCE_SECONDS = 6
"""How long after it was set a policy is in force everywhere, and a new key is known."""

HANDED_ON_SECONDS = 2.0
"""How long a line may stay free while anyone waits, at the median."""


class LimitedStack:
    """A stack with an organization of which no other test knows, whose calls at once are limited.

    So no call, circuit or key of another test is in its way.
    """

    def __init__(self, world: LocalEnvironment) -> None:
        self.world = world
        self._table = PolicyTable(world.cloud.client("dynamodb"), world.stack.policy_table_name)

    def limit(self, calls: int) -> None:
        """Put the limit in force, as one of long ago."""
        document = {"basedOn": "open", "organizations": {ORGANIZATION: {"maxConcurrentCalls": calls}}}
        before = self._table.policy()
        now = time.time() - COUNT_AFTER_SECONDS
        self._table.set_policy(json.dumps(document), "test", now, before.number if before else 0)
        time.sleep(IN_FORCE_SECONDS)

    def forget_policy(self) -> None:
        """As if there had never been one."""
        key = {"subject": {"S": "policy"}, "entry": {"S": "current"}}
        self.world.cloud.client("dynamodb").delete_item(TableName=self.world.stack.policy_table_name, Key=key)

    def send(self, name: str, count: int, **fields: object) -> list[str]:
        """Send as many requests. Returns their keys."""
        requests = [f"{name}-{number}" for number in range(count)]
        for request in requests:
            body = {"organization": ORGANIZATION, "requestId": request, "phoneNumber": ANSWERED, **fields}
            self.world.send(body)
        return [f"{ORGANIZATION}~{request}" for request in requests]

    def count(self, requests: list[str], **attributes: str) -> int:
        """How many of these requests have such a record."""
        calls = self.world.calls()
        return sum(attributes.items() <= calls.get(each, {}).items() for each in requests)

    def accepted_at(self, prefix: str) -> Mapping[str, datetime]:
        """When AlloMia accepted the calls of requests with this prefix, in that order."""
        calls = sorted(self.world.allomia.calls(), key=lambda call: call.accepted_at)
        named = {call.callback_url.split("/")[-3]: call.accepted_at for call in calls}
        return {name: at for name, at in named.items() if name.startswith(f"{ORGANIZATION}~{prefix}")}


@pytest.fixture
def stack(world: LocalEnvironment) -> Iterator[LimitedStack]:
    ring_seconds = world.allomia.faults().ring_seconds
    secrets, secret = world.cloud.client("secretsmanager"), f"{world.stack.name}/allomia-api-key"
    own = {"apiKey": "clinic-lines-key", "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
    content = {"organizations": {"default": json.loads(KEY_WITH_ID), ORGANIZATION: own}}
    world.allomia.configure(organization_keys=(f"{ORGANIZATION}=clinic-lines-key",))
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps(content))
    stack = LimitedStack(world)
    yield stack
    world.allomia.configure(ring_seconds=ring_seconds)
    secrets.put_secret_value(SecretId=secret, SecretString=KEY_WITH_ID)
    stack.forget_policy()


def most_at_once(begun: list[datetime], ended: list[datetime]) -> int:
    """The most calls in progress at any moment."""
    changes = sorted([(at, 1) for at in begun] + [(at, -1) for at in ended])
    at_once = most = 0
    for _, change in changes:
        at_once += change
        most = max(most, at_once)
    return most


@pytest.mark.proof
def test_the_end_of_a_call_hands_its_line_to_the_first_who_waits(stack: LimitedStack) -> None:
    # Given calls on every line, whose end AlloMia doesn't report
    world = stack.world
    stack.limit(LINES)
    holders = stack.send("line-held", LINES, phoneNumber=STUCK)
    wait_until(lambda: stack.count(holders, status="calling") == LINES)

    # When more requests come, the more urgent last
    waiting = {each: stack.send(f"line-{each}", 3, priority=each) for each in ("low", "normal", "urgent")}
    everyone = [request for requests in waiting.values() for request in requests]
    wait_until(lambda: stack.count(everyone, parkReason="concurrency-limit") == len(everyone))
    assert len(stack.accepted_at("line-")) == LINES

    # And the calls end
    call_ids = {call.callback_url.split("/")[-3]: call.outbound_call_id for call in world.allomia.calls()}
    ended = []
    for request in holders:
        outcome = {"outboundCallId": call_ids[request], "status": "completed"}
        ended.append(datetime.now().astimezone())
        assert post(world, request, 1, signature_of(request), outcome) == 200

    # Then each is dialled as soon as there is a line, the more urgent first, and there are never more than lines
    wait_until(lambda: stack.count(everyone, status="completed") == len(everyone))
    accepted = stack.accepted_at("line-")
    rings = timedelta(seconds=world.allomia.faults().ring_seconds)
    ended += [at + rings for request, at in accepted.items() if request not in holders]
    assert most_at_once(list(accepted.values()), ended) == LINES
    order = [request for request in accepted if request not in holders]
    for place, request in enumerate([*waiting["urgent"], *waiting["normal"], *waiting["low"]]):
        # Those that got a line together may overtake each other on their way to AlloMia.
        assert abs(order.index(request) - place) < 2 * LINES, order
    assert {world.dials()[request] for request in everyone} == {(1, 1)}


@pytest.mark.proof
def test_a_freed_line_is_used_again_within_two_seconds_at_the_median(stack: LimitedStack) -> None:
    lines, requests, ring_seconds = 10, 500, 4.0
    stack.limit(lines)
    stack.world.allomia.configure(ring_seconds=ring_seconds)

    sent = stack.send("freed", requests)
    wait_until(lambda: stack.count(sent, status="completed") == requests, 900)

    accepted = list(stack.accepted_at("freed-").values())
    ended = [at + timedelta(seconds=ring_seconds) for at in accepted]
    assert len(accepted) == requests
    assert most_at_once(accepted, ended) <= lines
    # The first line that is free goes to the next call, and so on.
    free = [(after - end).total_seconds() for end, after in zip(ended, accepted[lines:], strict=False)]
    longest = sorted(enumerate(free), key=lambda each: -each[1])[:3]
    busy = requests * ring_seconds / lines / (ended[-1] - accepted[0]).total_seconds()
    print(  # noqa: T201 - figures are for people
        f"\n{requests} calls of {ring_seconds:.0f} s over {lines} lines: a line was free for "
        f"{statistics.median(free):.2f} s at the median, at most {statistics.quantiles(free, n=20)[-1]:.2f} s in 95 %, "
        f"{max(free):.2f} s at most; lines were busy for {busy:.0%} of the time; "
        f"{stack.count(sent, outcomeSource='poll')} webhooks were lost; longest: "
        f"{', '.join(f'{seconds:.1f} s after {place}' for place, seconds in longest)}"
    )
    assert statistics.median(free) <= HANDED_ON_SECONDS
