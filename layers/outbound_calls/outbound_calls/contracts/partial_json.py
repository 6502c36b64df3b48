"""Reading JSON in which something may be wrong.

A parser refuses the whole text for half a surrogate pair, a number of 5,000 digits, or brackets nested too deep,
wherever they are. So an object is first split into its members. This takes time and memory in proportion to the text,
and no recursion.
"""

import json
import re

from pydantic_core import from_json

MAX_VALUE_LENGTH = 16 * 1024
"""Of one field as it is written. Each that is read is shorter."""

_SPACE = r"[ \t\n\r]*+"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_OPENING = re.compile(rf"{_SPACE}\{{{_SPACE}")
_NAME = re.compile(rf"({_STRING}){_SPACE}:{_SPACE}", re.DOTALL)
_SCALAR = re.compile(rf'{_STRING}|[^\s"{{}}\[\],:]++', re.DOTALL)
_STRUCTURE = re.compile(rf'{_STRING}|["{{}}\[\]]', re.DOTALL)
_COMMA = re.compile(rf"{_SPACE},{_SPACE}")
_CLOSING = re.compile(rf"{_SPACE}\}}{_SPACE}")
_CLOSED_BY = {"{": "}", "[": "]"}


def decoded(body: str | bytes) -> str:
    """A body in UTF-8, UTF-16 or UTF-32, with or without a byte order mark. Bytes in no encoding cost their place."""
    if isinstance(body, str):
        body = body.encode(errors="replace")
    return body.decode(json.detect_encoding(body), "replace")


def members_of(text: str) -> dict[str, str] | None:
    """The members of a JSON object, each value as it is written; None for any other text.

    Of a name that comes twice the last value counts, as with every JSON parser.
    """
    opening = _OPENING.match(text)
    if opening is None:
        return None
    members: dict[str, str] = {}
    place = opening.end()
    if _CLOSING.fullmatch(text, place):
        return members
    while name := _NAME.match(text, place):
        end = _end_of_value(text, name.end())
        if end is None:
            return None
        members[str(value_of(name[1]))] = text[name.end() : end]
        if _CLOSING.fullmatch(text, end):
            return members
        comma = _COMMA.match(text, end)
        if comma is None:
            return None
        place = comma.end()
    return None


def elements_of(text: str) -> list[str] | None:
    """The elements of a JSON list, each as it is written; None for any other text.

    The text is a value of `members_of`, so that it ends with the list's own bracket.
    """
    if text[:1] != "[":
        return None
    elements: list[str] = []
    last = len(text) - 1
    place = _after_space(text, 1)
    if place == last:
        return elements
    while (end := _end_of_value(text, place)) is not None:
        elements.append(text[place:end])
        comma = _after_space(text, end)
        if comma == last:
            return elements
        if text[comma] != ",":
            return None
        place = _after_space(text, comma + 1)
    return None


def _after_space(text: str, place: int) -> int:
    while text[place : place + 1] in {" ", "\t", "\n", "\r"}:
        place += 1
    return place


def _end_of_value(text: str, start: int) -> int | None:
    """Where the value ends that starts at `start`; None where there is none, or it doesn't end."""
    if text[start : start + 1] not in _CLOSED_BY:
        scalar = _SCALAR.match(text, start)
        return scalar and scalar.end()
    awaited: list[str] = []
    for found in _STRUCTURE.finditer(text, start):
        mark = found[0]
        if mark in _CLOSED_BY:
            awaited.append(_CLOSED_BY[mark])
        elif len(mark) == 1:
            # A quote alone is a text without an end.
            if awaited.pop() != mark:
                return None
            if not awaited:
                return found.end()
    return None


def value_of(written: str) -> object:
    """A value from its text; None where it can't be read."""
    if len(written) > MAX_VALUE_LENGTH:
        return None
    try:
        return from_json(written)
    except ValueError:
        return None
