"""The entries of the index `due`: attempts, keepers of what waits, and cancelled batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outbound_calls.adapters.calls_table import DueEntry
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.contracts.wire import ORGANIZATION_SEPARATOR

KEEPER_MARK = f"{ORGANIZATION_SEPARATOR}{ORGANIZATION_SEPARATOR}keeper"
BATCH_MARK = f"{ORGANIZATION_SEPARATOR}{ORGANIZATION_SEPARATOR}batch{ORGANIZATION_SEPARATOR}"


@dataclass(frozen=True, slots=True)
class DueKeeper:
    """An entry of the index `due`: an organization's keeper was due at `due_at` (epoch seconds).

    The keeper is in `due` while attempts wait for something that isn't a time, such as another policy. So one item
    is looked at each minute, and not all of them. Its key is no request's: ``ORGANIZATION~~keeper``, attempt 0.
    """

    organization: str | None
    due_at: int


@dataclass(frozen=True, slots=True)
class DueBatch:
    """An entry of the index `due`: a cancelled batch whose open requests must be found, at `due_at` (epoch seconds).

    Its key is no request's: ``ORGANIZATION~~batch~BATCH``, attempt 0.
    """

    organization: str | None
    batch: str
    due_at: int


def due_entry(entry: Mapping[str, Any]) -> DueEntry | DueKeeper | DueBatch:
    """Read an entry of the index `due` as DynamoDB returns it."""
    values = from_dynamodb(entry)
    if values.get("attempt") != 0:
        return DueEntry.from_index(entry)
    if values["requestId"].endswith(KEEPER_MARK):
        return DueKeeper(values["requestId"].removesuffix(KEEPER_MARK) or None, int(values["dueAt"]))
    organization, is_batch, batch = values["requestId"].partition(BATCH_MARK)
    return DueBatch(organization or None, batch, int(values["dueAt"])) if is_batch else DueEntry.from_index(entry)


def shard_of(page: Iterable[Mapping[str, Any]]) -> int:
    """The shard of a page of the index `due`, as DynamoDB returns it; 0 in a sample event that doesn't say."""
    return next((int(entry["dueShard"]["N"]) for entry in page if "dueShard" in entry), 0)
