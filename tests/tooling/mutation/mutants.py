"""Mutants of a module: the module with one small mistake in it, for every place and every operator.

The operators are mutmut's, and a few that it lacks and this code needs, which is made of tables, guards and conditions.
docs/explain/decisions/0014-mutation-testing.md says why mutmut's own runner isn't used.

What only people or the type checker read is not mutated: docstrings, annotations, type aliases, the type that a `cast`
names, imports, decorators. Every other text is, since a caller may rely on it.
"""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast, override

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

type Operator = Callable[[Any], Iterable[cst.CSTNode]]

NOT_MUTATED = (cst.Annotation, cst.TypeAlias, cst.Import, cst.ImportFrom, cst.Decorator, cst.AssignTarget)


@dataclass(frozen=True)
class Mutant:
    """One mutation of a module.

    `name` identifies it even when the code around it moves: the module, the function, and what it changes there.
    `lines` are the lines of the mutated statement, counted from 1. `source` is the text of the whole mutated module.
    """

    name: str
    module: str
    function: str
    lines: range
    source: str


def mutants_of(module: str, source: str, functions: Collection[str] | None = None) -> list[Mutant]:
    """Every mutant of a module, in the order of the source. Mutations that give the same text count once.

    `functions` limits them to some functions, where `""` means the code outside of functions and classes.
    """
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _MutationVisitor()
    wrapper.visit(visitor)
    found: dict[str, Mutant] = {}
    names = Counter[str]()
    for mutation in visitor.found:
        if functions is not None and mutation.function not in functions:
            continue
        text = mutation.mutated_source()
        if text == source or text in found or not _compiles(text):
            continue
        name = f"{module}.{mutation.function}\n{_diff(source, text)}"
        names[name] += 1
        if (times := names[name]) > 1:
            name += f"\n(number {times} with this text)"
        found[text] = Mutant(name, module, mutation.function, mutation.lines, text)
    return list(found.values())


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _diff(old: str, new: str) -> str:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0))[2:]
    changed = [line for line in lines if not line.startswith("@@")]
    indent = min((len(line) - len(line[1:].lstrip()) for line in changed if line[1:].strip()), default=1)
    return "\n".join(f"{line[0]} {line[indent:]}".rstrip() for line in changed)


def remove_element(
    node: cst.Set | cst.Tuple | cst.List | cst.Dict | cst.MatchOr,
) -> Iterator[cst.CSTNode]:
    """Remove one entry of a table, a set of statuses or a list of exceptions."""
    elements = node.patterns if isinstance(node, cst.MatchOr) else node.elements
    for removed in range(len(elements)):
        kept: list[Any] = [*elements[:removed], *elements[removed + 1 :]]
        match node:
            case cst.MatchOr() if len(kept) == 1:
                yield kept[0].pattern
            case cst.MatchOr():
                kept[-1] = kept[-1].with_changes(separator=cst.MaybeSentinel.DEFAULT)
                yield node.with_changes(patterns=kept)
            case cst.Set() if not kept:
                yield cst.Call(cst.Name("set"))
            case cst.Tuple() if not kept and not node.lpar:
                return
            case _:
                yield node.with_changes(elements=kept)


def negate_condition(node: cst.If | cst.IfExp | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    yield node.with_changes(test=_negated(node.test))


def negate_guard(node: cst.MatchCase) -> Iterator[cst.CSTNode]:
    if node.guard is not None:
        yield node.with_changes(guard=_negated(node.guard))
        nothing = cst.SimpleWhitespace("")
        yield node.with_changes(guard=None, whitespace_before_if=nothing, whitespace_after_if=nothing)


def remove_statement(node: cst.Expr | cst.Raise) -> Iterator[cst.CSTNode]:
    if not (isinstance(node, cst.Expr) and isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)):
        yield cst.Pass()


def return_none(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is not None and not (isinstance(node.value, cst.Name) and node.value.value == "None"):
        yield node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))


def change_string(node: cst.BaseString) -> Iterator[cst.CSTNode]:
    """Change a text once. Its first change is enough: a text in other capitals is noticed where that one is."""
    yield from itertools.islice(operator_string(node), 1)


def move_boundary(node: cst.Comparison) -> Iterator[cst.CSTNode]:
    """Move what a value is compared with by one: a second, a day, a call."""
    for place, target in enumerate(node.comparisons):
        if not isinstance(target.operator, cst.LessThan | cst.LessThanEqual | cst.GreaterThan | cst.GreaterThanEqual):
            continue
        for operator in (cst.Add(), cst.Subtract()):
            if place == 0 and len(node.comparisons) > 1:
                yield node.with_changes(left=_by_one(node.left, operator))
            else:
                moved = target.with_changes(comparator=_by_one(target.comparator, operator))
                yield node.with_changes(comparisons=_replaced(node.comparisons, place, moved))


def swap_checks(node: cst.IndentedBlock | cst.Module) -> Iterator[cst.CSTNode]:
    """Swap two checks in a row: statements that yield, or that leave if a condition holds."""
    for place, (one, other) in enumerate(itertools.pairwise(node.body)):
        if _is_check(one) and _is_check(other):
            yield node.with_changes(body=[*node.body[:place], other, one, *node.body[place + 2 :]])


def _is_check(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Yield())]):
            return True
        case cst.If(body=cst.IndentedBlock(body=[*_, cst.SimpleStatementLine(body=[*_, last])]), orelse=None):
            return isinstance(last, cst.Return | cst.Raise | cst.Continue)
        case _:
            return False


def _by_one(value: cst.BaseExpression, operator: cst.BaseBinaryOp) -> cst.BaseExpression:
    return cst.BinaryOperation(value, operator, cst.Integer("1"))


def _replaced[T](elements: Sequence[T], place: int, element: T) -> list[T]:
    return [*elements[:place], element, *elements[place + 1 :]]


def _negated(test: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return test.expression
    whole = test if test.lpar else test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.UnaryOperation(cst.Not(), whole)


OPERATORS: tuple[tuple[type | tuple[type, ...], Operator], ...] = (
    *(each for each in mutation_operators if each[1] is not operator_string),
    (cst.BaseString, change_string),
    (cst.Comparison, move_boundary),
    ((cst.IndentedBlock, cst.Module), swap_checks),
    ((cst.Set, cst.Tuple, cst.List, cst.Dict, cst.MatchOr), remove_element),
    ((cst.If, cst.IfExp, cst.While, cst.CompIf), negate_condition),
    (cst.MatchCase, negate_guard),
    ((cst.Expr, cst.Raise), remove_statement),
    (cst.Return, return_none),
)


@dataclass(frozen=True)
class _Mutation:
    """The nodes from the module down to the one that is replaced, and its replacement."""

    path: tuple[cst.CSTNode, ...]
    replacement: cst.CSTNode
    function: str
    lines: range

    def mutated_source(self) -> str:
        """The text of the module with this mutation."""
        old, new = self.path[-1], self.replacement
        for parent in reversed(self.path[:-1]):
            old, new = parent, _with_child(parent, old, new)
        return cast("cst.Module", new).code


def _with_child(parent: cst.CSTNode, old: cst.CSTNode, new: cst.CSTNode) -> cst.CSTNode:
    for field in fields(parent):
        value = getattr(parent, field.name)
        if value is old:
            return parent.with_changes(**{field.name: new})
        if isinstance(value, Sequence) and any(child is old for child in value):
            return parent.with_changes(**{field.name: [new if child is old else child for child in value]})
    raise ValueError(f"{type(old).__name__} is not a child of {type(parent).__name__}")


class _MutationVisitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Mutation] = []
        self._path: list[cst.CSTNode] = []
        self._skipped: set[cst.CSTNode] = set()

    @override
    def on_visit(self, node: cst.CSTNode) -> bool:
        self._path.append(node)
        if isinstance(node, NOT_MUTATED) or node in self._skipped or _is_type_checking(node):
            return False
        if isinstance(node, cst.For | cst.CompFor):
            self._skipped.add(node.target)
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "cast":
            self._skipped.add(node.args[0])
        else:
            self._add(node)
        return True

    @override
    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._path.pop()

    def _add(self, node: cst.CSTNode) -> None:
        named = [parent.name.value for parent in self._path if isinstance(parent, cst.FunctionDef | cst.ClassDef)]
        statement = next((parent for parent in self._path if isinstance(parent, cst.SimpleStatementLine)), node)
        for kinds, operator in OPERATORS:
            if isinstance(node, kinds):
                span = self.get_metadata(PositionProvider, statement)
                lines = range(span.start.line, span.end.line + 1)
                self.found += [
                    _Mutation(tuple(self._path), replacement, ".".join(named), lines) for replacement in operator(node)
                ]


def _is_type_checking(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.If) and isinstance(node.test, cst.Name) and node.test.value == "TYPE_CHECKING"
