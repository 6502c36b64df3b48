"""Operators that make a deliberate mistake in a function of the layer.

A mutation names a function (or a constant) and an operator; the operator names what it changes in it: a call, a
condition, a key, a constant. An operator that finds nothing, or more than one place, raises `DoesNotApply`, so that a
list of mutations can't become outdated without notice.

Names are matched as whole identifiers: `claim_id` matches a variable, an attribute or an argument of that name, and a
string constant with that text.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import override


class DoesNotApply(ValueError):
    """There isn't exactly one place to change."""


type Operator = Callable[[ast.Module, ast.stmt], None]
"""Changes a definition in its module, in place."""


def apply(operator: Operator, target: str, layer: Path) -> None:
    """Change one definition in a copy of the layer.

    Args:
        operator: What to do to it.
        target: Its dotted name below the layer's package, such as `adapters.calls_table.CallsTable.claim`.
        layer: The folder of the package.

    Raises:
        DoesNotApply: There is no such definition, or the operator doesn't find exactly one place in it.
        FileNotFoundError: There is no such module.
    """
    room, module_name, *names = target.split(".")
    file = layer / room / f"{module_name}.py"
    module = ast.parse(file.read_text())
    body, definition = module.body, module.body[0]
    for name in names:
        definition = _only(f"{target}: {name}", [each for each in body if name in _defined(each)])
        body = definition.body if isinstance(definition, ast.ClassDef) else []
    try:
        operator(module, definition)
    except DoesNotApply as error:
        raise DoesNotApply(f"{target}: {error}") from None
    # Python takes a file's bytecode as current when their size and second are the same.
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_text(ast.unparse(ast.fix_missing_locations(module)))


_WHERE_DEFAULTS = ("tuple(Status)", "None", "None", "None", "None")
"""What stands for no condition at each place of `_Where(…)`."""


def drop_condition(name: str, beside: str | None = None) -> Operator:
    """Drop what mentions `name` from a condition: an operand of `and` or `or`, or an argument of `_Where(…)`.

    `beside`: only in a condition that mentions this as well.
    """

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        drops: list[Callable[[], None]] = []
        for node in ast.walk(definition):
            if beside is not None and not _mentions(node, beside):
                continue
            if isinstance(node, ast.BoolOp):
                operands = [part for part in node.values if _mentions(part, name) and not _has_operand(part, name)]
                drops += [lambda n=node, p=part: n.values.remove(p) for part in operands]  # type: ignore[misc]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "_Where":
                drops += [
                    lambda n=node, p=place: n.args.__setitem__(p, _expression(_WHERE_DEFAULTS[p]))  # type: ignore[misc]
                    for place, argument in enumerate(node.args)
                    if _mentions(argument, name)
                ]
                drops += [lambda n=node, k=each: n.keywords.remove(k) for each in node.keywords if each.arg == name]  # type: ignore[misc]
        _only(f"a condition on {name}", drops)()

    return change


def drop_if(name: str) -> Operator:
    """Drop the `if` whose test mentions `name`; its `else` stays."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        found = [
            (body, each)
            for body in _bodies(definition)
            for each in body
            if isinstance(each, ast.If) and _mentions(each.test, name)
        ]
        body, statement = _only(f"an if on {name}", found)
        place = body.index(statement)
        body[place : place + 1] = statement.orelse or [ast.Pass()]

    return change


def negate_test(name: str) -> Operator:
    """Negate the test of the `if` that mentions `name`."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        tests = [each for each in ast.walk(definition) if isinstance(each, ast.If) and _mentions(each.test, name)]
        statement = _only(f"an if on {name}", tests)
        statement.test = ast.UnaryOp(ast.Not(), statement.test)

    return change


def drop_call(name: str) -> Operator:
    """Drop the statement that consists of a call of `name`, or yields it."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        found = [
            (body, each)
            for body in _bodies(definition)
            for each in body
            if isinstance(each, ast.Expr) and _is_call(_yielded(each.value), name)
        ]
        body, statement = _only(f"a statement {name}(…)", found)
        body[body.index(statement)] = ast.Pass()

    return change


def replace_call(name: str, expression: str, with_: str | None = None) -> Operator:
    """Replace the call of `name` (`with_`: the one whose arguments mention this) by an expression."""

    def is_it(node: ast.AST) -> bool:
        return _is_call(node, name) and (with_ is None or _mentions(node, with_))

    return _replace(f"a call of {name}", is_it, lambda _: _expression(expression))


def default_result(name: str, value: object) -> Operator:
    """Use `value` where the call of `name` returns nothing."""

    def with_default(node: ast.expr) -> ast.expr:
        return ast.BoolOp(ast.Or(), [node, ast.Constant(value)])  # type: ignore[arg-type]

    return _replace(f"a call of {name}", lambda node: _is_call(node, name), with_default)


def move_call_before(name: str, other: str) -> Operator:
    """Move the statement that calls `name` in front of the one that calls `other`."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        def calls(statement: ast.stmt, callee: str) -> bool:
            return any(_is_call(node, callee) for node in ast.walk(statement))

        found = [
            (body, late, early)
            for body in _bodies(definition)
            for late in body
            for early in body[: body.index(late)]
            if calls(late, name) and calls(early, other)
        ]
        body, late, early = _only(f"{name}(…) after {other}(…)", found)
        body.remove(late)
        body.insert(body.index(early), late)

    return change


def replace_argument(name: str, place: int, expression: str) -> Operator:
    """Pass something else as an argument of the call of `name`."""

    def replaced(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Call)
        if place >= len(node.args):
            raise DoesNotApply(f"argument {place} of {name}")
        node.args[place] = _expression(expression)
        return node

    return _replace(f"a call of {name}", lambda node: _is_call(node, name), replaced)


def add_argument(name: str, argument: str, expression: str) -> Operator:
    """Pass one more keyword argument to the call of `name`."""

    def replaced(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Call)
        if any(each.arg == argument for each in node.keywords):
            raise DoesNotApply(f"{name} has {argument} already")
        node.keywords.append(ast.keyword(argument, _expression(expression)))
        return node

    return _replace(f"a call of {name}", lambda node: _is_call(node, name), replaced)


def drop_argument(name: str, argument: str) -> Operator:
    """Drop a keyword argument of the call of `name`."""

    def has_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and _is_call(node, name) and argument in {each.arg for each in node.keywords}

    def without(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Call)
        node.keywords = [each for each in node.keywords if each.arg != argument]
        return node

    return _replace(f"a call of {name} with {argument}", has_it, without)


def drop_key(key: str) -> Operator:
    """Drop a key from the dictionary that has it."""

    def has_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Dict) and any(isinstance(k, ast.Constant) and k.value == key for k in node.keys)

    def without(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Dict)
        kept = [
            (k, value)
            for k, value in zip(node.keys, node.values, strict=True)
            if not (isinstance(k, ast.Constant) and k.value == key)
        ]
        return ast.Dict([k for k, _ in kept], [value for _, value in kept])

    return _replace(f"a dictionary with {key}", has_it, without)


def drop_element(text: str) -> Operator:
    """Drop a text from the tuple that has it."""

    def has_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Tuple) and any(_is_constant(each, text) for each in node.elts)

    def without(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Tuple)
        return ast.Tuple([each for each in node.elts if not _is_constant(each, text)], ast.Load())

    return _replace(f"a tuple with {text}", has_it, without)


def add_element(expression: str, beside: str) -> Operator:
    """Add an element to the tuple or list that mentions `beside`."""

    def with_it(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Tuple | ast.List)
        node.elts.append(_expression(expression))
        return node

    def has_beside(node: ast.AST) -> bool:
        return isinstance(node, ast.Tuple | ast.List) and any(_mentions(each, beside) for each in node.elts)

    return _replace(f"a tuple with {beside}", has_beside, with_it)


def replace_constant(old: object, new: object) -> Operator:
    """Replace a constant by another."""
    return _replace(f"the constant {old!r}", lambda node: _is_constant(node, old), lambda _: ast.Constant(new))  # type: ignore[arg-type]


def replace_test(name: str, expression: str) -> Operator:
    """Replace the one comparison that mentions `name`."""

    def is_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Compare) and _mentions(node, name)

    return _replace(f"a comparison of {name}", is_it, lambda _: _expression(expression))


def replace_name(name: str, expression: str) -> Operator:
    """Use something else where a name is used."""

    def is_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)

    return _replace(f"the name {name}", is_it, lambda _: _expression(expression))


def move_boundary(operand: str, by: str) -> Operator:
    """Compare with an operand a bit earlier or later: `closes`, `"+ 1"`."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        found = [
            (node, place)
            for node in ast.walk(definition)
            if isinstance(node, ast.Compare)
            for place, each in enumerate([node.left, *node.comparators])
            if ast.unparse(each) == operand
        ]
        comparison, place = _only(f"a comparison with {operand}", found)
        moved = _expression(f"{operand} {by}")
        if place:
            comparison.comparators[place - 1] = moved
        else:
            comparison.left = moved

    return change


def swap_elements(one: str, other: str) -> Operator:
    """Swap the two elements of a list or tuple that mention these."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        found = [
            (node.elts, first, second)
            for node in ast.walk(definition)
            if isinstance(node, ast.List | ast.Tuple)
            for first, each in enumerate(node.elts)
            for second, beside in enumerate(node.elts)
            if _mentions(each, one) and _mentions(beside, other) and first != second
        ]
        elements, first, second = _only(f"{one} and {other} in a list", found)
        elements[first], elements[second] = elements[second], elements[first]

    return change


def always(name: str) -> Operator:
    """Take the first branch of the conditional expression whose test mentions `name`."""

    def is_it(node: ast.AST) -> bool:
        return isinstance(node, ast.IfExp) and _mentions(node.test, name)

    def first(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.IfExp)
        return node.body

    return _replace(f"a conditional expression on {name}", is_it, first)


def always_returns(expression: str) -> Operator:
    """Return this, whatever the function does."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        if not isinstance(definition, ast.FunctionDef):
            raise DoesNotApply("not a function")
        definition.body = [ast.Return(_expression(expression))]

    return change


def drop_placeholder(name: str) -> Operator:
    """Drop the placeholder that mentions `name` from an f-string."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        found = [
            (node, part)
            for node in ast.walk(definition)
            if isinstance(node, ast.JoinedStr)
            for part in node.values
            if isinstance(part, ast.FormattedValue) and _mentions(part, name)
        ]
        text, part = _only(f"a placeholder with {name}", found)
        text.values.remove(part)

    return change


def drop_case(pattern: str) -> Operator:
    """Drop the case with this pattern (its class, where it has arguments)."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        statement, case = _case(definition, pattern)
        statement.cases.remove(case)

    return change


def in_case(pattern: str, operator: Operator) -> Operator:
    """Apply an operator within the case with this pattern (its class, where it has arguments)."""

    def change(module: ast.Module, definition: ast.stmt) -> None:
        _, case = _case(definition, pattern)
        guard = ast.Expr(case.guard) if case.guard else ast.Pass()
        body = [guard, *case.body]
        _within(body, module, operator)
        case.body = body[1:]
        if isinstance(guard, ast.Expr):
            case.guard = guard.value

    return change


def in_handler(exception: str, operator: Operator) -> Operator:
    """Apply an operator within the handler of this exception."""

    def change(module: ast.Module, definition: ast.stmt) -> None:
        handlers = [
            node
            for node in ast.walk(definition)
            if isinstance(node, ast.ExceptHandler) and node.type and ast.unparse(node.type) == exception
        ]
        _within(_only(f"a handler of {exception}", handlers).body, module, operator)

    return change


def swallow_exceptions(result: str) -> Operator:
    """Return `result` where the body of the `try` raises any other exception."""

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        statement = _only("a try", [node for node in ast.walk(definition) if isinstance(node, ast.Try)])
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Return(_expression(result))])
        statement.handlers.append(handler)

    return change


def allow_transition(before: str, after: str) -> Operator:
    """Let a status follow another one, in a table of transitions."""
    return _change_table(before, after, "|", f"Status.{after} not in")


def forbid_transition(before: str, after: str) -> Operator:
    """Don't let a status follow another one, in a table of transitions."""
    return _change_table(before, after, "-", f"Status.{after} in")


def _change_table(before: str, after: str, operation: str, must_hold: str) -> Operator:
    """The table is computed, so it is changed after it was made; that it changes is checked where it is imported."""

    def change(module: ast.Module, definition: ast.stmt) -> None:
        (table,) = _defined(definition)
        row = f"{table}[Status.{before}]"
        source = f"assert {must_hold} {row}, 'does not apply'\n{row} = {row} {operation} {{Status.{after}}}"
        place = module.body.index(definition) + 1
        module.body[place:place] = ast.parse(source).body

    return change


# How a place is found.


def _only[T](what: str, found: list[T]) -> T:
    if len(found) != 1:
        raise DoesNotApply(f"{what}: found {len(found)} times")
    return found[0]


def _defined(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case _:
            return set()


def _bodies(definition: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(definition):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(body := getattr(node, name, None), list):
                yield body


def _mentions(node: ast.AST, name: str) -> bool:
    for each in ast.walk(node):
        match each:
            case ast.Name(id=found) | ast.Attribute(attr=found) | ast.keyword(arg=found):
                if found == name:
                    return True
            case ast.Constant(value=found):
                if found == name:
                    return True
    return False


def _has_operand(node: ast.AST, name: str) -> bool:
    """Whether a condition within this has an operand that mentions `name`."""
    return any(isinstance(each, ast.BoolOp) and _mentions(each, name) for each in ast.walk(node))


def _is_call(node: ast.AST, name: str) -> bool:
    """Whether this calls `name`: a function, or a method of anything; with a dot, a method of that."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called == name or called.endswith(f".{name}")


def _yielded(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Yield) and node.value else node


def _is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == value and type(node.value) is type(value)


def _expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _case(definition: ast.stmt, pattern: str) -> tuple[ast.Match, ast.match_case]:
    found = [
        (node, case)
        for node in ast.walk(definition)
        if isinstance(node, ast.Match)
        for case in node.cases
        if ast.unparse(case.pattern).partition("(")[0] == pattern and not (pattern == "_" and case.guard)
    ]
    return _only(f"a case {pattern}", found)


def _within(body: list[ast.stmt], module: ast.Module, operator: Operator) -> None:
    """Apply an operator to a part of a function, as if this part were one."""
    part = ast.If(ast.Constant(True), body, [])
    operator(module, part)


def _replace(what: str, is_it: Callable[[ast.AST], bool], replaced: Callable[[ast.expr], ast.expr]) -> Operator:
    """Replace the one expression that is meant."""

    class Replacement(ast.NodeTransformer):
        found = 0

        @override
        def visit(self, node: ast.AST) -> ast.AST:
            self.generic_visit(node)
            if not is_it(node):
                return node
            self.found += 1
            assert isinstance(node, ast.expr)
            return replaced(copy.deepcopy(node))

    def change(_module: ast.Module, definition: ast.stmt) -> None:
        replacement = Replacement()
        replacement.visit(definition)
        if replacement.found != 1:
            raise DoesNotApply(f"{what}: found {replacement.found} times")

    return change


@dataclass(frozen=True)
class Change:
    """One operator, and the definition that it changes."""

    target: str
    operator: Operator
