"""Check a new version of a function before it gets traffic, and report the verdict to CodeDeploy.

The AppSpec of the deployment names the version. CloudFormation writes it as JSON: GetDeployment names the revision,
GetApplicationRevision has its content. Source: docs.aws.amazon.com/codedeploy, "AppSpec file structure". Its pages
spell the keys in more than one casing, so casing doesn't matter here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_lambda import LambdaClient

SECONDS_TO_ANSWER = 25
"""A cold start takes at most ten; an answer may take as long as the SDK tries to reach the table or a secret."""


def nothing_to_do() -> dict[str, Any]:
    """An event that places no call, touches no record and is understood by every function.

    The id is new each time, so no request can have it: get_call reads the table, and finds nothing.
    """
    return {
        # For place_call and publish_outcome: an empty batch.
        "Records": [],
        # For poll_calls: an empty page.
        "items": [],
        # For the functions behind the API: an unsigned request.
        "pathParameters": {"requestId": f"release-check-{uuid4()}", "attempt": "1", "signature": "forged"},
        "body": "{}",
    }


class Verdict(StrEnum):
    """CodeDeploy's statuses."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Version:
    """A published version of a function."""

    function: str
    number: str


@dataclass(eq=False, slots=True)
class CheckReleases:
    """The use case."""

    lambda_: LambdaClient
    codedeploy: CodeDeployClient

    def version(self, deployment_id: str) -> Version:
        """The version that a deployment would send traffic to."""
        deployment = self.codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"]
        found = self.codedeploy.get_application_revision(
            applicationName=deployment["applicationName"], revision=deployment["revision"]
        )["revision"]
        text = found.get("string", {}).get("content") or found.get("appSpecContent", {}).get("content") or ""
        ((resource,),) = (each.values() for each in json.loads(text, object_pairs_hook=_in_lower_case)["resources"])
        return Version(resource["properties"]["name"], str(resource["properties"]["targetversion"]))

    def complaint(self, version: Version) -> str | None:
        """What is wrong with a version, in words that may be logged; None when it answers as expected."""
        answer = self.lambda_.invoke(
            FunctionName=version.function, Qualifier=version.number, Payload=json.dumps(nothing_to_do())
        )
        if answer.get("FunctionError"):
            return "the function fails"
        return complaint(json.loads(answer["Payload"].read() or b"null"))

    def report(self, deployment_id: str, hook_id: str, verdict: Verdict) -> None:
        """Report to CodeDeploy, which otherwise waits for an hour."""
        self.codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment_id, lifecycleEventHookExecutionId=hook_id, status=verdict.value
        )


def complaint(answer: object) -> str | None:
    """What is wrong with a function's answer to `nothing_to_do`."""
    match answer:
        case None | {"batchItemFailures": []} | {"polled": 0, "failed": 0}:
            return None
        case {"statusCode": int(status)} if 400 <= status < 500:
            return None
        case {"statusCode": int(status)}:
            return f"the function answers {status} to a request that it must decline"
        case _:
            return "the function's answer to an empty event is unexpected"


def _in_lower_case(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name.lower(): value for name, value in pairs}
