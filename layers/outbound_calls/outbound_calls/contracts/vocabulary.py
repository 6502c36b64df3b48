"""The codes that appear on the wires, in the table and in the logs. A field that holds a code holds nothing else."""

from enum import StrEnum


class Status(StrEnum):
    """The status of an attempt."""

    SCHEDULED = "scheduled"
    DISPATCHING = "dispatching"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class OutcomeSource(StrEnum):
    """Where an outcome comes from."""

    WEBHOOK = "webhook"
    POLL = "poll"
    CALL_LOG = "call-log"
    DISPATCH = "dispatch"
    DEADLINE = "deadline"
    UPSTREAM = "upstream"
    OPERATOR = "operator"
    POLICY = "policy"


class ParkReason(StrEnum):
    """Why an attempt is `scheduled` and not dialled now."""

    CIRCUIT_OPEN = "circuit-open"
    SHORT_OF_TIME = "short-of-time"
    ALLOMIA_UNREACHABLE = "allomia-unreachable"
    RATE_LIMITED = "rate-limited"
    KEY_DECLINED = "key-declined"
    KEY_UNREADABLE = "key-unreadable"
    DIAL_AGAIN = "dial-again"
    NOT_BEFORE = "not-before"
    REFUSED_BY_ALLOMIA = "refused-by-allomia"
    PAUSED = "paused"
    OUTSIDE_CALLING_WINDOW = "outside-calling-window"
    RECIPIENT_CAP = "recipient-cap"
    CONCURRENCY_LIMIT = "concurrency-limit"
    REDIAL = "redial"
    POLICY_UNREADABLE = "policy-unreadable"


class ReasonCode(StrEnum):
    """Why an attempt was rejected, was cancelled or is unknown."""

    REFUSED_BY_ALLOMIA = "refused-by-allomia"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CANCELLED_UNSEEN = "cancelled-unseen"
    ANSWERED_MEANWHILE = "answered-meanwhile"
    UNKNOWN_PURPOSE = "unknown-purpose"
    NO_CALLING_WINDOW = "no-calling-window"
    DO_NOT_CALL = "do-not-call"
    RECIPIENT_CAP = "recipient-cap"
    NO_OUTCOME = "no-outcome"


class Priority(StrEnum):
    """Who goes first when not everyone can be dialled at once."""

    URGENT = "urgent"
    NORMAL = "normal"
    LOW = "low"


class Preset(StrEnum):
    """The presets of the calling policy. Each is a document of its own in `policies/`."""

    OPEN = "open"
    CANADA = "canada"
    UNITED_STATES_HEALTH_CARE = "united-states-health-care"


class WhenCapped(StrEnum):
    """What happens to a request that a recipient cap holds back."""

    WAIT = "wait"
    REJECT = "reject"


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The weekdays of a calling window."""

ALWAYS = "always"
"""Calling windows that never close."""


class Dialled(StrEnum):
    """Whether the person's phone was dialled."""

    NO = "no"
    MAYBE = "maybe"
    YES = "yes"
