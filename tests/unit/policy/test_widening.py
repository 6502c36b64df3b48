"""Nothing that a person forgets, misspells or leaves empty allows a dial that the preset doesn't allow."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound_calls.contracts.policy import read_policy, read_stored_policy
from outbound_calls.contracts.vocabulary import Preset
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.recipients import PastDial, Recipient
from outbound_calls.policy.evaluation import Dial, evaluate
from outbound_calls.policy.rules import Rules, UnusablePolicy, read_stored
from tests.unit.policy.parts import DAYS, TOLL_FREE, Document, at, candidate, rules_of

START = at("2026-11-22 00:00")
HOURS = [START + hour * 3600 for hour in range(0, 9 * 24, 2)]
NAMES: list[dict[str, str | None]] = [{}, {"organization": "north"}, {"purpose": "results"}]

clock_times = st.integers(0, 24).map(lambda hour: f"{hour:02}:00")
seconds = st.integers(1, 2_592_000)


@st.composite
def windows(draw: st.DrawFn) -> list[Document]:
    opens, closes = sorted(draw(st.lists(clock_times, min_size=2, max_size=2, unique=True)))
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True))
    return [{"days": days, "from": opens, "to": closes}]


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "timeZone": st.sampled_from(["America/Vancouver", "Europe/Paris"]),
    "callingWindows": windows() | st.just("always"),
    "exceptions": windows().map(lambda w: [{"from": "2026-11-24", "to": "2026-11-25", "callingWindows": w}]),
    "redial": st.builds(lambda n: {"maxAttempts": n, "on": {"busy": [600]}}, st.integers(1, 9)),
    "maxAttemptsCeiling": st.integers(1, 99),
    "recipientCaps": st.builds(lambda n, d: [{"calls": n, "perDays": d}], st.integers(1, 5), st.integers(1, 30)),
    "whenCapped": st.sampled_from(["wait", "reject"]),
    "expireAfterSeconds": seconds,
    "paused": st.booleans(),
}
parts = st.fixed_dictionaries({}, optional=FIELDS)
documents = st.builds(
    lambda stack, north, results: stack | {"organizations": {"north": north}, "purposes": {"results": results}},
    st.fixed_dictionaries({}, optional=FIELDS | {"maxConcurrentCalls": st.integers(1, 9)}),
    parts,
    parts,
)
presets = st.sampled_from(list(Preset))


def dialled_at(rules: Rules) -> list[bool]:
    """At which hours of nine days three numbers may be dialled: one was dialled before, one has no place."""
    seen = Recipient(dials=tuple(PastDial(START - hours * 3600) for hours in (1, 30, 100)))
    asked = candidate(created_at=START, not_after=START + 30 * 86_400)
    elsewhere = candidate(created_at=START, not_after=START + 30 * 86_400, phone_number=TOLL_FREE)
    cases = ((asked, Recipient()), (asked, seen), (elsewhere, Recipient()))
    return [evaluate(each, rules, recipient, hour).decision == Dial() for each, recipient in cases for hour in HOURS]


def is_within(narrow: list[bool], wide: list[bool]) -> bool:
    return all(allowed for dialled, allowed in zip(narrow, wide, strict=True) if dialled)


RULES_OF_FIELD = {
    "timeZone": {"time_zone"},
    "callingWindows": {"calendar"},
    "exceptions": {"calendar"},
    "redial": {"redial"},
    "maxAttemptsCeiling": {"max_attempts_ceiling", "redial"},
    "recipientCaps": {"caps"},
    "whenCapped": {"when_capped"},
    "expireAfterSeconds": {"expire_after_seconds"},
    "paused": {"paused"},
    "maxConcurrentCalls": {"max_concurrent_calls"},
}


def differences(one: Rules, other: Rules) -> set[str]:
    return {name for name in Rules.__dataclass_fields__ if getattr(one, name) != getattr(other, name)}


@settings(max_examples=80, deadline=None)
@given(documents, presets, st.sampled_from(NAMES), st.data())
def test_a_field_that_is_left_out_is_the_presets(
    document: Document, preset: str, names: dict[str, str | None], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(RULES_OF_FIELD)))
    levels = [document, *document["organizations"].values(), *document["purposes"].values()]
    for level in levels:
        level.pop(field, None)
    without, of_preset = rules_of(document, preset, **names), rules_of(preset=preset)

    inherited = RULES_OF_FIELD[field] - {"redial"} if field == "maxAttemptsCeiling" else RULES_OF_FIELD[field]
    if field in {"callingWindows", "exceptions"}:
        part = "week" if field == "callingWindows" else "exceptions"
        assert getattr(without.calendar, part) == getattr(of_preset.calendar, part)
    else:
        assert differences(without, of_preset) & inherited == set()


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(FIELDS)), st.data(), presets, st.sampled_from(["", "north", "results"]))
def test_one_line_changes_what_it_names_and_nothing_else(
    field: str, data: st.DataObject, preset: str, level: str
) -> None:
    line = {field: data.draw(FIELDS[field])}
    document: Document = {"organizations": {"north": {}}, "purposes": {"results": {}}}
    names: dict[str, str | None] = {"organization": "north", "purpose": "results"}
    before = rules_of(document, preset, **names)
    {"": document, **document["organizations"], **document["purposes"]}[level].update(line)
    after = rules_of(document, preset, **names)

    assert differences(before, after) <= RULES_OF_FIELD[field]
    if field not in {"callingWindows", "exceptions", "timeZone", "recipientCaps"}:
        assert is_within(dialled_at(after), dialled_at(before))
    if field == "recipientCaps" and level:
        # Below the stack's own level caps only add up.
        assert is_within(dialled_at(after), dialled_at(before))


LINES = [
    *("{}", '{"callingWindows": null}', '{"recipientCaps": null}', '{"basedOn": null}', '{"organizations": {}}'),
    *('{"organizations": {"north": {}}}', '{"purposes": {"results": {}}}', '{"paused": false}', '{"holidays": null}'),
    *('{"callingWindows": []}', '{"recipientCaps": []}', '{"exceptions": []}', '{"callingWindows": "Always"}'),
    *('{"callingWindows": ""}', '{"callingWindows": true}', '{"callingWindows": {}}', '{"calling_windows": "always"}'),
    *('{"CallingWindows": "always"}', '{"callingWindows": [{}]}', '{"callingWindows": [{"days": ["mon"]}]}'),
    *('{"basedOn": ""}', '{"basedOn": "none"}', '{"basedOn": ["open"]}', '{"preset": "open"}', '{"timeZone": ""}'),
    *('{"recipientCaps": [{}]}', '{"recipientCaps": [{"calls": 0, "perDays": 0}]}', '{"recipientCaps": 0}'),
    *('{"recipientCaps": [{"calls": 1, "perWeeks": 1}]}', '{"whenCapped": null}', '{"whenCapped": ""}'),
    *('{"exceptions": [{"from": "2026-11-22", "to": "2026-11-30", "callingWindows": []}]}', "", "null", "[]", "0"),
    '{"exceptions": [{"from": "2026-11-22", "to": "2026-11-30"}]}',
]


@pytest.mark.parametrize("preset", [Preset.CANADA, Preset.UNITED_STATES_HEALTH_CARE])
@pytest.mark.parametrize("line", LINES)
def test_no_forgotten_or_empty_line_widens_what_may_be_dialled(line: str, preset: Preset) -> None:
    try:
        read_policy(line)
    except InvalidInput:
        return
    for names in NAMES:
        if names.get("purpose") and '"results"' not in line:
            continue
        assert is_within(dialled_at(rules_of(json.loads(line), preset, **names)), dialled_at(rules_of(preset=preset)))


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field of a document, but the names that its author gave."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(key, str) and path[-1:] not in {("organizations",), ("purposes",)}:
            yield (*path, key)
        yield from fields_of(inner, (*path, key))


@settings(max_examples=80, deadline=None)
@given(documents, st.data())
def test_a_misspelled_field_makes_the_document_unreadable(document: Document, data: st.DataObject) -> None:
    *path, name = data.draw(st.sampled_from(list(fields_of(document))))
    place = document
    for key in path:
        place = place[key]
    typo = data.draw(st.sampled_from([name + "s", name[:-1], name.upper(), f" {name}", name.replace("e", "ee", 1)]))
    place[typo] = place.pop(name)

    if typo != name:
        for read in (read_policy, read_stored_policy):
            with pytest.raises(InvalidInput):
                read(json.dumps(document))


@settings(max_examples=80, deadline=None)
@given(documents, st.data())
def test_a_document_that_was_cut_is_unreadable(document: Document, data: st.DataObject) -> None:
    text = json.dumps(document)

    with pytest.raises(InvalidInput):
        read_stored_policy(text[: data.draw(st.integers(0, len(text) - 1))])


@settings(max_examples=100, deadline=None)
@given(documents, presets, st.sampled_from(NAMES), st.data())
def test_null_is_the_same_as_absent(
    document: Document, preset: str, names: dict[str, str | None], data: st.DataObject
) -> None:
    level = data.draw(st.sampled_from([document, document["organizations"]["north"], document["purposes"]["results"]]))
    field = data.draw(st.sampled_from(sorted(FIELDS)))
    level.pop(field, None)
    absent = rules_of(document, preset, **names)
    level[field] = None

    assert rules_of(document, preset, **names) == absent


# The functions read a stored document without the contract's models. They must refuse what the contract refuses.

WRONG = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        "",
        "x",
        "09:00",
        "24:00",
        [],
        {},
        [0],
        [None],
        ["mon"],
        {"x": 1},
        "2026-13-01",
        {"mon": 1},
    ),
    *({"days": ["mon"], "from": "09:00", "to": "08:00"}, [{"calls": 1}], [{"calls": 1, "perDays": 0}], [[1]]),
    *({"maxAttempts": 2, "on": {"completed": [1]}}, {"maxAttempts": 2, "on": {"busy": []}}, {"country": "CA"}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def is_refused(document: Document) -> bool:
    try:
        read_stored_policy(json.dumps(document))
    except InvalidInput:
        return True
    return False


@settings(max_examples=120, deadline=None)
@given(documents, st.sampled_from(WRONG), st.data())
def test_functions_refuse_what_the_contract_refuses(document: Document, wrong: object, data: st.DataObject) -> None:
    document["holidays"] = {"country": "CA"}
    document["holidayDates"] = {"CA": {"until": "2031-12-31", "dates": ["2026-12-25"]}}
    *path, name = data.draw(st.sampled_from(list(places(document))))
    place: Any = document
    for key in path:
        place = place[key]
    place[name] = wrong
    if is_refused(document):
        with pytest.raises(UnusablePolicy):
            read_stored(json.dumps(document))
    else:
        read_stored(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "null", "1", '"open"', "{", "[" * 100_000])
def test_functions_refuse_what_is_not_a_json_object(text: str) -> None:
    with pytest.raises(UnusablePolicy):
        read_stored(text)


@pytest.mark.parametrize("line", LINES)
def test_functions_refuse_every_line_that_the_contract_refuses(line: str) -> None:
    try:
        read_stored_policy(line)
    except InvalidInput:
        with pytest.raises(UnusablePolicy):
            read_stored(line)
