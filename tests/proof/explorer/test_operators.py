"""Each operator of the mutations changes exactly what it names, and fails where that isn't there exactly once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.proof.explorer.operators import (
    DoesNotApply,
    Operator,
    add_argument,
    add_element,
    allow_transition,
    always,
    apply,
    default_result,
    drop_argument,
    drop_call,
    drop_case,
    drop_condition,
    drop_element,
    drop_if,
    drop_key,
    drop_placeholder,
    forbid_transition,
    in_case,
    in_handler,
    move_boundary,
    move_call_before,
    negate_test,
    replace_argument,
    replace_call,
    replace_constant,
    replace_name,
    swallow_exceptions,
    swap_elements,
)

TABLE = "TABLE = {Status.A: {Status.B}}"


def mutated(source: str, operator: Operator, folder: Path, name: str = "f") -> str:
    """The source after an operator was applied to the definition `name`."""
    file = folder / "room" / "module.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(source)
    apply(operator, f"room.module.{name}", folder)
    return _normal(file.read_text())


def _normal(source: str) -> str:
    return ast.unparse(ast.parse(source))


def in_function(*lines: str) -> str:
    return "\n".join(["def f(a, b):", *(f"    {line}" for line in lines)])


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        (drop_condition("b"), ["return a and b.c"], ["return a"]),
        (drop_condition("b"), ["return a or not (a.c or b)"], ["return a or not (a.c)"]),
        (drop_condition("b"), ["return _Where(a, b.c)"], ["return _Where(a, None)"]),
        (drop_condition("b"), ["return _Where(b=1)"], ["return _Where()"]),
        (drop_condition("b", beside="a"), ["_Where(a, b)", "_Where(b)"], ["_Where(a, None)", "_Where(b)"]),
        (replace_call("g", "1", with_="a"), ["return g(a) + g(b)"], ["return 1 + g(b)"]),
        (drop_condition("b"), ["return _Where({b}, a)"], ["return _Where(tuple(Status), a)"]),
        (drop_if("b"), ["if b > 1:", "    g()", "return a"], ["pass", "return a"]),
        (drop_if("b"), ["if a:", "    g()", "elif b:", "    h()"], ["if a:", "    g()", "else:", "    pass"]),
        (negate_test("b"), ["if b > 1:", "    g()"], ["if not b > 1:", "    g()"]),
        (drop_call("a.g"), ["a.g()", "return b.g()"], ["pass", "return b.g()"]),
        (drop_call("g"), ["yield g(a)", "yield h(a)"], ["pass", "yield h(a)"]),
        (move_boundary("b.c", "+ 1"), ["return a < b.c"], ["return a < b.c + 1"]),
        (move_boundary("a", "- 1"), ["return a <= b < 1"], ["return a - 1 <= b < 1"]),
        (swap_elements("b", "c"), ["return [a.b, g(), a.c]"], ["return [a.c, g(), a.b]"]),
        (replace_call("g", "None"), ["return h(self.g(a))"], ["return h(None)"]),
        (default_result("g", 0.0), ["return g(a)"], ["return g(a) or 0.0"]),
        (move_call_before("g", "h"), ["x = h()", "i()", "y = g()"], ["y = g()", "x = h()", "i()"]),
        (replace_argument("g", 1, "2"), ["return g(a, b)"], ["return g(a, 2)"]),
        (add_argument("g", "c", "2"), ["return g(a)"], ["return g(a, c=2)"]),
        (drop_argument("g", "c"), ["return g(a, c=2)"], ["return g(a)"]),
        (drop_key("x"), ["return {'x': a, **b, 'y': 1}"], ["return {**b, 'y': 1}"]),
        (drop_element("x"), ["return ('x', 'y')"], ["return ('y',)"]),
        (add_element("a.c", beside="d"), ["return (b.d,)"], ["return (b.d, a.c)"]),
        (replace_constant(1, 2), ["return a + 1"], ["return a + 2"]),
        (replace_name("b", "a.c"), ["return g(b)"], ["return g(a.c)"]),
        (always("b"), ["return a if b is None else b"], ["return a"]),
        (drop_placeholder("b"), ["return f'{a}-{b.c}'"], ["return f'{a}-'"]),
        (drop_case("A"), ["match a:", "    case A(b):", "        g()", "    case _:", "        h()"],
            ["match a:", "    case _:", "        h()"]),
        (in_case("A", drop_call("g")), ["match a:", "    case A(b):", "        g()", "    case B:", "        g()"],
            ["match a:", "    case A(b):", "        pass", "    case B:", "        g()"]),
        (in_case("A", default_result("g", 0)), ["match a:", "    case A() if g():", "        h()"],
            ["match a:", "    case A() if g() or 0:", "        h()"]),
        (in_handler("E", replace_call("g", "1")), ["try:", "    g()", "except E:", "    g()"],
            ["try:", "    g()", "except E:", "    1"]),
        (swallow_exceptions("1"), ["try:", "    g()", "except E:", "    h()"],
            ["try:", "    g()", "except E:", "    h()", "except Exception:", "    return 1"]),
    ],
)  # fmt: skip
def test_an_operator_changes_what_it_names(
    tmp_path: Path, operator: Operator, before: list[str], after: list[str]
) -> None:
    assert mutated(in_function(*before), operator, tmp_path) == _normal(in_function(*after))


@pytest.mark.parametrize(
    ("operator", "source"),
    [
        (drop_condition("b"), "return a"),
        (drop_condition("b"), "return (a and b) or (a.c and b)"),
        (drop_if("b"), "return b"),
        (negate_test("b"), "return b"),
        (drop_call("g"), "return g()"),
        (move_boundary("b", "+ 1"), "return a < b.c"),
        (move_boundary("b", "+ 1"), "return b < a < b"),
        (swap_elements("b", "c"), "return [b, a]"),
        (replace_call("g", "1"), "return g"),
        (replace_call("g", "1", with_="a"), "return g(b)"),
        (replace_call("g", "1"), "return g() + g()"),
        (default_result("g", 0), "return a"),
        (move_call_before("g", "h"), "g(); h()"),
        (replace_argument("g", 1, "2"), "g(a)"),
        (add_argument("g", "c", "2"), "g(c=1)"),
        (drop_argument("g", "c"), "g(a)"),
        (drop_key("x"), "return {'y': 1}"),
        (drop_element("x"), "return ('y',)"),
        (add_element("1", beside="x"), "return ('y',)"),
        (replace_constant(1, 2), "return 1 + 1"),
        (replace_name("b", "a"), "return a"),
        (always("b"), "return a if a else b"),
        (drop_placeholder("b"), "return f'{a}'"),
        (drop_case("A"), "return a"),
        (in_case("A", drop_call("g")), "g()"),
        (in_handler("E", drop_call("g")), "g()"),
        (swallow_exceptions("1"), "g()"),
    ],
)
def test_an_operator_that_does_not_find_exactly_one_place_fails(
    tmp_path: Path, operator: Operator, source: str
) -> None:
    with pytest.raises(DoesNotApply):
        mutated(in_function(source), operator, tmp_path)


@pytest.mark.parametrize("name", ["g", "f.g", "C.g"])
def test_a_definition_that_is_gone_fails(tmp_path: Path, name: str) -> None:
    with pytest.raises(DoesNotApply):
        mutated(f"{in_function('pass')}\nclass C:\n    pass", drop_call("g"), tmp_path, name)


@pytest.mark.parametrize(
    ("operator", "followers"), [(allow_transition("A", "C"), {"B", "C"}), (forbid_transition("A", "B"), set())]
)
def test_a_table_of_transitions_is_changed_after_it_is_made(
    tmp_path: Path, operator: Operator, followers: set[str]
) -> None:
    source = mutated("Status = Enum('Status', {n: n for n in 'ABC'})\n" + TABLE, operator, tmp_path, "TABLE")
    assert _table(source) == followers


@pytest.mark.parametrize("operator", [allow_transition("A", "B"), forbid_transition("A", "C")])
def test_a_transition_that_is_as_wanted_already_fails(tmp_path: Path, operator: Operator) -> None:
    source = mutated("Status = Enum('Status', {n: n for n in 'ABC'})\n" + TABLE, operator, tmp_path, "TABLE")
    with pytest.raises(AssertionError, match="does not apply"):
        _table(source)


def _table(source: str) -> set[str]:
    """The names that may follow A, as the module's code computes them."""
    names: dict[str, object] = {}
    exec(f"from enum import Enum\n{source}\nFOLLOWERS = {{each.name for each in TABLE[Status.A]}}", names)  # noqa: S102 - the source above
    followers = names["FOLLOWERS"]
    assert isinstance(followers, set)
    return followers
