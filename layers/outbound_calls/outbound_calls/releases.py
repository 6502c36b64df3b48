"""Try a new version of a function before it gets any work. CodeDeploy asks for this, and hears whether it may go on.

Which version is meant stands in the AppSpec of the deployment, which CloudFormation writes as JSON: GetDeployment names
the revision, GetApplicationRevision has its content. docs.aws.amazon.com/codedeploy, "AppSpec file structure".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_codedeploy import CodeDeployClient
    from mypy_boto3_lambda import LambdaClient

SECONDS_TO_ANSWER = 25
"""A start takes ten at the most, and an answer what the SDK takes to give up on the table or a secret."""

NOTHING_TO_DO: Final[Mapping[str, Any]] = {
    # For place_call and publish_outcome: a batch without a message and one without a record.
    "Records": [],
    # For poll_calls: a page without an attempt.
    "items": [],
    # For what is behind the API: a request that nobody signed, about nobody.
    "pathParameters": {"requestId": "release-check", "attempt": "1", "signature": "forged"},
    "body": "{}",
}
"""An event that calls nobody, touches no record and is understood by every function."""


class Verdict(StrEnum):
    """CodeDeploy's words."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Version:
    """A published version of a function."""

    function: str
    number: str


@dataclass(frozen=True, slots=True)
class CheckReleases:
    """The use case."""

    lambda_: LambdaClient
    codedeploy: CodeDeployClient

    def version(self, deployment_id: str) -> Version:
        """The version that a deployment would give work to."""
        deployment = self.codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"]
        found = self.codedeploy.get_application_revision(
            applicationName=deployment["applicationName"], revision=deployment["revision"]
        )["revision"]
        text = found.get("string", {}).get("content") or found.get("appSpecContent", {}).get("content") or ""
        ((resource,),) = (each.values() for each in json.loads(text)["Resources"])
        return Version(resource["Properties"]["Name"], str(resource["Properties"]["TargetVersion"]))

    def complaint(self, version: Version) -> str | None:
        """What is wrong with a version, in words that may be logged; None when it answers as it should."""
        answer = self.lambda_.invoke(
            FunctionName=version.function, Qualifier=version.number, Payload=json.dumps(NOTHING_TO_DO)
        )
        if answer.get("FunctionError"):
            return "it does not start, or fails"
        return complaint(json.loads(answer["Payload"].read() or b"null"))

    def report(self, deployment_id: str, hook_id: str, verdict: Verdict) -> None:
        """Tell CodeDeploy, which otherwise waits for an hour."""
        self.codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment_id, lifecycleEventHookExecutionId=hook_id, status=verdict.value
        )


def complaint(answer: object) -> str | None:
    """What is wrong with a function's answer to `NOTHING_TO_DO`."""
    match answer:
        case None | {"batchItemFailures": []} | {"polled": 0, "failed": 0}:
            return None
        case {"statusCode": int(status)} if 400 <= status < 500:
            return None
        case {"statusCode": int(status)}:
            return f"it answers {status} to a request that it must refuse"
        case _:
            return "it answers something else than that there was nothing to do"
