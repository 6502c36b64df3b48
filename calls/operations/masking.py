"""Phone numbers as they may be shown: enough to recognise one, too little to call it."""

import re
from collections.abc import Callable

type Mask = Callable[[str], str]

_MAX_SHOWN = 24
_DIGITS = re.compile(r"[+(]?[0-9][0-9.,E+() \-]{6,18}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,}")


def masked(phone_number: str) -> str:
    """A number with its middle masked, such as ``+1514•••••99``; anything that isn't E.164 is masked completely."""
    if not _NUMBER.fullmatch(phone_number):
        return "•••"
    shown = 5 if len(phone_number) >= 12 else 3
    return phone_number[:shown] + "•" * (len(phone_number) - shown - 2) + phone_number[-2:]


def unmasked(phone_number: str) -> str:
    """The number as it is."""
    return phone_number


def mask_text(text: str) -> str:
    """A text with the phone numbers in it masked."""
    return _NUMBER.sub(lambda found: masked(found[0]), text)


def mask_value(text: str | None, *, is_number: bool = False) -> str | None:
    """A cell's shape: each letter and digit masked. Enough to find the cell and see what is wrong with it.

    Of a phone number, the last two digits are shown, or the E of the scientific notation that it is in.
    """
    if text is None:
        return None
    shape = re.sub(r"[^\W_]", "•", text[:_MAX_SHOWN]) + ("…" if len(text) > _MAX_SHOWN else "")
    if not (is_number and _DIGITS.fullmatch(text)):
        return shape
    return shape[:-2] + text[-2:] if "E" not in text else shape[: text.index("E")] + "E" + shape[text.index("E") + 1 :]
