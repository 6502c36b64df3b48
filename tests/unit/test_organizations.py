"""The secret of AlloMia keys: which organizations it names, and what is said of one that can't be used."""

import json
from typing import Any

import pytest

from outbound_calls.adapters.organizations import (
    REREAD_SECONDS,
    Organization,
    OrganizationMissing,
    Organizations,
    read_organizations,
)
from outbound_calls.adapters.secrets import FAILURE_SECONDS, SecretUnreadable, SecretUnusable
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID, Clock, SecretsInMemory, a_secret, organizations_in

NORTH = {
    "apiKey": "north-key",
    "organizationId": "00000000-0000-4000-8000-000000000001",
    "assistantId": ASSISTANT_ID,
    "phoneNumberId": PHONE_NUMBER_ID,
}
SOUTH = {"apiKey": "south-key"}


def secret_text(**organizations: Any) -> str:
    return json.dumps({"organizations": organizations})


@pytest.mark.parametrize(
    "text",
    [
        "the-key",
        " the-key\n",
        '{"apiKey": "the-key"}',
        ' {"apiKey": " the-key ", "note": "rotated in March"}\n',
        '{"organizations": {"default": {"apiKey": "the-key"}}}',
    ],
)
def test_a_key_alone_is_the_default_organizations(text: str) -> None:
    assert organizations_in(text).named(None) == Organization("the-key")


def test_a_key_may_have_any_visible_ascii_character() -> None:
    key = "".join(map(chr, range(ord("!"), ord("~") + 1)))

    assert organizations_in(key).named(None).api_key == key


def test_a_key_may_come_with_its_organizations_id() -> None:
    text = json.dumps({"apiKey": "the-key", "organizationId": "an-id"})

    assert organizations_in(text).named(None) == Organization("the-key", "an-id")


def test_each_organization_has_its_own_key_id_assistant_and_number() -> None:
    organizations = organizations_in(secret_text(north=NORTH, south=SOUTH, default={"apiKey": "own-key"}))

    assert organizations.named("north") == Organization(
        "north-key", NORTH["organizationId"], ASSISTANT_ID, PHONE_NUMBER_ID
    )
    assert organizations.named("south") == Organization("south-key")
    assert organizations.named(None) == Organization("own-key")


def test_an_id_is_read_as_a_request_names_it() -> None:
    text = secret_text(north=NORTH | {"assistantId": ASSISTANT_ID.upper(), "phoneNumberId": None})

    north = organizations_in(text).named("north")

    assert (north.assistant_id, north.phone_number_id) == (ASSISTANT_ID, None)


@pytest.mark.parametrize("text", ["the-key", '{"apiKey": "the-key"}', secret_text(south=SOUTH)])
def test_an_organization_that_the_secret_does_not_name_is_missing(text: str) -> None:
    with pytest.raises(OrganizationMissing):
        organizations_in(text).named("north")


def test_a_secret_may_name_no_default_organization() -> None:
    with pytest.raises(OrganizationMissing):
        organizations_in(secret_text(north=NORTH)).named(None)


UNUSABLE_SECRETS = [
    *(
        "",
        "zqx zqx",
        '{"apikey": "zqx"}',
        "{",
        "{}",
        "{zqx",
        '{"organizations": 7}',
        '{"organizations": {}}',
        '{"organizations": ["zqx"]}',
    ),
    *('{"organizations": null}', '{"apiKey": "zqx", "organizations": {"north": {"apiKey": "zqx"}}}'),
    *('{"organizations": {"a": {"apiKey": "zqx"}}, "organizations": {"b": {"apiKey": "zqx"}}}',),
    *('{"apiKey": ' + "[" * 100_000, '{"organizations": ' + '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}"),
]


@pytest.mark.parametrize("name", [None, "north"])
@pytest.mark.parametrize("text", UNUSABLE_SECRETS)
def test_in_a_malformed_secret_no_organization_is_missing(text: str, name: str | None) -> None:
    with pytest.raises(SecretUnusable) as caught:
        organizations_in(text).named(name)

    assert not isinstance(caught.value, OrganizationMissing)
    assert "zqx" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "zqx key", "zqx\nkey", "zqx\x00", "zqx-é", "zqx\x7f", '"zqx key"', "[zqx, zqx]"),
        *('{"apikey": "zqx"}', '{"apiKey": ""}', '{"apiKey": "zqx key"}', '{"apiKey": null}', '{"apiKey": 7}'),
        *('{"apiKey": ["zqx"]}', '{"apiKey": {"zqx": "zqx"}}', '{"apiKey": "zqx", "apiKey": "zqx"}'),
        *('{"apiKey": "k", "organizationId": 7}', '{"apiKey": "k", "organizationId": "zqx zqx"}'),
        json.dumps({"apiKey": "k", "organizationId": "zqx" * 43}),
        *('{"apiKey": "k", "assistantId": "zqx"}', '{"apiKey": "k", "phoneNumberId": ["zqx"]}'),
    ],
)
def test_an_unusable_entry_raises_without_repeating_it(text: str) -> None:
    for organizations, name in [
        (organizations_in(text), None),
        (organizations_in('{"organizations": {"north": %s}}' % (text if text.startswith("{") else "7")), "north"),
    ]:
        with pytest.raises(SecretUnusable) as caught:
            organizations.named(name)

        assert not isinstance(caught.value, OrganizationMissing)
        assert "zqx" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("broken", [{"apiKey": None}, "zqx", None, [], SOUTH | {"assistantId": "x"}])
def test_what_is_wrong_with_one_organization_holds_up_no_other(broken: object) -> None:
    organizations = organizations_in(secret_text(north=NORTH, south=broken))

    assert organizations.named("north").api_key == "north-key"
    with pytest.raises(SecretUnusable):
        organizations.named("south")


def test_an_organization_that_is_named_twice_cannot_be_used() -> None:
    text = '{"organizations": {"north": {"apiKey": "a"}, "south": {"apiKey": "b"}, "north": {"apiKey": "c"}}}'

    assert organizations_in(text).named("south").api_key == "b"
    with pytest.raises(SecretUnusable):
        organizations_in(text).named("north")


@pytest.mark.parametrize("name", ["South", "so uth", "", "s" * 33, "south~1", "söuth", "south\n"])
def test_while_a_name_breaks_the_rule_no_organization_is_missing(name: str) -> None:
    organizations = organizations_in(secret_text(north=NORTH, **{name: SOUTH}))

    assert organizations.named("north").api_key == "north-key"
    with pytest.raises(SecretUnusable, match="name in the secret breaks the rule") as caught:
        organizations.named("south")
    assert not isinstance(caught.value, OrganizationMissing)


def test_no_key_is_in_the_text_of_an_organization() -> None:
    content = read_organizations(secret_text(north=NORTH))

    assert "north-key" not in f"{content!r} {content['north']!r}"


# An organization that is added, and one that is removed.


def test_an_organization_that_was_added_is_found_at_once_and_a_secret_read_at_most_every_5_seconds() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": secret_text(north=NORTH)})
    organizations = Organizations(a_secret(secrets, clock))
    for _ in range(100):
        with pytest.raises(OrganizationMissing):
            organizations.named("south")
    assert secrets.reads == ["AWSCURRENT"]
    secrets.rotate(secret_text(north=NORTH, south=SOUTH))
    clock.pass_seconds(REREAD_SECONDS)

    assert organizations.named("south").api_key == "south-key"
    assert organizations.named("north").api_key == "north-key"
    assert secrets.reads == ["AWSCURRENT"] * 2


def test_no_organization_is_missing_while_the_secret_cannot_be_read_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": secret_text(north=NORTH)})
    organizations = Organizations(a_secret(secrets, clock))
    assert organizations.named("north").api_key == "north-key"
    clock.pass_seconds(REREAD_SECONDS)
    secrets.fault = ConnectionError()

    for _ in range(2):
        with pytest.raises(SecretUnreadable):
            organizations.named("south")
        assert organizations.named("north").api_key == "north-key"
    assert len(secrets.reads) == 2
    secrets.fault = None
    clock.pass_seconds(FAILURE_SECONDS)
    with pytest.raises(OrganizationMissing):
        organizations.named("south")


def test_an_organization_that_was_removed_is_missing_once_the_secret_is_read_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": secret_text(north=NORTH, south=SOUTH)})
    organizations = Organizations(a_secret(secrets, clock))
    assert organizations.named("south").api_key == "south-key"
    secrets.rotate(secret_text(north=NORTH))
    clock.pass_seconds(300)

    with pytest.raises(OrganizationMissing):
        organizations.named("south")
