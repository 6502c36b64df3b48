"""What a function's code calls of AWS, read from its source: the methods of boto3's clients that its handler can reach.

It follows names and annotations, and takes what it cannot tell apart for reachable: it may find an action too many,
but none too few. A client is known by its annotation, so one that has none is refused.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
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
NAMED_OTHERWISE = {"lambda:Invoke": "lambda:InvokeFunction"}


@dataclass(frozen=True)
class Class:
    """A class of the project: what its attributes are, and its methods."""

    name: str
    attributes: dict[str, str]
    methods: dict[str, ast.FunctionDef]


@dataclass
class Code:
    """A function's own module and those of the layer that it imports, however indirectly."""

    classes: dict[str, Class] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)

    def add(self, module: ast.Module) -> None:
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = _class(node)
        for statement in module.body:
            if isinstance(statement, ast.FunctionDef):
                self.functions[statement.name] = statement


def actions(function: str) -> set[str]:
    """The actions that the code of `functions/NAME/` can ask for, such as `sqs:SendMessage`."""
    app = ast.parse((FUNCTIONS / function / "app.py").read_text())
    code = Code()
    for module in _closure(app):
        code.add(module)
    return _Walk(code).from_module(app)


@dataclass
class _Walk:
    code: Code
    found: set[str] = field(default_factory=set)
    _globals: dict[str, str] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def from_module(self, app: ast.Module) -> set[str]:
        for statement in app.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self._globals[statement.targets[0].id] = self._type(statement.value, {}) or "?"
        self._read(app, {})
        return self.found

    def _enter(self, function: ast.FunctionDef, owner: Class | None) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        names = {argument.arg: _annotation(argument.annotation) for argument in function.args.args}
        if owner and function.args.args:
            names[function.args.args[0].arg] = owner.name
        self._read(function, names)

    def _read(self, code: ast.AST, names: dict[str, str]) -> None:
        arguments = {id(call.func): call.args for call in ast.walk(code) if isinstance(call, ast.Call)}
        for node in ast.walk(code):
            if isinstance(node, ast.Attribute):
                self._attribute(node, names, arguments.get(id(node), []))
            elif isinstance(node, ast.Name) and node.id in self.code.functions:
                self._enter(self.code.functions[node.id], None)

    def _attribute(self, node: ast.Attribute, names: dict[str, str], arguments: list[ast.expr]) -> None:
        owner = self._type(node.value, names)
        if owner in SERVICES:
            if node.attr not in NOT_CALLS:
                action = f"{SERVICES[owner]}:{_operation(node, arguments).title().replace('_', '')}"
                self.found.add(NAMED_OTHERWISE.get(action, action))
        elif owner in self.code.classes:
            self._method(self.code.classes[owner], node.attr)
        elif owner is None:
            if node.attr == "client" and not isinstance(node.value, ast.Name):
                raise NotImplementedError(f"line {node.lineno}: whose client is this?")
            for each in self.code.classes.values():
                self._method(each, node.attr)
            if node.attr in self.code.functions:
                self._enter(self.code.functions[node.attr], None)

    def _method(self, owner: Class, name: str) -> None:
        if name in owner.methods:
            self._enter(owner.methods[name], owner)

    def _type(self, node: ast.expr, names: dict[str, str]) -> str | None:
        """The class of a value; "?" where it is none of the project's, None where it cannot be told."""
        match node:
            case ast.Name(name):
                return names.get(name) or self._globals.get(name) or (name if name in self.code.classes else None)
            case ast.Attribute(value, name):
                owner = self._type(value, names)
                if owner in self.code.classes:
                    return self.code.classes[owner].attributes.get(name)
                return owner if owner == "?" else None
            case ast.Call(ast.Name(name)) if name in self.code.classes:
                return name
            case ast.Call(ast.Attribute(ast.Name(name), "from_environment" | "of")) if name in self.code.classes:
                return name
            case _:
                return None


def _operation(method: ast.Attribute, arguments: list[ast.expr]) -> str:
    """What a client's method asks for: its own name, or what a paginator is made for."""
    match method.attr, arguments:
        case "get_paginator", [ast.Constant(str(operation))]:
            return operation
        case "get_paginator", _:
            raise NotImplementedError(f"line {method.lineno}: a paginator of what?")
        case name, _:
            return name


def _closure(module: ast.Module) -> Iterator[ast.Module]:
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        yield current
        for path in _imported(current):
            if path not in seen:
                seen.add(path)
                waiting.append(ast.parse(path.read_text()))


def _imported(module: ast.Module) -> Iterator[Path]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "outbound_calls":
            package = LAYER / node.module.replace(".", "/")
            modules = [package.with_suffix(".py"), *(package / f"{alias.name}.py" for alias in node.names)]
            yield from (path for path in modules if path.exists())


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
    return next((name for name in names if name != "None"), "?")
