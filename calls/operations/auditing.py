"""What allowed each dial, for an auditor: no personal data, only the request's id, times, zones and the policy."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import Field

from calls.operations.calling_policy import Policies
from calls.operations.dial_rules import DialRule, DialRules
from calls.operations.records import Counted, FoundAttempt, Records, report_of
from calls.operations.requests_file import UnreadableFile
from outbound_calls.adapters.organizations import Organizations
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.status_api import PossibleZone
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.timing import utc_text

COLUMNS = (
    "organization",
    "requestId",
    "attempt",
    "dispatchedAt",
    "recipientTime",
    "zoneSource",
    "zoneData",
    "policyVersion",
    "preset",
    "window",
    "caps",
    "windowUnknown",
    "status",
)
"""The columns of a CSV file."""


class AuditedDial(WireModel):
    """A dial, and what allowed it."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    dispatched_at: str = Field(description="when AlloMia was asked for the call, UTC")
    zones: list[PossibleZone] = Field(
        description="what the recipient's clock showed then, in each zone that they may be in; empty where no rule "
        "needed one"
    )
    zone_source: str | None = Field(None, description="where the zones come from: the request, the number, the policy")
    zone_data: str | None = Field(None, description="the version of the time-zone data")
    policy_version: int | None = Field(
        None, description="0 where none was set but a preset; absent for a dial from before there was a policy"
    )
    preset: str | None = None
    window: str | None = Field(
        None,
        description="the policy's calling window that was open, with its days; or always. A request may have narrowed "
        "it: its own windows aren't kept",
    )
    caps: list[str] = Field(default_factory=list, description="the recipient caps in force, all of which held")
    window_unknown: str | None = Field(None, description="why the window isn't known")
    status: Status


class Audit(WireModel):
    """Every dial of a time."""

    since: str
    until: str
    organizations: list[str] = Field(default_factory=list, description="whose dials were read")
    incomplete: str | None = Field(None, description="why organizations may be missing")
    dials: list[AuditedDial]
    records_read: int
    exported_to: str | None = None


@dataclass(frozen=True, slots=True)
class Auditing:
    """Audits the dials of a stack."""

    records: Records
    keys: Organizations
    policies: Policies

    def organizations(self) -> tuple[list[str | None], str | None]:
        """All that the secret of keys or the policy names, and the default one; and why one of them may be missing."""
        named = {name for name in self.policies.organizations() if name}
        incomplete = None
        try:
            content = self.keys.in_secret()
            named |= {name for name in content.organizations if name}
        except SecretUnusable as error:
            incomplete = f"AlloMia keys: {error}. Only the organizations that the policy names were read"
        return [None, *sorted(named)], incomplete

    def audit(self, organizations: Iterable[str | None], since: float, until: float, now: float) -> Audit:
        """The dials from `since` to before `until` (epoch seconds), in their order, whatever happened to them since.

        From the indexes of what ended and of what is open. A dial may have ended long after it was made, so the former
        is read up to now. Nothing is kept in memory but the dials of that time.
        """
        wanted, counted, rules = list(organizations), Counted(), DialRules(self.policies)
        dials: dict[AttemptKey, AuditedDial] = {}
        open_now = (each for each in self.records.open_now() if each.key.request.organization in wanted)
        ended = (self.records.table.ended(organization, since, now) for organization in wanted)
        for attempt in counted.all(chain(open_now, *ended)):
            if attempt.dispatched_at is not None and since <= attempt.dispatched_at < until:
                dials[attempt.key] = _audited(report_of(attempt), rules.of(attempt))
        return Audit(
            since=utc_text(int(since)),
            until=utc_text(int(until)),
            dials=sorted(dials.values(), key=lambda each: (each.dispatched_at, each.request_id, each.attempt)),
            records_read=counted.read,
        )


def _audited(attempt: FoundAttempt, rule: DialRule) -> AuditedDial:
    allowed = attempt.allowed_by
    return AuditedDial(
        organization=attempt.organization,
        request_id=attempt.request_id,
        attempt=attempt.attempt,
        dispatched_at=str(attempt.dispatched_at),
        zones=allowed.zones if allowed else [],
        zone_source=allowed.zone_source if allowed else None,
        zone_data=allowed.zone_data if allowed else None,
        policy_version=allowed.policy_version if allowed else None,
        preset=allowed.preset if allowed else None,
        window=rule.window,
        caps=list(rule.caps),
        window_unknown=rule.window_unknown,
        status=attempt.status,
    )


def export(audit: Audit, path: Path) -> None:
    """Write an audit to a new file: .csv or .json.

    Raises:
        UnreadableFile: When its name ends in neither.
        OSError: When it exists, or can't be written.
    """
    writers = {".csv": _csv, ".json": _json}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UnreadableFile(f"the file name must end in one of {', '.join(writers)}")
    text = writer(audit.dials)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _json(dials: Iterable[AuditedDial]) -> str:
    return json.dumps([each.wire() for each in dials], indent=2)


def _csv(dials: Iterable[AuditedDial]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for dial in dials:
        zones = [" ".join(filter(None, [zone.local_time, zone.time_zone])) for zone in dial.zones]
        writer.writerow(dial.wire() | {"recipientTime": "; ".join(zones), "caps": "; ".join(dial.caps)})
    return text.getvalue()
