"""The contracts of docs/integrate/schemas as types. Written by `make schemas`: don't edit it."""

from typing import Literal, NotRequired, TypedDict

CallRequestCallingWindowsItem = TypedDict(
    "CallRequestCallingWindowsItem",
    {"days": list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], "from": str, "to": str},
)


class CallRequestRedial(TypedDict):
    """An object with maxAttempts, on and onEndedReasons."""

    on: NotRequired[dict[str, list[int]] | None]
    onEndedReasons: NotRequired[dict[str, list[int]] | None]
    maxAttempts: int


class CallRequest(TypedDict):
    """The body of a message on the call queue."""

    requestId: NotRequired[str | None]
    organization: NotRequired[str | None]
    phoneNumber: str
    assistantId: NotRequired[str | None]
    phoneNumberId: NotRequired[str | None]
    customerName: NotRequired[str | None]
    dynamicVariables: NotRequired[dict[str, str] | None]
    metadata: NotRequired[dict[str, str] | None]
    batch: NotRequired[str | None]
    notBefore: NotRequired[str | None]
    notAfter: NotRequired[str | None]
    purpose: NotRequired[str | None]
    timeZone: NotRequired[str | None]
    callingWindows: NotRequired[Literal["always"] | list[CallRequestCallingWindowsItem] | None]
    redial: NotRequired[CallRequestRedial | None]
    priority: NotRequired[Literal["urgent", "normal", "low"] | None]


class CancelCancel(TypedDict):
    """An object with either requestId or batch."""

    requestId: NotRequired[str | None]
    batch: NotRequired[str | None]


class Cancel(TypedDict):
    """The body of a message on the call queue."""

    cancel: CancelCancel
    organization: NotRequired[str | None]


class DoNotCallDoNotCall(TypedDict):
    """An object with phoneNumber, and until and purposes where it isn't for good or for all."""

    phoneNumber: str
    until: NotRequired[str | None]
    purposes: NotRequired[list[str] | None]


class DoNotCall(TypedDict):
    """The body of a message on the call queue."""

    doNotCall: DoNotCallDoNotCall
    organization: NotRequired[str | None]


class CallOutcomeCallDetails(TypedDict):
    """The call's times, its duration and why it ended; null if AlloMia reported nothing."""

    startedAt: str | None
    endedAt: str | None
    duration: float | None
    endedReason: str | None


class CallOutcome(TypedDict):
    """The detail of a `Call Outcome Recorded` event."""

    version: Literal["1"]
    organization: str | None
    requestId: str
    attempt: int
    final: bool
    nextAttemptAt: str | None
    batch: str | None
    purpose: str | None
    cancelRequestedAt: str | None
    status: Literal["completed", "failed", "busy", "no-answer", "rejected", "cancelled", "unknown"]
    dialled: Literal["no", "maybe", "yes"]
    reasonCode: str | None
    outboundCallId: str | None
    contactId: str | None
    callDetails: CallOutcomeCallDetails | None
    outcomeSource: str
    recordedAt: str
    metadata: dict[str, str]


class RequestReportAttemptsItemAllowedByZonesItem(TypedDict):
    """A time zone that the recipient may be in."""

    timeZone: str
    localTime: NotRequired[str]


class RequestReportAttemptsItemAllowedBy(TypedDict):
    """What allowed the dial."""

    policyVersion: int
    preset: str
    zones: list[RequestReportAttemptsItemAllowedByZonesItem]
    zoneSource: NotRequired[str]
    zoneData: NotRequired[str]


class RequestReportAttemptsItemCallDetails(TypedDict):
    """The call's times, its duration and why it ended, as AlloMia reports them."""

    startedAt: NotRequired[str]
    endedAt: NotRequired[str]
    duration: NotRequired[float]
    endedReason: NotRequired[str]


class RequestReportAttemptsItem(TypedDict):
    """One dial for a request."""

    attempt: int
    status: Literal[
        "scheduled",
        "dispatching",
        "calling",
        "completed",
        "failed",
        "busy",
        "no-answer",
        "rejected",
        "cancelled",
        "unknown",
    ]
    final: bool
    dialled: Literal["no", "maybe", "yes"]
    createdAt: str
    dispatchedAt: NotRequired[str]
    dueAt: NotRequired[str]
    timesParked: int
    parkReason: NotRequired[str]
    nextAttemptAt: NotRequired[str]
    isDropped: NotRequired[bool]
    cancelRequestedAt: NotRequired[str]
    allowedBy: NotRequired[RequestReportAttemptsItemAllowedBy]
    outboundCallId: NotRequired[str]
    contactId: NotRequired[str]
    callLogId: NotRequired[str]
    callDetails: NotRequired[RequestReportAttemptsItemCallDetails]
    outcomeSource: NotRequired[str]
    recordedAt: NotRequired[str]
    reasonCode: NotRequired[str]
    reason: NotRequired[str]


class RequestReport(TypedDict):
    """The answer of the status API."""

    organization: NotRequired[str]
    requestId: str
    status: Literal[
        "scheduled",
        "dispatching",
        "calling",
        "completed",
        "failed",
        "busy",
        "no-answer",
        "rejected",
        "cancelled",
        "unknown",
    ]
    final: bool
    parkReason: NotRequired[str]
    nextAttemptAt: NotRequired[str]
    notAfter: NotRequired[str]
    cancelRequestedAt: NotRequired[str]
    batch: NotRequired[str]
    purpose: NotRequired[str]
    metadata: dict[str, str]
    attempts: list[RequestReportAttemptsItem]


class WebhookCallDetails(TypedDict):
    """A call's times, its duration and why it ended, as AlloMia reports them."""

    startedAt: NotRequired[str | None]
    endedAt: NotRequired[str | None]
    duration: NotRequired[float | None]
    endedReason: NotRequired[str | None]


class Webhook(TypedDict):
    """The body that AlloMia posts to a callback URL when a call has ended, as far as it is read."""

    outboundCallId: NotRequired[str | None]
    contactId: NotRequired[str | None]
    status: Literal["completed", "failed", "busy", "no-answer"]
    callDetails: NotRequired[WebhookCallDetails | None]


class InvalidMessage(TypedDict):
    """The message attributes, all of type String, that a message in the invalid-messages queue has."""

    reason: str
    field: str
    rule: str
    messageId: str
    sentAt: NotRequired[str]


CallOutcomeEvent = TypedDict(
    "CallOutcomeEvent",
    {
        "version": Literal["0"],
        "id": str,
        "source": Literal["allomia.outbound-calls"],
        "detail-type": Literal["Call Outcome Recorded"],
        "account": str,
        "region": str,
        "time": str,
        "resources": list[str],
        "detail": CallOutcome,
    },
)
