"""The scenarios that are explored: quickly with every `make test`, deeply by `make proof`."""

from __future__ import annotations

from dataclasses import replace

from tests.proof.explorer.allomia import ANSWERS, HEALTHY
from tests.proof.explorer.world import Scenario

PROMPT = 5
"""Seconds that a worker lives: less than the first poll is away, as it is deployed."""

_ONE = {"m": "a"}
_PARKING = (HEALTHY, "connect error")
_ALL = tuple(ANSWERS)
_ANSWERED = frozenset({"answered"})
_PARKED = frozenset({"answered", "resent", "hindered"})
_OUR_FAULTS = frozenset({"killed", "failed", "lost", "repeated"})
_EACH_MEANING = (HEALTHY, "connect error", "400", "read timeout, call placed")

QUICK = {
    scenario.name: scenario
    for scenario in (
        Scenario("an unreadable message", {"m": "?"}, mishaps=3, receives=2),
        Scenario("one request", _ONE, mishaps=1, lifetime=PROMPT),
        Scenario(
            "every answer",
            _ONE,
            mishaps=1,
            hooks=0,
            looks=(),
            lifetime=PROMPT,
            kinds=_ANSWERED,
            answers=_ALL,
        ),
        Scenario("parked more than once", _ONE, mishaps=2, kinds=_PARKED, hooks=0, lifetime=PROMPT, answers=_PARKING),
        Scenario("sent twice", {"m": "a", "n": "a"}, mishaps=1, hooks=0, lifetime=PROMPT, answers=_EACH_MEANING),
        Scenario("dead letters", _ONE, mishaps=2, kinds=_OUR_FAULTS, hooks=0, lifetime=PROMPT, receives=1),
        Scenario("a day passes", _ONE, mishaps=1, hooks=0, lifetime=PROMPT, answers=_PARKING, expiry=True),
        Scenario(
            "a redial", {"m": "a"}, parked=(("a", 2),), mishaps=0, hooks=0, lifetime=PROMPT, forgeries=1, workers=1
        ),
        Scenario("two requests", {"m": "a", "n": "b"}, mishaps=0, hooks=0, lifetime=PROMPT, forgeries=1),
    )
}
"""Every schedule of these in less than half a minute."""

_ANYTHING = Scenario.kinds
_SLOW = Scenario("slow workers", _ONE, mishaps=1, kinds=_ANSWERED, hooks=0, looks=(), answers=_PARKING)
DEEP = (
    _SLOW,
    replace(QUICK["one request"], name="one request, two webhooks", hooks=2),
    replace(QUICK["one request"], name="one request, two mishaps", mishaps=2),
    replace(QUICK["one request"], name="one request, three workers", workers=3),
    replace(QUICK["every answer"], name="every answer, any mishaps", mishaps=2, looks=Scenario.looks, kinds=_ANYTHING),
    replace(
        _SLOW,
        name="slow workers, any mishap",
        hooks=1,
        looks=Scenario.looks,
        answers=_EACH_MEANING,
        kinds=_ANYTHING,
    ),
    replace(QUICK["parked more than once"], name="parked more than once, any mishaps", hooks=1, kinds=_ANYTHING),
    replace(QUICK["parked more than once"], name="parked more than once, three mishaps", mishaps=3),
    replace(
        QUICK["parked more than once"],
        name="writes sent twice",
        kinds=frozenset({"resent", "answered"}),
        looks=(),
        polls_live=PROMPT,
        lifetime=Scenario.lifetime,
    ),
    replace(QUICK["sent twice"], name="sent twice, with webhooks", hooks=2),
    replace(QUICK["dead letters"], name="dead letters, with a webhook", hooks=1, kinds=_ANYTHING, redrives=2),
    replace(QUICK["a redial"], name="a redial, two workers", workers=2),
    replace(QUICK["two requests"], name="two requests, with webhooks", hooks=1, outcomes=("busy",)),
    replace(QUICK["two requests"], name="two requests, one mishap", mishaps=1, answers=_PARKING),
)
"""Every schedule of these in about ten minutes, on two cores."""

SCENARIOS = {scenario.name: scenario for scenario in (*QUICK.values(), *DEEP)}

RANDOM = (
    Scenario("two requests at random", {"m": "a", "n": "b"}, mishaps=5, hooks=2, workers=4, forgeries=2),
    Scenario(
        "a request sent twice, and redialled, at random",
        {"m": "a", "n": "a"},
        parked=(("a", 2),),
        mishaps=5,
        hooks=2,
        workers=4,
        forgeries=2,
        answers=_ALL,
        receives=2,
    ),
)
"""Too many schedules to follow all."""
