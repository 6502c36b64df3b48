"""What must hold after every step, and at the end, of every schedule.

Written from the design and independent of the layer, so that a mistake in the layer's own tables can't hide itself.
"""

from __future__ import annotations

import functools
import json
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tests.proof.explorer.allomia import OTHER_ID, OWN_ID, call_id, log_id

ROOT = Path(__file__).resolve().parents[3]

GRACE_SECONDS, DEADLINE_SECONDS = 10, 15
"""Short, so that a call needs few polls. They change nothing but the number of steps."""

EXPIRE_AFTER_SECONDS = 24 * 3600
MAX_DECISION_AGE_SECONDS = 5

ALLOMIA_OUTCOMES = frozenset({"completed", "failed", "busy", "no-answer"})
TERMINAL = ALLOMIA_OUTCOMES | {"rejected", "cancelled", "unknown"}
NOT_IN_FINISHED_RECORDS = (
    "request",
    "dueShard",
    "dueAt",
    "pollDelay",
    "claimId",
    "numberHash",
    "parkReason",
    "postResult",
    "refusal",
    "waitsFor",
    "waitsSince",
    "terms",
    "expiry",
    "policyVersion",
    "redial",
    "redialAt",
    "soughtSince",
)
_FOR_A_REDIAL = ("request", "dueShard", "dueAt", "pollDelay", "terms", "redial", "redialAt")
_AROUND_AN_OUTCOME = {*_FOR_A_REDIAL, "expiresAt", "nextAttempt", "cancelRequestedAt"}
_WAITS_FOR_POLICY = {
    "paused",
    "outside-calling-window",
    "recipient-cap",
    "concurrency-limit",
    "policy-unreadable",
}
"""No backoff: another policy, or a line that is free, lets these go on at once."""

type Key = tuple[str, int]
"""A request's id and an attempt number."""


class Guarantee(StrEnum):
    """The guarantees, by the names under which the output reports them."""

    ONE_DIAL = "one dial"
    CLAIMED_BEFORE_DIALLED = "claimed before dialled"
    CLAIM_GIVEN_BACK = "claim given back"
    FRESH_DECISION = "fresh decision"
    ALLOWED = "allowed"
    NOT_AFTER_A_STOP = "not after a stop"
    CAP = "cap"
    LINES = "lines"
    LINE_FREED = "line freed"
    LINE_USED = "line used"
    IN_LINE = "in line"
    REDIAL = "redial"
    ONE_END = "one end"
    BACKOFF = "backoff"
    EXPIRY = "expiry"
    OUTCOME_STAYS = "outcome stays"
    TRUE_OUTCOME = "true outcome"
    ARMED = "armed"
    NOTHING_KEPT = "nothing kept"
    DEADLINE = "deadline"
    ONE_LEASE = "one lease"
    ACKNOWLEDGED_WHEN_RECORDED = "acknowledged when recorded"
    OWN_FAULTS_ONLY = "own faults only"
    TRUE_REPORT = "true report"
    RIGHT_END = "right end"
    AN_END = "an end"


class GuaranteeBroken(Exception):
    """A guarantee doesn't hold. `detail` says how."""

    def __init__(self, guarantee: Guarantee, detail: str) -> None:
        super().__init__(f"{guarantee}: {detail}")
        self.guarantee = guarantee
        self.detail = detail


class Facts(NamedTuple):
    """What is true of an attempt, whatever its record says."""

    dials: int = 0
    """POSTs that AlloMia accepted."""

    refused: bool = False
    """Whether AlloMia refused one."""

    called_all_the_same: bool = False
    """Whether it called although it refused."""

    answer: str = ""
    """What AlloMia's last answer to a POST means."""

    reported: tuple[str, ...] = ()
    """The outcomes that AlloMia has reported, by webhook, in a status answer or in the answer to the POST."""

    in_log: bool = False
    """Whether the call log has shown that the person was spoken to."""

    found: tuple[str, ...] = ()
    """What operators found out about it and recorded."""

    webhooks_left: int = 0
    """How many webhooks AlloMia may still send."""

    expires_after: int = EXPIRE_AFTER_SECONDS
    rung_at: int = 0
    """When AlloMia accepted its last POST; 0 where no cap counts it."""

    events: tuple[str, ...] = ()
    """What was published: each status, and whether it was final."""

    parked_until: int = 0
    """Before this time it must not be dialled: it was parked, or AlloMia sent `Retry-After`."""


@functools.lru_cache(200_000)
def plain(item: str) -> dict[str, Any]:
    """An item without DynamoDB's types; numbers as int."""
    return {name: _plain(value) for name, value in json.loads(item).items()} if item else {}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content)
        case "L":
            return [_plain(each) for each in content]
        case "M":
            return {name: _plain(each) for name, each in content.items()}
        case _:
            return content


def status_of(item: str) -> str:
    return str(plain(item).get("status", ""))


def parked_until(old_item: str, item: str, old_until: int) -> int:
    """Until when an attempt must not be dialled, after its record changed. A lease moves the due time, and not this."""
    before, after = plain(old_item), plain(item)
    if not before and after.get("parkReason") == "redial":
        return int(after["createdAt"])
    if after.get("parkReason") in _WAITS_FOR_POLICY:
        return 0
    if after.get("status") != "scheduled":
        return old_until if before.get("status") == after.get("status") == "dispatching" else 0
    return int(after["dueAt"]) if before.get("timesParked", 0) != after["timesParked"] else old_until


@functools.lru_cache(200_000)
def check_attempt(key: Key, old_item: str, item: str, old: Facts, facts: Facts, now: int) -> None:
    """Check one attempt after a step, given its record and facts before and after it."""
    name = f"{key[0]}/{key[1]}"
    old_status, status = status_of(old_item), status_of(item)
    if facts.dials > 1:
        raise GuaranteeBroken(Guarantee.ONE_DIAL, f"AlloMia accepted {facts.dials} POSTs for {name}")
    if old_item and not item:
        raise GuaranteeBroken(Guarantee.OUTCOME_STAYS, f"the record of {name} is gone")
    if old_status in TERMINAL and item != old_item and not _may_be_replaced(plain(old_item), plain(item)):
        raise GuaranteeBroken(Guarantee.OUTCOME_STAYS, f"{name} was {old_status} and its record changed to {status}")
    by_hand = status != old_status and plain(item).get("outcomeSource") == "operator"
    cancelled = status == "cancelled" and old_status in {"", "scheduled"}
    asked = cancelled or (status == "cancelled" and "cancelRequestedAt" in plain(old_item))
    if by_hand and not asked and old_status != "unknown":
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} was {old_status}, and an operator made it {status}")
    if item:
        _check_left(name, status, plain(item))
        _check_parking(name, old_status, status, old, facts, now)
        _check_truth(name, status, plain(item), facts, call_id(*key, 1))
        _check_entry(name, key, plain(item))


def _may_be_replaced(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether what has ended may change like this.

    `unknown` gives way to a real outcome, and what says that no one was called, or that another attempt will follow, to
    AlloMia's signed word. Beside that, only what follows an outcome changes, and how long it is kept.
    """
    if _outcome(new) == _outcome(old):
        stays_marked = "cancelRequestedAt" in new or "cancelRequestedAt" not in old
        return bool(stays_marked and new.get("expiresAt", old.get("expiresAt", 0)) >= old.get("expiresAt", 0))
    not_called = old["status"] in {"rejected", "cancelled"}
    by_webhook = new["outcomeSource"] == "webhook"
    is_better = not_called or ("redialAt" in old and new["status"] == "completed")
    return new["status"] in ALLOMIA_OUTCOMES and (old["status"] == "unknown" or (is_better and by_webhook))


def _outcome(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in _AROUND_AN_OUTCOME}


def check_post(key: Key, item: str, facts: Facts) -> None:
    """Check that an attempt may be dialled, given its record.

    A webhook may come between a claim and its POST only where AlloMia called although it had refused.
    """
    name, status = f"{key[0]}/{key[1]}", status_of(item)
    if not item:
        raise GuaranteeBroken(Guarantee.CLAIMED_BEFORE_DIALLED, f"{name} was dialled without a record")
    if status in TERMINAL - {"unknown"} and not facts.called_all_the_same:
        raise GuaranteeBroken(Guarantee.ONE_DIAL, f"{name} was dialled after it had ended as {status}")


def _check_left(name: str, status: str, item: dict[str, Any]) -> None:
    """Check that a finished record keeps nothing, and that an open one has all it needs to go on."""
    if "redialAt" in item:
        if status not in {"busy", "no-answer", "failed", "completed"}:
            raise GuaranteeBroken(Guarantee.ONE_DIAL, f"{name} is {status}, and is to be dialled again")
        if "expiresAt" in item or item.get("dueAt") != item["redialAt"] or "dueShard" not in item:
            raise GuaranteeBroken(Guarantee.ARMED, f"the redial of {name} doesn't come due")
    if status in TERMINAL:
        kept = _FOR_A_REDIAL if "redialAt" in item else ()
        if left := [field for field in NOT_IN_FINISHED_RECORDS if field in item and field not in kept]:
            raise GuaranteeBroken(Guarantee.NOTHING_KEPT, f"{name} is {status} and keeps {', '.join(left)}")
        if "redialAt" in item and "request" not in item:
            raise GuaranteeBroken(Guarantee.ARMED, f"{name} is to be dialled again and its request is gone")
        return
    if "expiresAt" in item:
        raise GuaranteeBroken(Guarantee.ARMED, f"{name} is {status}, and its record will be deleted")
    if "dueShard" not in item or "dueAt" not in item:
        raise GuaranteeBroken(Guarantee.ARMED, f"{name} is {status} and not in the index of due attempts")
    if status != "calling" and "request" not in item:
        raise GuaranteeBroken(Guarantee.ARMED, f"{name} is {status} and its request is gone")


def _check_parking(name: str, old_status: str, status: str, old: Facts, facts: Facts, now: int) -> None:
    if old_status == "scheduled" and status == "dispatching" and now < old.parked_until:
        early = old.parked_until - now
        raise GuaranteeBroken(Guarantee.BACKOFF, f"{name} is to be dialled {early} s before its backoff has passed")
    if status == "scheduled" and 0 < facts.parked_until < old.parked_until:
        raise GuaranteeBroken(Guarantee.BACKOFF, f"{name} is parked for less time than it had to wait")


def _check_entry(name: str, key: Key, item: dict[str, Any]) -> None:
    """Check that an entry of the call log is this attempt's, where one is taken for it."""
    entry = item.get("callLogId")
    if entry is not None and entry not in {log_id(key, OWN_ID), log_id(key, OTHER_ID)}:
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} has the entry {entry}, which is another call's")


def _check_truth(name: str, status: str, item: dict[str, Any], facts: Facts, its_call: str) -> None:
    names_call = item.get("outboundCallId") == its_call
    reported = facts.reported
    if item.get("outcomeSource") == "call-log":
        names_call = "callLogId" in item and item.get("outboundCallId") in {None, its_call}
        reported = (*reported, "completed") if facts.in_log else reported
    if status == "failed" and facts.answer == "failed without an id":
        names_call = item.get("outboundCallId") in {None, its_call}
    if item.get("outcomeSource") == "operator":
        if status not in facts.found:
            raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is {status}, which no operator found")
    elif status in ALLOMIA_OUTCOMES and (status not in reported or not names_call):
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is {status}, which AlloMia did not report for it")
    if status == "calling" and (not facts.dials or not names_call):
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is calling, and AlloMia has no such call")
    if status == "rejected":
        _check_rejection(name, item, facts)
    if status == "cancelled" and facts.dials:
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is cancelled, and AlloMia called")
    if status == "scheduled" and facts.dials:
        raise GuaranteeBroken(Guarantee.ONE_DIAL, f"{name} waits to be dialled, and AlloMia has called already")
    if ("parkReason" in item) != (status == "scheduled"):
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is {status}, parkReason: {item.get('parkReason')}")
    if status == "unknown" and item["recordedAt"] < item["dispatchedAt"] + DEADLINE_SECONDS:
        raise GuaranteeBroken(Guarantee.DEADLINE, f"{name} was given up before its deadline")


def _check_rejection(name: str, item: dict[str, Any], facts: Facts) -> None:
    code = item.get("reasonCode")
    if facts.dials:
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is rejected, and AlloMia called")
    if code == "refused-by-allomia" and not facts.refused:
        raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{name} is rejected as {code}, and AlloMia did not decline it")
    if code == "expired" and item["recordedAt"] <= item.get("notAfter", item["createdAt"] + facts.expires_after):
        raise GuaranteeBroken(Guarantee.EXPIRY, f"{name} is rejected as {code} within its time")


@functools.cache
def _stream_filters() -> tuple[dict[str, Any], ...]:
    """What the template lets through of the table's stream: to publish_outcome, and to release_lines."""
    texts = [each for each in (ROOT / "template.yaml").read_text().splitlines() if '"NewImage"' in each]
    return tuple(json.loads(text)["dynamodb"]["NewImage"] for text in texts)


def _passes(content: dict[str, Any], reader: int) -> bool:
    return all(_matches(content.get(name), pattern) for name, pattern in _stream_filters()[reader].items())


def _matches(value: dict[str, Any] | None, pattern: dict[str, Any]) -> bool:
    ((kind, allowed),) = pattern.items()
    if allowed in ([{"exists": False}], [{"exists": True}]):
        return (value is not None and kind in value) is allowed[0]["exists"]
    return value is not None and value.get(kind) in allowed


@functools.lru_cache(200_000)
def frees_line(item: str) -> tuple[str, int, str, str] | None:
    """What release_lines learns when a record has become this: its key, its claim and its status. None: nothing."""
    content = json.loads(item) if item else {}
    if not content or not _passes(content, 1):
        return None
    values = plain(item)
    return values["requestId"], values["attempt"], values["line"], values["status"]


@functools.lru_cache(200_000)
def event(item: str) -> str:
    """What is published when a record has become this; empty: nothing is."""
    # The mutants are imported after this module.
    from outbound_calls.adapters.attempt_items import attempt_from_item
    from outbound_calls.adapters.dynamodb import from_dynamodb
    from outbound_calls.use_cases.publish import is_published, outcome_event

    content = json.loads(item)
    if not _passes(content, 0):
        return ""
    attempt = attempt_from_item(from_dynamodb(content))
    if not is_published(attempt):
        return ""
    published = outcome_event(attempt)
    return f"{published.status}{', final' if published.final else ''}"


def check_end(
    key: Key, item: str, facts: Facts, *, faultless: bool, healthy: bool, in_time: bool, called_off: bool
) -> None:
    """Check an attempt at the end of a schedule, when nothing is left that would move it on.

    `faultless`: no part of this stack was killed or out of reach. `healthy`: nothing went wrong at all. `in_time`: no
    worker was slower than the deadline. `called_off`: someone asked that it isn't dialled, or the person answered
    meanwhile.
    """
    name, status = f"{key[0]}/{key[1]}", status_of(item)
    expired = status == "rejected" and plain(item).get("reasonCode") == "expired"
    if status not in TERMINAL:
        raise GuaranteeBroken(Guarantee.AN_END, f"{name} stays {status or 'without a record'}")
    if not faultless:
        return
    if facts.reported and status not in ALLOMIA_OUTCOMES:
        reported = ", ".join(facts.reported)
        raise GuaranteeBroken(Guarantee.RIGHT_END, f"AlloMia reported {reported}, and {name} ended as {status}")
    no_one_called = facts.answer in {"", "not accepted", "declined"} and not facts.called_all_the_same
    if in_time and status == "unknown" and no_one_called:
        detail = f"{name} ended as unknown, though it is certain that no one was called"
        raise GuaranteeBroken(Guarantee.RIGHT_END, detail)
    if healthy and facts.dials != 1 and not expired and not called_off:
        raise GuaranteeBroken(Guarantee.RIGHT_END, f"nothing went wrong, and {name} was not dialled")
