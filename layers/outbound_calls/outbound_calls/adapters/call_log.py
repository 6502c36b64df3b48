"""AlloMia's call log and its records of calls, over the same client as its other answers.

A module of its own, so that a function that doesn't look at the log doesn't load its models. Source: docs.allomia.com,
call API. An answer is a `LogPage` or a `CallRecord`, or `StatusUnavailable` when nothing was learned.
"""

from dataclasses import dataclass

from outbound_calls.adapters.allomia import UNREADABLE, AllomiaClient, StatusUnavailable
from outbound_calls.adapters.organizations import Organization
from outbound_calls.contracts.call_log import CallRecord, LogPage, read_call_record, read_log_page
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.timing import utc_text

MAX_PAGE_ENTRIES = 50
"""AlloMia's own limit."""


@dataclass(eq=False, slots=True)
class CallLog:
    """Reads the call log. Never raises for what AlloMia or the network does."""

    allomia: AllomiaClient

    def calls_page(
        self, organization: Organization, since: int, until: int, page: int = 1, limit: int = MAX_PAGE_ENTRIES
    ) -> LogPage | StatusUnavailable:
        """GET /api/calls: one page of an organization's outbound calls, the oldest first.

        Args:
            organization: Has its id, which AlloMia wants even with the organization's own key.
            since: Epoch seconds.
            until: Epoch seconds.
            page: From 1.
            limit: How many calls a page has at most.
        """
        content = self.allomia.fetch(
            organization,
            "/api/calls",
            {
                "organizationId": organization.organization_id or "",
                "callType": "Outbound",
                "from": utc_text(since),
                "to": utc_text(until),
                "sort": "asc",
                "page": str(page),
                "limit": str(limit),
            },
        )
        if isinstance(content, StatusUnavailable):
            return content
        try:
            return read_log_page(content)
        except InvalidInput:
            return StatusUnavailable(UNREADABLE)

    def call_record(self, organization: Organization, log_id: str) -> CallRecord | StatusUnavailable:
        """GET /api/calls/{id}: what AlloMia knows of a call, by its id in the call log."""
        content = self.allomia.fetch(organization, f"/api/calls/{log_id}")
        if isinstance(content, StatusUnavailable):
            return content
        try:
            record = read_call_record(content)
        except InvalidInput:
            return StatusUnavailable(UNREADABLE)
        return record if record.id in {None, log_id} else StatusUnavailable(UNREADABLE)
