"""For every message it is known whether SQS confirmed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from calls.operations.sending import NOT_TRIED, Sender

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass
class Queue:
    """Answers SendMessageBatch as SQS does. `failure` returns a code and whether the sender is at fault, or None."""

    failure: Callable[[str, int], tuple[str, bool] | None] = lambda _body, _tries: None
    raises: Callable[[int], Exception | None] = lambda _request: None
    accepted: list[str] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "https://queue"
        bodies = [entry["MessageBody"] for entry in Entries]
        self.batches.append(bodies)
        if error := self.raises(len(self.batches)):
            raise error
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in Entries:
            body = entry["MessageBody"]
            tries = sum(batch.count(body) for batch in self.batches)
            if failed := self.failure(body, tries):
                answer["Failed"].append({"Id": entry["Id"], "Code": failed[0], "SenderFault": failed[1]})
            else:
                self.accepted.append(body)
                answer["Successful"].append({"Id": entry["Id"], "MessageId": "m"})
        return answer


def send(queue: Queue, bodies: list[str]) -> tuple[dict[int, str], list[int], list[float]]:
    confirmed: list[int] = []
    slept: list[float] = []
    sender = Sender(cast("SQSClient", queue), "https://queue", slept.append)
    return sender.send(bodies, confirmed.append), confirmed, slept


def test_messages_are_sent_ten_at_a_time() -> None:
    queue = Queue()
    bodies = [f"message {number}" for number in range(25)]

    unsent, confirmed, _ = send(queue, bodies)

    assert unsent == {}
    assert queue.accepted == bodies
    assert confirmed == list(range(25))
    assert [len(batch) for batch in queue.batches] == [10, 10, 5]


def test_a_batch_is_no_larger_than_sqs_allows() -> None:
    queue = Queue()

    send(queue, ["é" * 16_000] * 10)

    assert [len(batch) for batch in queue.batches] == [8, 2]


def test_only_failed_messages_are_retried() -> None:
    queue = Queue(failure=lambda body, tries: ("InternalError", False) if body == "b" and tries < 3 else None)

    unsent, confirmed, slept = send(queue, ["a", "b", "c"])

    assert unsent == {}
    assert queue.batches == [["a", "b", "c"], ["b"], ["b"]]
    assert sorted(confirmed) == [0, 1, 2]
    assert slept == sorted(slept)


def test_a_message_that_keeps_failing_is_reported() -> None:
    queue = Queue(failure=lambda body, _tries: ("InternalError", False) if body == "b" else None)

    unsent, confirmed, _ = send(queue, ["a", "b", "c"])

    assert unsent == {1: "InternalError"}
    assert confirmed == [0, 2]
    assert len(queue.batches) == 4


def test_an_invalid_message_is_reported_and_not_retried() -> None:
    queue = Queue(failure=lambda body, _tries: ("InvalidMessageContents", True) if body == "b" else None)

    assert send(queue, ["a", "b"])[0] == {1: "InvalidMessageContents"}
    assert len(queue.batches) == 1


def test_characters_that_sqs_declines_are_sent_as_the_escapes_of_json() -> None:
    queue, body = Queue(), json.dumps({"customerName": "Zoë \uffff\ufffe 😀"}, ensure_ascii=False)

    assert send(queue, [body])[0] == {}
    (sent,) = queue.accepted
    assert sent == r'{"customerName": "Zoë \uffff\ufffe 😀"}'
    assert json.loads(sent) == json.loads(body)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessageBatch"), "AccessDenied"),
        (EndpointConnectionError(endpoint_url="https://queue"), "EndpointConnectionError"),
    ],
)
def test_a_failed_request_stops_sending_and_the_rest_is_reported(error: Exception, code: str) -> None:
    queue = Queue(raises=lambda request: error if request == 2 else None)

    unsent, confirmed, _ = send(queue, [str(number) for number in range(25)])

    assert confirmed == list(range(10))
    assert unsent == dict.fromkeys(range(10, 20), code) | dict.fromkeys(range(20, 25), NOT_TRIED)


def test_an_earlier_failure_is_reported_when_a_later_request_fails() -> None:
    queue = Queue(
        failure=lambda body, _tries: ("InternalError", False) if body == "3" else None,
        raises=lambda request: EndpointConnectionError(endpoint_url="https://queue") if request == 2 else None,
    )

    unsent, _, _ = send(queue, [str(number) for number in range(11)])

    assert unsent == {3: "InternalError", 10: "EndpointConnectionError"}
