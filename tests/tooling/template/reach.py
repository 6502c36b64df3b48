"""The AWS actions that a function's code can call, and the class that calls each, read from its source.

It follows names and annotations from the handler to the methods of boto3's clients. Where it can't tell a type, it
assumes all: it may find an action too many, never one too few. A client without an annotation is an error.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.tooling.template.rendering import PROJECT

LAYER = PROJECT / "layers/outbound_calls"
FUNCTIONS = PROJECT / "functions"
SERVICES = {
    "CodeDeployClient": "codedeploy",
    "DynamoDBClient": "dynamodb",
    "EventBridgeClient": "events",
    "LambdaClient": "lambda",
    "SQSClient": "sqs",
    "SecretsManagerClient": "secretsmanager",
}
NOT_CALLS = {"exceptions", "meta"}
NAMED_OTHERWISE = {"lambda:Invoke": "lambda:InvokeFunction", "sqs:SendMessageBatch": "sqs:SendMessage"}
IN_A_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
"""The key of a part of a transaction, and the permission that it needs; the transaction itself needs none.

docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

FOREIGN = "?"
"""The type of a value that is neither a client nor of a class of this project."""


@dataclass(frozen=True)
class Class:
    """A class of the project: its name, the types of its attributes, its methods."""

    name: str
    attributes: dict[str, str]
    methods: dict[str, ast.FunctionDef]


@dataclass(frozen=True, order=True)
class Use:
    """An action, the class in whose code it is called (or none), and the index of a table that it reads (or none)."""

    action: str
    by: str = ""
    index: str = ""


def actions(function: str) -> set[str]:
    """The actions that the code of `functions/NAME/` can call, such as `sqs:SendMessage`."""
    return {use.action for use in uses(function)}


@cache
def uses(function: str) -> set[Use]:
    """How the code of `functions/NAME/` can call AWS."""
    app = ast.parse((FUNCTIONS / function / "app.py").read_text())
    walk = _Walk()
    for module in _imported_modules(app, FUNCTIONS / function):
        walk.classes |= {node.name: _class(node) for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
        walk.functions |= {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    for statement in app.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            walk.globals[statement.targets[0].id] = walk.type_of(statement.value, {}) or FOREIGN
    walk.read(app, {})
    return walk.found


@dataclass
class _Walk:
    classes: dict[str, Class] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    globals: dict[str, str] = field(default_factory=dict)
    found: set[Use] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)

    def read(self, code: ast.AST, names: dict[str, str], reader: str = "") -> None:
        calls = {id(call.func): call for call in ast.walk(code) if isinstance(call, ast.Call)}
        for node in ast.walk(code):
            if isinstance(node, ast.Attribute):
                owner = self.type_of(node.value, names)
                if owner in SERVICES and node.attr not in NOT_CALLS:
                    self.found |= {Use(action, reader, index) for action, index in _asked(owner, node, calls, code)}
                else:
                    self._attribute(node, owner)
            elif isinstance(node, ast.Dict):
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                self.found |= {Use(IN_A_TRANSACTION[key], reader) for key in IN_A_TRANSACTION.keys() & keys}
            elif isinstance(node, ast.Name) and node.id in self.functions:
                self._enter(self.functions[node.id], None)

    def type_of(self, node: ast.expr, names: dict[str, str]) -> str | None:
        """The name of a value's class, FOREIGN, or None if it isn't known."""
        match node:
            case ast.Name(name):
                return names.get(name) or self.globals.get(name) or (name if name in self.classes else None)
            case ast.Attribute(value, name):
                owner = self.type_of(value, names)
                if owner in self.classes:
                    return self.classes[owner].attributes.get(name)
                return owner if owner == FOREIGN else None
            case ast.Call(ast.Name(name)) if name in self.classes:
                return name
            case ast.Call(ast.Attribute(value, name)):
                # Such as `Settings.from_environment(…)`, which returns Self, and `Assembly().place_calls(…)`.
                owner = self.type_of(value, names)
                method = self.classes[owner].methods.get(name) if owner in self.classes else None
                returned = _annotation(method.returns) if method else None
                return owner if returned == "Self" else returned
            case _:
                return None

    def _enter(self, function: ast.FunctionDef, owner: Class | None) -> None:
        if id(function) not in self._seen:
            self._seen.add(id(function))
            names = {argument.arg: _annotation(argument.annotation) for argument in function.args.args}
            if owner and function.args.args:
                names[function.args.args[0].arg] = owner.name
            self.read(function, names, owner.name if owner else "")

    def _attribute(self, node: ast.Attribute, owner: str | None) -> None:
        if owner in self.classes:
            self._method(self.classes[owner], node.attr)
        elif owner is None:
            if node.attr == "client" and not isinstance(node.value, ast.Name):
                raise NotImplementedError(f"line {node.lineno}: the owner of this client is unknown")
            for each in self.classes.values():
                self._method(each, node.attr)
            if node.attr in self.functions:
                self._enter(self.functions[node.attr], None)

    def _method(self, owner: Class, name: str) -> None:
        if name in owner.methods:
            self._enter(owner.methods[name], owner)


def _asked(client: str, method: ast.Attribute, calls: dict[int, ast.Call], code: ast.AST) -> Iterator[tuple[str, str]]:
    """The actions that a use of a client's method needs, each with the index that it names."""
    call, operation = calls.get(id(method)), method.attr
    if operation == "transact_write_items":
        return  # Its parts are found where they are made.
    if operation == "get_paginator":
        literals = [each for each in call.args if isinstance(each, ast.Constant)] if call else []
        call = next((each for each in calls.values() if _is_called_on(each, call)), None)
        if not literals or call is None:
            raise NotImplementedError(f"line {method.lineno}: name the paginator's operation, and use it at once")
        operation = str(literals[0].value)
    index = [each.value for each in call.keywords if each.arg == "IndexName"] if call else []
    action = f"{SERVICES[client]}:{operation.title().replace('_', '')}"
    yield NAMED_OTHERWISE.get(action, action), ast.literal_eval(index[0]) if index else ""


def _is_called_on(call: ast.Call, value: ast.expr | None) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.value is value


def _imported_modules(module: ast.Module, folder: Path) -> Iterator[ast.Module]:
    """The module, and those of its folder and of the layer that it imports, directly or not."""
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        yield current
        for path in _imported_paths(current, folder):
            if path not in seen:
                seen.add(path)
                waiting.append(ast.parse(path.read_text()))


def _imported_paths(module: ast.Module, folder: Path) -> Iterator[Path]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            name = node.module.replace(".", "/")
            candidates = [LAYER / name, folder / name, *(LAYER / name / alias.name for alias in node.names)]
            yield from (path for each in candidates if (path := each.with_suffix(".py")).exists())


def _class(node: ast.ClassDef) -> Class:
    methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
    attributes = {
        each.target.id: _annotation(each.annotation)
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    properties = {
        name: _annotation(method.returns)
        for name, method in methods.items()
        if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in method.decorator_list)
    }
    return Class(node.name, attributes | properties, methods)


def _annotation(node: ast.expr | None) -> str:
    names = re.findall(r"\w+", ast.unparse(node)) if node else []
    return next((name for name in names if name != "None"), FOREIGN)
