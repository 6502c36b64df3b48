"""What the functions are held against: the requests that the work itself asks for, and nothing else.

Loaded into the functions' own process (`benchmarks.runtime`), so it has their packages.
"""

from typing import Any

import boto3
import httpx

from outbound_calls.adapters.allomia import http_client

# With default settings.
dynamodb: Any = boto3.client("dynamodb")
allomia: httpx.Client | None = None


def update_item(request: dict[str, Any], _context: object) -> None:
    """One UpdateItem."""
    dynamodb.update_item(**request)


def round_trip(work: dict[str, Any], _context: object) -> None:
    """A claim, a POST to AlloMia and a settle, for one call."""
    global allomia  # noqa: PLW0603
    allomia = allomia or http_client(work["url"])
    dynamodb.put_item(**work["claim"])
    allomia.post("/api/outbound", json=work["order"], headers={"Authorization": "Bearer key"}).raise_for_status()
    dynamodb.update_item(**work["settle"])
