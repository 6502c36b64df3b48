"""get_call: one HTTP API request in, the report of a request out."""

import json
import os
from http import HTTPStatus
from typing import Any

from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.runtime.assembly import Assembly
from outbound_calls.runtime.settings.get_call import GetCallSettings
from outbound_calls.runtime.telemetry import Telemetry

settings = GetCallSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
look_up_requests = Assembly().look_up_requests(settings)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the report of the request that the path names. A successful read is not logged."""
    path = event.get("pathParameters") or {}
    try:
        report = look_up_requests.look_up(path.get("requestId", ""))
    except InvalidInput as error:
        # Not 404, which may be worth asking again: this id never gets a record.
        return answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
    except Exception as error:  # noqa: BLE001 - Lambda would log the text of an exception that left the function
        telemetry.log_fault("request not read", error)
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "not read, try again"})
    if report is None:
        return answer(
            HTTPStatus.NOT_FOUND, {"error": "no record of this request: not processed yet, invalid, or expired"}
        )
    return answer(HTTPStatus.OK, report.wire())


def answer(status: HTTPStatus, content: dict[str, Any]) -> dict[str, Any]:
    """An answer for API Gateway. It describes one moment, so it must not be cached."""
    return {
        "statusCode": status.value,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(content),
    }
