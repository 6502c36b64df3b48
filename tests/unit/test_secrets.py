"""Secrets: how long they are cached, and which version is read when."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from outbound_calls.adapters.secrets import (
    CACHE_SECONDS,
    FAILURE_SECONDS,
    REREAD_SECONDS,
    WAIT_SECONDS,
    Secret,
    SecretUnreadable,
    SecretUnusable,
)
from tests.unit.parts import SECRET_ARN, Clock, SecretsInMemory, a_secret

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

UNREACHABLE = ConnectTimeoutError(endpoint_url="https://zqx.example")


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


def test_the_times_that_the_documentation_gives() -> None:
    assert (CACHE_SECONDS, REREAD_SECONDS, FAILURE_SECONDS, WAIT_SECONDS) == (300, 30, 5, 8)
    secret = Secret(cast("SecretsManagerClient", SecretsInMemory()), SECRET_ARN, Clock())
    assert secret.wait_seconds == WAIT_SECONDS


def test_a_previous_version_is_read_only_when_asked_for() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "two", "AWSPREVIOUS": "one"})
    secret = a_secret(secrets)

    assert (secret.previous(), secret.previous()) == ("one", "one")
    assert (secrets.reads, secrets.arns) == (["AWSPREVIOUS"], {SECRET_ARN})


def test_a_missing_previous_version_is_cached_too() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets)

    assert (secret.previous(), secret.previous()) == (None, None)
    assert secrets.reads == ["AWSPREVIOUS"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue"), "AccessDeniedException"),
        (ClientError({"Error": {}}, "GetSecretValue"), "ClientError"),
        (ConnectTimeoutError(endpoint_url="https://zqx.example"), "ConnectTimeoutError"),
        (MemoryError("zqx"), "MemoryError"),
        (None, "ResourceNotFoundException"),
    ],
)
def test_a_secret_that_cannot_be_read_says_why_and_no_more(fault: Exception | None, code: str) -> None:
    with pytest.raises(SecretUnreadable) as caught:
        a_secret(SecretsInMemory(fault=fault)).current()

    assert (str(caught.value), caught.value.aws_code) == (f"the secret can't be read: {code}", code)


@pytest.mark.parametrize("text", [None, ""])
def test_a_secret_without_text_is_unusable(text: str | None) -> None:
    with pytest.raises(SecretUnusable, match=r"^the secret has no SecretString$"):
        a_secret(SecretsInMemory({"AWSCURRENT": text})).current()


def test_a_failure_is_remembered_for_five_seconds() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"}, fault=UNREACHABLE)
    secret = a_secret(secrets, clock)

    for use in [secret.current, secret.current, lambda: secret.recent(5), secret.previous]:
        with pytest.raises(SecretUnreadable, match="ConnectTimeoutError"):
            use()
    clock.pass_seconds(FAILURE_SECONDS - 0.1)
    with pytest.raises(SecretUnreadable):
        secret.current()
    assert secrets.reads == ["AWSCURRENT"]
    secrets.fault = None
    clock.pass_seconds(0.1)

    assert secret.current() == "one"
    assert secret.previous() is None


@pytest.mark.parametrize("expired", [True, False])
def test_what_was_read_stays_in_use_while_it_cannot_be_read_again(expired: bool) -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "two", "AWSPREVIOUS": "one"})
    secret = a_secret(secrets, clock)
    assert (secret.current(), secret.previous()) == ("two", "one")
    secrets.fault = UNREACHABLE
    clock.pass_seconds(REREAD_SECONDS if expired else CACHE_SECONDS)
    assert not expired or secret.expire()

    assert (secret.current(), secret.previous()) == ("two", "one")
    assert secrets.reads[2:] == ["AWSCURRENT"]

    # It is tried again, at most every 30 seconds
    secrets.fault = None
    secrets.rotate("three")
    clock.pass_seconds(REREAD_SECONDS - 0.1)
    assert not secret.expire()
    assert secret.current() == "two"
    clock.pass_seconds(0.1)
    assert (secret.current(), secret.previous()) == ("three", "two")


def test_a_version_that_was_read_stays_in_use_while_the_other_one_cannot_be_read() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    clock.pass_seconds(CACHE_SECONDS - 1)
    secrets.fault = UNREACHABLE
    with pytest.raises(SecretUnreadable):
        secret.previous()

    # The cache expires while the failure is remembered
    clock.pass_seconds(1)
    assert secret.current() == "one"
    assert secrets.reads == ["AWSCURRENT", "AWSPREVIOUS"]
    clock.pass_seconds(FAILURE_SECONDS)
    assert secret.current() == "one"
    assert secrets.reads[2:] == ["AWSCURRENT"]


def test_a_recent_text_is_read_again_only_when_the_last_one_is_older() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.recent(5) == "one"
    secrets.rotate("two")
    clock.pass_seconds(4.9)
    assert secret.recent(5) == "one"
    clock.pass_seconds(0.1)

    assert (secret.recent(5), secret.current()) == ("two", "two")
    assert secrets.reads == ["AWSCURRENT"] * 2


def test_what_was_read_before_is_not_recent_while_it_cannot_be_read_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.fault = UNREACHABLE
    clock.pass_seconds(5)

    for _ in range(2):
        with pytest.raises(SecretUnreadable, match="ConnectTimeoutError"):
            secret.recent(5)
        assert secret.current() == "one"
    clock.pass_seconds(FAILURE_SECONDS)
    with pytest.raises(SecretUnreadable):
        secret.recent(5)
    assert len(secrets.reads) == 3
    secrets.fault = None
    clock.pass_seconds(FAILURE_SECONDS)
    assert secret.recent(5) == "one"


def test_a_text_is_not_recent_however_long_the_failed_read_took_to_be_noticed() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.fault = UNREACHABLE
    clock.pass_seconds(5)
    clock.step = FAILURE_SECONDS - 0.1

    with pytest.raises(SecretUnreadable, match="ConnectTimeoutError"):
        secret.recent(5)


def test_who_needs_a_recent_text_waits_for_the_read_of_another_thread() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.rotate("two")
    secrets.gate = threading.Event()
    clock.pass_seconds(5)

    uses = in_threads(4, lambda: secret.recent(5))

    until(lambda: len(secrets.reads) == 2)
    assert secret.current() == "one"
    secrets.open_gate()
    assert {use.result(10) for use in uses} == {"two"}
    assert len(secrets.reads) == 2


def test_after_expiring_it_the_next_use_reads_it_again() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.rotate("two")

    assert secret.expire() is False
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


# Threads. A read hangs until its gate is opened.


def in_threads(count: int, work: Callable[[], str]) -> list[Future[str]]:
    """What each of these threads returns or raises."""
    pool = ThreadPoolExecutor(count)
    futures = [pool.submit(work) for _ in range(count)]
    pool.shutdown(wait=False)
    return futures


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.001)


def test_one_thread_reads_and_the_others_wait_for_it() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"}, gate=threading.Event())
    secret = a_secret(secrets)

    uses = in_threads(10, secret.current)
    until(lambda: bool(secrets.reads))
    secrets.open_gate()

    assert [use.result(10) for use in uses] == ["one"] * 10
    assert secrets.reads == ["AWSCURRENT"]


def test_ten_threads_wait_once_for_a_read_that_fails_and_not_in_turn() -> None:
    secrets = SecretsInMemory(fault=UNREACHABLE, gate=threading.Event())
    secret = a_secret(secrets)

    uses = in_threads(10, secret.current)
    until(lambda: bool(secrets.reads))
    secrets.open_gate()

    assert [type(use.exception(10)) for use in uses] == [SecretUnreadable] * 10
    assert secrets.reads == ["AWSCURRENT"]


def test_no_thread_waits_longer_than_it_may_for_another_one_that_hangs() -> None:
    secrets = SecretsInMemory({"AWSCURRENT": "one"}, gate=threading.Event())
    secret = a_secret(secrets, wait_seconds=0.05)

    uses = in_threads(10, secret.current)

    until(lambda: sum(use.done() for use in uses) == 9)
    failed = [use.exception() for use in uses if use.done()]
    assert {str(error) for error in failed} == {"the secret can't be read: NoAnswerInTime"}
    secrets.open_gate()
    assert sum(use.exception(10) is None for use in uses) == 1
    assert secrets.reads == ["AWSCURRENT"]


def test_while_one_thread_reads_again_the_others_use_what_there_is() -> None:
    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"})
    secret = a_secret(secrets, clock)
    assert secret.current() == "one"
    secrets.rotate("two")
    secrets.gate = threading.Event()
    clock.pass_seconds(CACHE_SECONDS)

    (reader,) = in_threads(1, secret.current)
    until(lambda: len(secrets.reads) == 2)

    # No lock is held meanwhile, so none of these hangs
    assert [secret.current() for _ in range(10)] == ["one"] * 10
    assert not secret.expire()
    secrets.open_gate()
    assert reader.result(10) == "two"
    assert secret.current() == "two"
    assert len(secrets.reads) == 2


def test_a_read_that_is_interrupted_is_a_failure_like_others() -> None:
    class Interrupted(BaseException):
        pass

    clock, secrets = Clock(), SecretsInMemory({"AWSCURRENT": "one"}, fault=Interrupted())
    secret = a_secret(secrets, clock)
    with pytest.raises(Interrupted):
        secret.current()

    with pytest.raises(SecretUnreadable, match=r"read: Interrupted$"):
        secret.current()
    secrets.fault = None
    clock.pass_seconds(FAILURE_SECONDS)
    assert secret.current() == "one"
