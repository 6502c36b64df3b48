"""A request for a call, the attempts made for it, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outbound_calls.contracts.vocabulary import Dialled, OutcomeSource, ParkReason, Priority, ReasonCode, Status
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR, check_request_key
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, TERMINAL


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Names a request: its id, unique within its organization (None for the default one).

    Its text, ``ID`` or ``ORGANIZATION~ID``, is the partition key of the calls table, and is in the callback path
    and in the status API's path.
    """

    request_id: str
    organization: str | None = None

    def __str__(self) -> str:
        return f"{self.organization}{ORGANIZATION_SEPARATOR}{self.request_id}" if self.organization else self.request_id

    @classmethod
    def from_text(cls, text: str) -> RequestKey:
        """The key with this text.

        Raises:
            InvalidInput: When no request can have it.
        """
        check_request_key(text)
        organization, _, request_id = text.rpartition(ORGANIZATION_SEPARATOR)
        return cls(request_id, organization or None)


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names one attempt, the unit that is claimed, signed and dialled. Its text is ``REQUEST KEY/NUMBER``."""

    request: RequestKey
    number: int

    def __str__(self) -> str:
        return f"{self.request}/{self.number}"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A request that can be dialled once both ids are known: its own, or its organization's defaults."""

    phone_number: str
    assistant_id: str | None
    phone_number_id: str | None
    customer_name: str | None = None
    dynamic_variables: Mapping[str, str] | None = None

    @property
    def setting(self) -> str:
        """The assistant and the number to call from, by the first digits of their ids."""
        return f"{(self.assistant_id or '')[:8]}-{(self.phone_number_id or '')[:8]}"


@dataclass(frozen=True, slots=True)
class Labels:
    """What upstream attached to a request, to be returned with its outcome."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    batch: str | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """When, how often and how soon a request is to be dialled, as far as it says so itself. None: it doesn't say.

    Times are epoch seconds. `calling_windows` and `redial` are in their form on the wire.
    """

    not_before: int | None = None
    not_after: int | None = None
    time_zone: str | None = None
    calling_windows: object = None
    redial: Mapping[str, Any] | None = None
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Redial:
    """After which outcomes another attempt follows: the delays in seconds, of which the last repeats."""

    max_attempts: int = 1
    after_status: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    after_ended_reason: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What allowed a dial: the policy's version (0 where no document is set) and the preset it is based on.

    With the zones that the recipient may be in, where they come from, and the version of the zones' data, if they were
    looked at.
    """

    policy_version: int
    preset: str
    zones: tuple[str, ...] = ()
    zone_source: str | None = None
    zone_data: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """AlloMia refused an attempt: for the first time at `first_at` (epoch seconds), `times` times so far.

    `words` say why, without personal data.
    """

    first_at: int
    times: int
    words: str


@dataclass(frozen=True, slots=True)
class CallDetails:
    """A call's times, duration in seconds and why it ended, as AlloMia reports them. Times are ISO 8601."""

    started_at: str | None = None
    ended_at: str | None = None
    duration: int | float | None = None
    ended_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, and where that is known from."""

    status: Status
    source: OutcomeSource
    outbound_call_id: str | None = None
    contact_id: str | None = None
    call_details: CallDetails | None = None
    reason_code: ReasonCode | None = None
    reason: str | None = None
    """`reason_code` in words, without personal data."""

    call_log_id: str | None = None
    """The id of the call's entry in AlloMia's call log, where it was found there."""

    resolved_by: str | None = None
    """The ARN of the AWS identity that recorded it by hand."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One dial for a request. Times are epoch seconds, UTC."""

    key: AttemptKey
    created_at: int
    status: Status | None = None
    """None while there is no record of it."""

    request: CallRequest | None = None
    """Present only while there is something left to do with it, and where it was asked for."""

    labels: Labels = field(default_factory=Labels)
    terms: Terms = field(default_factory=Terms)
    fingerprint: str | None = None
    """Distinguishes the same request from another one under the same id. Keyed: it reveals nothing of its content."""

    times_parked: int = 0
    failed_tries: int = 0
    """How often it was parked because AlloMia didn't accept it: the backoff counts these alone."""

    park_reason: ParkReason | None = None
    refusal: Refusal | None = None
    """Set while AlloMia refuses this attempt and it isn't known whether the request or a setting is wrong."""

    setting: str | None = None
    """The assistant and the number to call from, short: what AlloMia may refuse whole."""

    due_at: int | None = None
    expires_at: int | None = None
    """When it expires undialled, as of the last look of policy."""

    policy_version: int | None = None
    """The version of the policy by which it waits; 0 where the policy couldn't be read or no document is set."""

    allowance: Allowance | None = None
    redial: Redial | None = None
    """Stored while it is in progress or its redial is pending, if another attempt may follow."""

    redial_at: int | None = None
    """When the next attempt is to be made. Until then the outcome is provisional."""

    next_attempt: int | None = None
    """The number of the attempt that was made after this one."""

    cancel_requested_at: int | None = None
    cancel_requested_by: OutcomeSource | None = None
    answered_at: int | None = None
    """When an earlier attempt turned out to have been answered, while this one was in progress."""

    is_dropped: bool = False
    """A redial that was never dialled: the request ended with the outcome before. It is no outcome of its own."""

    is_redial: bool = False
    """Made by itself after an outcome, and by no person."""

    claim_id: str | None = None
    line: str | None = None
    """The last claim, if it was made under a limit of concurrent calls: its line is to be given back."""

    dispatched_at: int | None = None
    post_result: str | None = None
    """What is known of a POST whose answer was lost."""

    number_hash: str | None = None
    """The start of the keyed hash of the number that it dials, while it may have to be found in AlloMia's call log."""

    sought_since: int | None = None
    """When the poller first learned nothing of it after its deadline, and was to ask again."""

    outbound_call_id: str | None = None
    contact_id: str | None = None
    call_log_id: str | None = None
    allomia_status: str | None = None
    """AlloMia's last word for the call's status that it doesn't document, while nothing else is known."""

    call_details: CallDetails | None = None
    outcome_source: OutcomeSource | None = None
    recorded_at: int | None = None
    reason_code: ReasonCode | None = None
    reason: str | None = None
    resolved_by: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing follows by itself. A real outcome may still replace `unknown`."""
        ended = self.status in TERMINAL and self.status is not Status.UNKNOWN
        return ended and self.redial_at is None and self.next_attempt is None

    @property
    def dialled(self) -> Dialled:
        """Whether the person's phone was dialled, as far as it is known."""
        if self.status in ALLOMIA_OUTCOMES or self.outbound_call_id or self.call_log_id:
            return Dialled.YES
        return Dialled.MAYBE if self.status in {Status.DISPATCHING, Status.UNKNOWN} else Dialled.NO
