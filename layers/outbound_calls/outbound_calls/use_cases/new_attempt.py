"""The first attempt for a request: what a message asks for, with the defaults of its organization."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from outbound_calls.adapters.allomia import KeyUnusable
from outbound_calls.contracts.messages import MAX_DAYS_AHEAD, CallRequestMessage, epoch_seconds, invalid_field
from outbound_calls.contracts.vocabulary import ParkReason, Priority
from outbound_calls.domain.attempts import Attempt, AttemptKey, CallRequest, Labels, RequestKey, Terms
from outbound_calls.domain.recipients import organization_key

if TYPE_CHECKING:
    from outbound_calls.adapters.organizations import Organization


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request gets where it names none of its own."""

    assistant_id: str | None = None
    phone_number_id: str | None = None

    def of(self, organization: str | None) -> Defaults | None:
        """The defaults of an organization, as messages name it. These are the default organization's alone.

        None where they aren't known.
        """
        return self if organization_key(organization) is None else None


def new_attempt(asked: CallRequestMessage, request_id: str, defaults: Defaults | None, sent_at: float) -> Attempt:
    """The first attempt for a request, with these defaults. `sent_at` is when the queue got it (epoch seconds).

    Raises:
        InvalidInput: As `with_defaults` and `terms_of` do.
    """
    created_at = int(sent_at)
    return Attempt(
        AttemptKey(RequestKey(request_id, organization_key(asked.organization)), 1),
        created_at,
        request=with_defaults(asked, defaults),
        labels=Labels(asked.metadata or {}, asked.batch, asked.purpose),
        terms=terms_of(asked, created_at),
    )


def with_defaults(asked: CallRequestMessage, defaults: Defaults | None) -> CallRequest:
    """The request, with the defaults of its organization where it names none of its own, as far as they are known.

    Raises:
        InvalidInput: When it names none and there is no default.
    """
    known = defaults or Defaults()
    assistant_id = asked.assistant_id or known.assistant_id
    phone_number_id = asked.phone_number_id or known.phone_number_id
    if defaults and assistant_id is None:
        raise invalid_field("assistantId")
    if defaults and phone_number_id is None:
        raise invalid_field("phoneNumberId")
    return CallRequest(asked.phone_number, assistant_id, phone_number_id, asked.customer_name, asked.dynamic_variables)


def terms_of(asked: CallRequestMessage, created_at: float) -> Terms:
    """When a request that was made at `created_at` may be dialled, as far as it says so itself.

    Raises:
        InvalidInput: When it is to wait too long.
    """
    not_before = None if asked.not_before is None else math.ceil(epoch_seconds(asked.not_before))
    not_after = None if asked.not_after is None else math.floor(epoch_seconds(asked.not_after))
    if not_before is not None and not_before > created_at + MAX_DAYS_AHEAD * 86_400:
        raise invalid_field("notBefore")
    return Terms(
        not_before,
        not_after,
        asked.time_zone,
        asked.calling_windows,
        asked.redial,
        Priority(asked.priority or Priority.NORMAL),
    )


def with_late_defaults(attempt: Attempt, organization: Organization) -> Attempt:
    """An attempt with its organization's defaults, where they weren't known when its request arrived."""
    request = attempt.request
    if request is None or (request.assistant_id and request.phone_number_id):
        return attempt
    assistant_id = request.assistant_id or organization.assistant_id
    phone_number_id = request.phone_number_id or organization.phone_number_id
    return replace(attempt, request=replace(request, assistant_id=assistant_id, phone_number_id=phone_number_id))


def missing_defaults(attempt: Attempt) -> KeyUnusable | None:
    """Why an attempt can't be dialled by its organization's entry in the secret; None when it can."""
    request = attempt.request
    if request is None or (request.assistant_id and request.phone_number_id):
        return None
    return KeyUnusable(ParkReason.KEY_UNREADABLE, "neither the request nor the secret names an assistant and a number")
