"""AlloMia behind an API Gateway. The number that is dialled decides how it behaves, as in `local.simulator`.

It remembers in a table what AlloMia would: the calls, and for each callback URL how often it was dialled. Webhooks wait
on a queue until they are due. Any key is accepted, and none is kept.
"""

import base64
import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx

from local.simulator.allomia import Allomia, Memory, Reply, read_order
from local.simulator.calls import Call
from local.simulator.faults import Faults

session = boto3.Session()
table: Any = session.client("dynamodb")
queue: Any = session.client("sqs")

WEBHOOK_SECONDS = 30.0
HANG_SECONDS = 15.0
"""Longer than a client waits, and shorter than the 30 seconds after which an API Gateway answers itself."""

LONGEST_DELAY_SECONDS = 900
"""What SQS allows."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer a request to the API, or send the webhooks whose time has come."""
    if "Records" in event:
        for record in event["Records"]:
            send(**json.loads(record["body"]))
        return {}
    content = event.get("body") or ""
    body = base64.b64decode(content) if event.get("isBase64Encoded") else content.encode()
    http = event["requestContext"]["http"]
    # The local cloud's path begins with the stage.
    path = http["path"][http["path"].index("/api/") :]
    return play(http["method"], path, event["headers"].get("authorization", ""), body)


def play(method: str, path: str, authorization: str, body: bytes) -> dict[str, Any]:
    """Act on a request as AlloMia does, on what the table remembers of it."""
    subject = str(read_order(body).get("callbackUrl", "")) if method == "POST" else ""
    dialled = count(subject, "attempted") if subject else {}
    key = authorization.partition(" ")[2]
    faults = Faults(ring_seconds=float(os.environ["RING_SECONDS"]), accepted_keys=(key,) if key else ())
    allomia = Allomia(faults)
    allomia.memory.accepted = Counter({subject: dialled.get("accepted", 0)})
    allomia.memory.answered_once = {subject} if dialled.get("attempted", 0) > 1 else set()
    recall(allomia.memory, path)
    reply = allomia.handle(method, path, authorization, body)
    if reply.accepted is not None:
        accept(reply.accepted, now=reply.webhooks_first)
    time.sleep(HANG_SECONDS if reply.answer.error is httpx.ReadTimeout else reply.latency_seconds)
    return answer(reply)


def recall(memory: Memory, path: str) -> None:
    """Give AlloMia the call that a status request is about."""
    parts = path.strip("/").split("/")
    if parts[-1] == "status":
        key = {"subject": {"S": f"call {parts[-2].lower()}"}}
        found = table.get_item(TableName=os.environ["TABLE_NAME"], Key=key, ConsistentRead=True).get("Item")
        if found:
            call = Call.model_validate_json(found["call"]["S"])
            memory.calls[call.outbound_call_id] = call


def count(url: str, what: str) -> dict[str, int]:
    """Count a POST for a callback URL; returns all its counts."""
    found = table.update_item(
        TableName=os.environ["TABLE_NAME"],
        Key={"subject": {"S": f"dial {url}"}},
        UpdateExpression="ADD #what :one",
        ExpressionAttributeNames={"#what": what},
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    return {name: int(value["N"]) for name, value in found.items() if "N" in value}


def accept(call: Call, *, now: bool) -> None:
    """Remember an accepted call, and send its webhooks: now, or each when it is due."""
    count(call.callback_url, "accepted")
    item = {"subject": {"S": f"call {call.outbound_call_id}"}, "call": {"S": call.model_dump_json()}}
    table.put_item(TableName=os.environ["TABLE_NAME"], Item=item)
    for planned in call.webhooks_planned:
        message: dict[str, Any] = {"url": call.callback_url, "content": call.body(planned.status)}
        if now:
            send(**message)
        else:
            wait = math.ceil((planned.at - datetime.now(UTC)).total_seconds())
            queue.send_message(
                QueueUrl=os.environ["WEBHOOKS_QUEUE_URL"],
                MessageBody=json.dumps(message),
                DelaySeconds=min(max(wait, 0), LONGEST_DELAY_SECONDS),
            )


def send(url: str, content: Mapping[str, Any]) -> None:
    """Send a webhook, once. AlloMia documents no retry."""
    try:
        httpx.post(url, json=content, timeout=WEBHOOK_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        # Without the URL: it has a signature.
        print(json.dumps({"level": "WARN", "message": "webhook not delivered", "error": type(error).__name__}))


def answer(reply: Reply) -> dict[str, Any]:
    """The answer for API Gateway, which can't close a connection: there it answers 504, and late where it hangs."""
    code = 504 if reply.answer.error else int(reply.answer.code)
    return {
        "statusCode": code,
        "headers": {"Content-Type": "application/json", **reply.headers},
        "body": base64.b64encode(b"" if reply.answer.error else reply.content).decode(),
        "isBase64Encoded": True,
    }
