"""Many organizations on one stack, on the real table: each with its own key, and none in the way of another."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.simulator import PostAnswer, organization_id, returns
from outbound_calls.adapters.organizations import REREAD_SECONDS
from outbound_calls.adapters.secrets import CACHE_SECONDS, SecretUnusable
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.domain.timing import EXPIRE_AFTER_SECONDS
from outbound_calls.use_cases.log_reads import LogReads
from outbound_calls.use_cases.placement import PlaceResult
from outbound_calls.use_cases.polls import KEY_OF_ANOTHER_ORGANIZATION, Poll, PollResult
from outbound_calls.use_cases.sweep import KEY_PATIENCE_SECONDS, PATIENCE_SECONDS
from tests.cloud.parts import SampleAttempts
from tests.cloud.world import CloudWorld, key_of
from tests.functions import load_function
from tests.unit.parts import API_KEY, ASSISTANT_ID, PHONE_NUMBER, PHONE_NUMBER_ID
from tests.world import DEADLINE_SECONDS, GRACE_SECONDS, CloudResources

NORTH_ASSISTANT, NORTH_NUMBER = "99999999-2222-4333-8444-555555555555", "aaaaaaaa-2222-4333-8444-555555555555"
DEFAULT = {"apiKey": API_KEY}
NORTH = {
    "apiKey": "north-key",
    "organizationId": organization_id("north"),
    "assistantId": NORTH_ASSISTANT,
    "phoneNumberId": NORTH_NUMBER,
}
SOUTH = {"apiKey": "south-key", "assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}


class Clinics(CloudWorld):
    """A world with organizations in the secret."""

    def __init__(self, resources: CloudResources, attempts: SampleAttempts) -> None:
        super().__init__(resources, attempts)
        self.allomia.configure(organization_keys=("north=north-key", "south=south-key"))
        self.key_arn = resources.new_secret("{}")
        self.configure(ALLOMIA_API_KEY_SECRET_ARN=self.key_arn)

    def say(self, **organizations: Any) -> None:
        """Put these organizations into the secret."""
        self.write(json.dumps({"organizations": organizations}))

    def write(self, text: str) -> None:
        self.resources.secrets.put_secret_value(SecretId=self.key_arn, SecretString=text)

    def keys_used(self, act: Callable[[], object]) -> list[str]:
        """The keys that AlloMia gets meanwhile."""
        used: list[str] = []
        self.allomia.before_answer = lambda request: used.append(request.headers["Authorization"])
        act()
        return [each.removeprefix("Bearer ") for each in used]

    def failing(self, act: Callable[[], Any]) -> None:
        """Do something while Secrets Manager fails."""
        client, event, name = self.resources.secrets, "before-call.secrets-manager.GetSecretValue", "failing"

        def fail(**_: object) -> None:
            raise ClientError({"Error": {"Code": "InternalServiceError"}}, "GetSecretValue")

        client.meta.events.register_first(event, fail, name)
        try:
            act()
        finally:
            client.meta.events.unregister(event, unique_id=name)


@pytest.fixture
def world(resources: CloudResources, attempts: SampleAttempts) -> Iterator[Clinics]:
    world = Clinics(resources, attempts)
    world.say(default=DEFAULT, north=NORTH, south=SOUTH)
    yield world
    world.close()


@pytest.fixture
def alarmed(resources: CloudResources, capsys: pytest.CaptureFixture[str]) -> Callable[..., bool]:
    """Whether a function counts a result for the alarm on keys, as its own line says."""
    environment = resources.cloud.environment() | resources.environment()

    def counts(function: str, *logged: object) -> bool:
        capsys.readouterr()
        load_function(f"functions/{function}", environment).log(*logged)
        (line,) = map(json.loads, capsys.readouterr().out.splitlines())
        return "AllomiaKeyDeclined" in line

    return counts


def of_north(world: Clinics, **changes: Any) -> dict[str, Any]:
    return world.request(organization="north", **changes)


def test_each_organization_calls_with_its_own_key_assistant_and_number(world: Clinics) -> None:
    requests = [world.request(), of_north(world), world.request(organization="south")]

    assert world.keys_used(lambda: [world.place(each) for each in requests]) == [API_KEY, "north-key", "south-key"]
    assert [(post["assistantId"], post["phoneNumberId"]) for post in world.allomia.posts] == [
        (ASSISTANT_ID, PHONE_NUMBER_ID),
        (NORTH_ASSISTANT, NORTH_NUMBER),
        (ASSISTANT_ID, PHONE_NUMBER_ID),
    ]


def test_what_a_request_names_itself_is_used(world: Clinics) -> None:
    world.place(of_north(world, assistantId=ASSISTANT_ID))

    assert (world.allomia.posts[0]["assistantId"], world.allomia.posts[0]["phoneNumberId"]) == (
        ASSISTANT_ID,
        NORTH_NUMBER,
    )


@pytest.mark.parametrize("field", ["assistantId", "phoneNumberId"])
def test_the_stacks_defaults_are_no_other_organizations(world: Clinics, field: str) -> None:
    world.say(default=DEFAULT, north=NORTH | {field: None})

    assert world.place(of_north(world)).result is PlaceResult.INVALID
    assert [kept["field"] for kept in world.invalid_messages()] == [field]
    assert world.place(world.request()).result is PlaceResult.CALLING


def test_the_same_request_id_in_two_organizations_is_two_calls(world: Clinics) -> None:
    request = world.request()
    for organization in (None, "north", "south"):
        for result in (PlaceResult.CALLING, PlaceResult.DUPLICATE):
            assert world.place(request | ({"organization": organization} if organization else {})).result is result

    keys = [AttemptKey(RequestKey(request["requestId"], name), 1) for name in (None, "north", "south")]
    assert len({post["callbackUrl"] for post in world.allomia.posts}) == 3
    assert world.callback_url(keys[1]).split("/")[-3] == f"north~{request['requestId']}"
    # Each webhook ends its own call
    assert world.webhook(keys[1], "busy").status == 200
    assert world.webhook(keys[2], "completed").status == 200
    assert [world.attempts.existing_item(key)["status"] for key in keys] == ["calling", "busy", "completed"]


def test_a_poll_asks_with_the_key_of_the_calls_organization(world: Clinics) -> None:
    key = world.placed(organization="north")
    world.pass_seconds(GRACE_SECONDS)

    assert world.keys_used(lambda: world.poll(key)) == ["north-key"]
    assert world.attempts.existing_item(key)["status"] == "calling"


def test_a_message_for_an_unknown_organization_is_invalid(world: Clinics) -> None:
    for message in (
        world.request(organization="west"),
        {"cancel": {"requestId": "a"}, "organization": "west"},
        {"cancel": {"batch": "a"}, "organization": "west"},
        {"doNotCall": {"phoneNumber": PHONE_NUMBER}, "organization": "west"},
    ):
        assert world.place(message).result is PlaceResult.INVALID
    assert {kept["field"] for kept in world.invalid_messages()} == {"organization"}


def test_without_a_default_organization_each_message_names_its_own(world: Clinics) -> None:
    world.say(north=NORTH)

    for message in (world.request(), world.request(organization="default"), {"cancel": {"requestId": "a"}}):
        assert world.place(message).result is PlaceResult.INVALID
    assert world.place(of_north(world)).result is PlaceResult.CALLING
    world.invalid_messages()


def test_an_organization_that_is_added_works_without_a_deployment(world: Clinics) -> None:
    world.say(north=NORTH)
    assert world.place(of_north(world)).result is PlaceResult.CALLING
    world.say(north=NORTH, south=SOUTH)
    assert world.place(world.request(organization="south")).result is PlaceResult.INVALID
    world.pass_seconds(REREAD_SECONDS)

    assert world.place(world.request(organization="south")).result is PlaceResult.CALLING
    world.invalid_messages()


def test_what_waits_for_an_organization_that_is_removed_is_dialled_when_it_is_back(
    world: Clinics, alarmed: Callable[..., bool]
) -> None:
    world.allomia.post = returns(429)
    request = of_north(world)
    world.place(request)
    key = key_of(request)
    world.allomia.post = None
    world.say(default=DEFAULT)
    world.pass_seconds(CACHE_SECONDS)

    placement = world.come_up(key)

    assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.KEY_UNREADABLE)
    assert placement.detail == "the secret names no such organization"
    assert alarmed("place_call", placement, "message")
    world.say(default=DEFAULT, north=NORTH)
    assert world.come_up(key).result is PlaceResult.CALLING


def test_what_waits_for_an_organization_that_stays_away_expires(world: Clinics) -> None:
    world.allomia.post = returns(429)
    key = world.placed(organization="north")
    world.say(default=DEFAULT)
    world.pass_seconds(EXPIRE_AFTER_SECONDS + 60)

    placement = world.come_up(key)

    assert (placement.result, placement.code) == (PlaceResult.REJECTED, "expired")


@pytest.mark.parametrize("text", ["{}", "{", '{"organizations": {}}', '{"organizations": {"North": {"apiKey": "a"}}}'])
def test_a_malformed_secret_parks_everyone_and_invalidates_no_one(world: Clinics, text: str) -> None:
    world.write(text)
    requests = [world.request(), of_north(world), world.request(organization="west")]

    for request in requests:
        placement = world.place(request)
        assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.KEY_UNREADABLE)
    world.say(default=DEFAULT, north=NORTH)
    world.pass_seconds(CACHE_SECONDS)

    assert [world.come_up(key_of(each)).result for each in requests[:2]] == [PlaceResult.CALLING] * 2
    assert [post["assistantId"] for post in world.allomia.posts] == [ASSISTANT_ID, NORTH_ASSISTANT]
    # It was taken, so it is not invalid any more
    placement = world.come_up(key_of(requests[2]))
    assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.KEY_UNREADABLE)
    assert world.invalid_messages() == []


def test_while_the_secret_cannot_be_read_no_organization_is_unknown(world: Clinics) -> None:
    assert world.place(of_north(world)).result is PlaceResult.CALLING
    world.pass_seconds(REREAD_SECONDS)
    request = world.request(organization="west")

    def place() -> None:
        assert world.place(request).code == ParkReason.KEY_UNREADABLE
        # What was read before stays in use
        assert world.place(of_north(world)).result is PlaceResult.CALLING

    world.failing(place)


def test_a_request_without_defaults_gets_those_of_its_organization_once_the_secret_can_be_read(world: Clinics) -> None:
    world.write("{")
    key = world.placed(organization="north")
    assert world.attempts.existing_item(key)["request"].keys() == {"phoneNumber", "customerName"}
    world.say(north=NORTH)
    world.pass_seconds(CACHE_SECONDS)
    world.allomia.post = returns(404, {"error": "No such assistant"})

    assert world.come_up(key).code == ParkReason.REFUSED_BY_ALLOMIA
    item = world.attempts.existing_item(key)
    assert (item["setting"], item["waitsFor"]) == ("99999999-aaaaaaaa", "north~refused~99999999-aaaaaaaa")
    assert item["request"]["assistantId"] == NORTH_ASSISTANT


def test_a_parked_request_waits_while_its_organization_names_no_assistant(world: Clinics) -> None:
    world.write("{")
    key = world.placed(organization="north")
    world.say(north=NORTH | {"assistantId": None})
    world.pass_seconds(CACHE_SECONDS)

    placement = world.come_up(key)

    assert (placement.result, placement.code) == (PlaceResult.PARKED, ParkReason.KEY_UNREADABLE)
    assert placement.detail == "neither the request nor the secret names an assistant and a number"
    world.say(north=NORTH)
    world.pass_seconds(CACHE_SECONDS)
    assert world.come_up(key).result is PlaceResult.CALLING


@pytest.mark.parametrize("text", ["{", '{"organizations": {}}'])
def test_a_cancellation_holds_while_the_secret_cannot_be_used(world: Clinics, text: str) -> None:
    world.write(text)
    request = of_north(world)
    cancel = {"cancel": {"requestId": request["requestId"]}, "organization": "north"}

    assert world.place(cancel).code == "cancelled-unseen"
    assert world.place(request).result is PlaceResult.DUPLICATE


# One organization that is broken, and the others.

BROKEN: dict[str, tuple[dict[str, Any] | str | None, PostAnswer | None, str]] = {
    "the key is revoked": (NORTH | {"apiKey": "revoked"}, None, "key-declined"),
    "there is no key": (NORTH | {"apiKey": ""}, None, "key-unreadable"),
    "the entry is no object": ("north-key", None, "key-unreadable"),
    "the assistant is deleted": (NORTH, returns(404, {"error": "No such assistant"}), "refused-by-allomia"),
    "the line is full": (NORTH, returns(429), "rate-limited"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_an_organization_that_is_broken_holds_up_no_other(world: Clinics, fault: str) -> None:
    entry, answer, code = BROKEN[fault]
    world.say(default=DEFAULT, north=entry, south=SOUTH)
    world.allomia.post = lambda order: answer if order["assistantId"] == NORTH_ASSISTANT else None

    for _ in range(7):
        placement = world.place(of_north(world))
        assert placement.result is PlaceResult.PARKED
        assert placement.code in {code, ParkReason.CIRCUIT_OPEN}
        assert world.place(world.request()).result is PlaceResult.CALLING
        assert world.place(world.request(organization="south")).result is PlaceResult.CALLING
    assert world.allomia.may_be_accepted.total() == 14


def test_an_outage_of_one_organization_opens_its_own_circuit_alone(world: Clinics) -> None:
    world.allomia.post = lambda order: returns(500) if order["assistantId"] == NORTH_ASSISTANT else None

    results = [world.place(of_north(world)).result for _ in range(7)]

    assert results == [PlaceResult.AMBIGUOUS] * 5 + [PlaceResult.PARKED] * 2
    # South has the default organization's assistant and number, and a circuit of its own
    world.allomia.post = returns(500)
    for _ in range(5):
        world.place(world.request(organization="south"))
    world.allomia.post = None
    assert world.place(world.request(organization="south")).code == ParkReason.CIRCUIT_OPEN
    assert world.place(world.request()).result is PlaceResult.CALLING


# A key that isn't accepted, and one of another organization.


def waiting_calls(world: Clinics, count: int) -> list[AttemptKey]:
    """Calls of an organization whose webhooks never come."""
    return [world.placed(organization="north") for _ in range(count)]


def use_key(world: Clinics, entry: dict[str, Any] | None) -> None:
    world.say(default=DEFAULT, **({} if entry is None else {"north": entry}))
    world.pass_seconds(CACHE_SECONDS)


def at_the_end(world: Clinics, key: AttemptKey) -> Poll:
    """The last poll of a call before it is given up."""
    return world.last_poll(key, PATIENCE_SECONDS)


@pytest.mark.parametrize("entry", [None, NORTH | {"apiKey": ""}, NORTH | {"apiKey": "revoked"}])
def test_while_a_key_is_missing_or_declined_calls_wait_a_day_longer(
    world: Clinics, entry: dict[str, Any] | None
) -> None:
    (key,) = waiting_calls(world, 1)
    use_key(world, entry)

    assert at_the_end(world, key).detail == "key-unusable"
    world.pass_seconds(KEY_PATIENCE_SECONDS)

    assert world.poll(key).result is PollResult.RECORDED
    assert world.attempts.existing_item(key)["status"] == Status.UNKNOWN


def test_a_webhook_is_taken_while_the_key_is_missing(world: Clinics) -> None:
    (key,) = waiting_calls(world, 1)
    use_key(world, None)

    assert world.webhook(key).status == 200
    assert world.attempts.existing_item(key)["status"] == "completed"


def test_several_calls_in_a_row_that_allomia_does_not_know_are_the_keys_fault(
    world: Clinics, alarmed: Callable[..., bool]
) -> None:
    keys = waiting_calls(world, 3)
    use_key(world, NORTH | {"apiKey": "south-key", "organizationId": None})

    polls = [world.poll(key) for key in keys]
    details = [poll.detail for poll in polls]
    assert [alarmed("poll_calls", poll) for poll in polls] == [False, False, True]
    ends = [at_the_end(world, keys[0]), *(world.poll(key) for key in keys[1:])]

    assert details == ["not-found", "not-found", KEY_OF_ANOTHER_ORGANIZATION]
    assert [each.detail for each in ends] == [KEY_OF_ANOTHER_ORGANIZATION] * 3
    use_key(world, NORTH)
    world.allomia.status = returns(200, {"status": "completed"})
    for key in keys:
        assert world.poll(key).result is PollResult.RECORDED
        assert world.attempts.existing_item(key)["status"] == "completed"


def test_a_single_call_that_allomia_does_not_know_is_given_up(world: Clinics) -> None:
    lost, *others = waiting_calls(world, 3)
    world.allomia.allomia.memory.calls.pop(str(world.attempts.existing_item(lost)["outboundCallId"]))

    for _ in range(4):
        world.pass_seconds(600)
        assert [poll.detail for poll in world.sweep(lost)] in ([], ["not-found"])
        for other in others:
            assert [poll.detail for poll in world.sweep(other)] in ([], [""])

    assert at_the_end(world, lost).result is PollResult.RECORDED
    assert world.attempts.existing_item(lost)["reason"].endswith("AlloMia accepted the call; last poll: not-found")


@pytest.mark.parametrize("organization_id", [None, NORTH["organizationId"]], ids=["without an id", "with an id"])
def test_calls_that_make_a_run_in_no_environment_are_still_the_keys_fault(
    world: Clinics, organization_id: str | None
) -> None:
    """Each is asked about in an execution environment of its own, which has seen no other."""
    keys = waiting_calls(world, 2)
    ended = waiting_calls(world, 1)[0]
    world.webhook(ended)
    use_key(world, NORTH | {"apiKey": "south-key", "organizationId": organization_id})

    details = []
    for seconds in (0, DEADLINE_SECONDS, PATIENCE_SECONDS):
        world.pass_seconds(seconds)
        for key in keys:
            world.configure(ALLOMIA_API_KEY_SECRET_ARN=world.key_arn)
            details.append(world.poll(key).detail)

    assert details == ["not-found"] * 4 + [KEY_OF_ANOTHER_ORGANIZATION] * 2
    assert [world.attempts.status(key) for key in keys] == ["calling"] * 2


def test_without_another_call_that_allomia_must_know_a_single_one_is_given_up(world: Clinics) -> None:
    world.say(new=NORTH | {"organizationId": None})
    key = world.placed(organization="new")
    world.say(new=NORTH | {"apiKey": "south-key", "organizationId": None})
    world.pass_seconds(CACHE_SECONDS)

    assert at_the_end(world, key).result is PollResult.RECORDED


@pytest.mark.parametrize("organization_id", [None, NORTH["organizationId"]], ids=["without an id", "with an id"])
def test_the_request_before_a_call_is_given_up_keeps_to_the_rate_limit(
    world: Clinics, organization_id: str | None
) -> None:
    world.webhook(waiting_calls(world, 1)[0])
    (key,) = waiting_calls(world, 1)
    use_key(world, NORTH | {"apiKey": "south-key", "organizationId": organization_id})
    world.pass_seconds(DEADLINE_SECONDS)
    world.poll(key)
    world.pass_seconds(PATIENCE_SECONDS)
    (due,) = world.attempts.due_entries(key)

    asked = world.keys_used(lambda: world.poll_calls.poll(due, lambda: 60.0, LogReads(lambda: False)))

    assert len(asked) == 1
    assert world.attempts.status(key) == "calling"
    world.pass_seconds(300)
    assert world.poll(key).detail == KEY_OF_ANOTHER_ORGANIZATION


def test_before_a_single_call_is_given_up_allomia_is_asked_whether_the_key_is_the_organizations(
    world: Clinics,
) -> None:
    (key,) = waiting_calls(world, 1)
    use_key(world, NORTH | {"apiKey": "south-key"})
    assert world.poll(key).detail == "not-found"

    assert at_the_end(world, key).detail == KEY_OF_ANOTHER_ORGANIZATION
    use_key(world, NORTH)
    world.allomia.status = returns(200, {"status": "completed"})

    assert world.poll(key).result is PollResult.RECORDED
    assert world.attempts.existing_item(key)["status"] == "completed"


def test_a_tenant_key_sees_the_calls_of_every_organization(world: Clinics) -> None:
    (key,) = waiting_calls(world, 1)
    use_key(world, NORTH | {"apiKey": "tenant-key"})

    assert world.poll(key).detail == ""


def test_no_error_repeats_the_secret(world: Clinics) -> None:
    world.write('{"organizations": {"north": "zqx-key"}}')

    with pytest.raises(SecretUnusable) as caught:
        world.place_calls.organizations.named("north")

    assert "zqx" not in str(caught.value)
    assert "zqx" not in world.place(of_north(world)).detail
