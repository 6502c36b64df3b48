"""Searches text for values that must not be there, in every common encoding."""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, unquote_plus

SHORTEST = 5
"""Shorter pieces would be found by chance."""

PIECE = 16
"""This much of a key or a signature counts as a leak."""


def hits(places: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """The leaks: what was found where, such as `phone number (base64) in log of PlaceCallFunction`.

    Args:
        places: The texts to search, by name.
        secrets: The values that must not be in them, by name.
    """
    found = []
    for place, text in places.items():
        readings = {_plain(reading) for reading in _readings(text)}
        # Base64 is case-sensitive.
        packed = text.replace("-", "+").replace("_", "/")
        for name, value in secrets.items():
            found += [
                f"{name} ({form}) in {place}"
                for form, piece in _forms(value)
                if any(piece in reading for reading in readings)
            ]
            if any(piece in packed for piece in _in_base64(value)):
                found.append(f"{name} (base64) in {place}")
    return found


def _readings(text: str) -> Iterator[str]:
    """A text as it is, and decoded as often as it may have been encoded."""
    yield text
    escaped = text
    for _ in range(3):
        escaped = _without_json_escapes(escaped)
        yield escaped
    quoted = text
    for _ in range(2):
        yield unquote_plus(quoted)
        quoted = unquote(quoted)
        yield quoted
        yield _without_json_escapes(quoted)


def _without_json_escapes(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        try:
            return str(json.loads(f'"{found[0]}"'))
        except ValueError:
            return found[0]

    # Two surrogates are one character.
    return re.sub(r'\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})', character, text)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold()


def _forms(value: str) -> Iterator[tuple[str, str]]:
    yield "itself", _plain(value)
    if value.isascii() and " " not in value and len(value) >= 2 * PIECE:
        # A key or a signature: its pieces too
        for start in range(0, len(value) - PIECE + 1, PIECE // 2):
            yield f"from character {start}", _plain(value[start : start + PIECE])
    digits = re.sub(r"\D", "", value)
    if len(digits) >= 7 and len(digits) >= len(value) - 1:
        yield "digits", digits
        yield "last seven digits", digits[-7:]
        yield "with hyphens", f"{digits[-10:-7]}-{digits[-7:-4]}-{digits[-4:]}"
    elif " " in value:
        yield from ((f"word {word!r}", _plain(word)) for word in value.split() if len(word) >= SHORTEST)
    yield "hexadecimal", value.encode().hex()


def _in_base64(value: str) -> Iterator[str]:
    """The base64 of a value, at each of its three offsets in a longer text."""
    for before in range(3):
        content = b"\0" * before + value.encode()
        text = base64.b64encode(content).decode().rstrip("=")
        # The first and the last characters depend on the neighbours.
        start = -(-before * 8 // 6)
        yield text[start : len(content) * 8 // 6]


def texts(named: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Values of any type as texts to search, under numbered names."""
    return {
        f"{name} {number}": value if isinstance(value, str) else json.dumps(value, default=str)
        for number, (name, value) in enumerate(named)
    }
