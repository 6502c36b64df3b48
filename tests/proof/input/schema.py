"""Values made from a JSON Schema: valid ones, and ones that break it in one place.

It knows the keywords that the contracts use, and fails on others.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

type Schema = Mapping[str, Any]

_ANNOTATIONS = {"title", "description", "default"}
# At most three bytes per character, so that a schema's longest texts fit into a message.
_TEXT = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"])

_OTHER = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(st.text(max_size=3)))
"""Values of no text's, map's or enumeration's type."""


def valid(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Values that match the schema. `root` holds its definitions."""
    schema = _resolved(schema, root)
    match schema:
        case {"anyOf": choices}:
            return st.one_of(*(valid(choice, root) for choice in choices))
        case {"oneOf": choices}:
            return st.one_of(*(valid(choice, root) for choice in choices))
        case {"enum": values}:
            return st.sampled_from(values)
        case {"const": value}:
            return st.just(value)
        case {"type": "null"}:
            return st.none()
        case {"type": "integer" | "number" as kind}:
            least, most = schema.get("minimum", 0), schema.get("maximum", 10**9)
            return st.integers(least, most) if kind == "integer" else st.floats(least, most)
        case {"type": "string", "format": "date-time"}:
            # Before 1972 some offsets have seconds.
            times = st.datetimes(datetime(1972, 1, 8), timezones=st.timezones())  # noqa: DTZ001
            return times.map(lambda time: time.isoformat(timespec="seconds"))
        case {"type": "string", "pattern": pattern, "minLength": least, "maxLength": most}:
            rule = re.compile(pattern)
            return st.text(_TEXT, min_size=least, max_size=most).filter(lambda text: bool(rule.search(text)))
        case {"type": "string", "pattern": pattern}:
            return st.from_regex(pattern.replace("$", r"\Z"))
        case {"type": "string"}:
            return st.text(_TEXT, min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 60), 60))
        case {"type": "object", "properties": properties}:
            required = {name: valid(properties[name], root) for name in schema.get("required", [])}
            optional = {name: valid(each, root) for name, each in properties.items() if name not in required}
            return st.fixed_dictionaries(required, optional=optional)
        case {"type": "object", "additionalProperties": values}:
            names = _resolved(schema.get("propertyNames", {}), root)
            keys = st.text(_TEXT, min_size=names.get("minLength", 0), max_size=names.get("maxLength", 64))
            keys = st.sampled_from(names["enum"]) if "enum" in names else keys
            return st.dictionaries(keys, valid(values, root), max_size=min(schema.get("maxProperties", 6), 6))
        case {"type": "array", "items": items, "minItems": least, "maxItems": most}:
            return st.lists(valid(items, root), min_size=least, max_size=min(most, 3))
        case _:
            raise NotImplementedError(f"{schema} in a contract: add it to {__name__}")


def broken(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Values that break the schema: another type, too long, too many, another pattern."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        (choice,) = (each for each in schema["anyOf"] if each != {"type": "null"})
        return broken(choice, root).filter(lambda value: value is not None)
    other = _OTHER
    match schema:
        case {"oneOf": [{"const": str(value)}, {"type": "array"} as array]}:
            return st.text(max_size=8).filter(lambda text: text != value) | broken(array, root)
        case {"type": "array", "items": items}:
            return st.one_of(
                other.filter(lambda each: not isinstance(each, list)),
                st.just([]),
                st.lists(broken(items, root), min_size=1, max_size=2),
                st.lists(valid(items, root), min_size=1, max_size=1).map(lambda each: each * (schema["maxItems"] + 1)),
            )
        case {"type": "object", "properties": properties, "additionalProperties": False}:
            good = valid(schema, root)
            fields = [st.tuples(st.just(name), broken(each, root)) for name, each in properties.items()]
            fields.append(st.tuples(st.text(min_size=1, max_size=3), other))
            return other | st.builds(lambda whole, field: whole | dict([field]), good, st.one_of(*fields))
        case {"type": "integer"}:
            return st.sampled_from([schema["minimum"] - 1, schema["maximum"] + 1, 1.5, "1", True, None])
        case {"enum": values}:
            return other | st.text().filter(lambda text: text not in values)
        case {"type": "string"}:
            return _broken_text(schema, root)
        case {"type": "object", "additionalProperties": Mapping() as values}:
            names = _resolved(schema.get("propertyNames", {}), root)
            longest = int(names.get("maxLength", 64))
            return st.one_of(
                other,
                st.text(max_size=5),
                st.dictionaries(st.text(_TEXT, min_size=1, max_size=5), broken(values, root), min_size=1, max_size=3),
                st.dictionaries(st.just("") | st.just("n" * (longest + 1)), valid(values, root), min_size=1),
                *_too_many(schema, valid(values, root)),
            )
        case _:
            raise NotImplementedError(f"{schema} in a contract: add it to {__name__}")


def _broken_text(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    wrong: list[st.SearchStrategy[Any]] = [_OTHER, st.dictionaries(st.text(max_size=3), st.text(max_size=3))]
    if "maxLength" in schema:
        wrong.append(st.integers(schema["maxLength"] + 1, schema["maxLength"] + 50).map(lambda n: "a" * n))
    if schema.get("minLength"):
        wrong.append(st.just(""))
    if "pattern" in schema:
        # Python's `$` also matches before a final newline; the contracts' does not.
        rule = re.compile(schema["pattern"].replace("$", r"\Z"))
        ends = st.sampled_from(["\n", " ", "/", "\x00", "٣", "é", "+"])
        good = valid(schema, root)
        texts = st.one_of(st.text(max_size=8), st.tuples(ends, good).map("".join), st.tuples(good, ends).map("".join))
        wrong.append(texts.filter(lambda text: not rule.search(text)))
    return st.one_of(*wrong)


def _too_many(schema: Schema, values: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    if "maxProperties" not in schema:
        return []
    return [values.map(lambda value: {f"name{number}": value for number in range(schema["maxProperties"] + 1)})]


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return _resolved(root["$defs"][name], root)
    return {name: value for name, value in schema.items() if name not in _ANNOTATIONS}
