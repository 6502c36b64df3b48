"""Deliberate mistakes in the policy, and the test that each fails: `python -m tests.proof.policy.mistakes [NAME…]`.

Each rule is dropped, each boundary is moved by a second, each zone is read from the wrong place, and each order is
swapped: any of these could ring someone at night, too often or against their will. `make mutation` makes every small
mistake; these have names, and some are too large for it.

The module's own tests, `tests/unit/policy/test_….py`, run on a copy of the layer with the mistake in it, in a process
of its own. It prints one line of JSON for each mistake.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

from tests.proof.explorer.operators import (
    Operator,
    apply,
    drop_call,
    drop_condition,
    drop_if,
    in_case,
    move_boundary,
    move_call_before,
    replace_argument,
    replace_call,
    replace_constant,
    replace_name,
    swap_elements,
)
from tests.tooling.mutation.run import LAYER, Recorder, run_tests, warm_up

AT_ONCE = 2


class Mistake(NamedTuple):
    name: str
    target: str
    operator: Operator

    @property
    def tests(self) -> str:
        """The tests that must notice it."""
        module = self.target.split(".")[1]
        return f"tests/unit/policy/test_{_TESTED_WITH.get(module, module)}.py"


_TESTED_WITH = {"recipients": "evaluation"}


class Notice(NamedTuple):
    """The test that failed, or why none did."""

    name: str
    by: str | None
    detail: str


def _moved(target: str, operand: str, what: str) -> tuple[Mistake, Mistake]:
    """A boundary that lies one later, and one earlier: a second, a day or a dial."""
    return (
        Mistake(f"{what}, one later", target, move_boundary(operand, "+ 1")),
        Mistake(f"{what}, one earlier", target, move_boundary(operand, "- 1")),
    )


def _counted(target: str, name: str, what: str) -> tuple[Mistake, Mistake]:
    """A figure that is one more, and one less."""
    return (
        Mistake(f"{what}, one more", target, replace_name(name, f"({name} + 1)")),
        Mistake(f"{what}, one less", target, replace_name(name, f"({name} - 1)")),
    )


_EVALUATION, _CALENDARS, _CAPS, _RULES = "policy.evaluation", "policy.calendars", "policy.caps", "policy.rules"
_RESULTS, _CASE, _OBJECTION = f"{_EVALUATION}._results", f"{_EVALUATION}.Case", "domain.recipients.Objection.holds"
_HOURS, _ALLOWED, _RESOLVE = f"{_CALENDARS}.Calendar.hours", f"{_CAPS}.allowed_from", f"{_RULES}.resolve"
_REDIAL = "policy.redial.redial_delay"
_ZONES, _OF_NUMBER = "policy.number_zones.recipient_zones", "policy.number_zones._of_number"
_UTC = "__import__('zoneinfo').ZoneInfo('UTC')"

_IN_ORDER = (
    *("_expiry", "_cancelled", "_paused", "_purpose", "_not_before", "_calling_window", "_do_not_call"),
    "_recipient_caps",
)

_DROPPED = (
    *(Mistake(f"no rule: {rule}", _RESULTS, drop_call(rule)) for rule in (*_IN_ORDER, "_no_calling_window")),
    Mistake("no rule: holidays that aren't known", f"{_EVALUATION}._calling_window", drop_if("last")),
    Mistake("no rule: a request's own windows", f"{_CASE}.of", drop_if("calling_windows")),
    Mistake(
        "a request's own windows replace the policy's",
        f"{_CASE}.of",
        replace_call("replace", "Calendar(week_of(candidate.calling_windows))", with_="narrowed_to"),
    ),
    Mistake("an unknown zone is open", f"{_CASE}.is_zone_known", replace_call("bool", "True")),
    Mistake("windows, caps by days and holidays need no zone", f"{_CASE}.of", drop_condition("read_clocks")),
    Mistake("caps by days need no zone", f"{_RULES}.Rules.read_clocks", drop_condition("per_days")),
    Mistake("holidays need no zone", f"{_RULES}.Rules.read_clocks", drop_condition("knows_dates")),
    Mistake("a wait ends after the expiry", f"{_CASE}.earliest_dial", drop_condition("expires_at")),
    Mistake("a wait ends before notBefore", f"{_CASE}.earliest_dial", replace_call("max", "now")),
    Mistake("a wait ends outside of a window", f"{_CASE}.earliest_dial", replace_call("first_opening", "at")),
    Mistake("a wait ends while a cap holds", f"{_CASE}.earliest_dial", replace_call("capped_until", "opening")),
    Mistake("a redial comes after notAfter", f"{_EVALUATION}.next_attempt_at", drop_condition("expires_at")),
    Mistake("one cap is enough", f"{_CASE}.capped_until", replace_call("max", "min((0,), default=at)")),
    Mistake("an objection of one organization applies to all", _OBJECTION, drop_condition("organization_name")),
    Mistake("an objection for some purposes applies to all", _OBJECTION, drop_condition("purpose")),
    Mistake("no rule: exceptions", _HOURS, replace_name("exceptional", "None")),
    Mistake("no rule: holidays", _HOURS, replace_name("CLOSED", "self.week[weekday]")),
    Mistake("no rule: narrowed windows", _HOURS, replace_call("reduce", "(exceptional or [usual])[0]")),
    Mistake("no rule: the caps of the stack", _RESOLVE, replace_call("_caps_of", "()", with_="stack")),
    Mistake("no rule: the caps of a purpose", _RESOLVE, replace_call("_caps_of", "()", with_="for_purpose")),
    Mistake("no rule: a pause of the stack", _RESOLVE, replace_call("any", "bool(own.get('paused'))")),
    Mistake("no rule: a pause of an organization", _RESOLVE, replace_call("any", "bool(document.get('paused'))")),
    Mistake("no rule: maxAttemptsCeiling", f"{_RULES}._limited", replace_call("min", "redial.max_attempts")),
    Mistake("no rule: maxAttempts", _REDIAL, drop_if("max_attempts")),
    Mistake("any outcome is dialled again", _REDIAL, in_case("_", replace_constant(None, 60))),
    Mistake("an organization's cap counts all dials", f"{_CAPS}.counted", drop_condition("of_organization")),
    Mistake("a purpose's cap counts all dials", f"{_CAPS}.counted", drop_condition("of_purpose")),
)

_BOUNDARIES = (
    *_moved(f"{_CALENDARS}._is_open", "opens", "a window's from"),
    *_moved(f"{_CALENDARS}._is_open", "closes", "a window's to"),
    *_moved(_HOURS, "each.first", "an exception's from"),
    *_moved(_HOURS, "each.last", "an exception's to"),
    *_moved(f"{_EVALUATION}._expiry", "case.expires_at", "the expiry"),
    *_moved(f"{_EVALUATION}._not_before", "now", "the time that notBefore is compared with"),
    *_moved(_OBJECTION, "at", "the time that an objection's end is compared with"),
    *_moved(f"{_EVALUATION}.next_attempt_at", "case.expires_at", "the expiry of a redial"),
    *_moved(f"{_CASE}.earliest_dial", "self.expires_at", "the expiry of a wait"),
    *_counted(_ALLOWED, "seconds", "a cap's perSeconds"),
    *_counted(_ALLOWED, "days", "a cap's perDays"),
    *_moved(_ALLOWED, "cap.calls", "a cap's calls"),
    *_moved(_REDIAL, "redial.max_attempts", "maxAttempts"),
)

_FROM_WRONG_ZONE = (
    Mistake("the request's zone isn't read", _ZONES, drop_if("request_zone")),
    Mistake("the request's zone isn't passed on", f"{_CASE}.of", replace_argument("recipient_zones", 1, "None")),
    Mistake(
        "the policy's zone stands for the request's",
        f"{_CASE}.of",
        replace_argument("recipient_zones", 1, "rules.time_zone"),
    ),
    Mistake("the policy's zone isn't passed on", f"{_CASE}.of", replace_argument("recipient_zones", 2, "None")),
    Mistake("the policy's zone comes before the number's", _ZONES, drop_if("nonGeographicAreaCodes")),
    Mistake("the policy's zone holds on other continents", _ZONES, drop_condition("northAmericanZones")),
    Mistake("the area code is read at the wrong place", _ZONES, replace_constant(2, 1)),
    Mistake("the shortest calling code counts", _ZONES, replace_call("range", "range(1, _LONGEST_PREFIX + 1)")),
    Mistake("one of a number's zones is enough", _OF_NUMBER, replace_call("tuple", "tuple(names.split()[:1])")),
    Mistake("one open zone is enough", f"{_CALENDARS}.is_open", replace_name("zones", "zones[:1]")),
    Mistake("an opening in one zone is enough", f"{_CALENDARS}.next_opening", replace_name("zones", "zones[:1]")),
    Mistake("a closing in one zone isn't enough", f"{_CALENDARS}.next_closing", replace_name("zones", "zones[:1]")),
    Mistake("the recipient's clock is the system's", f"{_CALENDARS}.wall_clock", replace_name("zone", "None")),
    Mistake("the recipient's clock shows UTC", f"{_CALENDARS}.wall_clock", replace_name("zone", _UTC)),
    Mistake("a cap by days is read in one zone", _ALLOWED, replace_name("zones", "zones[:1]")),
    Mistake("a cap's days are those of UTC", _ALLOWED, replace_argument("start_of", 1, _UTC)),
    Mistake("a cap's dial was on a day of UTC", _ALLOWED, replace_argument("wall_clock", 0, _UTC)),
    Mistake(
        "an organization's zone isn't read", _RESOLVE, replace_call("get", "document.get('timeZone')", with_="timeZone")
    ),
)

_ORDER = (
    *(
        Mistake(f"{late} before {early}", _RESULTS, move_call_before(late, early))
        for early, late in itertools.pairwise(_IN_ORDER)
    ),
    Mistake(
        "holidays before exceptions",
        _HOURS,
        replace_name("exceptional", "(day in self.holidays and [CLOSED]) or exceptional"),
    ),
    Mistake(
        "the organization's part before the purpose's",
        _RESOLVE,
        replace_call("reversed", "[*stack[::-1], *_on_preset(for_purpose)[::-1], *_on_preset(own)[::-1]]"),
    ),
    Mistake(
        "the stack's part before the organization's",
        _RESOLVE,
        replace_call("reversed", "[*_on_preset(own)[::-1], *stack[::-1], *_on_preset(for_purpose)[::-1]]"),
    ),
    Mistake("the preset's part before the document's", f"{_RULES}._on_preset", swap_elements("part", "_preset")),
)

MISTAKES = (*_DROPPED, *_BOUNDARIES, *_FROM_WRONG_ZONE, *_ORDER)


def notice(mistake: Mistake) -> Notice:
    """Run the tests on the mistake. For a process that hasn't imported the layer yet."""
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / LAYER.name
        shutil.copytree(LAYER, copy)
        apply(mistake.operator, mistake.target, copy)
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        assert importlib.import_module(LAYER.name).__file__ == str(copy / "__init__.py")
        code = run_tests([mistake.tests], recorder)
    return Notice(mistake.name, next(iter(recorder.failed), None), f"pytest ended with {code}")


def _in_a_fork(mistake: Mistake) -> int:
    """The id of a process that prints what noticed the mistake."""
    if child := os.fork():
        return child
    answer = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:
        noticed = notice(mistake)
    except BaseException:  # noqa: BLE001 - the parent reports it
        noticed = Notice(mistake.name, None, traceback.format_exc()[-3000:])
    # One write of less than a pipe's buffer, so that the lines of two processes don't mix.
    os.write(answer, (json.dumps(noticed) + "\n").encode())
    os._exit(0)


def main(names: list[str]) -> None:
    warm_up()
    running = set[int]()
    for mistake in MISTAKES:
        if names and mistake.name not in names:
            continue
        if len(running) == AT_ONCE:
            running.discard(os.wait()[0])
        running.add(_in_a_fork(mistake))
    for _ in running:
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
