"""How long does a full batch take, beside a single call?

AlloMia is a server that answers after half a second, DynamoDB one that answers at once. A batch of ten goes through
the real handler of place_call; beside it, in the same process, one call is made of nothing but its three requests, one
after the other: the claim, the POST, the settle.

    python -m benchmarks.batch
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.function import HERE, Function
from benchmarks.healthy_call import MESSAGE
from benchmarks.other_side import Behaviour, OtherSide
from benchmarks.spread import Spread
from benchmarks.warm_webhook import ITEM, SIGNING_KEY
from local.cloud import ACCOUNT, REGION
from local.sam import build

CALLS = 10
ANSWER_SECONDS = 0.5
RUNS = 20
LIMIT = 1.25


@dataclass(frozen=True)
class Batch:
    """Wall time in milliseconds, and the batch's over the single call's."""

    answer_seconds: float
    batch_ms: Spread
    single_ms: Spread
    ratio: Spread
    connections: int
    """That AlloMia accepted for all of the `posts`; the time in which the first were opened is not counted."""

    posts: int


def batch_of(name: str, calls: int = CALLS) -> dict[str, Any]:
    """A batch as the queue hands it over."""
    bodies = [json.dumps({"requestId": f"{name}-{number}"} | MESSAGE) for number in range(calls)]
    sent = {"SentTimestamp": str(time.time_ns() // 1_000_000)}
    return {
        "Records": [
            {"messageId": f"{name}-{number}", "body": body, "attributes": sent} for number, body in enumerate(bodies)
        ]
    }


def environment_of(endpoint_url: str, allomia_url: str, **more: str) -> dict[str, str]:
    """The settings of place_call."""
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "NUMBER_HASH_SECRET_ARN": f"{arn}:hash-abcdef",
        "CALLING_POLICY": "open",
        "HANDED_ON_QUEUE_URL": f"{endpoint_url}/handed-on",
        "INVALID_MESSAGES_QUEUE_URL": f"{endpoint_url}/invalid-messages",
        "ALLOMIA_API_KEY_SECRET_ARN": f"{arn}:allomia-abcdef",
        "ALLOMIA_BASE_URL": allomia_url,
        "SIGNING_SECRET_ARN": f"{arn}:signing-abcdef",
        "WEBHOOK_URL": "http://127.0.0.1:9/webhooks/allomia",
    } | more


def measure(runs: int = RUNS) -> Batch:
    """Alternate between the two, `runs` times."""
    build()
    aws = {"UpdateItem": {"Attributes": ITEM}, "GetSecretValue": {"SecretString": SIGNING_KEY}}
    with (
        OtherSide(Behaviour(aws_answers=aws)) as dynamodb,
        OtherSide(Behaviour(answer_seconds=ANSWER_SECONDS)) as allomia,
        Function(
            "PlaceCallFunction",
            environment_of(dynamodb.url, allomia.url),
            {"bare": f"{HERE}/bare.py:round_trip"},
        ) as function,
    ):
        single = {
            "url": allomia.url,
            "claim": {"TableName": "calls", "Item": ITEM, "ConditionExpression": "attribute_not_exists(requestId)"},
            "order": MESSAGE,
            "settle": {
                "TableName": "calls",
                "Key": {"requestId": ITEM["requestId"], "attempt": ITEM["attempt"]},
                "UpdateExpression": "SET #status = :calling",
                "ConditionExpression": "#status = :dispatching",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {":calling": {"S": "calling"}, ":dispatching": {"S": "dispatching"}},
                "ReturnValues": "ALL_NEW",
            },
        }
        function.invoke([batch_of("warm-up")])
        function.invoke([single], "bare")
        pairs = []
        for run in range(runs):
            ten = function.invoke([batch_of(f"run-{run}")])
            if ten.answers != [{"batchItemFailures": []}]:
                raise RuntimeError(f"the batch was answered with {ten.answers}")
            pairs.append((ten.wall_seconds, function.invoke([single], "bare").wall_seconds))
        arrived = allomia.arrived()
    return Batch(
        answer_seconds=ANSWER_SECONDS,
        batch_ms=Spread.of([1000 * batch for batch, _ in pairs]),
        single_ms=Spread.of([1000 * one for _, one in pairs]),
        ratio=Spread.of([batch / one for batch, one in pairs]),
        connections=arrived.connections,
        posts=len(arrived.allomia_at),
    )


if __name__ == "__main__":
    print(measure())
