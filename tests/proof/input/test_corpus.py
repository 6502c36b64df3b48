"""The files are what their scripts write, so neither can be changed without the other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proof.input import generate_messages, generate_webhooks
from tests.proof.input.corpus import MESSAGES, RULES, WEBHOOKS, Case, message_cases
from tests.proof.input.generate_webhooks import SIGNATURE


def comparable(case: Case) -> Case:
    # Another build of zlib compresses otherwise.
    packed = any(word in case["name"] for word in ("gzip", "deflate"))
    return case | {"body": ""} if packed else case


@pytest.mark.parametrize(
    ("path", "corpus"), [(MESSAGES, generate_messages.corpus), (WEBHOOKS, generate_webhooks.corpus)]
)
def test_a_file_is_what_its_script_writes(path: Path, corpus: Callable[[], Iterator[Case]]) -> None:
    written = [json.loads(line) for line in path.read_text().splitlines()]

    assert list(map(comparable, written)) == [comparable(json.loads(json.dumps(case))) for case in corpus()]


def test_every_rule_is_broken_by_some_message() -> None:
    assert {case.rule for case in message_cases() if case.field} == set(RULES.values())


def test_the_signature_has_what_the_alphabets_of_base64_differ_in() -> None:
    assert {"-", "_"} < set(SIGNATURE)
