"""The calling policies of the scenarios: each as the document that the stack reads, and as what it means.

What it means is written here again, so that a mistake in the code that reads a policy can't hide itself.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

REDIALLED = ("busy", "no-answer")
"""The outcomes after which a policy that redials does so."""


class Policy(NamedTuple):
    """A policy. Times are epoch seconds."""

    name: str
    readable: bool = True
    paused: bool = False
    window: tuple[int, int] | None = None
    """The minutes of each day at which people may be rung; None: always."""

    cap_seconds: int = 0
    """Within this time a number is dialled once; 0: there is no cap."""

    when_capped: str = "wait"
    redial_seconds: int = 0
    """How long after an outcome in `REDIALLED` another attempt follows; 0: none does."""

    max_attempts: int = 1
    lines: int = 0
    """How many calls may be in progress at once; 0: as many as come."""

    expire_after_seconds: int = 24 * 3600

    @property
    def document(self) -> str:
        """The document as the stack keeps it."""
        if not self.readable:
            return "not a policy"
        says: dict[str, Any] = {"basedOn": "open", "expireAfterSeconds": self.expire_after_seconds}
        if self.paused:
            says["paused"] = True
        if self.window:
            times = [f"{minute // 60:02}:{minute % 60:02}" for minute in self.window]
            days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
            says["callingWindows"] = [{"days": days, "from": times[0], "to": times[1]}]
        if self.cap_seconds:
            says["recipientCaps"] = [{"calls": 1, "perSeconds": self.cap_seconds}]
            says["whenCapped"] = self.when_capped
        if self.lines:
            says["maxConcurrentCalls"] = self.lines
        if self.redial_seconds:
            delays = {status: [self.redial_seconds] for status in REDIALLED}
            says["redial"] = {"on": delays, "maxAttempts": self.max_attempts}
        return json.dumps(says, sort_keys=True)

    def item(self, version: int, since: int = 0, *, limited_since: int = 0) -> dict[str, Any]:
        """The item of the policy table while this policy is in force.

        `limited_since`: since when there is a limit of lines, where there was none at the start.
        """
        limited = {"limitedSince": {"M": {"*": {"N": str(limited_since)}}}} if limited_since else {}
        return limited | {
            "subject": {"S": "policy"},
            "entry": {"S": "current"},
            "version": {"N": str(version)},
            "document": {"S": self.document},
            "setAt": {"N": str(since)},
            "setBy": {"S": "someone"},
        }

    def allows(self, at: int) -> bool:
        """Whether a person might be rung then."""
        if not self.readable or self.paused:
            return False
        if self.window is None:
            return True
        opens, closes = (minute * 60 for minute in self.window)
        return opens <= at % 86_400 < closes

    def follows(self, status: str, attempt: int) -> bool:
        """Whether another attempt follows one that ended like this."""
        return bool(self.redial_seconds) and status in REDIALLED and attempt < self.max_attempts
