"""The calling policy of a stack: the document in force and its versions, setting another one, pausing and resuming."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pydantic import Field

from calls.operations.holiday_dates import with_holiday_dates
from calls.operations.policy_changes import PolicyChanges, policy_changes
from calls.operations.policy_files import DOCUMENTED_ENDED_REASONS, PolicyCheck, check_policy
from calls.operations.resolving import NotAllowed
from outbound_calls.adapters.policy_table import PolicyChanged, PolicyTable, StoredVersion
from outbound_calls.contracts.policy import CallingPolicy, StoredPolicy, read_policy, read_stored_policy
from outbound_calls.contracts.wire import InvalidInput, WireModel
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION
from outbound_calls.domain.timing import utc_text
from outbound_calls.policy.rules import read_stored, resolve
from outbound_calls.use_cases.keep import IN_FORCE_SECONDS

_MAX_REPEATS = 10
_NO_DOCUMENT = "{}"


class PolicyVersion(WireModel):
    """A version of the document: its number (0 where none was ever set), when it was set, and the operator's name."""

    version: int
    set_at: str | None = None
    set_by: str | None = None
    preset: str = Field(description="the preset that it is based on")
    paused: list[str] = Field(description="where it pauses calls, in words")


class PolicyInForce(PolicyVersion):
    """The document in force, as a person writes it."""

    document: CallingPolicy
    holidays_until: str | None = Field(None, description="the first date after which a calendar's holidays are unknown")


class PolicyHistory(WireModel):
    """Every version, the newest first."""

    versions: list[PolicyVersion]


class Proposal(WireModel):
    """A document that could replace the one in force."""

    replaces: int = Field(description="the version in force")
    changes: PolicyChanges
    warnings: list[str]


class PolicySet(WireModel):
    """A version that was set."""

    version: int
    set_at: str
    set_by: str
    in_force_everywhere_at: str
    changes: PolicyChanges


class InvalidPolicy(Exception):
    """A document that breaks a rule."""

    def __init__(self, check: PolicyCheck) -> None:
        super().__init__("the policy isn't valid")
        self.check = check


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of one stack. `default_preset` is its parameter `CallingPolicy`; `clock` is epoch seconds."""

    table: PolicyTable
    default_preset: str
    clock: Callable[[], float] = time.time
    ended_reasons: Callable[[str | None, float], Iterable[str]] = lambda _organization, _now: ()
    """Why calls of an organization ended lately, by AlloMia's words."""

    def in_force(self, number: int | None = None) -> PolicyInForce:
        """The document in force, or an earlier version.

        Raises:
            NotAllowed: When there is no such version, or it can't be read.
        """
        version = self.table.policy()
        if number is not None:
            version = next((each for each in self.table.policy_history() if each.number == number), None)
            if version is None:
                raise NotAllowed(f"there is no version {number} of the policy")
        stored = _read(version)
        until = min((dates.until for dates in (stored.holiday_dates or {}).values()), default=None)
        return PolicyInForce(
            **dict(self._described(version, stored)),
            document=CallingPolicy.model_validate(_document(stored)),
            holidays_until=until,
        )

    def organizations(self) -> list[str | None]:
        """The default organization (None), and those that the document in force names.

        Raises:
            NotAllowed: When it can't be read.
        """
        named = {*(_read(self.table.policy()).organizations or {})} - {DEFAULT_ORGANIZATION}
        return [None, *sorted(named)]

    def time_zone(self, organization: str | None) -> str | None:
        """The time zone of an organization by the document in force; None where neither it nor its preset names one.

        Raises:
            NotAllowed: When the document can't be read.
        """
        stored = read_stored(_text(_read(self.table.policy())))
        return resolve(stored, self.default_preset, organization).time_zone

    def history(self) -> PolicyHistory:
        """Every version that was set.

        Raises:
            NotAllowed: When one can't be read.
        """
        return PolicyHistory(
            versions=[self._described(version, _read(version)) for version in self.table.policy_history()]
        )

    def propose(self, text: bytes, seen: int | None = None) -> tuple[Proposal, StoredPolicy]:
        """What a document that a person wrote would change. `seen` is the version that it was made from.

        Raises:
            InvalidPolicy: When it breaks a rule.
            NotAllowed: When another version than `seen` is in force, or that can't be read.
        """
        check = check_policy(text, self._today(), self.default_preset, self._seen_ended_reasons(text))
        if not check.valid:
            raise InvalidPolicy(check)
        version = self.table.policy()
        replaces = version.number if version else 0
        if seen not in {None, replaces}:
            raise NotAllowed(f"version {replaces} is in force, not {seen}: look at it, and make your change again")
        stored = with_holiday_dates(read_policy(text), self._today())
        changes = self._changes(_read(version), stored)
        return Proposal(replaces=replaces, changes=changes, warnings=check.warnings), stored

    def set(self, proposal: Proposal, stored: StoredPolicy, set_by: str) -> PolicySet:
        """Put a document in force.

        Raises:
            NotAllowed: When another version was set since it was proposed.
        """
        try:
            version = self.table.set_policy(_text(stored), set_by, self.clock(), proposal.replaces)
        except PolicyChanged:
            words = f"version {proposal.replaces} isn't in force any more: someone else set another one meanwhile"
            raise NotAllowed(words) from None
        return self._set(version, proposal.changes)

    def set_paused(self, paused: bool, organization: str | None, set_by: str) -> PolicySet | None:
        """Pause or resume all calls, or those of an organization; None when it says so already.

        A change that someone else makes at once stays: this one is made again on top of it.

        Raises:
            NotAllowed: When the document in force can't be read.
            InvalidInput: When no organization can have this name.
        """
        for _ in range(_MAX_REPEATS):
            version = self.table.policy()
            before = _read(version)
            after = _with_paused(before, paused, organization)
            if after == before:
                return None
            replaces = version.number if version else 0
            proposal = Proposal(replaces=replaces, changes=self._changes(before, after), warnings=[])
            try:
                version = self.table.set_policy(_text(after), set_by, self.clock(), replaces)
            except PolicyChanged:
                continue
            return self._set(version, proposal.changes)
        raise NotAllowed("others change the policy at the same time: run the command again")

    def _seen_ended_reasons(self, text: bytes) -> Iterator[str]:
        """Read only if a valid document names any."""
        yield from DOCUMENTED_ENDED_REASONS
        for organization in (None, *(read_policy(text).organizations or {})):
            yield from self.ended_reasons(organization, self.clock())

    def _set(self, version: StoredVersion, changes: PolicyChanges) -> PolicySet:
        return PolicySet(
            version=version.number,
            set_at=utc_text(version.set_at),
            set_by=version.set_by,
            in_force_everywhere_at=utc_text(version.set_at + IN_FORCE_SECONDS),
            changes=changes,
        )

    def _described(self, version: StoredVersion | None, stored: StoredPolicy) -> PolicyVersion:
        return PolicyVersion(
            version=version.number if version else 0,
            set_at=utc_text(version.set_at) if version else None,
            set_by=version.set_by if version else None,
            preset=stored.based_on or self.default_preset,
            paused=list(pauses(stored)),
        )

    def _changes(self, before: StoredPolicy, after: StoredPolicy) -> PolicyChanges:
        return policy_changes(read_stored(_text(before)), read_stored(_text(after)), self.default_preset, self._today())

    def _today(self) -> date:
        return datetime.fromtimestamp(self.clock(), UTC).date()


def pauses(policy: CallingPolicy) -> Iterator[str]:
    """Where a document pauses calls, in words."""
    if policy.paused:
        yield "all calls"
    for purpose, part in (policy.purposes or {}).items():
        if part.paused:
            yield f"purpose {purpose}"
    for organization, own in (policy.organizations or {}).items():
        if own.paused:
            yield f"organization {organization}"
        for purpose, part in (own.purposes or {}).items():
            if part.paused:
                yield f"organization {organization}, purpose {purpose}"


def _read(version: StoredVersion | None) -> StoredPolicy:
    try:
        return read_stored_policy(version.text if version else _NO_DOCUMENT)
    except InvalidInput as error:
        words = f"version {version.number if version else 0} of the policy can't be read by this command: {error}"
        raise NotAllowed(words) from None


def _text(stored: StoredPolicy) -> str:
    return json.dumps(stored.wire(), ensure_ascii=False)


def _document(stored: StoredPolicy) -> dict[str, object]:
    """What a person wrote of a stored document."""
    return {name: value for name, value in stored.wire().items() if name != "holidayDates"}


def _with_paused(stored: StoredPolicy, paused: bool, organization: str | None) -> StoredPolicy:
    document = stored.wire()
    part = document
    if organization:
        parts = document.setdefault("organizations", {})
        if not paused and organization not in parts:
            return stored
        part = parts.setdefault(organization, {})
    if part.get("paused", False) is not paused:
        part["paused"] = paused
    return read_stored_policy(json.dumps(document, ensure_ascii=False))
