"""The shape of an attempt's item in the calls table, and its mapping to and from the domain: an explicit allow-list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from outbound_calls.adapters.dynamodb import Item
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, Priority, ReasonCode, Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR
from outbound_calls.domain.attempts import (
    Allowance,
    Attempt,
    AttemptKey,
    CallDetails,
    CallRequest,
    Labels,
    Redial,
    Refusal,
    RequestKey,
    Terms,
)
from outbound_calls.domain.timing import utc_text

REPORTED_FIELDS = (
    "requestId",
    "attempt",
    "status",
    "createdAt",
    "metadata",
    "batch",
    "purpose",
    "notBefore",
    "notAfter",
    "expiry",
    "policyVersion",
    "allowedBy",
    "redialAt",
    "nextAttempt",
    "cancelRequestedAt",
    "answeredAt",
    "isDropped",
    "isRedial",
    "timesParked",
    "parkReason",
    "refusal",
    "setting",
    "dueAt",
    "claimId",
    "dispatchedAt",
    "outboundCallId",
    "contactId",
    "callLogId",
    "allomiaStatus",
    "callDetails",
    "outcomeSource",
    "recordedAt",
    "reasonCode",
    "reason",
    "resolvedBy",
)
"""What a report needs of an attempt. The phone number, the name and the variables stay in the table."""


def attempt_from_item(item: Mapping[str, Any]) -> Attempt:
    """The attempt in an item of plain values, whole or as a report needs it."""
    return Attempt(
        key=item_key(item),
        created_at=int(item["createdAt"]),
        status=Status(item["status"]),
        request=_request(item["request"]) if "request" in item else None,
        labels=Labels(item.get("metadata", {}), item.get("batch"), item.get("purpose")),
        terms=_terms(item),
        fingerprint=item.get("fingerprint"),
        times_parked=int(item["timesParked"]),
        failed_tries=optional_int(item, "failedTries") or 0,
        park_reason=ParkReason(item["parkReason"]) if "parkReason" in item else None,
        refusal=_refusal(item["refusal"]) if "refusal" in item else None,
        setting=item.get("setting"),
        due_at=optional_int(item, "dueAt"),
        expires_at=optional_int(item, "expiry"),
        policy_version=optional_int(item, "policyVersion"),
        allowance=_allowance(item["allowedBy"]) if "allowedBy" in item else None,
        redial=redial_from_text(item["redial"]) if "redial" in item else None,
        redial_at=optional_int(item, "redialAt"),
        next_attempt=optional_int(item, "nextAttempt"),
        cancel_requested_at=optional_int(item, "cancelRequestedAt"),
        cancel_requested_by=OutcomeSource(item["cancelRequestedBy"]) if "cancelRequestedBy" in item else None,
        answered_at=optional_int(item, "answeredAt"),
        is_dropped=item.get("isDropped", False),
        is_redial=item.get("isRedial", False),
        claim_id=item.get("claimId"),
        line=item.get("line"),
        dispatched_at=optional_int(item, "dispatchedAt"),
        post_result=item.get("postResult"),
        number_hash=item.get("numberHash"),
        sought_since=optional_int(item, "soughtSince"),
        outbound_call_id=item.get("outboundCallId"),
        contact_id=item.get("contactId"),
        call_log_id=item.get("callLogId"),
        allomia_status=item.get("allomiaStatus"),
        call_details=_details(item["callDetails"]) if "callDetails" in item else None,
        outcome_source=OutcomeSource(item["outcomeSource"]) if "outcomeSource" in item else None,
        recorded_at=optional_int(item, "recordedAt"),
        reason_code=ReasonCode(item["reasonCode"]) if "reasonCode" in item else None,
        reason=item.get("reason"),
        resolved_by=item.get("resolvedBy"),
    )


def key_item(key: AttemptKey) -> Item:
    """The key of an attempt as attributes."""
    return {"requestId": str(key.request), "attempt": key.number}


def item_key(item: Mapping[str, Any]) -> AttemptKey:
    """The key in an item."""
    return AttemptKey(RequestKey.from_text(item["requestId"]), int(item["attempt"]))


def request_item(request: CallRequest) -> Item:
    """What is to be dialled, as the attribute `request`."""
    return without_none(
        {
            "phoneNumber": request.phone_number,
            "assistantId": request.assistant_id,
            "phoneNumberId": request.phone_number_id,
            "customerName": request.customer_name,
            "dynamicVariables": None if request.dynamic_variables is None else dict(request.dynamic_variables),
        }
    )


def _request(item: Mapping[str, Any]) -> CallRequest:
    return CallRequest(
        phone_number=item["phoneNumber"],
        assistant_id=item.get("assistantId"),
        phone_number_id=item.get("phoneNumberId"),
        customer_name=item.get("customerName"),
        dynamic_variables=item.get("dynamicVariables"),
    )


def terms_item(terms: Terms) -> Item:
    """What is left to do with a request says; stored as JSON, since policy alone reads it."""
    said = {"timeZone": terms.time_zone, "callingWindows": terms.calling_windows, "redial": terms.redial}
    item = {name: value if name == "timeZone" else json.dumps(value) for name, value in said.items() if value}
    return item if terms.priority is Priority.NORMAL else item | {"priority": terms.priority.value}


def _terms(item: Mapping[str, Any]) -> Terms:
    said = item.get("terms", {})
    return Terms(
        not_before=optional_int(item, "notBefore"),
        not_after=optional_int(item, "notAfter"),
        time_zone=said.get("timeZone"),
        calling_windows=json.loads(said["callingWindows"]) if "callingWindows" in said else None,
        redial=json.loads(said["redial"]) if "redial" in said else None,
        priority=Priority(said.get("priority", Priority.NORMAL)),
    )


def allowance_text(allowance: Allowance) -> str:
    """In short: ``canada 12``, or ``canada 12 2026f number America/Toronto America/Detroit``."""
    zones = (allowance.zone_data, allowance.zone_source, *allowance.zones) if allowance.zones else ()
    return " ".join([allowance.preset, str(allowance.policy_version), *map(str, zones)])


def _allowance(text: str) -> Allowance:
    preset, version, *rest = text.split()
    if not rest:
        return Allowance(int(version), preset)
    data, source, *zones = rest
    return Allowance(int(version), preset, tuple(zones), source, data)


def redial_text(redial: Redial) -> str:
    """As JSON: a condition compares it as a whole."""
    item = {"max": redial.max_attempts, "on": redial.after_status or None, "reasons": redial.after_ended_reason or None}
    return json.dumps(without_none(item), separators=(",", ":"))


def redial_from_text(text: str) -> Redial:
    """The rules in the attribute `redial`."""
    item = json.loads(text)
    return Redial(item["max"], _delays(item.get("on", {})), _delays(item.get("reasons", {})))


def _delays(item: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(delays) for name, delays in item.items()}


def _refusal(item: Mapping[str, Any]) -> Refusal:
    return Refusal(int(item["firstAt"]), int(item["times"]), item["words"])


def ended_on(organization: str | None, epoch_seconds: float) -> str:
    """The partition of the index `ended` for what was recorded then: ``ORGANIZATION~2026-04-01``, the day in UTC."""
    return f"{organization or ''}{ORGANIZATION_SEPARATOR}{utc_text(int(epoch_seconds))[:10]}"


WAITS_FOR_SETTING = {ParkReason.REFUSED_BY_ALLOMIA, ParkReason.CIRCUIT_OPEN}


WAITS_FOR_POLICY = frozenset(
    {
        ParkReason.PAUSED,
        ParkReason.OUTSIDE_CALLING_WINDOW,
        ParkReason.RECIPIENT_CAP,
        ParkReason.POLICY_UNREADABLE,
    }
)
"""What another policy may let go on at once."""


def waits_for_policy(organization: str | None) -> str:
    """The partition of the index `waiting` for the attempts that policy holds back: an organization's."""
    return f"{organization or ''}{ORGANIZATION_SEPARATOR}policy"


def waits_for_line(organization: str | None, priority: Priority) -> str:
    """The partition of the index `waiting` for the attempts of a priority that wait for a line of an organization."""
    return f"{organization or ''}{ORGANIZATION_SEPARATOR}line{ORGANIZATION_SEPARATOR}{priority}"


def waits_for_setting(attempt: Attempt) -> str:
    """The partition of the index `waiting` for attempts that AlloMia refuses: all with the same setting."""
    setting = attempt.request.setting if attempt.request else attempt.setting
    return f"{attempt.key.request.organization or ''}{ORGANIZATION_SEPARATOR}refused{ORGANIZATION_SEPARATOR}{setting}"


def details_item(details: CallDetails | None) -> Item | None:
    """The details of a call, as the attribute `callDetails`."""
    if details is None:
        return None
    duration = Decimal(str(details.duration)) if isinstance(details.duration, float) else details.duration
    return without_none(
        {
            "startedAt": details.started_at,
            "endedAt": details.ended_at,
            "duration": duration,
            "endedReason": details.ended_reason,
        }
    )


def _details(item: Mapping[str, Any]) -> CallDetails:
    # A whole number of seconds is an integer again, so that an event says 150 as AlloMia did, and not 150.0.
    duration = item.get("duration")
    if isinstance(duration, Decimal):
        duration = int(duration) if duration == int(duration) else float(duration)
    return CallDetails(item.get("startedAt"), item.get("endedAt"), duration, item.get("endedReason"))


def optional_int(item: Mapping[str, Any], name: str) -> int | None:
    """A whole number; None where the item has none."""
    return int(item[name]) if name in item else None


def without_none(item: Mapping[str, Any]) -> Item:
    """Only the attributes that hold something."""
    return {name: value for name, value in item.items() if value is not None}
