"""The world around the workers: table, queue, AlloMia, clock; and every step that can come next."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from outbound_calls.contracts import AttemptKey, CallRequest
from tests.proof.explorer.allomia import (
    ANOTHER,
    ANSWERS,
    BROKEN,
    HEALTHY,
    NOT_FOUND,
    ONE_OF_EACH,
    TIMEOUT,
    call_id,
)
from tests.proof.explorer.promises import (
    ALLOMIA_OUTCOMES,
    TERMINAL,
    Broken,
    Facts,
    Key,
    check_attempt,
    check_end,
    plain,
    status_of,
)
from tests.proof.explorer.table import Beyond, ConditionalCheckFailed, Item, TableInMemory
from tests.proof.explorer.workers import (
    CALL_QUEUE,
    CONDITION,
    DEADLINE,
    ERROR,
    INVALID,
    OK,
    Answer,
    Done,
    Effect,
    History,
    Hook,
    Placing,
    Polling,
    Task,
    callback_path,
    ledger,
    next_of,
)

START = 1000
EXPIRES_AFTER = 24 * 3600 + 1

REQUEST: dict[str, Any] = {
    "phoneNumber": "+14155550123",
    "assistantId": "11111111-2222-4333-8444-555555555555",
    "phoneNumberId": "66666666-7777-4888-9999-aaaaaaaaaaaa",
}


@dataclass(frozen=True)
class Scenario:
    """Where it starts, and the bounds within which every schedule is tried."""

    name: str
    messages: Mapping[str, str]
    """Messages on the queue at the start, and the request that each asks for (`?`: not readable)."""

    parked: tuple[Key, ...] = ()
    """Attempts that are parked at the start."""

    mishaps: int = 1
    """Crashes, lost answers, repeated deliveries and unhealthy answers of AlloMia, together, in one schedule."""

    kinds: frozenset[str] = frozenset(
        {"killed", "failed", "lost", "resent", "poll resent", "repeated", "hindered", "answered"}
    )
    """Which mishaps: a worker killed; a write or a queue send that failed, one whose answer got lost, or that the SDK
    therefore sent again; a message or a poll delivered once more; a worker that may not dial now; an unhealthy answer.
    """

    hooks: int = 1
    """Webhooks of each call, each of them sent or not, and with any of `outcomes`."""

    outcomes: tuple[str, ...] = ("completed", "busy")
    forgeries: int = 0
    """Webhooks of one attempt that are sent over another's URL."""

    answers: tuple[str, ...] = ONE_OF_EACH
    looks: tuple[str, ...] = (TIMEOUT, BROKEN, NOT_FOUND, ANOTHER)
    """Unhealthy answers when AlloMia is asked for a call's status."""

    workers: int = 2
    """How many run at once; and time stands still while more than these and waiting messages are about."""

    receives: int = 5
    """After so many deliveries that failed a message goes to the dead-letter queue."""

    lifetime: int = 30
    """Seconds after which Lambda has ended a worker. Longer than the deadline here, which in truth it is far below: so
    a worker may still be at its POST when the attempt is given up."""

    polls_live: int = 0
    """The same for polls, where it differs."""

    redrives: int = 1
    expiry: bool = False
    """Whether a day may pass."""

    @property
    def keys(self) -> tuple[Key, ...]:
        asked = {(request, 1) for request in self.messages.values() if request != "?"}
        return tuple(sorted(asked | set(self.parked)))


class Mail(NamedTuple):
    """A message of the call queue."""

    name: str
    body: str
    about: Key | None
    deliveries: int = 0
    receives: int = 0
    where: str = "waiting"
    """`waiting`, `in flight`, `done` (acknowledged) or `dead` (on the dead-letter queue)."""


class Worker(NamedTuple):
    task: Task
    history: History
    since: int
    """When it had its last answer, while it may look at the clock next; else 0."""

    until: int
    """When Lambda ends it at the latest."""

    result: str = ""
    """What it came to, while its message is not acknowledged yet."""


class State(NamedTuple):
    now: int
    items: tuple[str, ...]
    facts: tuple[Facts, ...]
    mail: tuple[Mail, ...]
    workers: tuple[Worker, ...]
    kept: tuple[str, ...]
    """Messages on the invalid-message queue."""

    mishaps: int
    """How many may still happen."""

    faultless: bool
    redrives: int
    forgeries: int


class Step(NamedTuple):
    label: tuple[object, ...]
    state: State
    needed: bool
    """Whether it is one that comes sooner or later: a mishap or a webhook need not."""


@dataclass
class World:
    """All that can happen in a scenario."""

    scenario: Scenario
    keys: tuple[Key, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = self.scenario.keys
        self._calls = {call_id(*key, dial): key for key in self.keys for dial in range(1, 9)}

    def start(self) -> State:
        table = TableInMemory()
        for request, number in self.scenario.parked:
            key = AttemptKey(request_id=request, attempt=number)
            asked = CallRequest.model_validate(REQUEST | {"requestId": request})
            ledger(table).schedule(key, asked, START, START + 1, "a redial")
        mail = []
        for name, request in sorted(self.scenario.messages.items()):
            readable = request != "?"
            body = json.dumps(REQUEST | {"requestId": request}) if readable else '{"phoneNumber": 7}'
            mail.append(Mail(name, body, (request, 1) if readable else None))
        items = tuple(dump(table.items.get(key)) for key in self.keys)
        facts = tuple(Facts(hooks=self.scenario.hooks) for _ in self.keys)
        scenario = self.scenario
        return State(
            START, items, facts, tuple(mail), (), (), scenario.mishaps, True, scenario.redrives, scenario.forgeries
        )

    def steps(self, state: State) -> Iterator[Step]:
        """Every step that may come next. Raises Broken where one breaks a promise.

        Unhealthy answers come before healthy ones and late workers' steps before early ones': what breaks a promise is
        then found sooner.
        """
        for place, worker in reversed(list(enumerate(state.workers))):
            yield from self._worker_steps(state, place, worker)
        yield from self._time_passes(state)
        for place, mail in enumerate(state.mail):
            yield from self._mail_steps(state, place, mail)
        if len(state.workers) < self.scenario.workers:
            yield from self._sweeps(state)
            yield from self._webhooks(state)

    def check_end(self, state: State) -> None:
        """Hold a state in which nothing more needs to come against the promises."""
        for key, item, facts in zip(self.keys, state.items, state.facts, strict=True):
            waits_for_a_person = any(mail.where == "dead" and mail.about == key for mail in state.mail)
            if not item and waits_for_a_person and not state.faultless:
                continue
            healthy = state.mishaps == self.scenario.mishaps
            in_time = self.scenario.lifetime < DEADLINE
            check_end(key, item, facts, faultless=state.faultless, healthy=healthy, in_time=in_time)

    def check(self, before: State, after: State) -> None:
        """Hold a step against the promises."""
        for place, key in enumerate(self.keys):
            old, new = before.items[place], after.items[place]
            facts = after.facts[place]
            if old != new or facts is not before.facts[place]:
                check_attempt(key, old, new, before.facts[place], facts)
        if before.mail is not after.mail:
            for mail in after.mail:
                if mail.where == "done" and not self._came_to_something(after, mail):
                    raise Broken("armed", f"message {mail.name} is acknowledged, and nothing else is left of it")
                if mail.where == "dead" and after.faultless:
                    raise Broken("own faults only", f"message {mail.name} is a dead letter, and nothing of ours failed")

    def _came_to_something(self, state: State, mail: Mail) -> bool:
        if mail.about is None:
            return mail.body in state.kept
        return bool(state.items[self.keys.index(mail.about)])

    def _may(self, state: State, kind: str) -> bool:
        return state.mishaps > 0 and kind in self.scenario.kinds

    # Workers.

    def _worker_steps(self, state: State, place: int, worker: Worker) -> Iterator[Step]:
        if worker.result:
            yield self._step(state, (worker.task, "is acknowledged"), self._ended(state, place, "done"))
        else:
            for history, wish in _after_the_clock(worker, state.now):
                if isinstance(wish, Done):
                    yield self._step(state, (worker.task, "ends"), self._done(state, place, worker, history, wish))
                else:
                    yield from self._effects(state, place, worker._replace(history=history), wish)
        if self._may(state, "killed"):
            crashed = self._ended(_mishap(state, fault=True), place, "waiting")
            yield self._step(state, (worker.task, "is killed"), crashed, needed=False)

    def _effects(self, state: State, place: int, worker: Worker, wish: Effect) -> Iterator[Step]:
        match wish.kind:
            case "put" | "update":
                yield from self._write(state, place, worker, wish)
            case "send":
                yield from self._send(state, place, worker, wish)
            case "post":
                yield from self._post(state, place, worker, wish)
            case "get":
                yield from self._get(state, place, worker, wish)
            case _:
                raise Beyond(wish.kind)

    def _write(self, state: State, place: int, worker: Worker, wish: Effect) -> Iterator[Step]:
        key, target = _target(wish)
        at = self.keys.index(key) if key in self.keys else None
        if at is None:
            raise Broken("true outcome", f"{worker.task} writes to {key}, which nobody asked for")
        new, answer = _written(state.items[at], wish)
        written = state._replace(items=_with(state.items, at, new)) if new != state.items[at] else state
        words = (worker.task, f"{wish.kind}{target}", answer.partition("\n")[0])
        if isinstance(worker.task, Polling) and written is not state and OK not in _kinds(worker.history):
            found = plain(state.items[at]).get("dueAt")
            if found != worker.task.due_at:
                raise Broken("one lease", f"{worker.task} takes {key[0]}/{key[1]}, which is due at {found}")
        yield self._answered(state, written, place, worker, answer, words)
        yield from self._unheard(state, written, place, worker, words[:2])

    def _unheard(
        self, state: State, written: State, place: int, worker: Worker, words: tuple[object, ...]
    ) -> Iterator[Step]:
        """A write of which the worker hears nothing good, with and without its effect."""
        if self._may(state, "failed"):
            failed = _mishap(state, fault=True)
            yield self._answered(state, failed, place, worker, ERROR, (*words, "fails"), needed=False)
        if written is not state and self._may(state, "lost"):
            lost = _mishap(written, fault=True)
            yield self._answered(
                state, lost, place, worker, ERROR, (*words, "ok, but it hears of a fault"), needed=False
            )
        resent = "poll resent" if isinstance(worker.task, Polling) else "resent"
        if written is not state and self._may(state, resent):
            # The SDK sends it again: the worker still wants the same.
            yield self._step(state, (*words, "ok, and the SDK will send it again"), _mishap(written), needed=False)

    def _send(self, state: State, place: int, worker: Worker, wish: Effect) -> Iterator[Step]:
        asked = json.loads(wish.wish)
        body = asked["MessageBody"]
        if asked["QueueUrl"] == CALL_QUEUE:
            released = json.loads(body)["release"]
            name = f"release@{getattr(worker.task, 'due_at', 0)}"
            while any(mail.name == name for mail in state.mail):
                name += "'"
            mail = Mail(name, body, (released["requestId"], released["attempt"]))
            sent = state._replace(mail=tuple(sorted((*state.mail, mail))))
        else:
            sent = state._replace(kept=tuple(sorted({*state.kept, body})))
        words = (worker.task, "send")
        yield self._answered(state, sent, place, worker, OK, (*words, "ok"))
        yield from self._unheard(state, sent, place, worker, words)

    def _post(self, state: State, place: int, worker: Worker, wish: Effect) -> Iterator[Step]:
        request, number, signature = json.loads(wish.wish)["callbackUrl"].split("/")[-3:]
        key = (request, int(number))
        if key not in self.keys or (request, number, signature) != callback_path(*key):
            raise Broken("true outcome", f"{worker.task} POSTs a callback URL that is not its attempt's")
        at = self.keys.index(key)
        facts = state.facts[at]
        for name in reversed(self.scenario.answers) if self._may(state, "answered") else (HEALTHY,):
            word = ANSWERS[name]
            dials = facts.dials + word.accepted
            said = {*facts.words, "failed"} if name.startswith("200 failed") else facts.words
            told = facts._replace(dials=dials, answer=word.means, words=tuple(sorted(said)))
            answered = state._replace(facts=_with(state.facts, at, told))
            if name != HEALTHY:
                answered = _mishap(answered)
            answer = f"{name}\n{call_id(*key, dials)}" if word.accepted else name
            yield self._answered(
                state, answered, place, worker, answer, (worker.task, "POST", name), needed=name == HEALTHY
            )

    def _get(self, state: State, place: int, worker: Worker, wish: Effect) -> Iterator[Step]:
        its_call = json.loads(wish.wish)
        at = self.keys.index(self._calls[its_call])
        facts = state.facts[at]
        other = call_id("another", 1, 1)
        calling, ended = f"calling {its_call}", f"no-answer {its_call}"
        for look in (calling, ended, *self.scenario.looks):
            answer = f"completed {other}" if look == ANOTHER else look
            answered, healthy = state, answer in {calling, ended}
            if answer == ended:
                told = facts._replace(words=tuple(sorted({*facts.words, "no-answer"})))
                answered = state._replace(facts=_with(state.facts, at, told))
            if not healthy:
                if not self._may(state, "answered"):
                    break
                answered = _mishap(answered)
            words = (worker.task, "GET", answer.partition(" ")[0])
            yield self._answered(state, answered, place, worker, answer, words, needed=healthy)

    def _answered(
        self,
        before: State,
        state: State,
        place: int,
        worker: Worker,
        answer: Answer,
        label: tuple[object, ...],
        *,
        needed: bool = True,
    ) -> Step:
        """The worker has its answer and goes on, up to its next wish."""
        history = (*worker.history, answer)
        wish = next_of(worker.task, history)
        if isinstance(wish, Done):
            after = self._done(state, place, worker, history, wish)
        else:
            since = state.now if wish.kind == "clock" else 0
            after = state._replace(workers=_sorted(state.workers, place, worker._replace(history=history, since=since)))
        return self._step(before, label, after, needed=needed)

    def _done(self, state: State, place: int, worker: Worker, history: History, done: Done) -> State:
        if done.raised and ERROR not in history:
            raise Broken("own faults only", f"{worker.task} raised {done.words}, and nothing of ours failed")
        match worker.task:
            case Placing() if not done.raised:
                acknowledging = worker._replace(history=(), since=0, result=done.words)
                return state._replace(workers=_sorted(state.workers, place, acknowledging))
            case Hook() as hook:
                self._check_receipt(state, hook, done)
        return self._ended(state, place, "waiting")

    def _check_receipt(self, state: State, hook: Hook, done: Done) -> None:
        if done.raised:
            return
        if hook.path != hook.about:
            if done.words == "200":
                raise Broken("true outcome", f"{hook} was answered with 200")
            return
        status = status_of(state.items[self.keys.index(hook.about)])
        if done.words == "200" and status not in ALLOMIA_OUTCOMES:
            raise Broken("acknowledged when recorded", f"{hook} was answered with 200, and the attempt is {status}")
        if done.words != "200":
            raise Broken("right end", f"{hook} was answered with {done.words}")

    def _ended(self, state: State, place: int, where: str) -> State:
        """The worker is gone; its message, if it had one, is `done` or `waiting` to be delivered again."""
        task = state.workers[place].task
        state = state._replace(workers=_sorted(state.workers, place))
        if not isinstance(task, Placing):
            return state
        at, mail = next(((at, mail) for at, mail in enumerate(state.mail) if mail.name == task.message), (0, None))
        if mail is None or (mail.where in {"done", "dead"} and where != "done"):
            return state
        if where == "waiting" and mail.receives >= self.scenario.receives:
            where = "dead"
        return state._replace(mail=_with(state.mail, at, mail._replace(where=where)))

    # What comes from outside.

    def _time_passes(self, state: State) -> Iterator[Step]:
        about = len(state.workers) + sum(mail.where == "waiting" for mail in state.mail)
        if about > self.scenario.workers:
            return
        instants = [at for item in state.items for at in _instants(item, self.scenario.expiry) if at > state.now]
        now = min(instants, default=state.now)
        if now > state.now and all(now <= worker.until for worker in state.workers):
            yield self._step(state, ("clock", now - START), state._replace(now=now))

    def _mail_steps(self, state: State, place: int, mail: Mail) -> Iterator[Step]:
        if mail.where == "dead" and state.redrives:
            again = _with(state.mail, place, mail._replace(where="waiting", receives=0))
            redriven = state._replace(mail=again, redrives=state.redrives - 1)
            yield self._step(state, (mail.name, "is redriven"), redriven, needed=False)
        if len(state.workers) >= self.scenario.workers or mail.where == "dead":
            return
        first = mail.where == "waiting"
        for hindrance in ("", "circuit-open", "short-of-time"):
            if hindrance and not (first and self._may(state, "hindered")):
                break
            if not first and not self._may(state, "repeated"):
                break
            count = mail.deliveries + 1
            delivered = mail._replace(
                deliveries=count, receives=mail.receives + 1, where="in flight" if first else mail.where
            )
            after = state._replace(mail=_with(state.mail, place, delivered))
            if hindrance or not first:
                after = _mishap(after)
            task = Placing(mail.name, count, mail.body, hindrance)
            label = (mail.name, "is delivered" if first else "is delivered once more", hindrance)
            yield self._spawned(state, after, task, label, needed=first and not hindrance)

    def _sweeps(self, state: State) -> Iterator[Step]:
        for request, attempt, due_at in _due(self.keys, state.items, state.now):
            same = [
                worker.task.copy
                for worker in state.workers
                if isinstance(worker.task, Polling) and worker.task[:3] == (request, attempt, due_at)
            ]
            if same and not self._may(state, "repeated"):
                continue
            task = Polling(request, attempt, due_at, max(same) + 1 if same else 0)
            yield self._spawned(state, _mishap(state) if same else state, task, (task, "begins"), needed=not same)

    def _webhooks(self, state: State) -> Iterator[Step]:
        for at, (key, facts) in enumerate(zip(self.keys, state.facts, strict=True)):
            if not facts.dials:
                continue
            for status in self.scenario.outcomes if facts.hooks else ():
                told = facts._replace(hooks=facts.hooks - 1, words=tuple(sorted({*facts.words, status})))
                after = state._replace(facts=_with(state.facts, at, told))
                hook = Hook(*callback_path(*key), call_id(*key, 1), status, key)
                if not any(worker.task == hook for worker in state.workers):
                    yield self._spawned(state, after, hook, (hook, "comes"), needed=False)
            if state.forgeries:
                yield from self._forgeries(state, key)

    def _forgeries(self, state: State, key: Key) -> Iterator[Step]:
        """Webhooks of `key` over the URLs of others."""
        after = state._replace(forgeries=state.forgeries - 1)
        for other, item in zip(self.keys, state.items, strict=True):
            if other == key:
                continue
            request, number, right = callback_path(*other)
            known = "outboundCallId" in plain(item)
            # With the other's own signature it is AlloMia's mistake, which shows only where the other's call is known.
            for signature in sorted({callback_path(*key)[2], *({right} if known else ())}):
                hook = Hook(request, number, signature, call_id(*key, 1), "failed", key)
                yield self._spawned(state, after, hook, (hook, "comes"), needed=False)

    def _spawned(self, before: State, state: State, task: Task, label: tuple[object, ...], *, needed: bool) -> Step:
        lifetime = self.scenario.lifetime
        if isinstance(task, Polling):
            lifetime = self.scenario.polls_live or lifetime
        worker = Worker(task, (), 0, state.now + lifetime)
        workers = (*state.workers, worker)
        wish = next_of(task, ())
        if isinstance(wish, Done):
            after = self._done(state._replace(workers=workers), len(workers) - 1, worker, (), wish)
            return self._step(before, label, after, needed=needed)
        since = state.now if wish.kind == "clock" else 0
        after = state._replace(workers=_sorted(workers, len(workers) - 1, worker._replace(since=since)))
        return self._step(before, label, after, needed=needed)

    def _step(self, before: State, label: tuple[object, ...], after: State, *, needed: bool = True) -> Step:
        try:
            self.check(before, after)
        except Broken as broken:
            broken.add_note(" ".join(map(str, label)))
            raise
        if not after.mishaps and any(mail.where == "done" for mail in after.mail):
            # It cannot be delivered once more.
            after = after._replace(mail=tuple(mail for mail in after.mail if mail.where != "done"))
        return Step(label, after, needed)


def _after_the_clock(worker: Worker, now: int) -> Iterator[tuple[History, Effect | Done]]:
    """The worker's next wish but the time: it may have looked at the clock long ago, or only now."""
    wish = next_of(worker.task, worker.history)
    if not (isinstance(wish, Effect) and wish.kind == "clock"):
        yield worker.history, wish
        return
    for seen in sorted({worker.since, now}):
        yield from _after_the_clock(worker._replace(history=(*worker.history, seen), since=seen), now)


def _kinds(history: History) -> set[str]:
    """What the answers are of which the history consists."""
    return {str(answer).partition("\n")[0] for answer in history}


def _mishap(state: State, *, fault: bool = False) -> State:
    return state._replace(mishaps=state.mishaps - 1, faultless=state.faultless and not fault)


def _with[T](values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _sorted(workers: tuple[Worker, ...], place: int, *instead: Worker) -> tuple[Worker, ...]:
    """The workers with one replaced, in an order that does not tell who came first."""
    return tuple(sorted((*workers[:place], *instead, *workers[place + 1 :]), key=_rank))


@functools.lru_cache(500_000)
def _rank(worker: Worker) -> str:
    return repr(worker)


def dump(item: Item | None) -> str:
    return json.dumps(item, sort_keys=True) if item else ""


@functools.cache
def _target(wish: Effect) -> tuple[Key, str]:
    """The attempt that a write is for, and the status it sets, for the reader."""
    asked = json.loads(wish.wish)
    key = asked.get("Key") or asked["Item"]
    values = asked.get("ExpressionAttributeValues", {})
    status = values.get(":status") or asked.get("Item", {}).get("status") or {"S": "due time"}
    return (key["requestId"]["S"], int(key["attempt"]["N"])), f" {status['S']}"


@functools.cache
def _written(item: str, wish: Effect) -> tuple[str, str]:
    """The item after a write, and the write's answer."""
    asked = json.loads(wish.wish)
    key, _ = _target(wish)
    table = TableInMemory({key: json.loads(item)} if item else {})
    try:
        answer = table.put_item(**asked) if wish.kind == "put" else table.update_item(**asked)
    except ConditionalCheckFailed as error:
        found: Any = error.response
        return item, f"{CONDITION}\n{dump(found.get('Item'))}"
    except ClientError:
        return item, INVALID
    return dump(table.items[key]), f"{OK}\n{dump(answer.get('Attributes')) or '{}'}"


@functools.cache
def _instants(item: str, expiry: bool) -> tuple[int, ...]:
    """When something changes for an attempt by the clock alone."""
    now = plain(item)
    if not now or now["status"] in TERMINAL:
        return ()
    instants = {int(now["dueAt"])} if "dueAt" in now else set()
    if "dispatchedAt" in now:
        instants.add(now["dispatchedAt"] + DEADLINE)
    if expiry and now["status"] == "scheduled":
        instants.add(now["createdAt"] + EXPIRES_AFTER)
    return tuple(instants)


@functools.lru_cache(100_000)
def _due(keys: tuple[Key, ...], items: tuple[str, ...], now: int) -> tuple[tuple[str, int, int], ...]:
    """What a sweep finds in the index."""
    table = TableInMemory({key: json.loads(item) for key, item in zip(keys, items, strict=True) if item})
    found = []
    for shard in range(2):
        page = table.query(
            TableName="calls",
            IndexName="due",
            KeyConditionExpression="dueShard = :shard AND dueAt <= :sweptAt",
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":sweptAt": {"N": str(now)}},
        )
        found += [
            (item["requestId"]["S"], int(item["attempt"]["N"]), int(item["dueAt"]["N"])) for item in page["Items"]
        ]
    return tuple(found)
