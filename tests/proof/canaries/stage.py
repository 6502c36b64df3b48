"""The functions as they were built, under Lambda's own runtime, with canaries in all that they are given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.emulator import Emulator, Invocation
from outbound_calls.adapters.callback_urls import sign
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.adapters.policy_table import PolicyTable
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.proof.canaries.search import hits, texts
from tests.tooling.template.rendering import read_template
from tests.world import CloudResources

NUMBER = "+15145550188"
NAME = "Zoë Quillfeather"
VARIABLE = 'canary "variable" 9214 ünïted'
API_KEY = "allomia_live_c4n4ryKeyThatMustNotLeak0123456789"
SIGNING_KEY = "c4n4rySigningKeyThatMustNotLeakEither9876543210"
SECRETS = {
    "phone number": NUMBER,
    "name": NAME,
    "variable": VARIABLE,
    "AlloMia key": API_KEY,
    "signing key": SIGNING_KEY,
}


@dataclass
class Stage:
    """Cloud resources, an AlloMia that leaks, and all output of the functions so far."""

    resources: CloudResources
    environment: dict[str, str]
    output: list[tuple[str, object]] = field(default_factory=list)
    """Where something was written, and what."""
    request_ids: set[str] = field(default_factory=set)

    def run(self, function: str, *events: Any, **changes: str) -> list[Invocation]:
        """Handle events with a new instance of a function, and keep its output."""
        own = read_template()["Resources"][function]["Properties"]["Environment"]["Variables"]
        declared = {*own, "AWS_ENDPOINT_URL"}
        environment = {name: value for name, value in self.environment.items() if name in declared}
        with Emulator(function, environment | changes) as emulator:
            done = [emulator.invoke(event) for event in events]
        for invocation in done:
            self.output += [(f"log of {function}", line) for line in invocation.log]
            self.output.append((f"answer of {function}", invocation.answer))
            self.output.append((f"error of {function}", invocation.error or ""))
        return done

    def place(self, messages: Mapping[str, object], **changes: str) -> set[str]:
        """Give place_call messages (bodies by message id), ten at a time; the ids of those to deliver again."""
        records = [
            {"messageId": name, "body": body if isinstance(body, str) else json.dumps(body)}
            for name, body in messages.items()
        ]
        self.request_ids |= messages.keys()
        batches = [{"Records": records[start : start + 10]} for start in range(0, len(records), 10)]
        done = self.run("PlaceCallFunction", *batches, **changes)
        return {each["itemIdentifier"] for invocation in done for each in invocation.answer["batchItemFailures"]}

    def items(self) -> list[dict[str, Any]]:
        """The records as DynamoDB has them."""
        pages = self.resources.cloud.client("dynamodb").get_paginator("scan")
        return [item for page in pages.paginate(TableName=self.resources.table_name) for item in page["Items"]]

    def records(self) -> dict[str, dict[str, Any]]:
        """The records by request id, as plain values, without the keeper of those that wait."""
        items = [from_dynamodb(item) for item in self.items()]
        return {item["requestId"]: item for item in items if "status" in item}

    def make_due(self, name: str) -> dict[str, Any]:
        """Make an attempt due; its entry in the index."""
        item = self.resources.cloud.client("dynamodb").update_item(
            TableName=self.resources.table_name,
            Key={"requestId": {"S": name}, "attempt": {"N": "1"}},
            UpdateExpression="SET dueAt = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )["Attributes"]
        return {field: item[field] for field in ("requestId", "attempt", "dueShard", "dueAt")}

    def take_all(self, queue_url: str) -> list[Any]:
        """All messages of a queue, which is emptied."""
        taken: list[Any] = []
        while messages := self.resources.take(queue_url):
            for message in messages:
                self.resources.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
        return taken

    def role(self, name: str, *actions: str) -> dict[str, str]:
        """Credentials of a role that may do these actions and nothing else."""
        cloud = self.resources.cloud
        iam, sts = cloud._make_client("iam"), cloud._make_client("sts")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": cloud.account}}
        policy = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
        trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
        allowed = json.dumps({"Version": "2012-10-17", "Statement": policy})
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=allowed)
        credentials = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }

    @property
    def policy_table(self) -> PolicyTable:
        """The policy table."""
        return PolicyTable(self.resources.cloud.client("dynamodb"), self.resources.policy_table_name)

    def remembered(self) -> list[dict[str, Any]]:
        """All items of the policy table."""
        pages = self.policy_table.client.get_paginator("scan").paginate(TableName=self.policy_table.name)
        return [dict(item) for page in pages for item in page["Items"]]

    def places(self) -> dict[str, str]:
        """Every text that must hold no canary. Only the request of an unfinished attempt may."""
        records = [(f"record {name}", item | {"request": None}) for name, item in self.records().items()]
        remembered = [("item of the policy table", item) for item in self.remembered()]
        return texts([*self.output, *records, *remembered])

    def secrets(self) -> dict[str, str]:
        """The canaries, and the callback signatures of all attempts."""
        return SECRETS | {f"signature of {name}": signature(name) for name in self.request_ids}

    def leaks(self) -> list[str]:
        """Where a canary was found."""
        return hits(self.places(), self.secrets())


def request(request_id: str) -> dict[str, Any]:
    """A request full of canaries."""
    return {
        "requestId": request_id,
        "phoneNumber": NUMBER,
        "customerName": NAME,
        "dynamicVariables": {"note": VARIABLE},
        "metadata": {"clinic": "7"},
    }


def requests(*names: str) -> dict[str, object]:
    """A request for each name."""
    return {name: request(name) for name in names}


def signature(request_id: str) -> str:
    """The callback signature of a request's first attempt."""
    return sign(SIGNING_KEY, AttemptKey(RequestKey(request_id), 1))


def webhook(request_id: str, body: object, signed: str | None = None) -> dict[str, Any]:
    """A webhook as API Gateway passes it on."""
    path = {"requestId": request_id, "attempt": "1", "signature": signed or signature(request_id)}
    text = body if isinstance(body, str) else json.dumps(body)
    return {"pathParameters": path, "body": text, "isBase64Encoded": False}


def read(request_id: str) -> dict[str, Any]:
    """A request to the status API as API Gateway passes it on."""
    return {
        "rawPath": f"/calls/{request_id}",
        "headers": {"authorization": f"AWS4-HMAC-SHA256 Credential={API_KEY}, Signature={SIGNING_KEY}"},
        "requestContext": {"authorizer": {"iam": {"accessKey": API_KEY, "userArn": NAME}}},
        "pathParameters": {"requestId": request_id},
    }
