"""check_release: a deployment of CodeDeploy in, the verdict on its new version reported."""

import os
from typing import Any

from outbound_calls import aws
from outbound_calls.releases import SECONDS_TO_ANSWER, CheckReleases, Verdict
from outbound_calls.settings import CheckReleaseSettings
from outbound_calls.telemetry import Telemetry

settings = CheckReleaseSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
releases = CheckReleases(aws.client("lambda", read_timeout=SECONDS_TO_ANSWER), aws.client("codedeploy"))


def handler(event: dict[str, Any], _context: object) -> None:
    """Try the version that is to be released. Whatever goes wrong is told to CodeDeploy as a failure, at once."""
    deployment_id = event["DeploymentId"]
    try:
        version = releases.version(deployment_id)
        complaint = releases.complaint(version)
        telemetry.tell("release checked", function=version.function, version=version.number, complaint=complaint)
    except Exception as error:  # noqa: BLE001 - a hook that reports nothing holds the deployment up for an hour
        complaint = "it could not be tried"
        telemetry.tell_fault("release not checked", error)
    verdict = Verdict.FAILED if complaint else Verdict.SUCCEEDED
    releases.report(deployment_id, event["LifecycleEventHookExecutionId"], verdict)
