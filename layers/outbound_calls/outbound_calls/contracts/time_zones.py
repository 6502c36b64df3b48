"""Time zones by their IANA names. Read from the pinned `tzdata` package only, never from the system's files.

The system's may be years old, and rules change: British Columbia and Alberta stopped changing their clocks in 2026.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tzdata
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

TIME_ZONE_RULE = "an IANA time zone, such as America/Toronto"
TIME_ZONE_DATA_VERSION: str = tzdata.IANA_VERSION
TIME_ZONE_DATA_BUILT = {"2026f": "2026-10-28"}.get(TIME_ZONE_DATA_VERSION)
"""The day on which the package of this version was built, which the package doesn't say. Add one at each upgrade."""

_FILES = Path(tzdata.__file__).parent
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_NO_PLACE = "Factory"
"""What tzdata calls the zone of a device that no one has set up."""


@cache
def time_zone_names() -> frozenset[str]:
    """Every name that is valid, in its exact spelling."""
    return frozenset((_FILES / "zones").read_text().split()) - {_NO_PLACE}


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone with a valid name."""
    # Imported on the first use: most functions never look at a wall clock.
    from zoneinfo import ZoneInfo

    with (_FILES / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _check(name: str) -> str:
    if not _NAME.fullmatch(name) or name not in time_zone_names():
        raise PydanticCustomError("time_zone", "not a time zone")
    return name


type TimeZoneName = Annotated[str, AfterValidator(_check)]
