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
from outbound_calls.adapters.secrets import REREAD_SECONDS as REREAD_DECLINED_SECONDS
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID, Clock, SecretsInMemory, a_secret, organizations_in

NORTH = {
    "apiKey": "north-key",
    "organizationId": "00000000-0000-4000-8000-000000000001",
    "assistantId": ASSISTANT_ID,
    "phoneNumberId": PHONE_NUMBER_ID,
}
SOUTH = {"apiKey": "south-key"}
OTHER_ID = "0a0b0c0d-0000-4000-8000-000000000002"


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
    with pytest.raises(OrganizationMissing, match=r"^the secret names no such organization$"):
        organizations_in(text).named("north")


def test_a_secret_may_name_no_default_organization() -> None:
    with pytest.raises(OrganizationMissing):
        organizations_in(secret_text(north=NORTH)).named(None)


def the_stacks(text: str) -> Organizations:
    """The organizations in a secret, on a stack with an assistant and a number."""
    organizations = organizations_in(text)
    organizations.assistant_id, organizations.phone_number_id = ASSISTANT_ID, PHONE_NUMBER_ID
    return organizations


def test_the_default_organization_calls_with_the_stacks_assistant_and_number() -> None:
    assert the_stacks("the-key").named(None) == Organization("the-key", None, ASSISTANT_ID, PHONE_NUMBER_ID)


def test_an_assistant_and_a_number_in_the_secret_come_before_the_stacks() -> None:
    default = NORTH | {"assistantId": OTHER_ID, "phoneNumberId": OTHER_ID}

    found = the_stacks(secret_text(default=default)).named(None)

    assert (found.assistant_id, found.phone_number_id) == (OTHER_ID, OTHER_ID)


def test_no_other_organization_calls_with_the_stacks_assistant_and_number() -> None:
    assert the_stacks(secret_text(south=SOUTH)).named("south") == Organization("south-key")


def test_the_content_of_a_secret_has_all_its_organizations_and_counts_broken_names() -> None:
    content = organizations_in(secret_text(default=SOUTH, north=NORTH, South=SOUTH)).in_secret()

    assert content.organizations.keys() == {None, "north"}
    assert content.broken_names == 1
    assert organizations_in("the-key").in_secret().broken_names == 0


NOT_ONE_OF_THESE = 'the secret is JSON, but neither {"apiKey": "…"} nor {"organizations": {"NAME": {"apiKey": "…"}}}'
NO_OBJECT = "an organization in the secret is no JSON object"
NO_KEY = "the secret holds no key of printable ASCII characters"
ODD_ID = "organizationId in the secret: printable ASCII characters"
LONG_ID = "organizationId in the secret: at most 128 characters"

UNUSABLE_SECRETS = {
    NO_KEY: (" ", "zqx zqx", '{"apikey": "zqx"}', "{}"),
    NOT_ONE_OF_THESE: (
        *("{", "{zqx", '{"organizations": 7}', '{"organizations": {}}', '{"organizations": ["zqx"]}'),
        *('{"organizations": null}', '{"apiKey": "zqx", "organizations": {"north": {"apiKey": "zqx"}}}'),
        '{"organizations": {"a": {"apiKey": "zqx"}}, "organizations": {"b": {"apiKey": "zqx"}}}',
        *('{"apiKey": ' + "[" * 100_000, '{"organizations": ' + '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}"),
    ),
}


@pytest.mark.parametrize("name", [None, "north"])
@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for words, texts in UNUSABLE_SECRETS.items() for text in texts]
)
def test_in_a_malformed_secret_no_organization_is_missing(text: str, words: str, name: str | None) -> None:
    with pytest.raises(SecretUnusable) as caught:
        organizations_in(text).named(name)

    assert not isinstance(caught.value, OrganizationMissing)
    assert str(caught.value) == words
    assert caught.value.__cause__ is None


def a_secret_with_north(entry: str) -> str:
    return f'{{"organizations": {{"north": {entry}}}}}'


UNUSABLE_ENTRIES = {
    NO_KEY: (
        *('{"apikey": "zqx"}', '{"apiKey": ""}', '{"apiKey": "zqx key"}', '{"apiKey": null}', '{"apiKey": 7}'),
        *('{"apiKey": ["zqx"]}', '{"apiKey": {"zqx": "zqx"}}', '{"apiKey": "zqx", "apiKey": "zqx"}'),
        '{"apiKey": "", "organizationId": 7}',
    ),
    ODD_ID: ('{"apiKey": "k", "organizationId": 7}', '{"apiKey": "k", "organizationId": "zqx zqx"}'),
    LONG_ID: (json.dumps({"apiKey": "k", "organizationId": "zqx" * 43}),),
    "assistantId in the secret: a UUID": ('{"apiKey": "k", "assistantId": "zqx"}',),
    "phoneNumberId in the secret: a UUID": ('{"apiKey": "k", "phoneNumberId": ["zqx"]}',),
}


@pytest.mark.parametrize(
    ("entry", "words"), [(each, words) for words, entries in UNUSABLE_ENTRIES.items() for each in entries]
)
def test_an_unusable_entry_raises_without_repeating_it(entry: str, words: str) -> None:
    for text, name in ((entry, None), (a_secret_with_north(entry), "north")):
        with pytest.raises(SecretUnusable) as caught:
            organizations_in(text).named(name)

        assert not isinstance(caught.value, OrganizationMissing)
        assert str(caught.value) == words
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "key", [" \n", "zqx key", "zqx\nkey", "zqx\x00", "zqx-é", "zqx\x7f", '"zqx key"', "[zqx, zqx]"]
)
def test_a_text_that_is_no_key_raises_without_repeating_it(key: str) -> None:
    with pytest.raises(SecretUnusable) as caught:
        organizations_in(key).named(None)

    assert str(caught.value) == NO_KEY


@pytest.mark.parametrize("entry", ["7", "null", "[]", '"zqx"'])
def test_an_organization_that_is_no_object_is_unusable(entry: str) -> None:
    with pytest.raises(SecretUnusable) as caught:
        organizations_in(a_secret_with_north(entry)).named("north")

    assert str(caught.value) == NO_OBJECT


def test_an_organizations_id_may_have_128_characters() -> None:
    assert organizations_in(secret_text(north=SOUTH | {"organizationId": "x" * 128})).named("north").organization_id


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


def test_the_time_that_the_documentation_gives() -> None:
    assert REREAD_SECONDS == 5


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


def test_a_key_that_allomia_declines_is_read_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "declined"})
    organizations = Organizations(a_secret(secrets, clock))
    assert organizations.named(None).api_key == "declined"
    secrets.rotate("replaced")
    clock.pass_seconds(REREAD_DECLINED_SECONDS)
    assert organizations.named(None).api_key == "declined"

    organizations.expire()

    assert organizations.named(None).api_key == "replaced"
