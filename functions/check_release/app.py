"""check_release: a CodeDeploy deployment in, the verdict on its new version reported."""

import os
from typing import Any

from outbound_calls.runtime.clients import Clients
from outbound_calls.runtime.settings.check_release import CheckReleaseSettings
from outbound_calls.runtime.telemetry import Telemetry
from releases import SECONDS_TO_ANSWER, CheckReleases, Verdict

settings = CheckReleaseSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
clients = Clients()
releases = CheckReleases(clients("lambda", read_timeout_seconds=SECONDS_TO_ANSWER), clients("codedeploy"))


def handler(event: dict[str, Any], _context: object) -> None:
    """Check the version that is to be released. Any fault is reported to CodeDeploy as a failure, at once."""
    deployment_id = event["DeploymentId"]
    try:
        version = releases.version(deployment_id)
        complaint = releases.complaint(version)
        telemetry.log("release checked", function=version.function, version=version.number, complaint=complaint)
    except Exception as error:  # noqa: BLE001 - a hook that reports nothing blocks the deployment for an hour
        complaint = "the check failed"
        telemetry.log_fault("release not checked", error)
    verdict = Verdict.FAILED if complaint else Verdict.SUCCEEDED
    releases.report(deployment_id, event["LifecycleEventHookExecutionId"], verdict)
