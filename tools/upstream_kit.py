"""What integrators' tools take: one OpenAPI document, and types for TypeScript and Python. `make schemas` writes them.

All of it is made from docs/integrate/openapi.yaml and docs/integrate/schemas, so it says what those say.
"""

import json
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tools.schemas import PROJECT, Contract, Json, Schema, contracts

OPENAPI = PROJECT / "docs/integrate/openapi.json"
TYPESCRIPT = PROJECT / "examples/contracts.ts"
PYTHON = PROJECT / "examples/contracts.py"

_HEAD = "The contracts of docs/integrate/schemas as types. Written by `make schemas`: don't edit it."


def files() -> dict[Any, str]:
    """Each file with its content."""
    types = [*_types(contracts())]
    return {
        OPENAPI: json.dumps(bundle(), indent=2, ensure_ascii=False) + "\n",
        TYPESCRIPT: typescript(types),
        PYTHON: python(types),
    }


def bundle() -> Schema:
    """The OpenAPI document with the schemas of all contracts in it, so that every reference is inside."""
    document: Schema = yaml.safe_load((PROJECT / "docs/integrate/openapi.yaml").read_text())
    document["info"]["description"] += " Made from openapi.yaml, with the messages and events among its schemas."
    schemas = {_name(each.name): _component(each) for each in contracts()}
    document["components"]["schemas"] |= schemas
    inside: Schema = _inside(document)
    return inside


def _component(contract: Contract) -> Schema:
    # Without a title, generators name a type after the contract.
    return {"description": contract.description, **contract.schema}


def _inside(part: Json) -> Json:
    match part:
        case {"$ref": str(reference)} if not reference.startswith("#"):
            name = reference.removeprefix("schemas/").removesuffix(".json")
            return part | {"$ref": f"#/components/schemas/{_name(name)}"}
        case dict():
            return {name: _inside(each) for name, each in part.items()}
        case list():
            return [_inside(each) for each in part]
        case _:
            return part


def _name(text: str) -> str:
    """A schema's name as a type: call-request is CallRequest."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


# The types, without a language.


@dataclass(frozen=True)
class Union:
    """One of these: names of types, JSON literals (as `Literal`), lists and maps."""

    members: tuple["Type", ...]


@dataclass(frozen=True)
class Literal:
    """A JSON value."""

    value: Json


@dataclass(frozen=True)
class Many:
    """A list of something, or a map from names to it."""

    each: "Type"
    named: bool = False


type Type = str | Union | Literal | Many
"""A name is that of an `Object`, or one of JSON Schema's types, or `unknown`."""


@dataclass(frozen=True)
class Field:
    """A field of an object."""

    name: str
    type: Type
    required: bool
    description: str


@dataclass(frozen=True)
class Object:
    """An object with these fields."""

    name: str
    description: str
    fields: list[Field] = field(default_factory=list)


def _types(contracts: Iterator[Contract]) -> Iterator[Object]:
    """The objects of all contracts, each after those that it uses."""
    for contract in sorted(contracts, key=lambda each: '"$ref"' in json.dumps(each.schema)):
        yield from _objects(_name(contract.name), _component(contract))


def _objects(name: str, schema: Schema) -> Iterator[Object]:
    fields = []
    for key, each in schema["properties"].items():
        inner: list[Object] = []
        type_ = _type(f"{name}{_name(key)}", each, inner)
        yield from inner
        fields.append(Field(key, type_, key in schema.get("required", ()), _described(each)))
    yield Object(name, str(schema.get("description", "")), fields)


def _described(schema: Schema) -> str:
    text = str(schema.get("description", ""))
    codes = schema.get("examples", ())
    known = f"such as {', '.join(map(str, codes))}" if codes and all(isinstance(each, str) for each in codes) else ""
    return "; ".join(filter(None, (text, known)))


def _type(name: str, schema: Schema, objects: list[Object]) -> Type:
    """The type of a schema. The objects in it are added to `objects`."""
    match schema:
        case {"$ref": str(reference)}:
            return _name(reference.removesuffix(".json"))
        case {"const": value}:
            return Literal(value)
        case {"enum": [*values]}:
            return Union(tuple("null" if value is None else Literal(value) for value in values))
        case {"anyOf": [*choices]} | {"oneOf": [*choices]} if "properties" not in schema:
            # What is ignored has no type of its own.
            typed = [_type(name, each, objects) for each in choices if each.keys() - {"description"}]
            return typed[0] if len(typed) == 1 else Union(tuple(dict.fromkeys(typed)))
        case {"type": [*kinds]}:
            return Union(tuple(_type(name, schema | {"type": kind}, objects) for kind in kinds))
        case {"type": "object", "properties": dict()}:
            objects += _objects(name, schema)
            return name
        case {"type": "object", "additionalProperties": dict(each)}:
            return Many(_type(name, each, objects), named=True)
        case {"type": "array", "items": dict(items)}:
            return Many(_type(f"{name}Item", items, objects))
        case {"type": str(kind)}:
            return kind if kind not in {"array", "object"} else Many("unknown", named=kind == "object")
        case _:
            return "unknown"


# The languages.


def typescript(types: list[Object]) -> str:
    """The types as TypeScript's interfaces."""
    shown = [f"// {_HEAD}"]
    for each in types:
        lines = [f"export interface {each.name} {{"]
        for one in each.fields:
            name = one.name if re.fullmatch(r"[A-Za-z_$][\w$]*", one.name) else json.dumps(one.name)
            lines += _comment(one.description, "  ")
            lines.append(f"  {name}{'' if one.required else '?'}: {_in_typescript(one.type)};")
        shown.append("\n".join([*_comment(each.description, ""), *lines, "}"]))
    return "\n\n".join(shown) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}/** {text.replace('*/', '* /')} */"] if text else []


_TYPESCRIPT = {"integer": "number"}


def _in_typescript(type_: Type) -> str:
    match type_:
        case str(name):
            return _TYPESCRIPT.get(name, name)
        case Literal(value):
            return json.dumps(value)
        case Union(members):
            return " | ".join(map(_in_typescript, members))
        case Many(each, named=True):
            return f"Record<string, {_in_typescript(each)}>"
        case Many(each):
            text = _in_typescript(each)
            return f"({text})[]" if " | " in text else f"{text}[]"


def python(types: list[Object]) -> str:
    """The types as Python's TypedDicts."""
    shown = []
    for each in types:
        fields = {
            one.name: _in_python(one.type) if one.required else f"NotRequired[{_in_python(one.type)}]"
            for one in each.fields
        }
        shown.append(_typed_dict(each, fields))
    body = "\n\n\n".join(shown) + "\n"
    names = [name for name in ("Any", "Literal", "NotRequired", "TypedDict") if re.search(rf"\b{name}\b", body)]
    text = f'"""{_HEAD}"""\n\nfrom typing import {", ".join(names)}\n\n{body}'
    return subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(PYTHON), "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _typed_dict(of: Object, fields: Mapping[str, str]) -> str:
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in fields):
        lines = [f"    {name}: {type_}" for name, type_ in fields.items()]
        return "\n".join([f"class {of.name}(TypedDict):", *_docstring(of), "", *lines])
    inner = ", ".join(f"{json.dumps(name)}: {type_}" for name, type_ in fields.items())
    return f'{of.name} = TypedDict("{of.name}", {{{inner}}})'


def _docstring(of: Object) -> list[str]:
    sentence = of.description.partition(". ")[0].partition(": ")[0].rstrip(".") or f"A part of {of.name}"
    return [f'    """{sentence[0].upper()}{sentence[1:]}."""']


_PYTHON = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "unknown": "Any",
}


def _in_python(type_: Type) -> str:
    match type_:
        case str(name):
            return _PYTHON.get(name, name)
        case Literal(value):
            return f"Literal[{value!r}]"
        case Union(members):
            values = [each.value for each in members if isinstance(each, Literal)]
            others = [_in_python(each) for each in members if not isinstance(each, Literal)]
            literal = [f"Literal[{', '.join(map(repr, map(str, values)))}]"] if values else []
            return " | ".join([*literal, *others])
        case Many(each, named=True):
            return f"dict[str, {_in_python(each)}]"
        case Many(each):
            return f"list[{_in_python(each)}]"


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
