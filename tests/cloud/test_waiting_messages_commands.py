"""`calls redrive` and `calls discard` for some of the messages that wait, and what they say is still there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calls.cli.output import Exit
from tests.cloud.operator import OperatedStack
from tests.unit.parts import PHONE_NUMBER

type Calls = Callable[..., tuple[int, dict[str, Any]]]


def dead_letters(operated: OperatedStack, *request_ids: str) -> list[str]:
    """Put a message for each of these requests into the queue; returns the messages' ids."""
    bodies = [json.dumps({"requestId": each, "phoneNumber": PHONE_NUMBER}) for each in request_ids]
    url = operated.stack.dead_letter_queue_url
    return [operated.stack.sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in bodies]


def waiting(operated: OperatedStack, url: str) -> set[str]:
    """The requests whose messages are in a queue. Afterwards they are hidden."""
    found: set[str] = set()
    while messages := operated.stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found |= {json.loads(message["Body"])["requestId"] for message in messages}
    return found


def test_only_the_messages_that_are_named_are_sent_again(operated: OperatedStack, calls: Calls) -> None:
    ids = dead_letters(operated, "a", "b", "c")

    code, document = calls(
        "redrive", "--dead-letters", "--only", "a", "--only", ids[1], "--only", "other", "--older-than", "0s", "--yes"
    )

    assert (code, document["sent"], document["stillThere"]) == (Exit.REFUSED, 2, 1)
    assert document["notFound"] == ["other"]
    assert waiting(operated, operated.stack.call_queue_url) == {"a", "b"}
    assert waiting(operated, operated.stack.dead_letter_queue_url) == {"c"}


def test_what_is_younger_stays(operated: OperatedStack, calls: Calls) -> None:
    dead_letters(operated, "a")

    for command in (("redrive",), ("discard",)):
        code, document = calls(*command, "--dead-letters", "--older-than", "1h", "--yes")
        assert (code, document["stillThere"]) == (Exit.DONE, 1)

    assert waiting(operated, operated.stack.dead_letter_queue_url) == {"a"}


def test_a_limit_does_not_hide_what_is_still_in_the_queue(operated: OperatedStack, calls: Calls) -> None:
    dead_letters(operated, *"abcde")

    code, document = calls("redrive", "--dead-letters", "--limit", "2", "--yes")

    assert (code, document["sent"], document["stillThere"], document["unseen"]) == (Exit.DONE, 2, 0, 3)
    assert calls("discard", "--dead-letters", "--all", "--limit", "1", "--yes")[1]["unseen"] == 2


def test_messages_are_discarded_after_a_yes_and_a_copy_is_kept_of_them(
    operated: OperatedStack, calls: Calls, tmp_path: Path
) -> None:
    dead_letters(operated, "a", "b")
    copy = tmp_path / "discarded.jsonl"
    options = ("discard", "--dead-letters", "--only", "a", "--export", str(copy))

    assert calls(*options)[0] == Exit.REFUSED
    assert not copy.exists()
    code, document = calls(*options, "--yes")

    assert (code, document["discarded"], document["stillThere"], document["exportedTo"]) == (
        Exit.DONE,
        1,
        1,
        str(copy),
    )
    assert [json.loads(line)["request"]["requestId"] for line in copy.read_text().splitlines()] == ["a"]
    assert copy.stat().st_mode & 0o777 == 0o600
    # Where the copy can't be written, nothing is deleted.
    assert calls("discard", "--dead-letters", "--all", "--export", str(copy), "--yes")[0] == Exit.REFUSED
    assert waiting(operated, operated.stack.dead_letter_queue_url) == {"b"}
    assert waiting(operated, operated.stack.call_queue_url) == set()


@pytest.mark.parametrize(
    "options",
    [
        ["discard", "--all"],
        ["discard", "--dead-letters"],
        ["discard", "--dead-letters", "--invalid", "--all"],
        ["discard", "--dead-letters", "--all", "--only", "a"],
        ["redrive", "--dead-letters", "--file", "fixed.jsonl"],
        ["redrive", "--file", "fixed.jsonl", "--only", "a"],
    ],
)
def test_options_that_contradict_each_other_are_declined(calls: Calls, options: list[str]) -> None:
    assert calls(*options, "--yes")[0] == Exit.USAGE
