"""What does a warm webhook cost beside the one write that it is for?

CPU of the process, per request, through the real handler of receive_webhook, beside a bare UpdateItem of the same item
by a client with nothing set, in the same process. DynamoDB is a server that gives every request the same answer, in a process
of its own, so that an emulator's noise stays out.

    python -m benchmarks.warm_webhook
"""

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.function import HERE, Function
from benchmarks.other_side import CALL_DETAILS, CONTACT_ID, Behaviour, OtherSide
from benchmarks.spread import Spread
from local.cloud import ACCOUNT, REGION
from local.sam import build
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.domain.attempts import AttemptKey, RequestKey

REQUESTS = 50
RUNS = 40
LIMIT = 1.15
SIGNING_KEY = "benchmark"
CALL_ID = "c3d4e5f6-a7b8-9012-cdef-345678901234"
KEY = AttemptKey(RequestKey("reminder-A-1001"), 1)
WEBHOOK = {
    "outboundCallId": CALL_ID,
    "contactId": CONTACT_ID,
    "status": "completed",
    "callDetails": CALL_DETAILS,
}
# The item after the outcome was written.
ITEM = {
    "requestId": {"S": KEY.request.request_id},
    "attempt": {"N": "1"},
    "status": {"S": "completed"},
    "createdAt": {"N": "1775053800"},
    "dispatchedAt": {"N": "1775053800"},
    "timesParked": {"N": "0"},
    "metadata": {"M": {"appointmentId": {"S": "A-1001"}}},
    "outboundCallId": {"S": CALL_ID},
    "contactId": {"S": CONTACT_ID},
    "outcomeSource": {"S": "webhook"},
    "recordedAt": {"N": "1775053951"},
    "expiresAt": {"N": "1782829951"},
    "callDetails": {
        "M": {
            name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in CALL_DETAILS.items()
        }
    },
}


@dataclass(frozen=True)
class WarmWebhook:
    """CPU per request, in milliseconds, and the handler's share over the bare write."""

    handler_ms: Spread
    bare_ms: Spread
    ratio: Spread
    aws_requests: float
    """For each webhook."""


def event_of(key: AttemptKey, body: str, signing_key: str) -> dict[str, Any]:
    """A webhook as API Gateway hands it over."""
    signature = sign(signing_key, key)
    return {
        "version": "2.0",
        "rawPath": f"/webhooks/allomia/{key.request.request_id}/{key.number}/{signature}",
        "pathParameters": {"requestId": key.request.request_id, "attempt": str(key.number), "signature": signature},
        "body": body,
        "isBase64Encoded": False,
    }


def measure(runs: int = RUNS) -> WarmWebhook:
    """Alternate between the two, `runs` times."""
    build()
    aws = {"UpdateItem": {"Attributes": ITEM}, "GetSecretValue": {"SecretString": SIGNING_KEY}}
    webhooks = [event_of(KEY, json.dumps(WEBHOOK), SIGNING_KEY)] * REQUESTS
    with OtherSide(Behaviour(aws_answers=aws)) as dynamodb:
        environment = {
            "AWS_ENDPOINT_URL": dynamodb.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "CALLS_TABLE_NAME": "calls",
            "SIGNING_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:signing-abcdef",
        }
        with Function("ReceiveWebhookFunction", environment, {"bare": f"{HERE}/bare.py:update_item"}) as function:
            (answer,) = function.invoke(webhooks[:1]).answers
            if answer["statusCode"] != 200:
                raise RuntimeError(f"the webhook was answered with {answer}")
            # The very request that the handler has just sent.
            writes = [json.loads(dynamodb.arrived().last_aws_body)] * REQUESTS
            before = sum(dynamodb.arrived().aws.values())
            function.invoke(webhooks)
            requests = sum(dynamodb.arrived().aws.values()) - before
            function.invoke(writes, "bare")
            pairs = [
                (function.invoke(webhooks).cpu_seconds, function.invoke(writes, "bare").cpu_seconds)
                for _ in range(runs)
            ]
    return WarmWebhook(
        handler_ms=Spread.of([1000 * handler / REQUESTS for handler, _ in pairs]),
        bare_ms=Spread.of([1000 * bare / REQUESTS for _, bare in pairs]),
        ratio=Spread.of([handler / bare for handler, bare in pairs]),
        aws_requests=requests / REQUESTS,
    )


if __name__ == "__main__":
    print(measure())
