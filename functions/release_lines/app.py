"""release_lines: items of the table's stream whose call ended or was parked in, their lines handed on."""

import os
from typing import Any

from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.release_lines import ReleaseLinesSettings
from outbound_calls.runtime.telemetry import Metric, Telemetry

settings = ReleaseLinesSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
release_lines = Assembly().release_lines(settings)


def handler(event: dict[str, Any], context: Any) -> None:
    """Release the lines of a batch, and hand them on.

    Raises on a fault, so that the stream delivers the batch again.
    """

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    released = release_lines.release((record["dynamodb"]["NewImage"] for record in event["Records"]), seconds_left)
    for each in released.organizations:
        telemetry.log(
            "lines released",
            organization=each.organization,
            handedOn=each.handed_on,
            measured={Metric.LINES_IN_USE: each.in_use},
        )
    for error in released.unreadable:
        telemetry.log_fault("record unreadable", error)
