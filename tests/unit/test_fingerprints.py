"""Fingerprints: the same request is known from another one, over one rotation of the secret."""

import re
from typing import Any

import pytest

from outbound_calls.adapters.fingerprints import Fingerprints
from tests.unit.parts import SecretsInMemory, a_secret

CONTENT = {"phoneNumber": "+14155550123", "dynamicVariables": {"name": "Zoë"}, "customerName": None}


def fingerprints(current: str = "one", previous: str | None = None) -> Fingerprints:
    versions: dict[str, str | None] = {"AWSCURRENT": current}
    return Fingerprints(
        a_secret(SecretsInMemory(versions if previous is None else versions | {"AWSPREVIOUS": previous}))
    )


def test_a_fingerprint_names_its_key_and_tells_nothing_else() -> None:
    fingerprint = fingerprints().of(CONTENT)

    assert re.fullmatch(r"[\w-]{4}:[\w-]{16}", fingerprint)
    assert fingerprint[:4] == fingerprints().of({})[:4] != fingerprints("two").of({})[:4]
    assert fingerprint[5:] != fingerprints("two").of(CONTENT)[5:]
    # Stored ones must stay comparable.
    assert fingerprint == "pbvB:TZJSeNerixZQPODd"


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert not fingerprints().differs(fingerprints().of(CONTENT), dict(reversed(CONTENT.items())))


@pytest.mark.parametrize(
    "changes",
    [{"phoneNumber": "+14155550124"}, {"dynamicVariables": {"name": "Zoe"}}, {"customerName": ""}, {"batch": None}],
)
def test_any_other_content_differs(changes: dict[str, Any]) -> None:
    assert fingerprints().differs(fingerprints().of(CONTENT), CONTENT | changes)


def test_after_one_rotation_it_can_still_be_compared_and_after_two_it_is_not() -> None:
    first = fingerprints("one").of(CONTENT)

    assert not fingerprints("two", "one").differs(first, CONTENT)
    assert fingerprints("two", "one").differs(first, {})
    assert fingerprints("three", "two").differs(first, {}) is False
    assert not fingerprints("two").differs(first, {})
