"""What AWS refuses in a request: what the service's model forbids, and what the emulator lets pass.

The rules on DynamoDB's expressions are those of its developer guide ("Expressions in DynamoDB") that the emulator
doesn't enforce. They need no table: types are those of the request, projections those of the template.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

from botocore.validate import ParamValidator

from tests.tables import projections

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

MOST_VALUES: Final = 100
"""In one IN. docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

_TOKEN = re.compile(r"[#:]?\w+|<=|>=|<>|\S")
_SECTIONS = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_WORDS = frozenset({"AND", "OR", "NOT", "IN", "BETWEEN"})
_FUNCTIONS = frozenset({
    "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "if_not_exists",
    "list_append", "size",
})  # fmt: skip
_IN_A_TRANSACTION = ("Put", "Update", "Delete", "ConditionCheck")
_validator = ParamValidator()

type Path = tuple[str, ...]


def faults(model: OperationModel, params: Mapping[str, Any]) -> Iterator[str]:
    """Why AWS would refuse this request; nothing if it would take it."""
    if model.input_shape is not None:
        report = _validator.validate(params, model.input_shape)
        if report.has_errors():
            yield report.generate_report()
            return
        yield from _beyond_limits(params, model.input_shape, "")
    if model.service_model.service_name == "dynamodb":
        for part in parts(params):
            yield from Expressions(part).faults()


def parts(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The request, and the parts of a transaction."""
    return [params] + [
        item[name] for item in params.get("TransactItems", ()) for name in _IN_A_TRANSACTION if name in item
    ]


def _beyond_limits(value: Any, shape: Shape, where: str) -> Iterator[str]:
    """The values that are not in an enumeration, or longer than the model allows. botocore doesn't check these."""
    described: Any = shape
    match shape.type_name:
        case "structure":
            for name, member in described.members.items():
                if name in value:
                    yield from _beyond_limits(value[name], member, f"{where}.{name}")
        case "list":
            for each in value:
                yield from _beyond_limits(each, described.member, where)
        case "map":
            for each in value.values():
                yield from _beyond_limits(each, described.value, where)
    if described.metadata.get("enum") and value not in described.metadata["enum"]:
        yield f"{where.lstrip('.')} is {value}, not one of {', '.join(described.metadata['enum'])}"
    size = value if isinstance(value, int | float) else len(value) if hasattr(value, "__len__") else 0
    if size > described.metadata.get("max", size):
        yield f"{where.lstrip('.')} exceeds {described.metadata['max']}"


@dataclass(frozen=True)
class Expressions:
    """The expressions of a request, or of a part of a transaction."""

    params: Mapping[str, Any]

    def faults(self) -> Iterator[str]:
        """What DynamoDB refuses in them, or answers otherwise than the emulator."""
        yield from self._unused()
        if "UpdateExpression" in self.params:
            yield from self._update()
        for name in ("ConditionExpression", "FilterExpression", "KeyConditionExpression"):
            yield from self._condition(tokens(self.params.get(name, "")))
        if "IndexName" in self.params:
            yield from self._index(self.params["IndexName"])

    def _unused(self) -> Iterator[str]:
        used = {each for name, text in self.params.items() if name.endswith("Expression") for each in tokens(text)}
        for kind, prefix in (("ExpressionAttributeNames", "#"), ("ExpressionAttributeValues", ":")):
            given = self.params.get(kind, {}).keys()
            wanted = {each for each in used if each.startswith(prefix)}
            if given != wanted:
                yield f"{kind} has {sorted(given - wanted)} too many and lacks {sorted(wanted - given)}"

    def _update(self) -> Iterator[str]:
        sections = list(_sections(tokens(self.params["UpdateExpression"])))
        names = [name for name, _ in sections]
        yield from (f"a second {name}" for name in sorted({each for each in names if names.count(each) > 1}))
        clauses = [(name, clause) for name, body in sections for clause in _split(body, ",")]
        paths = [self._path(clause) for _, clause in clauses]
        for one, other in combinations(paths, 2):
            if one[: len(other)] == other[: len(one)]:
                yield f"the paths {'.'.join(one)} and {'.'.join(other)} overlap"
        for name, clause in clauses:
            if name == "SET" and {"+", "-"} & set(clause):
                yield from self._not_numbers(clause[clause.index("=") + 1 :], {"N"})
            elif name in {"ADD", "DELETE"}:
                yield from self._not_numbers(clause[-1:], {"SS", "NS", "BS"} | ({"N"} if name == "ADD" else set()))

    def computed(self) -> Iterator[str]:
        """The attributes that an update computes with."""
        for name, body in _sections(tokens(self.params.get("UpdateExpression", ""))):
            for clause in _split(body, ","):
                if name == "SET" and {"+", "-"} & set(clause):
                    yield from (self._name(each) for each in clause[clause.index("=") + 1 :] if _is_name(each))
                elif name == "ADD":
                    yield self._name(clause[0])

    def written(self) -> Iterator[tuple[str, str]]:
        """The attributes that are set to a value of the request, each with its type."""
        for name, value in self.params.get("Item", {}).items():
            yield name, *value
        for section, body in _sections(tokens(self.params.get("UpdateExpression", ""))):
            for clause in _split(body, ",") if section == "SET" else ():
                if clause[1] == "=" and len(clause) == 3 and clause[2].startswith(":"):
                    yield self._name(clause[0]), *self.params["ExpressionAttributeValues"][clause[2]]

    def _not_numbers(self, operands: Sequence[str], allowed: set[str]) -> Iterator[str]:
        for each in operands:
            if each.startswith(":"):
                ((kind, _),) = self.params["ExpressionAttributeValues"][each].items()
                if kind not in allowed:
                    yield f"{each} is computed with, but is of type {kind}"

    def _condition(self, found: Sequence[str]) -> Iterator[str]:
        for position, token in enumerate(found):
            if token.upper() == "IN":
                values = _split(_in_brackets(found[position + 1 :]), ",")
                if len(values) > MOST_VALUES:
                    yield f"IN has {len(values)} values, more than {MOST_VALUES}"
            elif token in _COMPARISONS and found[position - 1] != ")" and "(" not in found[position + 2 : position + 3]:
                operands = found[position - 1], found[position + 1]
                if not any(each.startswith(":") for each in operands):
                    yield f"{' '.join(operands)} are two attributes that are compared, and may be missing"

    def _index(self, index: str) -> Iterator[str]:
        if self.params.get("ConsistentRead"):
            yield f"a consistent read of the index {index}"
        if index in projections():
            read = {
                self._name(each)
                for name in ("FilterExpression", "ProjectionExpression", "KeyConditionExpression")
                for each in tokens(self.params.get(name, ""))
                if _is_name(each)
            }
            if missing := read - projections()[index]:
                yield f"the index {index} doesn't hold {', '.join(sorted(missing))}"

    def _path(self, clause: Sequence[str]) -> Path:
        """The attribute that a clause changes, as the names and positions that lead to it."""
        path = [self._name(clause[0])]
        for token in clause[1:]:
            if token not in {".", "[", "]"}:
                if token == "=" or token.startswith(":"):
                    break
                path.append(self._name(token))
        return tuple(path)

    def _name(self, token: str) -> str:
        return str(self.params.get("ExpressionAttributeNames", {}).get(token, token))


@cache
def tokens(expression: str) -> tuple[str, ...]:
    """The words and signs of an expression."""
    return tuple(_TOKEN.findall(expression))


def _sections(found: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each section of an update expression: its keyword, and what it changes."""
    starts = [position for position, token in enumerate(found) if token.upper() in _SECTIONS]
    for start, end in pairwise([*starts, len(found)]):
        yield found[start].upper(), list(found[start + 1 : end])


def _split(found: Sequence[str], sign: str) -> list[list[str]]:
    """The parts between these signs, outside of brackets."""
    parts: dict[int, list[str]] = defaultdict(list)
    depth = number = 0
    for token in found:
        depth += (token == "(") - (token == ")")
        if token == sign and not depth:
            number += 1
        else:
            parts[number].append(token)
    return list(parts.values())


def _is_name(token: str) -> bool:
    return bool(re.match(r"#|[A-Za-z_]", token)) and token.upper() not in _WORDS and token not in _FUNCTIONS


def _in_brackets(found: Sequence[str]) -> Sequence[str]:
    return found[1 : found.index(")")]
