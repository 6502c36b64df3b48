"""The programs in examples/ do what docs/integrate says."""

import json
import re
import subprocess
import sys

from examples.producer import REQUEST
from examples.upstream import NEXT_STEP, cancellation_of, request_for
from local.cloud import LocalCloud
from outbound_calls.contracts.messages import CallRequestMessage, CancelMessage, read_message
from outbound_calls.domain.transitions import TERMINAL
from tests.tooling.docs.markdown import PROJECT, read

BODY = re.compile(r"--message-body '([^']+)'")


def test_the_producer_sends_a_valid_request() -> None:
    with LocalCloud() as cloud:
        sqs = cloud.client("sqs")
        url = sqs.create_queue(QueueName="calls")["QueueUrl"]
        program = [sys.executable, str(PROJECT / "examples/producer.py"), url]

        subprocess.run(program, env=cloud.environment(), check=True, timeout=30)

        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    request = read_message(message["Body"])
    assert isinstance(request, CallRequestMessage)
    assert request.request_id == REQUEST["requestId"]


def test_one_example_after_the_other_asks_for_calls_of_their_own() -> None:
    # Another request under a used requestId is an invalid message.
    bodies = [body for page in ("README.md", "docs/integrate/requests.md") for body in BODY.findall(read(page))]
    appointments = map(request_for, json.loads(read("examples/appointments.json")))
    ids = [request["requestId"] for request in (*map(json.loads, bodies), REQUEST, *appointments)]

    assert len(ids) == len(set(ids)) == 5


def test_the_upstream_system_sends_valid_requests() -> None:
    for appointment in json.loads(read("examples/appointments.json")):
        assert isinstance(read_message(json.dumps(request_for(appointment))), CallRequestMessage)


def test_the_upstream_system_cancels_what_it_requested() -> None:
    appointment = json.loads(read("examples/appointments.json"))[0]

    cancellation = read_message(json.dumps(cancellation_of(appointment["id"])))

    assert isinstance(cancellation, CancelMessage)
    assert cancellation.cancel.request_id == request_for(appointment)["requestId"]


def test_the_upstream_system_has_a_next_step_for_every_outcome() -> None:
    assert NEXT_STEP.keys() >= TERMINAL - {"cancelled"}
