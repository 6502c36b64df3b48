"""Secrets: how long they are cached, which version is read when, and what an AlloMia key looks like."""

import threading

import pytest
from botocore.exceptions import ClientError

from outbound_calls.adapters.secrets import CACHE_SECONDS, REREAD_SECONDS, SecretUnusable, api_key
from tests.unit.parts import Clock, NotFound, SecretsInMemory, a_secret


def test_a_secret_is_read_once_and_cached_for_five_minutes() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)

    assert {secret.current() for _ in range(10)} == {"one"}
    clock.pass_seconds(CACHE_SECONDS - 0.1)
    secrets.rotate("two")
    assert secret.current() == "one"
    assert secrets.reads == ["AWSCURRENT"]
    clock.pass_seconds(0.1)

    assert secret.current() == "two"
    assert secret.previous() == "one"


def test_a_previous_version_is_read_only_when_asked_for() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "two", "AWSPREVIOUS": "one"})
    secret = a_secret(secrets)

    assert (secret.previous(), secret.previous()) == ("one", "one")
    assert secrets.reads == ["AWSPREVIOUS"]


def test_a_missing_previous_version_is_cached_too() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets)

    assert (secret.previous(), secret.previous()) == (None, None)
    assert secrets.reads == ["AWSPREVIOUS"]


def test_a_missing_secret_is_a_fault() -> None:
    with pytest.raises(NotFound):
        a_secret(SecretsInMemory()).current()


@pytest.mark.parametrize("text", [None, ""])
def test_a_secret_without_text_is_unusable(text: str | None) -> None:
    with pytest.raises(SecretUnusable, match="no SecretString"):
        a_secret(SecretsInMemory({"AWSCURRENT": text})).current()


def test_a_fault_is_not_cached() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"})
    secrets.fault = ClientError({"Error": {"Code": "InternalServiceError"}}, "GetSecretValue")
    secret = a_secret(secrets)
    with pytest.raises(ClientError):
        secret.current()

    secrets.fault = None

    assert secret.current() == "one"


def test_after_expiring_it_the_next_use_reads_it_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.rotate("two")

    assert not secret.expire()
    assert secret.current() == "one"
    clock.pass_seconds(REREAD_SECONDS)
    assert secret.expire()

    assert secret.current() == "two"
    assert not secret.expire()


def test_expiring_an_unread_secret_reads_nothing() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"})

    # A monotonic clock may start near zero.
    assert a_secret(secrets, Clock(now=1.0)).expire()

    assert secrets.reads == []


def test_concurrent_threads_read_it_once() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"}, takes_seconds=0.01)
    secret = a_secret(secrets)
    together = threading.Barrier(10)
    seen: list[str] = []

    def work() -> None:
        together.wait(10)
        seen.append(secret.current())

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert seen == ["one"] * 10
    assert secrets.reads == ["AWSCURRENT"]


@pytest.mark.parametrize(
    "text",
    [
        "the-key",
        " the-key\n",
        '{"apiKey": "the-key"}',
        ' {"apiKey": " the-key ", "note": "rotated in March"}\n',
    ],
)
def test_a_key_is_bare_or_in_json(text: str) -> None:
    assert api_key(text) == "the-key"


def test_a_key_may_have_any_visible_ascii_character() -> None:
    key = "".join(map(chr, range(ord("!"), ord("~") + 1)))

    assert api_key(key) == key


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "zqx key", "zqx\nkey", "zqx\x00", "zqx-é", "zqx\x7f"),
        *("{", "{}", '{"apikey": "zqx"}', '{"apiKey": ""}', '{"apiKey": "zqx key"}', '{"apiKey": "zqx'),
        *('{"apiKey": null}', '{"apiKey": 7}', '{"apiKey": ["zqx"]}', '{"apiKey": ' + "[" * 100_000),
    ],
)
def test_an_unusable_key_raises_without_repeating_it(text: str) -> None:
    with pytest.raises(SecretUnusable) as caught:
        api_key(text)

    assert "zqx" not in str(caught.value)
    assert caught.value.__cause__ is None
