"""Evaluates CloudWatch's alarms, and its metric math as far as they use it.

docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_OPERATORS: Final[Mapping[type[ast.operator | ast.cmpop], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def breaches(alarm: Mapping[str, Any], value: float | None) -> bool:
    """Whether a period with this value is a bad one."""
    if value is None:
        return bool(alarm["TreatMissingData"] == "breaching")
    threshold: float = alarm["Threshold"]
    compared = {"GreaterThanThreshold": value > threshold, "LessThanThreshold": value < threshold}
    return compared[alarm["ComparisonOperator"]]


def needs(alarm: Mapping[str, Any]) -> tuple[int, int]:
    """How many bad periods of how many raise the alarm."""
    periods: int = alarm["EvaluationPeriods"]
    return alarm.get("DatapointsToAlarm", periods), periods


def is_raised(alarm: Mapping[str, Any], values: Sequence[float | None]) -> bool:
    """Whether an alarm is raised after periods with these values, the last one last."""
    bad, periods = needs(alarm)
    return sum(breaches(alarm, value) for value in values[-periods:]) >= bad


def evaluate(expression: str, values: Mapping[str, float]) -> float | None:
    """The value for a period whose metrics have these values; None if a metric that it needs has none.

    Metric math is close enough to Python to be parsed as such. An expression with a missing value is missing too.
    """
    return _value(ast.parse(expression, mode="eval").body, values)


def _value(node: ast.expr, values: Mapping[str, float]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return values.get(name)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _combined(op, _value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            holds = _value(condition, values)
            return None if holds is None else _value(then if holds else otherwise, values)
        case _:
            raise NotImplementedError(f"{ast.unparse(node)} is not supported by this module")


def _combined(op: Any, left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else float(_OPERATORS[type(op)](left, right))
