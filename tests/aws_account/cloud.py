"""tests/cloud on a real AWS account: their requests are signed again with real credentials and sent to AWS.

The tests see a cloud on localhost, as always. What they create gets names of its own, and is removed at the end:
tables, queues, secrets, stacks, buses, rules and topics. Nothing else in the account is touched.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Final, Self, cast, override
from urllib.parse import parse_qs

import botocore.session
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.cloud import LocalCloud
from local.proxy import Proxy
from tests.late_indexes import TARGET, InStep

ACCOUNT: Final = "TESTS_AWS_ACCOUNT"
"""The variable with the region and the credentials, which `rehearsal/cloud_tests.py` sets."""

SETTLE_SECONDS: Final = 1.0
"""AWS propagates a write to an index "within a fraction of a second, under normal conditions"
(docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html)."""

WAIT_SECONDS: Final = 2
"""How long a queue is asked at least: a short answer may leave out messages that are there
(docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)."""

SCOPE: Final = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
"""Region and service in the signature of a request
(docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)."""

KEPT: Final = re.compile(r"content-type|x-amz-target|x-amzn-query-mode|x-amz-api-version|accept", re.IGNORECASE)


@dataclass
class Created:
    """What the tests created, and how it is removed."""

    client: Callable[[str], Any]
    removals: list[Callable[[], object]] = field(default_factory=list)

    def note(self, service: str, operation: str, asked: dict[str, Any], answer: dict[str, Any]) -> None:
        """Note what a request that succeeded has created."""
        match service, operation:
            case "dynamodb", "CreateTable":
                table = answer["TableDescription"]["TableName"]
                self._remove("dynamodb", lambda client: client.delete_table(TableName=table))
            case "sqs", "CreateQueue":
                self._remove("sqs", lambda client: client.delete_queue(QueueUrl=answer["QueueUrl"]))
            case "secretsmanager", "CreateSecret":
                self._remove(
                    "secretsmanager",
                    lambda client: client.delete_secret(SecretId=answer["ARN"], ForceDeleteWithoutRecovery=True),
                )
            case "cloudformation", "CreateStack":
                self._remove("cloudformation", lambda client: client.delete_stack(StackName=asked["StackName"]))
            case "events", "CreateEventBus":
                self._remove("events", lambda client: client.delete_event_bus(Name=asked["Name"]))
            case "events", "PutRule":
                self._remove("events", lambda client: _delete_rule(client, asked))
            case "sns", "CreateTopic":
                name = asked["Name"]
                self._remove("sns", lambda client: client.delete_topic(TopicArn=_topic(client, name)))
            case _:
                pass

    def _remove(self, service: str, removal: Callable[[Any], object]) -> None:
        self.removals.append(lambda: removal(self.client(service)))

    def remove(self) -> list[str]:
        """Remove everything, the last first; returns what could not be removed, in AWS's words."""
        left = []
        while self.removals:
            try:
                self.removals.pop()()
            except ClientError as error:
                if "NotFound" not in error.response["Error"].get("Code", "") + str(error):
                    left.append(str(error))
        return left


def _delete_rule(events: Any, asked: dict[str, Any]) -> None:
    bus = {"EventBusName": asked.get("EventBusName", "default")}
    targets = events.list_targets_by_rule(Rule=asked["Name"], **bus)["Targets"]
    if targets:
        events.remove_targets(Rule=asked["Name"], Ids=[each["Id"] for each in targets], **bus)
    events.delete_rule(Name=asked["Name"], **bus)


def _topic(sns: Any, name: str) -> str:
    # Creating a topic that exists answers its ARN.
    return str(sns.create_topic(Name=name)["TopicArn"])


def described(service: str, headers: dict[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation and the parameters of a request in one of AWS's JSON and query protocols."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    fields = {name: values[0] for name, values in parse_qs(body.decode()).items()} if service else {}
    return fields.get("Action", ""), dict(fields)


class AwsFront(Proxy):
    """Sends each request to AWS, signed with the credentials of the session."""

    def __init__(self, session: Any, endpoint: Callable[[str], str] | None = None) -> None:
        super().__init__("http://127.0.0.1")
        self.session = session
        self.region = str(session.get_config_variable("region"))
        self.created = Created(session_clients(session, self.region, endpoint))
        self._endpoint = endpoint or self._of_aws
        self._endpoints: dict[str, str] = {}
        self._in_step = InStep(SETTLE_SECONDS)
        self._aws = httpx.Client(timeout=60, limits=httpx.Limits(max_connections=64))
        self._lock = threading.Lock()

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._aws.close()

    @override
    def forward(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        found = SCOPE.search(headers.get("Authorization", ""))
        service = found[2] if found else ""
        operation, params = described(service, headers, body)
        if service == "sqs" and operation == "ReceiveMessage":
            params["WaitTimeSeconds"] = max(params.get("WaitTimeSeconds", 0), WAIT_SECONDS)
            body = json.dumps(params).encode()
        if service == "dynamodb":

            def send(name: str, wanted: dict[str, Any]) -> httpx.Response:
                named = headers | {"X-Amz-Target": TARGET + name}
                return self._send(service, path, named, json.dumps(wanted).encode())

            self._in_step.before(operation, params, send)
        answer = self._send(service, path, headers, body)
        if answer.is_success:
            is_json = answer.headers.get("content-type", "").startswith("application/x-amz-json")
            self.created.note(service, operation, params, answer.json() if is_json else {})
        return answer

    def _send(self, service: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        with self._lock:
            if service not in self._endpoints:
                self._endpoints[service] = self._endpoint(service)
        kept = {name: value for name, value in headers.items() if KEPT.fullmatch(name)}
        request = AWSRequest("POST", self._endpoints[service] + path, kept, body)
        SigV4Auth(self.session.get_credentials(), service, self.region).add_auth(request)
        # botocore compares a checksum with the bytes that it gets.
        signed = dict(request.headers) | {"Accept-Encoding": "identity"}
        return self._aws.post(str(request.url), content=body, headers=signed)

    def _of_aws(self, service: str) -> str:
        client = self.session.create_client(service, region_name=self.region)
        return str(client.meta.endpoint_url)


def session_clients(session: Any, region: str, endpoint: Callable[[str], str] | None) -> Callable[[str], Any]:
    """The clients that remove things, with the real credentials."""

    @cache
    def client(service: str) -> Any:
        return session.create_client(
            service,
            region_name=region,
            endpoint_url=endpoint(service) if endpoint else None,
            config=Config(retries={"mode": "standard", "total_max_attempts": 8}),
        )

    return client


def session_of(account: Mapping[str, str | None]) -> Any:
    """A session with these credentials, and nothing of the machine's."""
    session: Any = botocore.session.Session()
    session.set_credentials(account["key"], account["secret"], account["token"])
    session.set_config_variable("region", account["region"])
    return session


class AwsAccountCloud(LocalCloud):
    """A cloud on localhost, behind which is an AWS account. Nothing is started but the front."""

    def __init__(self, session: Any = None, endpoint: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self._session_of_account = session or session_of(json.loads(os.environ[ACCOUNT]))
        self._endpoint_of = endpoint
        self._front: AwsFront | None = None
        self._id = ""

    @override
    def __enter__(self) -> Self:
        self._front = AwsFront(self._session_of_account, self._endpoint_of)
        self._front.__enter__()
        self._id = str(self._front.created.client("sts").get_caller_identity()["Account"])
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        front = self.front
        for client in self._clients.values():
            client.close()
        with suppress(KeyboardInterrupt):
            front.__exit__(kind, error, trace)
        left = front.created.remove()
        self._front = None
        assert not left, f"remove them by hand: {'; '.join(left)}"

    @property
    def front(self) -> AwsFront:
        """What stands in front of the account while it is open."""
        return cast("AwsFront", self._front)

    @property
    @override
    def endpoint_url(self) -> str:
        return self.front.url

    @property
    @override
    def account(self) -> str:
        return self._id

    @property
    @override
    def region(self) -> str:
        return self.front.region
