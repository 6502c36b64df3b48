"""Callback URLs: signed for one attempt, verified through a rotation, and nothing else is accepted."""

import ast
import inspect
import string

import pytest
from botocore.exceptions import ConnectTimeoutError
from hypothesis import given
from hypothesis import strategies as st

from outbound_calls.adapters import callback_urls
from outbound_calls.adapters.callback_urls import CallbackUrls, sign
from outbound_calls.adapters.secrets import CACHE_SECONDS, REREAD_SECONDS, SecretUnreadable, SecretUnusable
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.unit.parts import KEY, Clock, SecretsInMemory, a_secret

# Made with another program: printf 'v1\nvisit-2031\n1' | openssl dgst -sha256 -hmac KEY -binary | basenc --base64url
KNOWN = [
    ("signing-key-of-a-test", KEY, "eT2rU8HEvnZrZ-6brnHtFXxb9HGDwyDjlz5v7jsxfQ4"),
    ("clé é", AttemptKey(RequestKey("a.B_c-9"), 99), "qcSJnbBuVx4KgeotCab0-47tfZ4xzoXHy2XWK1ZUzBQ"),
    ("k" * 100, KEY, "BrbWO0vOcJo1WzsVw2FRrYvirtTNZZSnqTIQ5Tnh98s"),
]
FIRST, SECOND, THIRD = "first-key", "second-key", "third-key"


class SigningStack:
    """Callback URLs of a stack whose signing secret can be rotated, at a time that can be moved."""

    def __init__(self, *keys: str) -> None:
        self.clock = Clock()
        self.secrets = SecretsInMemory()
        for key in keys or (FIRST,):
            self.secrets.rotate(key)
        self.urls = self.another_function()

    def another_function(self) -> CallbackUrls:
        """The same stack's URLs in another function, which has not read the secret yet."""
        return CallbackUrls(a_secret(self.secrets, self.clock), "https://hooks.example/webhooks/allomia")

    def verifies(self, signing_key: str, key: AttemptKey = KEY) -> bool:
        return self.urls.verify(key, sign(signing_key, key))


@pytest.mark.parametrize(("signing_key", "key", "signature"), KNOWN)
def test_a_signature_equals_that_of_openssl(signing_key: str, key: AttemptKey, signature: str) -> None:
    assert sign(signing_key, key) == signature


def test_a_url_names_the_attempt_and_carries_its_signature() -> None:
    stack = SigningStack("signing-key-of-a-test")

    assert stack.urls.url(KEY) == (
        "https://hooks.example/webhooks/allomia/visit-2031/1/eT2rU8HEvnZrZ-6brnHtFXxb9HGDwyDjlz5v7jsxfQ4"
    )


def test_a_signed_url_verifies() -> None:
    stack = SigningStack()

    assert stack.urls.verify(KEY, stack.urls.url(KEY).rsplit("/", 1)[-1])


@pytest.mark.parametrize(
    "other",
    [
        AttemptKey(RequestKey("visit-2031"), 2),
        AttemptKey(RequestKey("visit-2032"), 1),
        AttemptKey(RequestKey("visit-203"), 11),
        AttemptKey(RequestKey("visit-20311"), 1),
        AttemptKey(RequestKey("visit-2031", "north"), 1),
    ],
)
def test_a_signature_does_not_verify_for_another_attempt(other: AttemptKey) -> None:
    assert not SigningStack().urls.verify(other, sign(FIRST, KEY))


GOOD = sign(FIRST, KEY)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        GOOD[:-1],
        GOOD[:10],
        GOOD + "A",
        GOOD + "=",
        "A" + GOOD,
        GOOD + "\n",
        " " + GOOD,
        GOOD.swapcase(),
        GOOD.replace("-", "+").replace("_", "/") + "/",
        GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
        "é" * 43,
        "٣" * 43,
        "\ud800" * 43,
        GOOD[:-1] + "é",
        "\x00" + GOOD[1:],
        "A" * 100_000,
    ],
)
def test_an_altered_signature_does_not_verify(signature: str) -> None:
    assert not SigningStack().urls.verify(KEY, signature)


@given(st.text(max_size=60) | st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43))
def test_no_guess_verifies(signature: str) -> None:
    assert SigningStack().urls.verify(KEY, signature) is (signature == GOOD)


def test_signatures_are_compared_in_constant_time() -> None:
    code = ast.parse(inspect.getsource(callback_urls))
    called = {ast.unparse(node.func) for node in ast.walk(code) if isinstance(node, ast.Call)}
    compared = {type(op) for node in ast.walk(code) if isinstance(node, ast.Compare) for op in node.ops}

    assert "hmac.compare_digest" in called
    assert compared <= {ast.IsNot}


def test_after_a_rotation_the_previous_key_still_verifies() -> None:
    stack = SigningStack(FIRST, SECOND)

    assert stack.verifies(FIRST)
    assert stack.verifies(SECOND)
    assert stack.another_function().url(KEY).endswith(sign(SECOND, KEY))


def test_after_two_rotations_the_first_key_no_longer_verifies() -> None:
    assert not SigningStack(FIRST, SECOND, THIRD).verifies(FIRST)


def test_a_new_key_is_read_when_its_first_signature_arrives() -> None:
    stack = SigningStack(FIRST)
    assert stack.verifies(FIRST)

    stack.secrets.rotate(SECOND)
    stack.clock.pass_seconds(REREAD_SECONDS)

    assert stack.verifies(SECOND)
    assert stack.verifies(FIRST)


def test_a_new_key_signs_once_the_cache_has_expired() -> None:
    stack = SigningStack(FIRST)
    assert stack.urls.url(KEY).endswith(sign(FIRST, KEY))

    stack.secrets.rotate(SECOND)
    stack.clock.pass_seconds(CACHE_SECONDS - 1)
    assert stack.urls.url(KEY).endswith(sign(FIRST, KEY))
    stack.clock.pass_seconds(1)

    assert stack.urls.url(KEY).endswith(sign(SECOND, KEY))


def test_forged_signatures_reread_the_secret_at_most_once_in_30_seconds() -> None:
    stack = SigningStack()
    assert stack.verifies(FIRST)

    for _ in range(290):
        assert not stack.verifies("a forger's key")
        stack.clock.pass_seconds(1)

    # At the start, and at 30 s, 60 s, … 270 s.
    assert stack.secrets.reads.count("AWSCURRENT") == 10
    assert stack.secrets.reads.count("AWSPREVIOUS") == 10


def test_while_the_secret_cannot_be_read_again_a_forged_signature_harms_no_genuine_one() -> None:
    stack = SigningStack(FIRST, SECOND)
    assert stack.verifies(FIRST)
    stack.secrets.fault = ConnectTimeoutError(endpoint_url="https://secretsmanager.example")
    stack.clock.pass_seconds(REREAD_SECONDS)

    for _ in range(100):
        assert not stack.verifies("a forger's key")
        assert stack.verifies(FIRST)
        assert stack.verifies(SECOND)
        stack.clock.pass_seconds(1)

    # At 0 s, 30 s, 60 s and 90 s, after both versions were read once.
    assert stack.secrets.reads[2:] == ["AWSCURRENT"] * 4


def test_a_signature_that_cannot_be_verified_is_neither_good_nor_bad() -> None:
    stack = SigningStack(FIRST)
    stack.secrets.fault = ConnectTimeoutError(endpoint_url="https://secretsmanager.example")

    for _ in range(3):
        with pytest.raises(SecretUnreadable):
            stack.verifies(FIRST)
    assert len(stack.secrets.reads) == 1


def test_the_first_forged_signature_of_a_new_function_does_not_read_twice() -> None:
    stack = SigningStack()

    assert not stack.verifies("a forger's key")

    assert stack.secrets.reads == ["AWSCURRENT", "AWSPREVIOUS"]


def test_good_signatures_read_the_current_version_only() -> None:
    stack = SigningStack(FIRST, SECOND)

    assert all(stack.verifies(SECOND) for _ in range(100))

    assert stack.secrets.reads == ["AWSCURRENT"]


def test_without_a_signing_key_nothing_is_signed_or_verified() -> None:
    urls = CallbackUrls(a_secret(SecretsInMemory({"AWSCURRENT": ""})), "https://hooks.example")

    with pytest.raises(SecretUnusable):
        urls.verify(KEY, sign("", KEY))
    with pytest.raises(SecretUnusable):
        urls.url(KEY)
