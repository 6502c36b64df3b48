"""Looks for values that must not be somewhere, in whatever dress a program may have put on them."""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, unquote_plus

SHORTEST = 5
"""Pieces of fewer characters would be found in anything."""

PIECE = 16
"""So much of a key or a signature is as good as all of it."""


def hits(places: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """What was found where: `phone number (base64) in log of place-call`.

    Args:
        places: Texts to search, by a name for each.
        secrets: Values that must not be in them, by a name for each.
    """
    found = []
    for place, text in places.items():
        readings = {_plain(reading) for reading in _readings(text)}
        # Base64 tells capitals from small letters.
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
    """A text as it is, and with its escapes undone, as often as they may have been put on one another."""
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

    # A pair of surrogates is one character.
    return re.sub(r'\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})', character, text)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold()


def _forms(value: str) -> Iterator[tuple[str, str]]:
    yield "itself", _plain(value)
    if value.isascii() and " " not in value and len(value) >= 2 * PIECE:
        # A key or a signature: no piece of it either
        for start in range(0, len(value) - PIECE + 1, PIECE // 2):
            yield f"from character {start}", _plain(value[start : start + PIECE])
    digits = re.sub(r"\D", "", value)
    if len(digits) >= 7 and len(digits) >= len(value) - 1:
        yield "digits", digits
        yield "last seven digits", digits[-7:]
        yield "as people write it", f"{digits[-10:-7]}-{digits[-7:-4]}-{digits[-4:]}"
    elif " " in value:
        yield from ((f"word {word!r}", _plain(word)) for word in value.split() if len(word) >= SHORTEST)
    yield "hexadecimal", value.encode().hex()


def _in_base64(value: str) -> Iterator[str]:
    """The characters that base64 has for a value, wherever in a longer text it stands."""
    for before in range(3):
        content = b"\0" * before + value.encode()
        text = base64.b64encode(content).decode().rstrip("=")
        # The first and the last characters are made of neighbours, too.
        start = -(-before * 8 // 6)
        yield text[start : len(content) * 8 // 6]


def texts(named: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Values of any kind as places to search, under numbered names."""
    return {
        f"{name} {number}": value if isinstance(value, str) else json.dumps(value, default=str)
        for number, (name, value) in enumerate(named)
    }
