"""Make control characters visible. Text that others wrote must not reach the operator's terminal as commands to it.

An escape sequence can recolour, move or overwrite what was printed before; a bidirectional override or a line separator
can make one text look like another.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from typing import Any

from outbound_calls.contracts.wire import WireModel

_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's control characters (C0, DEL, C1), format characters (bidirectional ones among them), lone surrogates, and
the separators of lines and paragraphs."""

_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")
_NEWLINE = "\n"


def visible(text: str) -> str:
    """A text with each control character as Python would write its escape."""
    return _NOT_PLAIN.sub(lambda found: _escaped(found[0]), text)


def visible_json(document: str) -> str:
    """A JSON document with the same characters as JSON's escapes. Newlines are the document's own."""
    return _NOT_PLAIN.sub(lambda found: _escaped_in_json(found[0]), document)


def visible_result[Result: WireModel](result: Result) -> Result:
    """A result with all texts in it visible."""
    shown = {name: _visible_value(getattr(result, name)) for name in type(result).model_fields}
    return result.model_copy(update=shown)


def _visible_value(value: Any) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return visible(value)
        case WireModel():
            return visible_result(value)
        case Mapping():
            return {_visible_value(name): _visible_value(each) for name, each in value.items()}
        case list():
            return [_visible_value(each) for each in value]
        case _:
            return value


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _CATEGORIES:
        return character
    return character.encode("unicode_escape").decode()


def _escaped_in_json(character: str) -> str:
    if character == _NEWLINE or unicodedata.category(character) not in _CATEGORIES:
        return character
    return json.dumps(character)[1:-1]
