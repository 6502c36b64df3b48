"""What must hold at every step, and at the end, of every schedule."""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple

from tests.proof.explorer.allomia import call_id
from tests.proof.explorer.workers import DEADLINE

# Written down here anew, from the design: a mistake in the layer's own table must not hide itself.
ALLOMIA_OUTCOMES = frozenset({"completed", "failed", "busy", "no-answer"})
TERMINAL = ALLOMIA_OUTCOMES | {"rejected", "unknown"}
WORK_LEFT = ("request", "dueShard", "dueAt", "claimId")

type Key = tuple[str, int]


class Broken(Exception):
    """A promise was broken. `promise` names it, `words` say how."""

    def __init__(self, promise: str, words: str) -> None:
        super().__init__(f"{promise}: {words}")
        self.promise = promise
        self.words = words


class Facts(NamedTuple):
    """What AlloMia knows of an attempt, and what it has said."""

    dials: int = 0
    """POSTs it accepted."""

    answer: str = ""
    """What its last answer to a POST means."""

    words: tuple[str, ...] = ()
    """The outcomes it has named, over webhooks, polls or in answer to the POST."""

    hooks: int = 0
    """How many webhooks it may still send."""


@functools.lru_cache(200_000)
def plain(item: str) -> dict[str, Any]:
    """An item without DynamoDB's types; numbers as int."""
    return {name: _plain(value) for name, value in json.loads(item).items()} if item else {}


def _plain(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "N" else content


def status_of(item: str) -> str:
    return str(plain(item).get("status", ""))


@functools.lru_cache(200_000)
def check_attempt(key: Key, old_item: str, item: str, old: Facts, facts: Facts) -> None:
    """Hold one attempt's step, from its old record and facts to the new ones, against the promises."""
    name = f"{key[0]}/{key[1]}"
    before, now = plain(old_item), plain(item)
    was, status = status_of(old_item), status_of(item)
    if facts.dials > 1:
        raise Broken("one dial", f"AlloMia accepted {facts.dials} POSTs for {name}")
    if facts.dials > old.dials:
        if not was:
            raise Broken("claimed before dialled", f"{name} was dialled without a record")
        if was in TERMINAL - {"unknown"}:
            raise Broken("one dial", f"{name} was dialled after it had ended as {was}")
    if before and not now:
        raise Broken("outcome stays", f"the record of {name} is gone")
    if was in TERMINAL and item != old_item and not (was == "unknown" and status in ALLOMIA_OUTCOMES):
        raise Broken("outcome stays", f"{name} was {was} and its record changed to {status}")
    if status in TERMINAL:
        left = [field for field in WORK_LEFT if field in now]
        if left:
            raise Broken("nothing kept", f"{name} is {status} and keeps {', '.join(left)}")
    elif now:
        if "dueShard" not in now or "dueAt" not in now:
            raise Broken("armed", f"{name} is {status} and not in the due index")
        if status != "calling" and "request" not in now:
            raise Broken("armed", f"{name} is {status} and its request is gone")
    _check_truth(name, status, now, facts, call_id(*key, 1))


def _check_truth(name: str, status: str, now: dict[str, Any], facts: Facts, its_call: str) -> None:
    names_it = now.get("outboundCallId") == its_call
    if status == "failed" and facts.answer == "failed without an id":
        names_it = now.get("outboundCallId") in {None, its_call}
    if status in ALLOMIA_OUTCOMES and (status not in facts.words or not names_it):
        raise Broken("true outcome", f"{name} is {status}, which AlloMia did not say of it")
    if status == "calling" and (not facts.dials or now.get("outboundCallId") != its_call):
        raise Broken("true outcome", f"{name} is calling, and AlloMia has no such call")
    if status == "rejected" and facts.dials:
        raise Broken("true outcome", f"{name} is rejected, and AlloMia called")
    if status == "scheduled" and facts.dials:
        raise Broken("one dial", f"{name} waits to be dialled, and AlloMia has called already")
    if status == "unknown" and now["recordedAt"] < now["dispatchedAt"] + DEADLINE:
        raise Broken("deadline", f"{name} was given up before its deadline")


def check_end(key: Key, item: str, facts: Facts, *, faultless: bool, healthy: bool, in_time: bool) -> None:
    """Hold an attempt's end against the promises: nothing is left that would move it on.

    `faultless`: no part of this stack was killed or out of reach. `healthy`: nothing at all went wrong. `in_time`: no
    worker was slower than the deadline.
    """
    name, status = f"{key[0]}/{key[1]}", status_of(item)
    if status not in TERMINAL:
        raise Broken("an end", f"{name} stays {status or 'without a record'}")
    if not faultless:
        return
    if in_time and facts.answer == "refused" and status != "rejected":
        raise Broken("right end", f"AlloMia refused {name}, and it ended as {status}")
    if facts.words and status not in ALLOMIA_OUTCOMES:
        raise Broken("right end", f"AlloMia told of {', '.join(facts.words)}, and {name} ended as {status}")
    if in_time and status == "unknown" and facts.answer in {"", "not accepted"}:
        raise Broken("right end", f"{name} ended as unknown, though it is certain that nobody was called")
    if healthy and facts.dials != 1:
        raise Broken("right end", f"nothing went wrong, and {name} was not dialled")
