"""get_call: one HTTP API request in, what is known of that call out."""

import json
import os
from http import HTTPStatus
from typing import Any

from outbound_calls import aws
from outbound_calls.contracts import InvalidInput
from outbound_calls.reports import Reports
from outbound_calls.settings import GetCallSettings
from outbound_calls.telemetry import Telemetry

settings = GetCallSettings.from_environment(os.environ)
telemetry = Telemetry.of(settings)
reports = Reports(aws.client("dynamodb"), settings.calls_table_name)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the report of the request that the path names. A read that went well is told in no log."""
    path = event.get("pathParameters") or {}
    try:
        report = reports.of(path.get("requestId", ""))
    except InvalidInput as refusal:
        # Not 404, after which it may be worth asking again: this id will never have a record.
        return answer(HTTPStatus.BAD_REQUEST, {"error": str(refusal)})
    except Exception as error:  # noqa: BLE001 - an exception that left the function would be logged with its text
        telemetry.tell_fault("call not read", error)
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "not read, try again"})
    if report is None:
        return answer(
            HTTPStatus.NOT_FOUND, {"error": "no record of this request: not taken up yet, refused or expired"}
        )
    return answer(HTTPStatus.OK, report.wire())


def answer(status: HTTPStatus, content: dict[str, Any]) -> dict[str, Any]:
    """An answer for API Gateway. It is about a moment, so nobody on the way may keep it."""
    return {
        "statusCode": status.value,
        "headers": {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps(content),
    }
