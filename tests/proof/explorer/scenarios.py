"""The scenarios that are explored: the quick ones in `make test`, the deep ones in `make proof`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.proof.explorer.allomia import (
    ANSWERS,
    BROKEN,
    HEALTHY,
    LOST_IN_LOG,
    NOT_FOUND,
    ONE_OF_EACH,
    OTHER_CALL,
    OTHER_ID,
    OWN_ID,
    TIMEOUT,
)
from tests.proof.explorer.guarantees import Key
from tests.proof.explorer.policies import Policy

UNREADABLE, UNNAMED = "?", ""
"""Stand for the request of a message that can't be read, and of one without a `requestId`."""

CANCEL, CANCEL_BATCH, DO_NOT_CALL = "cancel ", "cancel the batch", "do not call "
"""Begin a message that cancels a request, cancels the batch, or puts a request's number on the do-not-call list."""

BATCH = "batch"

ALL_MISHAPS = frozenset(
    {"killed", "failed", "lost", "resent", "poll resent", "repeated", "blocked", "rushed", "slow", "answered"}
)
"""A worker is killed. A read, write or queue send fails; or it succeeds and its answer is lost; or the SDK therefore
sends it again (from place_call or receive_webhook; from a poll). A message or a poll is delivered twice. A worker may
not dial now, its time runs out before it can, or it is slow. AlloMia gives an unhealthy answer.
"""

CONFLICT, POLICY_FAILS = "conflict", "policy fails"
"""A write meets a transaction on the same item. A read or write of the policy table fails, or its answer is lost."""


@dataclass(frozen=True)
class Scenario:
    """Where schedules start, and the bounds within which every schedule is tried."""

    name: str
    messages: Mapping[str, str]
    """The messages on the queue at the start, and the request in each."""

    later: Mapping[str, int] = field(default_factory=dict)
    """The messages of these that come only so many seconds after the start."""

    parked: tuple[Key, ...] = ()
    """The attempts that are parked at the start."""

    unknown: tuple[Key, ...] = ()
    """The attempts that are `unknown` at the start: AlloMia called, and nothing was heard of it."""

    refused: tuple[Key, ...] = ()
    """The attempts that AlloMia has refused three times at the start, while it accepted others."""

    mishaps: int = 1
    """How many of `kinds` may happen in one schedule."""

    kinds: frozenset[str] = ALL_MISHAPS
    webhooks: int = 1
    """How many webhooks AlloMia may send for each call. Each may be missing, and have any of `outcomes`."""

    outcomes: tuple[str, ...] = ("completed", "busy")
    forgeries: int = 0
    """How many webhooks for one attempt are sent to another attempt's URL."""

    answers: tuple[str, ...] = ONE_OF_EACH
    unhealthy_statuses: tuple[str, ...] = (TIMEOUT, BROKEN, NOT_FOUND, OTHER_CALL)
    """Unhealthy answers when AlloMia is asked for a call's status."""

    workers: int = 2
    """How many run at once. Time stands still while there are more workers and waiting messages than this."""

    receives: int = 5
    """After this many failed deliveries a message becomes a dead letter."""

    worker_seconds: int = 30
    """When Lambda ends a worker. Here longer than the deadline, although it is far shorter in a deployed stack: so a
    worker may still wait for the answer to its POST when the attempt is given up."""

    poll_seconds: int = 5
    """The same for polls. Two may overlap, and one may last from the attempt's first poll to its deadline."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    """The message attributes that the sender put on every message."""

    mistaken: tuple[str, ...] = ()
    """Ids that no one gave a request, and under which a mistake would make it another one."""

    redrives: int = 0
    """How often an operator may send waiting messages again, fixed where they are invalid."""

    resolves: int = 0
    """How often an operator may record what was found out about a call."""

    redials: int = 0
    """How often an operator may have a request dialled again."""

    cancels: int = 0
    """How often an operator may cancel a request."""

    expiry: bool = False
    """Whether a day may pass."""

    policies: tuple[Policy, ...] = (Policy("open"),)
    """The policy at the start, and those that an operator may put in force after it, one after the other."""

    attempts: int = 1
    """How many attempts the policy may make of a request."""

    one_number: bool = False
    """Whether all requests are for one number."""

    fields: Mapping[str, Any] = field(default_factory=lambda: {"timeZone": "UTC"})
    """What each request says beside the number to call."""

    statuses: tuple[str, ...] = ("calling", "no-answer")
    """Healthy answers when AlloMia is asked for a call's status."""

    log: tuple[str, ...] = ()
    """What AlloMia's call log may show of a call; nothing: its organization's id isn't configured."""

    prompt: bool = False
    """Whether the clock stands still while anything is due, waits or runs: all happens in time."""

    moments: tuple[int, ...] = ()
    """Seconds after the start at which the clock may stop, although no attempt is due then."""

    @property
    def requests(self) -> dict[str, Key]:
        """The attempt that each message with a request asks for. A request without an id goes by its message's."""
        return {
            name: (name if text in {UNREADABLE, UNNAMED} else text, 1)
            for name, text in self.messages.items()
            if not text.startswith((CANCEL, CANCEL_BATCH, DO_NOT_CALL))
        }

    @property
    def asked(self) -> dict[str, Key]:
        """The attempt that each message is about; one about a batch or a number has an attempt 0."""
        others = {name: text for name, text in self.messages.items() if name not in self.requests}
        return self.requests | {
            name: (text.removeprefix(CANCEL), 1) if text.startswith(CANCEL) and text != CANCEL_BATCH else (text, 0)
            for name, text in others.items()
        }

    @property
    def asked_for(self) -> set[Key]:
        """The attempts that someone has asked for at the start, or asked to cancel."""
        about = {key for key in self.asked.values() if key[1]}
        return {*about, *self.parked, *self.unknown, *self.refused}

    @property
    def keys(self) -> tuple[Key, ...]:
        """The attempts that someone may ask for, or that policy may make."""
        asked = self.asked_for
        last = {request: max(number for each, number in asked if each == request) for request, _ in asked}
        more = self.redials + self.attempts - 1
        following = {(request, last[request] + number) for request in last for number in range(1, more + 1)}
        return tuple(sorted(asked | following | {(request, 1) for request in self.mistaken}))


PROMPT = 4
"""Seconds of a worker's life: the first poll comes later, as in a deployed stack, and a decision to dial holds."""

_ONE = {"m": "a"}
_PARKING = (HEALTHY, "connect error")
_ALL = tuple(ANSWERS)
_ANSWERED = frozenset({"answered"})
_PARKED = frozenset({"answered", "resent", "blocked"})
_OWN_FAULTS = frozenset({"killed", "failed", "lost", "repeated"})
_BY_HAND = frozenset({"killed", "failed", "lost"})
_EACH_MEANING = (HEALTHY, "connect error", "400", "read timeout, call placed")

_LOST = (HEALTHY, "read timeout, call placed", "read timeout, no call")

_YES = ("completed",)
_OPEN, _PAUSED, _UNREADABLE = Policy("open"), Policy("paused", paused=True), Policy("unreadable", readable=False)
_CAP, _UNTIL_20 = Policy("cap", cap_seconds=100), Policy("until 0:20", window=(0, 20))
_REDIAL = Policy("redial", redial_seconds=60, max_attempts=2)
_ONE_LINE, _TWO_LINES = Policy("one line", lines=1), Policy("two lines", lines=2)
_BRIEF = Scenario(
    "",
    _ONE,
    mishaps=0,
    webhooks=0,
    unhealthy_statuses=(),
    statuses=("no-answer",),
    worker_seconds=PROMPT,
    policies=(_REDIAL,),
    attempts=2,
)
"""A request that is dialled twice, if nothing comes in between."""

_LINE = replace(
    _BRIEF,
    messages={"m": "a", "n": "b"},
    policies=(_ONE_LINE,),
    attempts=1,
    prompt=True,
    mishaps=1,
    webhooks=1,
    outcomes=_YES,
)
"""Two requests, and a line for one of them."""

_LIMITED_LATER = replace(
    _LINE,
    name="a limit while calls are in progress",
    mishaps=0,
    messages={"m": "a", "n": "b"},
    later={"m": 4, "n": 16},
    policies=(_OPEN, _ONE_LINE),
    statuses=("calling", "no-answer"),
)
"""A call is in progress when a limit is set, and a request comes after that."""

QUICK = {
    scenario.name: scenario
    for scenario in (
        Scenario("an unreadable message", {"m": UNREADABLE}, mishaps=3, receives=2),
        Scenario("one request", _ONE, mishaps=1, worker_seconds=PROMPT),
        Scenario(
            "every answer",
            _ONE,
            mishaps=1,
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            kinds=_ANSWERED,
            answers=_ALL,
        ),
        Scenario(
            "parked more than once",
            _ONE,
            mishaps=2,
            kinds=_PARKED,
            webhooks=0,
            worker_seconds=PROMPT,
            answers=_PARKING,
        ),
        Scenario(
            "short of time",
            _ONE,
            mishaps=2,
            kinds=frozenset({"rushed", "failed", "lost"}),
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
        ),
        Scenario("sent twice", {"m": "a", "n": "a"}, webhooks=0, worker_seconds=PROMPT, answers=_EACH_MEANING),
        Scenario(
            "dead letters",
            _ONE,
            mishaps=2,
            kinds=_OWN_FAULTS,
            webhooks=0,
            worker_seconds=PROMPT,
            receives=1,
            redrives=1,
        ),
        Scenario("a day passes", _ONE, mishaps=1, webhooks=0, worker_seconds=PROMPT, answers=_PARKING, expiry=True),
        Scenario(
            "a redial", _ONE, parked=(("a", 2),), mishaps=0, webhooks=0, worker_seconds=PROMPT, forgeries=1, workers=1
        ),
        Scenario("two requests", {"m": "a", "n": "b"}, mishaps=0, webhooks=0, worker_seconds=PROMPT, forgeries=1),
        Scenario(
            "refused and called",
            {},
            refused=(("a", 1),),
            mishaps=1,
            kinds=_ANSWERED,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            answers=(HEALTHY, "400", "400, call placed"),
        ),
        Scenario(
            "refused",
            _ONE,
            mishaps=2,
            kinds=frozenset({"answered", "repeated"}),
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            answers=(HEALTHY, "400"),
        ),
        Scenario(
            "a dead letter without an id",
            {"m": UNNAMED},
            mishaps=1,
            kinds=_OWN_FAULTS,
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            receives=1,
            redrives=2,
            attributes={"messageId": "x", "reason": "y"},
            mistaken=("x", "m.0", "m.1"),
        ),
        Scenario(
            "a dead letter for a day",
            _ONE,
            mishaps=1,
            kinds=frozenset({"killed", "failed"}),
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            receives=1,
            redrives=1,
            expiry=True,
        ),
        Scenario(
            "a fixed message",
            {"m": UNREADABLE},
            mishaps=1,
            kinds=_OWN_FAULTS,
            webhooks=0,
            unhealthy_statuses=(),
            worker_seconds=PROMPT,
            redrives=2,
            attributes={"messageId": "x"},
            mistaken=("x", "m.kept1", "m.kept2"),
        ),
        Scenario("resolved too early", _ONE, mishaps=0, webhooks=0, worker_seconds=PROMPT, resolves=1),
        Scenario(
            "an attempt sent twice",
            {},
            unknown=(("a", 1),),
            kinds=frozenset({"resent", "lost"}),
            webhooks=0,
            worker_seconds=PROMPT,
            redials=1,
        ),
        Scenario("resolved by hand", {}, unknown=(("a", 1),), kinds=_BY_HAND, worker_seconds=PROMPT, resolves=2),
        Scenario(
            "dialled again by hand",
            {},
            unknown=(("a", 1),),
            mishaps=0,
            worker_seconds=PROMPT,
            redials=1,
            unhealthy_statuses=(),
            outcomes=("completed",),
        ),
        Scenario(
            "dialled again by two",
            {},
            unknown=(("a", 1),),
            mishaps=0,
            webhooks=0,
            worker_seconds=PROMPT,
            redials=2,
        ),
        replace(_BRIEF, name="redialled", mishaps=1, kinds=frozenset({"killed", "lost", "repeated", CONFLICT})),
        replace(_BRIEF, name="redialled, with webhooks", webhooks=1),
        replace(
            _BRIEF,
            name="redialled or cancelled",
            messages={"m": "a", "n": f"{CANCEL}a"},
            mishaps=1,
            kinds=frozenset({"answered", "repeated"}),
            answers=(HEALTHY, "429 with Retry-After"),
        ),
        replace(
            _BRIEF,
            name="redialled or cancelled by hand",
            prompt=True,
            mishaps=1,
            kinds=frozenset({"answered", "lost"}),
            answers=(HEALTHY, "429 with Retry-After"),
            cancels=1,
        ),
        replace(
            _BRIEF, name="redialled or answered", mishaps=1, kinds=frozenset({CONFLICT}), webhooks=1, outcomes=_YES
        ),
        replace(
            _BRIEF,
            name="answered before a redial that is refused",
            prompt=True,
            mishaps=1,
            kinds=_ANSWERED,
            answers=(HEALTHY, "429 with Retry-After"),
            webhooks=1,
            outcomes=_YES,
        ),
        replace(
            _BRIEF,
            name="answered before the third attempt",
            prompt=True,
            webhooks=1,
            outcomes=_YES,
            attempts=3,
            policies=(_REDIAL._replace(max_attempts=3),),
        ),
        replace(_BRIEF, name="redialled or by hand", prompt=True, webhooks=1, outcomes=_YES, redials=1),
        replace(
            _BRIEF,
            name="a batch",
            prompt=True,
            messages={"m": "a", "n": CANCEL_BATCH},
            fields={"batch": BATCH},
            mishaps=1,
            kinds=frozenset({"killed", "repeated", "answered"}),
            answers=(HEALTHY, "429 with Retry-After"),
        ),
        replace(
            _BRIEF,
            name="a batch that arrives at any time",
            messages={"m": "a", "n": CANCEL_BATCH},
            fields={"batch": BATCH},
            workers=1,
        ),
        replace(
            _BRIEF,
            name="a batch that is searched for",
            prompt=True,
            messages={"m": "a", "n": "d", "o": CANCEL_BATCH},
            fields={"batch": BATCH},
            policies=(_PAUSED._replace(expire_after_seconds=400),),
            attempts=1,
            expiry=True,
            mishaps=1,
            kinds=frozenset({"killed"}),
        ),
        replace(_BRIEF, name="do not call", messages={"m": "a", "n": f"{DO_NOT_CALL}a"}, webhooks=1, outcomes=_YES),
        replace(
            _BRIEF,
            name="a redial that expires",
            prompt=True,
            policies=(_REDIAL._replace(expire_after_seconds=100), _PAUSED._replace(expire_after_seconds=100)),
            expiry=True,
            webhooks=1,
            outcomes=_YES,
        ),
        replace(
            _BRIEF,
            name="two requests for one number",
            prompt=True,
            messages={"m": "a", "n": "b"},
            policies=(_CAP,),
            attempts=1,
            one_number=True,
            mishaps=2,
            kinds=frozenset({"answered", "repeated"}),
            answers=(HEALTHY, "429 with Retry-After"),
        ),
        replace(
            _BRIEF,
            name="a request for a capped number",
            prompt=True,
            policies=(_CAP,),
            attempts=1,
            mishaps=1,
            kinds=frozenset({"answered", "killed", POLICY_FAILS}),
            answers=(HEALTHY, "429 with Retry-After"),
        ),
        replace(
            _BRIEF,
            name="a cap that rejects",
            prompt=True,
            policies=(_CAP._replace(when_capped="reject"),),
            attempts=1,
            mishaps=2,
            kinds=frozenset({"answered", POLICY_FAILS}),
            answers=(HEALTHY, "429 with Retry-After"),
        ),
        replace(
            _BRIEF,
            name="paused and resumed",
            prompt=True,
            policies=tuple(each._replace(expire_after_seconds=400) for each in (_OPEN, _PAUSED, _OPEN)),
            attempts=1,
            expiry=True,
        ),
        replace(_LINE, name="one request for one line", mishaps=0, messages={"m": "a"}),
        replace(_LINE, name="two requests for one line", mishaps=0),
        replace(_BRIEF, name="paused at the start", prompt=True, policies=(_PAUSED, _OPEN), attempts=1, expiry=True),
        replace(
            _BRIEF,
            name="unreadable at the start",
            prompt=True,
            policies=(_UNREADABLE, _OPEN),
            attempts=1,
            fields={"notAfter": "1970-01-01T00:26:40Z"},
            expiry=True,
        ),
        replace(
            _BRIEF,
            name="an unreadable policy",
            prompt=True,
            policies=(_OPEN, _UNREADABLE, _OPEN),
            fields={"notAfter": "1970-01-01T00:26:40Z"},
            attempts=1,
            expiry=True,
        ),
        Scenario(
            "found in the log",
            _ONE,
            mishaps=2,
            kinds=frozenset({"answered", "repeated"}),
            webhooks=0,
            answers=_LOST,
            worker_seconds=PROMPT,
            log=(LOST_IN_LOG, OWN_ID, OTHER_ID),
        ),
        replace(
            _BRIEF,
            name="two calls to one number in the log",
            prompt=True,
            messages={"m": "a", "n": "b"},
            policies=(_OPEN,),
            attempts=1,
            one_number=True,
            mishaps=2,
            kinds=_ANSWERED,
            answers=_LOST,
            statuses=("completed", "no-answer"),
            log=(LOST_IN_LOG, OWN_ID, OTHER_ID),
        ),
        replace(
            _BRIEF, name="a window that shuts", workers=1, policies=(_UNTIL_20,), attempts=1, moments=(199, 200, 210)
        ),
    )
}
"""Every schedule of these in less than half a minute."""

_UNHURRIED = ALL_MISHAPS - {"rushed", "slow"}
_SLOW = Scenario(
    "slow workers",
    _ONE,
    mishaps=2,
    kinds=frozenset({"answered", "slow"}),
    webhooks=0,
    unhealthy_statuses=(),
    answers=_PARKING,
    worker_seconds=20,
    poll_seconds=10,
)
LARGE = frozenset({"parked more than once", "redialled", "dialled again by two", "a day passes", "refused"})
"""The largest of `QUICK`. `make proof` explores them; `make test` tries them through the mutations and at random."""

DEEP = (
    _SLOW,
    replace(_LINE, name="a line that isn't taken", kinds=_ANSWERED, answers=(HEALTHY, "429 with Retry-After")),
    replace(_LINE, name="a line and a crash", kinds=frozenset({"killed"})),
    replace(_LINE, name="a line and a duplicate", kinds=frozenset({"repeated"})),
    replace(_LINE, name="three requests for one line", mishaps=0, messages={"m": "a", "n": "b", "o": "c"}, workers=1),
    replace(_LINE, name="a line more or less", mishaps=0, policies=(_TWO_LINES, _ONE_LINE), attempts=1),
    _LIMITED_LATER,
    replace(
        _LIMITED_LATER,
        name="a limit while calls are in progress, and a crash",
        mishaps=1,
        kinds=frozenset({"killed"}),
    ),
    replace(
        _LIMITED_LATER,
        name="a limit while calls are in progress, and a fault",
        mishaps=1,
        kinds=frozenset({"failed", "lost", POLICY_FAILS}),
    ),
    replace(_LIMITED_LATER, name="a limit with a line to spare", policies=(_OPEN, _TWO_LINES)),
    replace(
        _LIMITED_LATER,
        name="a limit that not all know yet",
        messages={"m": "a", "n": "b", "o": "c"},
        later={"m": 4, "n": 2, "o": 16},
        workers=1,
    ),
    replace(
        _LIMITED_LATER,
        name="a limit that is set again",
        policies=(_ONE_LINE, _OPEN, _ONE_LINE),
        webhooks=0,
        workers=1,
    ),
    replace(
        _LINE,
        name="a line and a redial",
        messages={"m": "a", "n": "b"},
        mishaps=0,
        webhooks=0,
        policies=(_REDIAL._replace(lines=1),),
        attempts=2,
    ),
    replace(
        _LINE, name="a line and a call dialled again by hand", mishaps=0, unknown=(("c", 1),), redials=1, workers=1
    ),
    replace(_LINE, name="a line and a cancellation by hand", mishaps=0, cancels=1, workers=1),
    replace(_LINE, name="a line and then no limit", mishaps=0, policies=(_ONE_LINE, _OPEN), attempts=1),
    replace(QUICK["one request"], name="one request, two webhooks", webhooks=2),
    replace(QUICK["one request"], name="one request, two mishaps", mishaps=2, kinds=_UNHURRIED),
    replace(QUICK["one request"], name="one request, three workers", workers=3),
    replace(
        QUICK["every answer"],
        name="every answer, any mishaps",
        mishaps=2,
        unhealthy_statuses=Scenario.unhealthy_statuses,
        kinds=_UNHURRIED,
    ),
    replace(
        _SLOW,
        name="slow workers, more mishaps",
        webhooks=1,
        kinds=frozenset({"answered", "slow", "lost", "killed"}),
    ),
    replace(QUICK["parked more than once"], name="parked more than once, any mishaps", webhooks=1, kinds=_UNHURRIED),
    replace(QUICK["parked more than once"], name="parked more than once, three mishaps", mishaps=3),
    replace(
        QUICK["parked more than once"],
        name="writes sent twice",
        mishaps=3,
        kinds=frozenset({"resent", "answered", "slow"}),
        unhealthy_statuses=(),
        worker_seconds=20,
    ),
    replace(
        QUICK["parked more than once"],
        name="parked at the start",
        messages={},
        parked=(("a", 1),),
        mishaps=3,
        kinds=frozenset({"answered", "lost", "blocked", "repeated"}),
        answers=(HEALTHY, "429 with Retry-After"),
    ),
    replace(QUICK["sent twice"], name="sent twice, with webhooks", webhooks=2),
    replace(QUICK["dead letters"], name="dead letters, with a webhook", webhooks=1, kinds=_UNHURRIED, redrives=2),
    replace(
        QUICK["a dead letter without an id"], name="a dead letter without an id, two mishaps", mishaps=2, receives=2
    ),
    replace(QUICK["a fixed message"], name="a fixed message, two mishaps", mishaps=2),
    replace(QUICK["dialled again by two"], name="dialled again by two, with webhooks", webhooks=1, outcomes=("busy",)),
    replace(
        QUICK["dialled again by hand"],
        name="dialled again and resolved by hand",
        mishaps=1,
        kinds=_BY_HAND,
        webhooks=0,
        resolves=1,
    ),
    replace(QUICK["a redial"], name="a redial, two workers", workers=2),
    replace(QUICK["redialled"], name="redialled, any mishap", kinds=ALL_MISHAPS | {CONFLICT}, answers=_PARKING),
    replace(
        QUICK["redialled or cancelled"],
        name="redialled or cancelled, any mishap",
        kinds=ALL_MISHAPS | {CONFLICT},
        webhooks=1,
        prompt=True,
    ),
    replace(QUICK["redialled or answered"], name="redialled or answered, any mishap", kinds=ALL_MISHAPS | {CONFLICT}),
    replace(QUICK["answered before the third attempt"], name="the third attempt, at any speed", prompt=False),
    replace(QUICK["a batch that arrives at any time"], name="a batch, two workers", workers=2),
    replace(QUICK["a batch that is searched for"], name="a search for a batch, any mishap", kinds=ALL_MISHAPS),
    replace(QUICK["a batch"], name="a batch, any mishap", mishaps=1, kinds=ALL_MISHAPS | {CONFLICT, POLICY_FAILS}),
    replace(
        QUICK["two requests for one number"],
        name="two requests for one number, any mishap",
        kinds=_OWN_FAULTS | {"answered", POLICY_FAILS},
    ),
    replace(
        QUICK["paused and resumed"],
        name="paused and resumed, any mishap",
        mishaps=1,
        kinds=ALL_MISHAPS | {POLICY_FAILS},
        answers=_PARKING,
    ),
    replace(
        QUICK["found in the log"],
        name="found in the log, with a webhook",
        mishaps=1,
        kinds=frozenset({"answered", "killed"}),
        webhooks=1,
        outcomes=("busy",),
    ),
    replace(QUICK["two requests"], name="two requests, with webhooks", webhooks=1, outcomes=("busy",)),
    replace(QUICK["two requests"], name="two requests, one mishap", mishaps=1, answers=_PARKING),
)
"""Every schedule of these in about ten minutes, on two cores."""

SCENARIOS = {scenario.name: scenario for scenario in (*QUICK.values(), *DEEP)}

RANDOM = (
    Scenario(
        "two requests at random",
        {"m": "a", "n": UNNAMED},
        mishaps=5,
        webhooks=2,
        workers=4,
        forgeries=2,
        receives=2,
        attributes={"messageId": "x"},
        mistaken=("x",),
        redrives=2,
        resolves=1,
        redials=1,
    ),
    Scenario(
        "a request sent twice, and redialled, at random",
        {"m": "a", "n": "a"},
        parked=(("a", 2),),
        mishaps=5,
        webhooks=2,
        workers=4,
        forgeries=2,
        answers=_ALL,
        receives=2,
    ),
)
"""These have too many schedules to try all."""
