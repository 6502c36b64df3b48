"""Policy documents as files: whether one is valid, and what it may not mean as its author expects."""

import json
from collections.abc import Iterable, Iterator
from datetime import date

from calls.operations.holiday_dates import holiday_errors, with_holiday_dates
from outbound_calls.contracts.policy import CallingPolicy, parts, policy_errors, read_policy
from outbound_calls.contracts.wire import InvalidInput, WireModel
from outbound_calls.policy.rules import read_stored, resolve

DOCUMENTED_ENDED_REASONS = frozenset({"customer-ended-call"})
"""The only `endedReason` that AlloMia documents."""


class FieldError(WireModel):
    """A field, by its path, and the rule that it breaks."""

    field: str
    rule: str


class PolicyCheck(WireModel):
    """Whether a document is valid."""

    valid: bool
    errors: list[FieldError]
    warnings: list[str]


def check_policy(
    text: bytes, today: date, default_preset: str, seen_ended_reasons: Iterable[str] = DOCUMENTED_ENDED_REASONS
) -> PolicyCheck:
    """Check a document that a person wrote, holidays included.

    `seen_ended_reasons` are those that calls are known to have ended with, looked at only if the document names any.
    `default_preset` is the one that the stack uses where the document names none.
    """
    errors = policy_errors(text)
    if not errors:
        errors = list(holiday_errors(read_policy(text), today))
    if not errors:
        try:
            with_holiday_dates(read_policy(text), today)
        except InvalidInput as error:
            errors = [error]
    if errors:
        return PolicyCheck(valid=False, errors=list(map(_field_error, errors)), warnings=[])
    policy = read_policy(text)
    warnings = [*_ended_reasons(policy, seen_ended_reasons), *_limits(policy, today, default_preset)]
    return PolicyCheck(valid=True, errors=[], warnings=warnings)


def _field_error(error: InvalidInput) -> FieldError:
    return FieldError(field=error.field, rule=error.rule)


def _ended_reasons(policy: CallingPolicy, seen: Iterable[str]) -> Iterator[str]:
    named = {reason for part in parts(policy) if part.redial for reason in part.redial.on_ended_reasons or {}}
    # Where none is named, those that were seen aren't looked up.
    for reason in sorted(named.difference(seen) if named else ()):
        yield (
            f"no call has ended with {reason!r} yet, so its redial may never happen: "
            f"AlloMia documents only {', '.join(sorted(DOCUMENTED_ENDED_REASONS))}"
        )


def _limits(policy: CallingPolicy, today: date, default_preset: str) -> Iterator[str]:
    """What the whole document means for each organization."""
    stored = with_holiday_dates(policy, today)
    for organization in (None, *(policy.organizations or {})):
        rules = resolve(read_stored(json.dumps(stored.wire())), default_preset, organization)
        where = f"organization {organization}: " if organization else ""
        if rules.time_zone is None and rules.read_clocks:
            yield f"{where}without timeZone, toll-free numbers are rejected (no-calling-window)"
    for part in parts(policy):
        ceiling = part.max_attempts_ceiling
        if part.redial and ceiling and part.redial.max_attempts > ceiling:
            yield f"redial.maxAttempts {part.redial.max_attempts} is limited by maxAttemptsCeiling {ceiling}"
