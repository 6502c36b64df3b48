"""Ask for one phone call: put a request on the call queue.

python examples/producer.py CALL_QUEUE_URL
"""

import json
import sys

import boto3

REQUEST: dict[str, object] = {
    # Yours, and the same however often you send it: this is what keeps one request one call.
    "requestId": "reminder-A-1003",
    "phoneNumber": "+15005550100",
    # Where the person lives: calling hours follow their clock, which the number doesn't show.
    "timeZone": "America/Toronto",
    "assistantId": "0b54d0f1-7f2a-4c53-9c0e-5a6d1f5b8a01",
    "phoneNumberId": "7c1e3d52-4b1f-4b8e-8f4d-2a9c6e0d7b02",
    "customerName": "Robin Sample",
    "dynamicVariables": {"appointmentDate": "2026-12-01", "appointmentTime": "09:30"},
    # Comes back with the outcome. Ids only: it is the one part that is published.
    "metadata": {"appointmentId": "A-1003"},
}


def ask_for_call(queue_url: str, request: dict[str, object]) -> None:
    """Send a request. When this raises, send the same request again: it will not ring twice."""
    boto3.client("sqs").send_message(QueueUrl=queue_url, MessageBody=json.dumps(request))


if __name__ == "__main__":
    ask_for_call(sys.argv[1], REQUEST)
