"""What a schedule is at any moment, and what the table answers to an effect."""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.proof.explorer.guarantees import DEADLINE_SECONDS, EXPIRE_AFTER_SECONDS, TERMINAL, Facts, Key, plain
from tests.proof.explorer.scenarios import BATCH
from tests.proof.explorer.table import ConditionalCheckFailed, Item, TableInMemory, TransactionCancelled, key_of
from tests.proof.explorer.workers import (
    CANCELLED,
    CONDITION,
    DUE_SHARDS,
    INVALID,
    OK,
    POLICY_TABLE_NAME,
    TABLE_NAME,
    Effect,
    History,
    Task,
)

WAITING, IN_FLIGHT, ACKNOWLEDGED = "waiting", "in flight", "acknowledged"
DEAD, KEPT = "dead", "kept"
"""Where a message is: three places on the call queue, and the two queues of messages that wait for a person."""


type OtherItems = tuple[tuple[str, str | int, str], ...]
"""The items that are no attempts: those of the policy table, the keeper, and a batch that is searched for.

Each with its key.
"""

KEEPER = ("~~keeper", 0)
SEARCHED_BATCH = (f"~~batch~{BATCH}", 0)


class Stop(NamedTuple):
    """From now on, a request must not be dialled."""

    request_id: str
    why: str
    claims: tuple[str, ...]
    """The claims that were made before, and may still be dialled."""

    attempts: int
    """How many attempts there were. A person may have it dialled again anyway."""

    at: int = 0
    """Where it is known to all after some seconds: since when it holds. 0: it holds at once."""


class QueuedMessage(NamedTuple):
    """A message of a queue."""

    name: str
    """Its message id."""

    body: str
    about: Key
    """The attempt that its sender asked for."""

    sent_at: int
    attributes: str = "{}"
    """Its message attributes, which its sender chose, in JSON."""

    deliveries: int = 0
    receives: int = 0
    where: str = WAITING
    not_before: int = 0
    """When it can be delivered first, if its sender delayed it."""

    held_by: str = ""
    """The operator's command that received it from a queue of messages that wait for a person."""


class Worker(NamedTuple):
    task: Task
    history: History
    since: int
    """When it received its last answer, if it reads the clock next; else 0."""

    until: int
    """When Lambda ends it at the latest."""

    result: str = ""
    """Its result, until its message is acknowledged."""

    resent: bool = False
    """Whether the SDK sends its write again, because the answer was lost."""

    slow: bool = False
    """Whether its decision to dial is too old by now."""


class ExplorerState(NamedTuple):
    """All that decides what can happen next."""

    now: int
    items: tuple[str, ...]
    others: OtherItems

    facts: tuple[Facts, ...]
    messages: tuple[QueuedMessage, ...]
    workers: tuple[Worker, ...]
    mishaps: int
    """How many may still happen."""

    faultless: bool
    """Whether no part of this stack was killed or out of reach so far."""

    redrives: int
    resolves: int
    redials: int
    """How often an operator may still send messages again, resolve a call, or have a request dialled again."""

    forgeries: int
    cancels: int = 0
    """How often an operator may still cancel a request."""

    policy: int = 0
    """Which of the scenario's policies is in force."""

    policy_since: int = 0
    """Since when, where another was in force before."""

    limited_since: int = 0
    """Since when lines are limited, where they weren't at the start."""

    replaced: tuple[tuple[int, int], ...] = ()
    """The policies that were in force a moment ago, and until when."""

    stops: tuple[Stop, ...] = ()
    events: tuple[tuple[str, int, str, str], ...] = ()
    """What the stream will deliver to release_lines."""

    lagging: tuple[tuple[int, str], ...] = ()
    """The records that the index of those who wait shows as they were: each one's place, and as what."""

    looked: str = ""
    """What the keeper found at its last look, if nothing had changed at its end: the next one would do nothing."""


class Step(NamedTuple):
    label: tuple[object, ...]
    state: ExplorerState
    needed: bool
    """Whether it happens sooner or later. A mishap or a webhook may never happen."""


def with_[T](values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def with_workers(workers: tuple[Worker, ...], place: int, *instead: Worker) -> tuple[Worker, ...]:
    """The workers with one replaced. Their order doesn't depend on which came first."""
    return tuple(sorted((*workers[:place], *instead, *workers[place + 1 :]), key=_rank))


@functools.lru_cache(500_000)
def _rank(worker: Worker) -> str:
    return repr(worker)


def dump(item: Item | None) -> str:
    return json.dumps(item, sort_keys=True) if item else ""


@functools.cache
def target(effect: Effect) -> tuple[Key, str]:
    """The attempt that an effect on the calls table is for, and what it does to it, for the reader."""
    arguments = json.loads(effect.arguments)
    key: Any = key_of(arguments.get("Key") or arguments["Item"])
    status = arguments.get("ExpressionAttributeValues", {}).get(":status") or arguments.get("Item", {}).get("status")
    words = effect.kind if effect.kind == "read" else f"{effect.kind} {status['S'] if status else _changed(arguments)}"
    return key, words


def _changed(arguments: dict[str, Any]) -> str:
    names = arguments["ExpressionAttributeValues"]
    return next(words for name, words in _CHANGES.items() if name in names)


_CHANGES = {
    ":held": "line",
    ":detail": "lost answer",
    ":line": "place in line",
    ":until": "end of its record",
    ":expiresAt": "no redial",
    ":step": "due time",
    ":due": "due time",
    ":outboundCallId": "call",
    ":allomiaStatus": "word",
    ":dispatching": "cancel requested",
}
"""What an update without a status changes, by a value that it has."""


@functools.cache
def other_key(effect: Effect) -> tuple[str, str | int] | None:
    """The key, where an effect is on an item that is no attempt; of a number, its entry is empty where all are read."""
    arguments = json.loads(effect.arguments)
    if effect.kind == "query":
        values = arguments["ExpressionAttributeValues"]
        return (values[":subject"]["S"], "") if arguments["TableName"] == POLICY_TABLE_NAME else None
    if effect.kind not in {"read", "put", "update", "delete"}:
        return None
    key = key_of(arguments.get("Key") or arguments["Item"])
    return key if arguments["TableName"] == POLICY_TABLE_NAME or key in {KEEPER, SEARCHED_BATCH} else None


def other_words(key: tuple[str, str | int]) -> str:
    """Names an item that is no attempt, for the reader."""
    kind, _, name = key[0].partition("#")
    if key in {KEEPER, SEARCHED_BATCH}:
        return "keeper" if key == KEEPER else "search for the batch"
    return f"{key[1] or 'number'}" if kind == "number" else f"{kind} {name}".strip()


@functools.lru_cache(100_000)
def other_answer(items: OtherItems, effect: Effect) -> tuple[str, OtherItems]:
    """The answer to an effect on items that are no attempts, and these items then."""
    table = TableInMemory({(subject, entry): json.loads(item) for subject, entry, item in items})
    arguments = json.loads(effect.arguments)
    answer: Any
    try:
        match effect.kind:
            case "read":
                return f"{OK}\n{dump(table.get_item(**arguments).get('Item')) or '{}'}", items
            case "query":
                return f"{OK}\n{json.dumps(table.query(**arguments)['Items'], sort_keys=True)}", items
            case "put":
                answer = table.put_item(**arguments)
            case "delete":
                answer = table.delete_item(**arguments)
            case _:
                answer = table.update_item(**arguments)
    except ConditionalCheckFailed as error:
        found: Any = error.response
        return f"{CONDITION}\n{dump(found.get('Item'))}", items
    after = tuple(sorted((*key, dump(item)) for key, item in table.items.items()))
    return f"{OK}\n{dump(answer.get('Attributes')) or '{}'}", after


@functools.cache
def transacted(effect: Effect) -> tuple[tuple[Key, ...], str]:
    """The attempts that a transaction is for, and what it does, for the reader."""
    writes = [next(iter(each.values())) for each in json.loads(effect.arguments)["TransactItems"]]
    keys: Any = tuple(key_of(each.get("Key") or each["Item"]) for each in writes)
    return keys, "transaction: next attempt" if "Item" in writes[0] else "transaction: drop"


@functools.lru_cache(100_000)
def items_transacted(keys: tuple[Key, ...], items: tuple[str, ...], effect: Effect) -> tuple[tuple[str, ...], str]:
    """The items after a transaction, and the answer to it."""
    table = TableInMemory({key: json.loads(item) for key, item in zip(keys, items, strict=True) if item})
    try:
        table.transact_write_items(**json.loads(effect.arguments))
    except TransactionCancelled:
        return items, CANCELLED
    return tuple(dump(table.items.get(key)) for key in keys), OK


@functools.cache
def item_read(item: str, effect: Effect) -> str:
    """The answer to a read of an item."""
    key, _ = target(effect)
    table = TableInMemory({key: json.loads(item)} if item else {})
    found = table.get_item(**json.loads(effect.arguments)).get("Item")
    return f"{OK}\n{dump(found) or '{}'}"


@functools.lru_cache(100_000)
def items_queried(keys: tuple[Key, ...], items: tuple[str, ...], effect: Effect) -> str:
    """The answer to a read of several attempts."""
    table = TableInMemory({key: json.loads(item) for key, item in zip(keys, items, strict=True) if item})
    arguments = json.loads(effect.arguments)
    arguments.pop("Select", None)  # the worker counts them
    if effect.kind == "query":
        found = table.query(**arguments)["Items"]
    else:
        found = table.batch_get_item(**arguments)["Responses"][TABLE_NAME]
    return f"{OK}\n{json.dumps(found, sort_keys=True)}"


@functools.cache
def item_written(item: str, effect: Effect) -> tuple[str, str]:
    """The item after a write, and the answer to the write."""
    arguments = json.loads(effect.arguments)
    key, _ = target(effect)
    table = TableInMemory({key: json.loads(item)} if item else {})
    try:
        answer = table.put_item(**arguments) if effect.kind == "put" else table.update_item(**arguments)
    except ConditionalCheckFailed as error:
        found: Any = error.response
        return item, f"{CONDITION}\n{dump(found.get('Item'))}"
    except ClientError:
        return item, INVALID
    return dump(table.items[key]), f"{OK}\n{dump(answer.get('Attributes')) or '{}'}"


@functools.cache
def instants(item: str, expiry: bool) -> tuple[int, ...]:
    """The times at which something changes for an attempt by the clock alone."""
    values = plain(item)
    found = {int(values["dueAt"])} if "dueAt" in values else set()
    if not values or values["status"] in TERMINAL:
        return tuple(found)
    if "dispatchedAt" in values:
        found.add(values["dispatchedAt"] + DEADLINE_SECONDS)
    if expiry and values["status"] == "scheduled":
        expires_at = values.get("expiry", values["createdAt"] + EXPIRE_AFTER_SECONDS)
        found |= {expires_at, expires_at + 1}
    return tuple(found)


@functools.lru_cache(100_000)
def due(keys: tuple[Key, ...], items: tuple[str, ...], now: int) -> tuple[tuple[str, int, int], ...]:
    """What a sweep finds in the index of due attempts, and of the keeper."""
    table = TableInMemory({key: json.loads(item) for key, item in zip(keys, items, strict=True) if item})
    found = []
    for shard in range(DUE_SHARDS):
        page = table.query(
            TableName=TABLE_NAME,
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :sweptAt",
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":sweptAt": {"N": str(now)}},
        )
        found += [
            (item["requestId"]["S"], int(item["attempt"]["N"]), int(item["dueAt"]["N"])) for item in page["Items"]
        ]
    return tuple(found)
