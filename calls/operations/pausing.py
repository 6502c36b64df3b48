"""Pause calls, and resume them: the document's `paused`, and what it means for the calls that there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from pydantic import Field

from calls.operations.calling_policy import Policies, PolicyInForce
from calls.operations.records import OPEN_FIELDS, Records, is_open, open_status
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import OrganizationName, WireModel
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION, organization_name

MAX_COUNTED = 1_000
"""How many open calls are counted at most: those that are due first. Each is read, at half a read unit."""


class PauseReport(WireModel):
    """Calls that were paused or resumed."""

    organization: OrganizationName | None = Field(None, description="absent for all calls")
    paused: bool
    changed: bool = Field(description="false when it was so already")
    version: int = Field(description="the version of the policy in force")
    in_force_everywhere_at: str | None = Field(None, description="absent when nothing has changed")
    in_progress: int = Field(description="calls that were dialled, and go on")
    waiting: int = Field(description="requests that wait; a pause doesn't stop the clock by which they expire")
    at_least: bool = Field(default=False, description="true when there are more open calls than were counted")
    still_paused: list[str] = Field(description="where the policy pauses calls, in words")
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Pausing:
    """Pauses and resumes the calls of a stack."""

    policies: Policies
    records: Records
    most: int = MAX_COUNTED

    def set_paused(self, paused: bool, organization: str | None, operator: str) -> PauseReport:
        """Pause or resume all calls, or those of an organization.

        Raises:
            NotAllowed: When the policy in force can't be read.
            InvalidInput: When no organization can have this name.
        """
        written = self.policies.set_paused(paused, organization, operator)
        in_force = self.policies.in_force()
        keys = [due.key for due in islice(self.records.due(page_size=self.most), self.most + 1)]
        more = len(keys) > self.most
        open_calls = Counter(
            open_status(attempt)
            for attempt in self.records.attempts(keys[: self.most], consistent=False, fields=OPEN_FIELDS)
            if is_open(attempt)
            and (organization is None or organization_name(attempt.key.request.organization) == organization)
        )
        return PauseReport(
            organization=organization,
            paused=paused,
            changed=written is not None,
            version=written.version if written else in_force.version,
            in_force_everywhere_at=written.in_force_everywhere_at if written else None,
            in_progress=open_calls[Status.DISPATCHING] + open_calls[Status.CALLING],
            waiting=open_calls[Status.SCHEDULED],
            at_least=more,
            still_paused=in_force.paused,
            warnings=_warnings(in_force, organization) if not (open_calls or more) else [],
        )


def _warnings(policy: PolicyInForce, organization: str | None) -> list[str]:
    """A name that is written wrong pauses no one."""
    if organization is None or organization == DEFAULT_ORGANIZATION:
        return []
    part = (policy.document.organizations or {}).get(organization)
    if part and part.wire().keys() - {"paused"}:
        return []
    return [f"the policy says nothing else of an organization {organization}, and it has no calls: is this its name?"]
