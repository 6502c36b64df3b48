"""Everything that can happen next: to the workers, and to the table, queue, AlloMia and clock around them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.domain.attempts import Attempt, CallRequest, Outcome, Refusal
from tests.proof.explorer import queues
from tests.proof.explorer.allomia import (
    ANSWERS,
    BROKEN,
    HEALTHY,
    LOST_IN_LOG,
    NOT_FOUND,
    OTHER_CALL,
    OTHER_ID,
    TIMEOUT,
    Logged,
    call_id,
    log_id,
)
from tests.proof.explorer.by_hand import MADE, REFUSED, CancelTask, RedialTask, RedriveTask, ResolveTask
from tests.proof.explorer.guarantees import (
    ALLOMIA_OUTCOMES,
    DEADLINE_SECONDS,
    EXPIRE_AFTER_SECONDS,
    GRACE_SECONDS,
    MAX_DECISION_AGE_SECONDS,
    TERMINAL,
    Facts,
    Guarantee,
    GuaranteeBroken,
    Key,
    check_attempt,
    check_end,
    check_post,
    event,
    frees_line,
    parked_until,
    plain,
    status_of,
)
from tests.proof.explorer.policies import REDIALLED, Policy
from tests.proof.explorer.scenarios import (
    BATCH,
    CANCEL,
    CANCEL_BATCH,
    CONFLICT,
    DO_NOT_CALL,
    POLICY_FAILS,
    PROMPT,
    UNNAMED,
    UNREADABLE,
    Scenario,
)
from tests.proof.explorer.state import (
    ACKNOWLEDGED,
    DEAD,
    IN_FLIGHT,
    KEEPER,
    KEPT,
    SEARCHED_BATCH,
    WAITING,
    ExplorerState,
    QueuedMessage,
    Step,
    Stop,
    Worker,
    due,
    dump,
    instants,
    item_read,
    item_written,
    items_queried,
    items_transacted,
    other_answer,
    other_key,
    other_words,
    target,
    transacted,
    with_,
    with_workers,
)
from tests.proof.explorer.table import TableInMemory, Unsupported
from tests.proof.explorer.workers import (
    BLOCKED,
    CALL_QUEUE_URL,
    CONDITION,
    CONDITION_AGAIN,
    ERROR,
    HANDED_ON_QUEUE_URL,
    OK,
    TIME_RUNS_OUT,
    WRITE_CONFLICT,
    Answer,
    Done,
    Effect,
    History,
    KeepTask,
    PlaceTask,
    PollTask,
    ReleaseTask,
    SearchTask,
    Task,
    WebhookTask,
    attempt_key,
    callback_path,
    calls_table,
    claim_id,
    next_of,
)

START = 1000
FINDING = "completed"
"""What a person finds out about a call."""

CHANGED = "changed"
REFUSED_FOR_SECONDS = 360
"""For how long AlloMia has refused what is refused at the start: once more, and it may be final."""

MOST_SECONDS_TO_RELEASE = 200
"""Within this time after a change of the policy, what it lets go on is dialled."""

_KEEPER_WAITS = (10, 120)
"""So many seconds after a change of the policy the keeper begins to release what waits, and ends it."""

HAND_ON = ("hand on", 0)
"""What the message is about that asks for free lines to be handed on."""

MOST_SECONDS_TO_SEARCH = 150
"""Within this time after a batch was cancelled, what is open of it is cancelled: two sweeps, of which one crashes."""

INDEX_LAG_SECONDS = 5
"""An index shows after this time what was written before."""

COUNT_AFTER_SECONDS = 15
"""How long after a limit was set the calls in progress are counted."""

CACHE_SECONDS = 5
"""For how long a policy is used that was read."""


REQUEST = CallRequest("+14155550123", "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa")
UNREADABLE_BODY = '{"phoneNumber": 7}'

type Label = tuple[object, ...]


def phone_number(request_id: str, scenario: Scenario) -> str:
    """The number of the person that a request is for: each is for another, where the scenario has no other say."""
    return "+14155550100" if scenario.one_number else f"+1415{int.from_bytes(request_id.encode()) % 10**7:07}"


def message_of(text: str, scenario: Scenario) -> str:
    """A message of a scenario, as it is on the queue."""
    if text == UNREADABLE:
        return UNREADABLE_BODY
    if text == CANCEL_BATCH:
        return json.dumps({"cancel": {"batch": BATCH}})
    if text.startswith(CANCEL):
        return json.dumps({"cancel": {"requestId": text.removeprefix(CANCEL)}})
    if text.startswith(DO_NOT_CALL):
        return json.dumps({"doNotCall": {"phoneNumber": phone_number(text.removeprefix(DO_NOT_CALL), scenario)}})
    return ""


def request_message(request_id: str, scenario: Scenario, *, named: bool) -> str:
    content = {
        **scenario.fields,
        "phoneNumber": phone_number(request_id, scenario),
        "assistantId": REQUEST.assistant_id,
        "phoneNumberId": REQUEST.phone_number_id,
    }
    return json.dumps(content | ({"requestId": request_id} if named else {}))


@dataclass
class Schedules:
    """All schedules of a scenario."""

    scenario: Scenario
    keys: tuple[Key, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = self.scenario.keys
        self._requests = {phone_number(request_id, self.scenario): request_id for request_id, _ in self.keys}
        self._by_hand = tuple(key for key in self.keys if key not in self.scenario.asked_for)
        texts = self.scenario.messages.values()
        stopping = any(text.startswith((CANCEL, DO_NOT_CALL)) for text in texts)
        self._has_stops = stopping or self.scenario.cancels > 0 or self.scenario.attempts > 1
        self._has_lines = any(policy.lines for policy in self.scenario.policies)
        self._has_caps = any(policy.cap_seconds for policy in self.scenario.policies)
        fails = POLICY_FAILS in self.scenario.kinds
        self._changing = {
            "policy": fails or len(self.scenario.policies) > 1,
            "number": fails or self._has_caps or any(text.startswith(DO_NOT_CALL) for text in texts),
            "batch": fails or CANCEL_BATCH in texts,
            "call-log": True,
            "lines": True,
            "": True,
        }
        self._expire_after = max(policy.expire_after_seconds for policy in self.scenario.policies)
        self._documents = [
            ("policy", "current", dump(policy.item(version)))
            for version, policy in enumerate(self.scenario.policies, 1)
        ]
        self._others = _others() if self.scenario.refused else {}
        self._calls = {call_id(*key, dial): key for key in self.keys for dial in range(1, 9)}

    def start(self) -> ExplorerState:
        scenario, table = self.scenario, TableInMemory()
        for request_id, number in (*scenario.parked, *scenario.unknown, *scenario.refused):
            request = replace(REQUEST, phone_number=phone_number(request_id, scenario))
            attempt = Attempt(attempt_key(request_id, number), START, request=request)
            if (request_id, number) in scenario.unknown:
                _lose(calls_table(table), attempt)
            elif (request_id, number) in scenario.refused:
                refusal = Refusal(START - REFUSED_FOR_SECONDS, 3, "HTTP 400")
                calls_table(table).park(attempt, START + 1, ParkReason.REFUSED_BY_ALLOMIA, refusal)
            else:
                calls_table(table).park(attempt, START + 1, ParkReason.DIAL_AGAIN)
        messages = []
        for name, text in sorted(scenario.messages.items()):
            about = scenario.asked[name]
            body = message_of(text, scenario) or request_message(about[0], scenario, named=text != UNNAMED)
            sent_at = START + scenario.later.get(name, 0)
            attributes = json.dumps(dict(scenario.attributes))
            messages.append(QueuedMessage(name, body, about, sent_at, attributes, not_before=sent_at))
        items = tuple(dump(table.items.get(key)) for key in self.keys)
        return ExplorerState(
            now=START,
            items=items,
            others=(),
            facts=tuple(
                Facts(
                    dials=int(key in scenario.unknown),
                    answer="ambiguous" if key in scenario.unknown else "",
                    refused=key in scenario.refused,
                    webhooks_left=scenario.webhooks,
                    expires_after=scenario.policies[0].expire_after_seconds,
                    parked_until=parked_until("", item, 0),
                )
                for key, item in zip(self.keys, items, strict=True)
            ),
            messages=tuple(messages),
            workers=(),
            mishaps=scenario.mishaps,
            faultless=True,
            redrives=scenario.redrives,
            resolves=scenario.resolves,
            redials=scenario.redials,
            forgeries=scenario.forgeries,
            cancels=scenario.cancels,
        )

    def steps(self, state: ExplorerState) -> Iterator[Step]:
        """Every step that can come next. Raises GuaranteeBroken where one breaks a guarantee.

        Unhealthy answers come before healthy ones, and steps of late workers before those of early ones: this finds a
        broken guarantee sooner.
        """
        for place, worker in reversed(list(enumerate(state.workers))):
            yield from self._worker_steps(state, place, worker)
        yield from self._time_passes(state)
        for place, message in enumerate(state.messages):
            yield from self._message_steps(state, place, message)
        yield from self._index_catches_up(state)
        if len(state.workers) < self.scenario.workers:
            yield from self._stream(state)
            yield from self._sweeps(state)
            yield from self._webhooks(state)
            yield from self._commands(state)

    def check_end(self, state: ExplorerState) -> None:
        """Check a state in which nothing more has to happen."""
        if left := sorted(name for name in self._lines(state) if not name.startswith("~")):
            raise GuaranteeBroken(Guarantee.LINE_FREED, f"{', '.join(left)} holds a line, and its call is over")
        for key, item, facts in zip(self.keys, state.items, state.facts, strict=True):
            if not item and (key in self._by_hand or self._waits_for_person(state, key)):
                continue
            if key[0] in self.scenario.mistaken:
                raise GuaranteeBroken(Guarantee.RIGHT_END, f"no one made the request {key[0]}")
            record = plain(item)
            refused = (record.get("status"), record.get("reasonCode")) == ("rejected", "refused-by-allomia")
            if refused and not self._others and state.now < START + EXPIRE_AFTER_SECONDS:
                detail = f"{key[0]}/{key[1]} is rejected, and no other call was accepted"
                raise GuaranteeBroken(Guarantee.RIGHT_END, detail)
            self._check_expired(state, key, record)
            self._check_batch(state, key, record)
            healthy = state.mishaps == self.scenario.mishaps
            in_time = self.scenario.worker_seconds < DEADLINE_SECONDS
            called_off = self._called_off(state, key)
            check_end(
                key, item, facts, faultless=state.faultless, healthy=healthy, in_time=in_time, called_off=called_off
            )
        # An attempt that is there at the start has none before it that it follows.
        unlinked = {request for request, number in self.scenario.asked_for if number > 1}
        for request_id in sorted({request for request, _ in self.keys} - unlinked):
            self._check_request(state, request_id)

    def _check_expired(self, state: ExplorerState, key: Key, record: dict[str, Any]) -> None:
        """Check that what expired could not be dialled in time."""
        if self._has_lines and record.get("reasonCode") == "expired":
            raise GuaranteeBroken(Guarantee.LINE_USED, f"{key[0]}/{key[1]} expired, and a line was free")
        if record.get("reasonCode") != "expired" or not state.faultless or not state.policy_since:
            return
        policy = self.scenario.policies[state.policy]
        expires_at = record.get("notAfter", record["createdAt"] + policy.expire_after_seconds)
        allowed = expires_at - state.policy_since
        if self.scenario.prompt and allowed > MOST_SECONDS_TO_RELEASE and policy.allows(state.policy_since):
            detail = f"{key[0]}/{key[1]} expired, and policy had allowed it for {allowed} s"
            raise GuaranteeBroken(Guarantee.RIGHT_END, detail)

    def _check_batch(self, state: ExplorerState, key: Key, record: dict[str, Any]) -> None:
        """Check that what waited when its batch was cancelled was found soon, and not when it came up."""
        stops = [stop for stop in state.stops if stop.request_id == key[0] and stop.why == CANCEL_BATCH]
        ended_by_itself = record.get("outcomeSource") in {"policy", "upstream"}
        if not (self.scenario.prompt and stops and ended_by_itself):
            return
        late = record["recordedAt"] - max(stops[0].at, record["createdAt"]) - MOST_SECONDS_TO_SEARCH
        if late > 0 or record["status"] != "cancelled":
            detail = f"{key[0]}/{key[1]} is {record['status']}, {late} s too late, and its batch is cancelled"
            raise GuaranteeBroken(Guarantee.RIGHT_END, detail)

    def _check_request(self, state: ExplorerState, request_id: str) -> None:
        """Check how a request ended, as those learn who follow its events."""
        attempts = [
            (plain(item), facts)
            for key, item, facts in zip(self.keys, state.items, state.facts, strict=True)
            if key[0] == request_id and item
        ]
        if not attempts:
            return
        events = [each for _, facts in attempts for each in facts.events]
        finals = sum(each.endswith("final") for each in events)
        by_hand = sum("isRedial" not in item for item, _ in attempts) - 1
        corrected = sum(facts.called_all_the_same for _, facts in attempts)
        last = [(item, facts) for item, facts in attempts if "isDropped" not in item][-1]
        expected = int(last[0]["status"] != "unknown")
        if not expected <= finals <= expected + by_hand * 2 + corrected or (
            expected and last[1].events[-1] != f"{last[0]['status']}, final"
        ):
            detail = f"{request_id} ends as {last[0]['status']}, and published {'; '.join(events)}"
            raise GuaranteeBroken(Guarantee.ONE_END, detail)
        for item, facts in attempts:
            name = f"{request_id}/{item['attempt']}"
            if "isRedial" in item and item["status"] == "rejected":
                raise GuaranteeBroken(Guarantee.REDIAL, f"{name} is rejected, and the person was rung before")
            if item.get("reasonCode") == "recipient-cap" and not self._others_dialled(state, request_id):
                raise GuaranteeBroken(Guarantee.CAP, f"{name} is rejected, and no other was dialled")
            if any(facts.events.count(each) > 1 for each in facts.events if each in REDIALLED):
                raise GuaranteeBroken(Guarantee.ONE_END, f"{name} published {'; '.join(facts.events)}")
            if "redialAt" in item or ("nextAttempt" in item) != (item is not last[0]) != ("isDropped" in item):
                raise GuaranteeBroken(Guarantee.AN_END, f"{name} stays {item['status']}, and another is to follow")
            if "isDropped" in item:
                self._check_dropped(state, name, item)
        self._check_no_redial_lost(state, last[0], last[1], is_dropped=last[0] is not attempts[-1][0])

    def _others_dialled(self, state: ExplorerState, request_id: str) -> bool:
        """Whether another attempt was dialled that a cap may count."""
        answers = {key: facts.answer for key, facts in zip(self.keys, state.facts, strict=True)}
        return any(answer and (key[0] != request_id or key[1] > 1) for key, answer in answers.items())

    def _check_no_redial_lost(
        self, state: ExplorerState, item: dict[str, Any], facts: Facts, *, is_dropped: bool
    ) -> None:
        """Check that nothing was to follow the last attempt that was dialled."""
        policy = self.scenario.policies[0]
        never = {"unknown", "rejected, final", "cancelled, final"} & {*facts.events}
        certain = len(self.scenario.policies) == 1 and not never and not facts.called_all_the_same
        by_hand = item.get("outcomeSource") == "operator"
        # A cancellation whose answer was lost is none that was confirmed, and holds.
        stopped = "cancelRequestedAt" in item or any(stop.request_id == item["requestId"] for stop in state.stops)
        follows = policy.follows(item["status"], item["attempt"])
        if certain and follows and not (by_hand or stopped or is_dropped):
            name = f"{item['requestId']}/{item['attempt']}"
            raise GuaranteeBroken(Guarantee.REDIAL, f"{name} is {item['status']}, and no attempt follows it")

    def _check_dropped(self, state: ExplorerState, name: str, item: dict[str, Any]) -> None:
        """Check that an attempt was given up for a reason."""
        code = item.get("reasonCode")
        whys = [stop.why for stop in state.stops if stop.request_id == item["requestId"]]
        reasons = {
            "expired": item["recordedAt"] > item["createdAt"] + min(p.expire_after_seconds for p in self._policies),
            "cancelled": state.cancels < self.scenario.cancels or any(why.startswith(CANCEL) for why in whys),
            "do-not-call": any(why.startswith(DO_NOT_CALL) for why in whys),
            "recipient-cap": any(policy.when_capped == "reject" for policy in self._policies),
        }
        if not reasons.get(str(code)):
            raise GuaranteeBroken(Guarantee.REDIAL, f"{name} was dropped: {code}")

    @property
    def _policies(self) -> tuple[Policy, ...]:
        return self.scenario.policies

    def _called_off(self, state: ExplorerState, key: Key) -> bool:
        """Whether there is a reason to dial an attempt no more."""
        item = plain(state.items[self.keys.index(key)])
        if "isDropped" in item or any(stop.request_id == key[0] for stop in state.stops):
            return True
        if item.get("reasonCode") == "recipient-cap":
            return any(policy.when_capped == "reject" for policy in self._policies)
        return any(
            each[0] == key[0] and each[1] < key[1] and "completed" in facts.reported
            for each, facts in zip(self.keys, state.facts, strict=True)
        )

    def check(self, before: ExplorerState, after: ExplorerState) -> None:
        """Check a step."""
        for place, key in enumerate(self.keys):
            old, new = before.items[place], after.items[place]
            facts = after.facts[place]
            if old != new or facts is not before.facts[place]:
                check_attempt(key, old, new, before.facts[place], facts, after.now)
        if before.messages is not after.messages:
            for message in after.messages:
                if message.where == DEAD and after.faultless:
                    detail = f"message {message.name} is a dead letter, and nothing of this stack failed"
                    raise GuaranteeBroken(Guarantee.OWN_FAULTS_ONLY, detail)
            left = {message.name for message in after.messages if message.where != ACKNOWLEDGED}
            for message in before.messages:
                if message.name not in left and not self._something_left(after, message):
                    detail = f"message {message.name} is gone, and nothing else is left of it"
                    raise GuaranteeBroken(Guarantee.ARMED, detail)

    def _something_left(self, state: ExplorerState, message: QueuedMessage) -> bool:
        """Whether there is a record of what a message asks for, or another message that does."""
        if message.about == HAND_ON:
            return True
        if not message.about[1]:
            kind = "batch#" if message.about[0] == CANCEL_BATCH else "number#"
            if any(each[0].startswith(kind) and each[1] != "dials" for each in state.others):
                return True
        if any(
            item and (key == message.about or key[0] in self.scenario.mistaken)
            for key, item in zip(self.keys, state.items, strict=True)
        ):
            return True
        return any(other.about == message.about and other.where != ACKNOWLEDGED for other in state.messages)

    def _waits_for_person(self, state: ExplorerState, key: Key) -> bool:
        """Whether a message about this lies where a person finds it, for a good reason."""
        return any(
            message.where == KEPT or (message.where == DEAD and not state.faultless)
            for message in state.messages
            if message.about == key
        )

    def _may(self, state: ExplorerState, kind: str) -> bool:
        return state.mishaps > 0 and kind in self.scenario.kinds

    # Workers.

    def _worker_steps(self, state: ExplorerState, place: int, worker: Worker) -> Iterator[Step]:
        if worker.result:
            yield self._step(state, (worker.task, "is acknowledged"), self._ended(state, place, ACKNOWLEDGED))
        else:
            for history, upcoming in self._after_the_clock(state, worker):
                if isinstance(upcoming, Done):
                    yield self._step(state, (worker.task, "ends"), self._done(state, place, worker, history, upcoming))
                else:
                    yield from self._effects(state, place, worker._replace(history=history), upcoming)
        if self._may(state, "killed"):
            killed = self._delivered_again(self._ended(_mishap(state, fault=True), place, WAITING), worker.task)
            yield self._step(state, (worker.task, "is killed"), killed, needed=False)

    def _effects(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        if key := other_key(effect):
            yield from self._on_another(state, place, worker, effect, key)
            return
        match effect.kind:
            case "read" | "query" | "batch read" | "receive":
                yield from self._read(state, place, worker, effect)
            case "put" | "update":
                yield from self._write(state, place, worker, effect)
            case "transact":
                yield from self._transact(state, place, worker, effect)
            case "send" | "send batch" | "delete batch" | "release":
                yield from self._move_messages(state, place, worker, effect)
            case "person":
                yield from self._ask_person(state, place, worker)
            case "post":
                yield from self._post(state, place, worker, effect)
            case "get":
                yield from self._get(state, place, worker, effect)
            case "log":
                yield from self._log(state, place, worker, effect)
            case _:
                raise Unsupported(effect.kind)

    def _place_of(self, worker: Worker, key: Key) -> int:
        if key not in self.keys:
            detail = f"{worker.task} reads or writes {key}, which no message asked for"
            raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, detail)
        return self.keys.index(key)

    def _read(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        read, words = state, effect.kind
        if effect.kind == "read":
            key, words = target(effect)
            item = state.items[self._place_of(worker, key)]
            answer, seen = item_read(item, effect), status_of(item) or "no record"
        elif effect.kind != "receive":
            items = state.items
            for at, shown in state.lagging if '"IndexName": "waiting"' in effect.arguments else ():
                items = with_(items, at, shown)
            answer = items_queried((*self.keys, *self._others), (*items, *self._others.values()), effect)
            seen = f"{len(json.loads(answer.partition('\n')[2]))} attempts"
            if isinstance(worker.task, ResolveTask | RedialTask):
                seen = self._last(state, worker.task)[1]
        else:
            messages, answer = queues.received(state.messages, effect, str(worker.task))
            read, seen = state._replace(messages=messages), f"{answer.count('MessageId')} messages"
        yield self._answered(state, read, place, worker, answer, (worker.task, words, seen))
        if self._may(state, "failed"):
            failed = _mishap(state, fault=True)
            yield self._answered(state, failed, place, worker, ERROR, (worker.task, words, "fails"), needed=False)

    def _write(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        key, words = target(effect)
        at = self._place_of(worker, key)
        new, answer = item_written(state.items[at], effect)
        if worker.resent:
            answer = answer.replace(f"{CONDITION}\n", f"{CONDITION_AGAIN}\n")
        written = self._written(state, worker, with_(state.items, at, new))
        label = (worker.task, words, answer.partition("\n")[0])
        yield self._answered(state, written, place, worker, answer, label)
        yield from self._unheard(state, written, place, worker, label[:2])
        yield from self._conflict(state, place, worker, {key}, label[:2])

    def _transact(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        """Several writes at once. The SDK sends them again under a token, so whatever it hears then is true."""
        keys, words = transacted(effect)
        for key in keys:
            self._place_of(worker, key)
        items, answer = items_transacted(self.keys, state.items, effect)
        written = self._written(state, worker, items)
        label = (worker.task, words, answer)
        yield self._answered(state, written, place, worker, answer, label)
        yield from self._unheard(state, written, place, worker, label[:2])
        yield from self._conflict(state, place, worker, set(keys), label[:2])

    def _conflict(
        self, state: ExplorerState, place: int, worker: Worker, keys: set[Key], label: Label
    ) -> Iterator[Step]:
        """A write, while another worker makes a transaction on the same item; or the other way round."""
        if not self._may(state, CONFLICT):
            return
        for other, each in enumerate(state.workers):
            effect = next_of(each.task, each.history) if other != place and not each.result else None
            if not isinstance(effect, Effect) or (
                not str(label[1]).startswith("transaction") and effect.kind != "transact"
            ):
                continue
            if effect.kind == "transact":
                met = set(transacted(effect)[0])
            elif effect.kind in {"put", "update"} and not other_key(effect):
                met = {target(effect)[0]}
            else:
                continue
            if met & keys:
                label = (*label, "meets a transaction")
                yield self._answered(state, _mishap(state), place, worker, WRITE_CONFLICT, label, needed=False)
                return

    def _written(self, state: ExplorerState, worker: Worker, items: tuple[str, ...]) -> ExplorerState:
        """The state after a write, which is checked."""
        written = state
        for at, (key, old, new) in enumerate(zip(self.keys, state.items, items, strict=True)):
            self._check_write(state, worker, key, old, new)
            if new == old:
                continue
            facts = state.facts[at]
            told = facts._replace(parked_until=parked_until(old, new, facts.parked_until))
            if published := event(new):
                told = told._replace(events=(*told.events, published))
            if isinstance(worker.task, ResolveTask):
                told = told._replace(found=tuple(sorted({*told.found, worker.task.finding})))
            if isinstance(worker.task, CancelTask):
                told = told._replace(found=("cancelled",))
            written = written._replace(items=with_(written.items, at, new))
            if self._has_lines:
                written = self._noticed(written, at, old, new)
            if told != facts:
                written = written._replace(facts=with_(written.facts, at, told))
        return written

    def _on_another(
        self, state: ExplorerState, place: int, worker: Worker, effect: Effect, key: tuple[str, str | int]
    ) -> Iterator[Step]:
        """Read or write an item that is no attempt. A policy that was read a moment ago may be used still."""
        label = (worker.task, effect.kind, other_words(key))
        if key[0] == "policy":
            versions = [state.policy, *(each for each, until in state.replaced if state.now - until < CACHE_SECONDS)]
            if isinstance(worker.task, KeepTask):
                versions = [state.policy]
            for version in sorted(set(versions)):
                since = state.policy_since if version == state.policy else 0
                policy = self.scenario.policies[version]
                limited_since = state.limited_since if policy.lines else 0
                item = policy.item(version + 1, since, limited_since=limited_since)
                document = ("policy", "current", dump(item))
                answer, _ = other_answer((document,), effect)
                name = self.scenario.policies[version].name
                yield self._answered(state, state, place, worker, answer, (*label, name))
        else:
            answer, items = other_answer(state.others, effect)
            if worker.resent:
                answer = answer.replace(f"{CONDITION}\n", f"{CONDITION_AGAIN}\n")
            written = state if items == state.others else state._replace(others=items)
            if written is not state:
                self._check_place_in_line(state, worker, effect)
            yield self._answered(state, written, place, worker, answer, (*label, answer.partition("\n")[0]))
            if key in {KEEPER, SEARCHED_BATCH}:
                yield from self._unheard(state, written, place, worker, label)
            elif written is not state and self._may(state, POLICY_FAILS):
                lost = (*label, "ok, but its answer is lost")
                yield self._answered(state, _mishap(written), place, worker, ERROR, lost, needed=False)
        if key not in {KEEPER, SEARCHED_BATCH} and self._may(state, POLICY_FAILS):
            yield self._answered(state, _mishap(state), place, worker, ERROR, (*label, "fails"), needed=False)

    def _next(self, task: Task, history: History) -> tuple[History, Effect | Done]:
        """What a worker does next. It has at once what it reads that never changes: no order depends on that.

        And how many wait for a line, which is only reported.
        """
        upcoming = next_of(task, history)
        while isinstance(upcoming, Effect) and (_is_count(upcoming) or self._never_changes(upcoming)):
            items = (self._documents[0],) if _kind_of_other(upcoming) == "policy" else ()
            answer = f"{OK}\n[]" if _is_count(upcoming) else other_answer(items, upcoming)[0]
            history = (*history, answer)
            upcoming = next_of(task, history)
        return history, upcoming

    def _never_changes(self, effect: Effect) -> bool:
        """Whether this reads a part of the policy table that is always as it was at the start."""
        return effect.kind in {"read", "query"} and not self._changing[_kind_of_other(effect)]

    def _after_the_clock(self, state: ExplorerState, worker: Worker) -> Iterator[tuple[History, Effect | Done]]:
        """The worker's next effect apart from the clock. It may have read the clock long ago, or only now."""
        history, upcoming = self._next(worker.task, worker.history)
        if not (isinstance(upcoming, Effect) and upcoming.kind == "clock"):
            yield history, upcoming
            return
        for seen in sorted({worker.since, state.now}):
            yield from self._after_the_clock(state, worker._replace(history=(*history, seen), since=seen))

    def _check_write(self, state: ExplorerState, worker: Worker, key: Key, old: str, new: str) -> None:
        task = worker.task
        if isinstance(task, PollTask) and new != old and key == task[:2] and OK not in _kinds(worker.history):
            found = plain(old).get("dueAt")
            if found != task.due_at:
                detail = f"{task} takes {key[0]}/{key[1]}, which is due at {found}"
                raise GuaranteeBroken(Guarantee.ONE_LEASE, detail)
        if isinstance(task, RedialTask) and new and not old and f"{OK}\n{CHANGED}" in worker.history:
            detail = f"{task} makes {key[0]}/{key[1]}, and the outcome had changed when the person said yes"
            raise GuaranteeBroken(Guarantee.ONE_DIAL, detail)
        if isinstance(task, RedialTask) and new and not old:
            shown = json.loads(str(worker.history[0]).partition("\n")[2])[-1]["status"]["S"]
            if shown != (now := status_of(self._before(state, key))):
                detail = f"{task} makes {key[0]}/{key[1]}, and {shown} was shown, which is {now} now"
                raise GuaranteeBroken(Guarantee.ONE_DIAL, detail)
        if isinstance(task, RedialTask) and new and not old and status_of(self._before(state, key)) not in TERMINAL:
            detail = f"{task} makes {key[0]}/{key[1]}, and the attempt before has not ended"
            raise GuaranteeBroken(Guarantee.ONE_DIAL, detail)
        if isinstance(task, PollTask) and new and not old:
            self._check_following(state, task, key)
        if isinstance(task, PlaceTask) and new and not old and plain(new).get("reasonCode") != "cancelled-unseen":
            created_at = plain(new)["createdAt"]
            if created_at != task.sent_at:
                detail = f"the age of {key[0]}/{key[1]} counts from {created_at}, and it was sent at {task.sent_at}"
                raise GuaranteeBroken(Guarantee.EXPIRY, detail)

    def _check_following(self, state: ExplorerState, task: PollTask, key: Key) -> None:
        """Check an attempt that is made by itself."""
        before = plain(self._before(state, key))
        policies = [self.scenario.policies[each] for each in range(state.policy + 1)]
        follows = any(policy.follows(before.get("status", ""), key[1] - 1) for policy in policies)
        delay = min((policy.redial_seconds for policy in policies if policy.redial_seconds), default=0)
        if not follows or state.now < before["recordedAt"] + delay:
            detail = f"{task} makes {key[0]}/{key[1]}, and the attempt before is {before.get('status', 'not there')}"
            raise GuaranteeBroken(Guarantee.REDIAL, detail)

    def _before(self, state: ExplorerState, key: Key) -> str:
        """The record of the attempt before this one."""
        before = (key[0], key[1] - 1)
        return state.items[self.keys.index(before)] if before in self.keys else ""

    def _unheard(
        self, state: ExplorerState, written: ExplorerState, place: int, worker: Worker, label: Label
    ) -> Iterator[Step]:
        """A write or send that fails, or whose answer is lost."""
        if self._may(state, "failed"):
            failed = _mishap(state, fault=True)
            yield self._answered(state, failed, place, worker, ERROR, (*label, "fails"), needed=False)
        if written is not state and self._may(state, "lost"):
            lost = _mishap(written, fault=True)
            words = "ok, but its answer is lost"
            yield self._answered(state, lost, place, worker, ERROR, (*label, words), needed=False)
        resent = "poll resent" if isinstance(worker.task, PollTask) else "resent"
        if written is not state and self._may(state, resent):
            # The worker still has no answer: it asks for the same again.
            again = written._replace(workers=with_workers(state.workers, place, worker._replace(resent=True)))
            yield self._step(state, (*label, "ok, and the SDK will send it again"), _mishap(again), needed=False)

    def _move_messages(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        """Send, delete or release messages."""
        moved = state._replace(messages=self._moved(state, worker, effect))
        label = (worker.task, effect.kind)
        yield self._answered(state, moved, place, worker, OK, (*label, "ok"))
        yield from self._unheard(state, moved, place, worker, label)
        entries = json.loads(effect.arguments).get("Entries", [])
        if len(entries) > 1 and self._may(state, "failed"):
            for entry in entries:
                part = effect._replace(arguments=_without(effect, entry))
                moved = _mishap(state._replace(messages=self._moved(state, worker, part)), fault=True)
                answer, words = f"{OK}\n{entry['Id']}", f"ok, but not entry {entry['Id']}"
                yield self._answered(state, moved, place, worker, answer, (*label, words), needed=False)

    def _moved(self, state: ExplorerState, worker: Worker, effect: Effect) -> tuple[QueuedMessage, ...]:
        task = worker.task
        match effect.kind:
            case "delete batch":
                return queues.deleted(state.messages, effect)
            case "release":
                return queues.released(state.messages, effect)
            case "send batch" if isinstance(task, KeepTask):
                messages = state.messages
                for entry in json.loads(effect.arguments)["Entries"]:
                    sent = self._dispatch_message(state._replace(messages=messages), worker, entry["MessageBody"])
                    messages = (*messages, sent._replace(not_before=state.now + entry["DelaySeconds"]))
                return tuple(sorted(messages))
            case "send batch":
                assert isinstance(task, RedriveTask)
                return queues.sent(state.messages, effect, worker.history, task.copy, self._about, state.now)
        arguments = json.loads(effect.arguments)
        if arguments["QueueUrl"] in {CALL_QUEUE_URL, HANDED_ON_QUEUE_URL}:
            if '"handOn"' in arguments["MessageBody"]:
                message = self._hand_on_message(state, arguments)
            else:
                message = self._dispatch_message(state, worker, arguments["MessageBody"])
        else:
            assert isinstance(task, PlaceTask)
            attributes = {name: value["StringValue"] for name, value in arguments["MessageAttributes"].items()}
            message = QueuedMessage(
                queues.unused(state.messages, f"{task.message}.kept{task.delivery}"),
                arguments["MessageBody"],
                self._about(task.message),
                state.now,
                json.dumps(attributes),
                where=KEPT,
            )
        return tuple(sorted((*(each for each in state.messages if each.name != message.name), message)))

    def _about(self, name: str) -> Key:
        """What a message asks for; its name tells which message it goes back to."""
        origin = name.partition(".")[0]
        return self.scenario.asked[origin] if origin in self.scenario.asked else _dispatched(origin)

    def _ask_person(self, state: ExplorerState, place: int, worker: Worker) -> Iterator[Step]:
        """The person says yes, maybe long after the question."""
        answer, seen = OK, ""
        if isinstance(worker.task, RedialTask):
            shown = json.loads(str(worker.history[0]).partition("\n")[2])
            if shown and shown[-1]["status"]["S"] != (seen := self._last(state, worker.task)[1]):
                answer = f"{OK}\n{CHANGED}"
        yield self._answered(state, state, place, worker, answer, (worker.task, "yes", seen))

    def _last(self, state: ExplorerState, task: Task) -> tuple[Key | None, str]:
        """The last attempt that has a record, and its status."""
        assert isinstance(task, ResolveTask | RedialTask)
        last: tuple[Key | None, str] = None, "no record"
        for key, item in zip(self.keys, state.items, strict=True):
            if key[0] == task.request_id and item:
                last = key, status_of(item)
        return last

    def _hand_on_message(self, state: ExplorerState, arguments: dict[str, Any]) -> QueuedMessage:
        """Two that are delivered at one time do no more than one."""
        at = state.now + arguments["DelaySeconds"]
        waiting = [message for message in state.messages if message.about == HAND_ON and message.where == WAITING]
        same = [message.name for message in waiting if message.not_before == at]
        name = same[0] if same else queues.unused(state.messages, "hand-on")
        return QueuedMessage(name, arguments["MessageBody"], HAND_ON, sent_at=0, not_before=at)

    def _dispatch_message(self, state: ExplorerState, worker: Worker, body: str) -> QueuedMessage:
        dispatched = json.loads(body)["dispatch"]
        about = (dispatched["requestId"], dispatched["attempt"])
        name = queues.unused(state.messages, f"dispatch {about[0]}/{about[1]} {getattr(worker.task, 'due_at', 0)}")
        while any(plain(item).get("claimId", "").startswith(f"claim {name}.") for item in state.items):
            name += "'"
        # Nothing depends on when a dispatch message was sent, so it makes no difference between states.
        return QueuedMessage(name, body, about, sent_at=0)

    def _post(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        order = json.loads(effect.arguments)
        request, number, signature = order["callbackUrl"].split("/")[-3:]
        key = (request, int(number))
        if key not in self.keys or (request, number, signature) != callback_path(*key):
            detail = f"{worker.task} POSTs a callback URL that is not its attempt's"
            raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, detail)
        record = self.keys.index(key)
        try:
            check_post(key, state.items[record], state.facts[record])
            self._check_age(state, worker, key, state.items[record])
            self._check_policy(state, worker, key)
        except GuaranteeBroken as broken:
            broken.add_note(f"{worker.task} POST")
            raise
        # A dial counts for the person that it rings, whatever the name of the record.
        person = key[0] if self.scenario.one_number else self._requests[order["phoneNumber"]]
        asked = self.keys.index((person, key[1]))
        facts = state.facts[record]
        for name in reversed(self.scenario.answers) if self._may(state, "answered") else (HEALTHY,):
            answer = ANSWERS[name]
            refused = answer.means == "declined"
            dials = facts.dials + (answer.accepted and not refused)
            reported = {*facts.reported, "failed"} if name.startswith("200 failed") else facts.reported
            told = facts._replace(dials=dials, answer=answer.means, reported=tuple(sorted(reported)))
            if answer.accepted and not refused:
                self._check_lines(state, worker, key)
            if answer.accepted and self._has_caps:
                self._check_caps(state, worker, key)
                told = told._replace(rung_at=_last_look(worker))
            if answer.accepted and self.scenario.log:
                told = told._replace(rung_at=state.now)
            if refused:
                told = told._replace(refused=True, called_all_the_same=facts.called_all_the_same or answer.accepted)
            if answer.retry_after:
                told = told._replace(parked_until=state.now + int(answer.retry_after))
            all_facts = with_(state.facts, record, told)
            if asked != record:
                rung = state.facts[asked]
                all_facts = with_(all_facts, asked, rung._replace(dials=rung.dials + answer.accepted))
            answered = state._replace(facts=all_facts)
            if name != HEALTHY:
                answered = _mishap(answered)
            response = f"{name}\n{call_id(*key, dials)}" if answer.accepted else name
            label = (worker.task, "POST", name)
            yield self._answered(state, answered, place, worker, response, label, needed=name == HEALTHY)

    def _in_force(self, state: ExplorerState, at: int) -> list[Policy]:
        """The policies that a worker may still dial by."""
        past = [each for each, until in state.replaced if at - until < CACHE_SECONDS + MAX_DECISION_AGE_SECONDS]
        return [self.scenario.policies[each] for each in (state.policy, *past)]

    def _check_policy(self, state: ExplorerState, worker: Worker, key: Key) -> None:
        """Check that the person may be rung now, by what policy says and by what anyone has asked for."""
        if _posted(worker.history):
            return
        looked_at, task = _last_look(worker), worker.task
        assert isinstance(task, PlaceTask)
        if not any(policy.allows(looked_at) for policy in self._in_force(state, looked_at)):
            raise GuaranteeBroken(Guarantee.ALLOWED, f"{task} dials {key[0]}/{key[1]}, and policy forbids it")
        for stop in state.stops:
            known = stop.at and looked_at >= stop.at + MAX_DECISION_AGE_SECONDS
            by_person = key[1] > stop.attempts and "isRedial" not in plain(state.items[self.keys.index(key)])
            if (
                stop.request_id == key[0]
                and not by_person
                and (known or (not stop.at and claim_id(task) not in stop.claims))
            ):
                detail = f"{task} dials {key[0]}/{key[1]}, and it was acknowledged before: {stop.why}"
                raise GuaranteeBroken(Guarantee.NOT_AFTER_A_STOP, detail)

    def _check_caps(self, state: ExplorerState, worker: Worker, key: Key) -> None:
        """Check that the person isn't rung more often than a cap allows."""
        least = min(policy.cap_seconds for policy in self._in_force(state, _last_look(worker)))
        for other, facts in zip(self.keys, state.facts, strict=True):
            same = self.scenario.one_number or other[0] == key[0]
            if same and facts.rung_at and state.now - facts.rung_at < least:
                ago = state.now - facts.rung_at
                detail = f"{worker.task} dials {key[0]}/{key[1]}, and {other[0]}/{other[1]} was dialled {ago} s ago"
                raise GuaranteeBroken(Guarantee.CAP, detail)

    def _check_lines(self, state: ExplorerState, worker: Worker, key: Key) -> None:
        """Check that no more calls are in progress at AlloMia than policy allows."""
        limits = [policy.lines for policy in self._in_force(state, _last_look(worker))]
        if 0 in limits:
            return
        in_progress = [
            each
            for each, item, facts in zip(self.keys, state.items, state.facts, strict=True)
            if each != key and facts.dials and not facts.reported and status_of(item) not in TERMINAL
        ]
        if len(in_progress) >= max(limits):
            detail = f"{worker.task} dials {key[0]}/{key[1]}, and {len(in_progress)} calls are in progress"
            raise GuaranteeBroken(Guarantee.LINES, detail)

    def _check_place_in_line(self, state: ExplorerState, worker: Worker, effect: Effect) -> None:
        """Check that no one takes a free line while another waits for one, whose message is acknowledged."""
        names = json.loads(effect.arguments).get("ExpressionAttributeNames", {})
        if "#line" not in names or "#reserved" not in names or names["#reserved"] in self._lines(state):
            return
        pending = {message.about for message in state.messages if message.where != ACKNOWLEDGED}
        for key, record in zip(self.keys, map(plain, state.items), strict=True):
            if record.get("parkReason") == "concurrency-limit" and "waitsFor" in record and key not in pending:
                raise GuaranteeBroken(Guarantee.IN_LINE, f"{worker.task} takes a line, and {key[0]}/{key[1]} waits")

    def _lines(self, state: ExplorerState) -> dict[str, int]:
        """The lines in use."""
        found = (plain(item) for subject, _, item in state.others if str(subject).startswith("lines#"))
        lines: dict[str, int] = next(found, {}).get("lines", {})
        return lines

    def _noticed(self, state: ExplorerState, at: int, old: str, new: str) -> ExplorerState:
        """The state once the table has made a write: its stream and its index of those who wait learn of it."""
        if freed := frees_line(new):
            state = state._replace(events=tuple(sorted({*state.events, freed})))
        before, after = (plain(each).get("waitsFor") for each in (old, new))
        if before != after and not any(place == at for place, _ in state.lagging):
            state = state._replace(lagging=tuple(sorted((*state.lagging, (at, old)))))
        return state

    def _index_catches_up(self, state: ExplorerState) -> Iterator[Step]:
        for each in state.lagging:
            left = tuple(other for other in state.lagging if other != each)
            key = self.keys[each[0]]
            yield self._step(state, ("the index catches up on", f"{key[0]}/{key[1]}"), state._replace(lagging=left))

    def _stream(self, state: ExplorerState) -> Iterator[Step]:
        """What the table's stream delivers to release_lines, once or more."""
        for each in state.events:
            task = ReleaseTask(*each)
            if any(worker.task == task for worker in state.workers):
                continue
            left = state._replace(events=tuple(other for other in state.events if other != each))
            yield self._spawned(state, left, task, (task, "is delivered"), needed=True)
            if self._may(state, "repeated"):
                again = _mishap(state)
                label = (task, "is delivered, and will be again")
                yield self._spawned(state, again, task, label, needed=False)

    @staticmethod
    def _delivered_again(state: ExplorerState, task: Task) -> ExplorerState:
        """The stream delivers again what a worker didn't finish."""
        if not isinstance(task, ReleaseTask):
            return state
        return state._replace(events=tuple(sorted({*state.events, task[:4]})))

    def _check_age(self, state: ExplorerState, worker: Worker, key: Key, item: str) -> None:
        """Check that a request isn't dialled a day after it was first sent, nor on an old decision.

        A worker's life may pass after its decision, if it is frozen then.
        """
        asked_at = START if key in self.scenario.asked_for else plain(item).get("createdAt", state.now)
        latest = asked_at + self._expire_after + self.scenario.worker_seconds
        if state.now > latest:
            raise GuaranteeBroken(Guarantee.EXPIRY, f"{key[0]}/{key[1]} is dialled {state.now - latest} s too late")
        if _posted(worker.history):
            return
        decided_at = next(answer for answer in worker.history if isinstance(answer, int))
        looked_at = worker.history[-1]
        if not isinstance(looked_at, int) or looked_at - decided_at >= MAX_DECISION_AGE_SECONDS:
            detail = f"{worker.task} dials {key[0]}/{key[1]}, and its decision may be old"
            raise GuaranteeBroken(Guarantee.FRESH_DECISION, detail)

    def _get(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        its_call = json.loads(effect.arguments)
        if its_call not in self._calls:
            # The id of an entry in the log.
            yield self._answered(state, state, place, worker, NOT_FOUND, (worker.task, "GET", NOT_FOUND))
            return
        at = self.keys.index(self._calls[its_call])
        facts = state.facts[at]
        known = [f"{status} {its_call}" for status in self.scenario.statuses]
        for status in (*known, *self.scenario.unhealthy_statuses):
            answer = f"completed {call_id('another', 1, 1)}" if status == OTHER_CALL else status
            answered, healthy = state, answer in known
            if healthy and not answer.startswith("calling"):
                told = facts._replace(reported=tuple(sorted({*facts.reported, answer.partition(" ")[0]})))
                answered = state._replace(facts=with_(state.facts, at, told))
            if not healthy:
                if not self._may(state, "answered"):
                    break
                answered = _mishap(answered)
            label = (worker.task, "GET", answer.partition(" ")[0])
            yield self._answered(state, answered, place, worker, answer, label, needed=healthy)

    def _log(self, state: ExplorerState, place: int, worker: Worker, effect: Effect) -> Iterator[Step]:
        """A page of the call log: each call's entry may be there, under one id or another, or not yet."""
        since, until = json.loads(effect.arguments)
        shown: list[tuple[str, ...]] = [()]
        for facts in state.facts:
            ways = self.scenario.log if facts.dials and since <= facts.rung_at <= until else (LOST_IN_LOG,)
            shown = [(*before, way) for before in shown for way in ways]
        for ways in shown:
            entries, all_facts = list[Logged](), state.facts
            for at, (key, way) in enumerate(zip(self.keys, ways, strict=True)):
                facts = state.facts[at]
                if way != LOST_IN_LOG:
                    number = phone_number(key[0], self.scenario)
                    entries.append(Logged(log_id(key, way), number, facts.rung_at, spoken=way == OTHER_ID))
                if way == OTHER_ID:
                    all_facts = with_(all_facts, at, facts._replace(in_log=True))
            label = (worker.task, "log", *(each.id for each in entries))
            seen = state._replace(facts=all_facts)
            yield self._answered(state, seen, place, worker, json.dumps(entries), label)
        for fault in (TIMEOUT, BROKEN) if self._may(state, "answered") else ():
            yield self._answered(state, _mishap(state), place, worker, fault, (worker.task, "log", fault), needed=False)

    def _answered(
        self,
        before: ExplorerState,
        state: ExplorerState,
        place: int,
        worker: Worker,
        answer: Answer,
        label: Label,
        *,
        needed: bool = True,
    ) -> Step:
        """The worker receives its answer and goes on to its next effect."""
        history, upcoming = self._next(worker.task, (*worker.history, answer))
        if isinstance(upcoming, Done):
            after = self._done(state, place, worker, history, upcoming)
        else:
            since = state.now if upcoming.kind == "clock" else 0
            going_on = worker._replace(history=history, since=since, resent=False)
            after = state._replace(workers=with_workers(state.workers, place, going_on))
        return self._step(before, label, after, needed=needed)

    def _done(self, state: ExplorerState, place: int, worker: Worker, history: History, done: Done) -> ExplorerState:
        if done.raised and ERROR not in history:
            detail = f"{worker.task} raised {done.result}, and nothing of this stack failed"
            raise GuaranteeBroken(Guarantee.OWN_FAULTS_ONLY, detail)
        if isinstance(worker.task, PlaceTask):
            self._check_claim(state, worker.task, history)
        match worker.task:
            case PlaceTask() if not done.raised:
                state = self._asked_to_stop(state, worker.task)
                acknowledging = worker._replace(history=(), since=0, result=done.result)
                return state._replace(workers=with_workers(state.workers, place, acknowledging))
            case KeepTask(seen=seen) if not done.raised:
                if seen == self._found_by_keeper(state):
                    state = state._replace(looked=seen)
            case ReleaseTask() as release if done.raised:
                state = self._delivered_again(state, release)
            case WebhookTask() as webhook:
                self._check_receipt(state, webhook, done)
                if (done.result, webhook.status) == ("200", "completed"):
                    state = self._stopped(state, webhook.request_id, "the person answered", after=int(webhook.attempt))
            case CancelTask(request_id) if not done.raised and done.result == MADE:
                state = self._stopped(state, request_id, f"{CANCEL}{request_id}")
            case ResolveTask() | RedialTask() as command if not done.raised:
                self._check_report(state, command, history, done)
        return self._ended(state, place, WAITING)

    def _check_not_needed(self, state: ExplorerState) -> None:
        """Check that no line is left for the keeper to hand on if nothing went wrong: it is free for up to a minute."""
        unchanged = state.mishaps == self.scenario.mishaps and not state.policy and self.scenario.prompt
        busy = state.workers or state.events or any(message.where == WAITING for message in state.messages)
        in_use = sum(until > state.now for until in self._lines(state).values())
        if not unchanged or busy or in_use >= self.scenario.policies[0].lines:
            return
        for key, record in zip(self.keys, map(plain, state.items), strict=True):
            if record.get("parkReason") == "concurrency-limit" and "waitsFor" in record:
                detail = f"a line is free, {key[0]}/{key[1]} waits for one, and only a keeper will hand it on"
                raise GuaranteeBroken(Guarantee.LINE_USED, detail)

    def _asked_to_stop(self, state: ExplorerState, task: PlaceTask) -> ExplorerState:
        """The state once a message is acknowledged that asks for no more dials."""
        text = self.scenario.messages.get(task.message.partition(".")[0], "")
        if text == CANCEL_BATCH or text.startswith(DO_NOT_CALL):
            for request_id in sorted({request for request, _ in self.keys}):
                if text == CANCEL_BATCH or self.scenario.one_number or text == f"{DO_NOT_CALL}{request_id}":
                    state = self._stopped(state, request_id, text, at=state.now)
        elif text.startswith(CANCEL):
            state = self._stopped(state, text.removeprefix(CANCEL), text)
        return state

    def _stopped(self, state: ExplorerState, request_id: str, why: str, at: int = 0, after: int = 0) -> ExplorerState:
        """The state in which a request must not be dialled any more, beside what is claimed by now."""
        if not self._has_stops or any(stop[:2] == (request_id, why) for stop in state.stops):
            return state
        records = [
            plain(item) for key, item in zip(self.keys, state.items, strict=True) if item and key[0] == request_id
        ]
        claims = [each["claimId"] for each in records if "claimId" in each and each["attempt"] > after]
        return state._replace(stops=(*state.stops, Stop(request_id, why, tuple(claims), len(records), at)))

    def _check_receipt(self, state: ExplorerState, webhook: WebhookTask, done: Done) -> None:
        if done.raised:
            return
        if webhook.path != webhook.about:
            if done.result == "200":
                raise GuaranteeBroken(Guarantee.TRUE_OUTCOME, f"{webhook} was answered with 200")
            return
        status = status_of(state.items[self.keys.index(webhook.about)])
        if done.result == "200" and status not in ALLOMIA_OUTCOMES:
            detail = f"{webhook} was answered with 200, and the attempt is {status}"
            raise GuaranteeBroken(Guarantee.ACKNOWLEDGED_WHEN_RECORDED, detail)
        if done.result != "200":
            raise GuaranteeBroken(Guarantee.RIGHT_END, f"{webhook} was answered with {done.result}")

    def _check_claim(self, state: ExplorerState, task: PlaceTask, history: History) -> None:
        """Check that a worker which claimed an attempt and did not post it gave its claim back."""
        if _posted(history):
            return
        for key, item in zip(self.keys, state.items, strict=True):
            if plain(item).get("claimId") == claim_id(task):
                detail = f"{task} ends without a POST, and {key[0]}/{key[1]} is still claimed by it"
                raise GuaranteeBroken(Guarantee.CLAIM_GIVEN_BACK, detail)

    def _check_report(self, state: ExplorerState, task: ResolveTask | RedialTask, history: History, done: Done) -> None:
        """Check what a command reports."""
        report, _, number = done.result.partition(" ")
        key = (task.request_id, int(number)) if number else self._last(state, task)[0]
        item = state.items[self.keys.index(key)] if key else ""
        as_reported = status_of(item) == task.finding if isinstance(task, ResolveTask) else bool(item)
        own = CONDITION_AGAIN in _kinds(history) or (
            isinstance(task, RedialTask) and key in self._by_hand and "isRedial" not in plain(item)
        )
        own = own and self.scenario.redials + self.scenario.resolves == 1
        if (report == MADE and not as_reported) or (report == REFUSED and own):
            detail = f"{task} reports {done.result}, and the last attempt is {status_of(item)}"
            raise GuaranteeBroken(Guarantee.TRUE_REPORT, detail)

    def _ended(self, state: ExplorerState, place: int, where: str) -> ExplorerState:
        """The worker is gone. Its message, if it had one, is ACKNOWLEDGED or WAITING to be delivered again."""
        task = state.workers[place].task
        state = state._replace(workers=with_workers(state.workers, place))
        if isinstance(task, RedriveTask):
            # What it held and did not delete becomes visible again, at the latest when its hold is over.
            held = str(task)
            free = tuple(each._replace(held_by="") if each.held_by == held else each for each in state.messages)
            return state._replace(messages=free)
        if not isinstance(task, PlaceTask):
            return state
        at = next((at for at, message in enumerate(state.messages) if message.name == task.message), None)
        if at is None:
            return state
        message = state.messages[at]
        if message.where in {ACKNOWLEDGED, DEAD} and where != ACKNOWLEDGED:
            return state
        if where == WAITING and message.receives >= self.scenario.receives:
            where = DEAD
        return state._replace(messages=with_(state.messages, at, message._replace(where=where)))

    # What comes from outside.

    def _time_passes(self, state: ExplorerState) -> Iterator[Step]:
        if state.lagging:
            return
        busy = len(state.workers) + len(state.events)
        busy += sum(message.where == WAITING and message.not_before <= state.now for message in state.messages)
        if busy > self.scenario.workers:
            return
        searched_at = self._search_due_at(state)
        waits = self._keeper_is_due(state) or (searched_at is not None and searched_at <= state.now)
        if self.scenario.prompt and (busy or waits or due(self.keys, state.items, state.now)):
            return
        coming = [at for item in state.items for at in instants(item, self.scenario.expiry)]
        if keeper := self._keeper(state):
            coming += [keeper["dueAt"]] if self._found_by_keeper(state) != state.looked else []
            coming += [state.policy_since + seconds for seconds in _KEEPER_WAITS if state.policy_since]
            coming += [state.limited_since + COUNT_AFTER_SECONDS] if state.limited_since else []
        coming += [START + at for at in self.scenario.moments]
        coming += self._moments_of_lines(state)
        coming += [] if searched_at is None else [searched_at]
        coming += [message.not_before for message in state.messages]
        if self.scenario.expiry and any(message.where in {WAITING, DEAD} for message in state.messages):
            expires_at = START + self._expire_after
            coming += [expires_at, expires_at + 1]
            if self.scenario.redrives:
                coming.append(expires_at + 1 + self.scenario.worker_seconds)
        now = min((at for at in coming if at > state.now), default=state.now)
        if now == state.now or any(now > worker.until for worker in state.workers):
            return
        settled = CACHE_SECONDS + MAX_DECISION_AGE_SECONDS
        replaced = tuple(each for each in state.replaced if now - each[1] < settled + self.scenario.worker_seconds)
        after = state._replace(now=now, replaced=replaced)
        if slow := [worker for worker in state.workers if self._grows_slow(worker, now)]:
            if not self._may(state, "slow"):
                return
            workers = [worker._replace(slow=True) if worker in slow else worker for worker in state.workers]
            after = _mishap(after._replace(workers=tuple(workers)))
        yield self._step(state, ("clock", now - START), after, needed=not slow)

    def _grows_slow(self, worker: Worker, now: int) -> bool:
        """Whether a worker that places a call isn't prompt any more at this time."""
        began = worker.until - self.scenario.worker_seconds
        return isinstance(worker.task, PlaceTask) and not worker.slow and now > began + PROMPT

    def _message_steps(self, state: ExplorerState, place: int, message: QueuedMessage) -> Iterator[Step]:
        if message.held_by and self._may(state, "repeated"):
            visible = state._replace(messages=with_(state.messages, place, message._replace(held_by="")))
            yield self._step(state, (message.name, "is visible again"), _mishap(visible), needed=False)
        if len(state.workers) >= self.scenario.workers or message.where in {DEAD, KEPT}:
            return
        if state.now < message.not_before:
            return
        first = message.where == WAITING
        for blocked in ("", *BLOCKED):
            if blocked and not (first and self._may(state, "rushed" if blocked == TIME_RUNS_OUT else "blocked")):
                continue
            if not first and not self._may(state, "repeated"):
                break
            count = message.deliveries + 1
            where = IN_FLIGHT if first else message.where
            delivered = message._replace(deliveries=count, receives=message.receives + 1, where=where)
            after = state._replace(messages=with_(state.messages, place, delivered))
            if blocked or not first:
                after = _mishap(after)
            task = PlaceTask(message.name, count, message.body, message.sent_at, blocked, bool(self.scenario.log))
            label = (message.name, "is delivered" if first else "is delivered again", blocked)
            yield self._spawned(state, after, task, label, needed=first and not blocked)

    def _sweeps(self, state: ExplorerState) -> Iterator[Step]:
        for request, attempt, due_at in due(self.keys, state.items, state.now):
            same = [
                worker.task.copy
                for worker in state.workers
                if isinstance(worker.task, PollTask) and worker.task[:3] == (request, attempt, due_at)
            ]
            if same and not self._may(state, "repeated"):
                continue
            task = PollTask(request, attempt, due_at, max(same) + 1 if same else 0, bool(self.scenario.log))
            yield self._spawned(state, _mishap(state) if same else state, task, (task, "starts"), needed=not same)

        if (searched_at := self._search_due_at(state)) is not None and searched_at <= state.now:
            others = [each.task.copy for each in state.workers if isinstance(each.task, SearchTask)]
            if not others or self._may(state, "repeated"):
                search = SearchTask(BATCH, searched_at, max(others) + 1 if others else 0)
                after, label = _mishap(state) if others else state, (search, "starts")
                yield self._spawned(state, after, search, label, needed=not others)

        keeper, seen = self._keeper(state), self._found_by_keeper(state)
        if keeper is None or not self._keeper_is_due(state):
            return
        self._check_not_needed(state)
        copies = [each.task.copy for each in state.workers if isinstance(each.task, KeepTask)]
        if not copies or self._may(state, "repeated"):
            look = KeepTask(keeper["dueAt"], max(copies) + 1 if copies else 0, seen)
            yield self._spawned(state, _mishap(state) if copies else state, look, (look, "starts"), needed=not copies)

    @staticmethod
    def _search_due_at(state: ExplorerState) -> int | None:
        """When the batch is searched for next; None while it isn't to be."""
        found = next((plain(item) for *key, item in state.others if tuple(key) == SEARCHED_BATCH), None)
        return None if found is None else int(found["dueAt"])

    def _keeper(self, state: ExplorerState) -> dict[str, Any] | None:
        return next((plain(item) for *key, item in state.others if tuple(key) == KEEPER), None)

    def _keeper_is_due(self, state: ExplorerState) -> bool:
        keeper = self._keeper(state)
        return keeper is not None and keeper["dueAt"] <= state.now and self._found_by_keeper(state) != state.looked

    def _found_by_keeper(self, state: ExplorerState) -> str:
        """All that decides what a look of the keeper does. It looks each minute, and mostly finds all as it was."""
        keeper = self._keeper(state) or {}
        waiting = [
            (key, record["policyVersion"])
            for key, record in zip(self.keys, map(plain, state.items), strict=True)
            if "policyVersion" in record
        ]
        waiting += [(key, "") for key, item in zip(self.keys, state.items, strict=True) if "waitsFor" in plain(item)]
        passed = [at for at in self._moments_of_lines(state) if at <= state.now]
        lines = [item for subject, _, item in state.others if str(subject).startswith("lines#")]
        age = sum(state.now >= state.policy_since + seconds for seconds in _KEEPER_WAITS)
        age += state.limited_since > 0 and state.now >= state.limited_since + COUNT_AFTER_SECONDS
        found = (sorted(each for each in keeper.items() if each[0] != "dueAt"), waiting, state.policy, age)
        return repr((*found, lines, passed) if lines else found)

    def _moments_of_lines(self, state: ExplorerState) -> list[int]:
        """When lines lapse, and when the index must show all who wait. By then only a keeper may do something."""
        found = [plain(item) for subject, _, item in state.others if str(subject).startswith("lines#")]
        if not found or not self._keeper(state):
            return []
        marks = [value for name, value in found[0].items() if name.endswith("At")]
        return [*found[0].get("lines", {}).values(), *(at + INDEX_LAG_SECONDS for at in marks)]

    def _webhooks(self, state: ExplorerState) -> Iterator[Step]:
        for at, (key, facts) in enumerate(zip(self.keys, state.facts, strict=True)):
            if not (facts.dials or facts.called_all_the_same):
                continue
            for status in self.scenario.outcomes if facts.webhooks_left else ():
                reported = tuple(sorted({*facts.reported, status}))
                told = facts._replace(webhooks_left=facts.webhooks_left - 1, reported=reported)
                after = state._replace(facts=with_(state.facts, at, told))
                webhook = WebhookTask(*callback_path(*key), call_id(*key, 1), status, key)
                if not any(worker.task == webhook for worker in state.workers):
                    yield self._spawned(state, after, webhook, (webhook, "arrives"), needed=False)
            if state.forgeries:
                yield from self._forgeries(state, key)

    def _forgeries(self, state: ExplorerState, key: Key) -> Iterator[Step]:
        """Webhooks for `key`, sent to the URLs of others."""
        after = state._replace(forgeries=state.forgeries - 1)
        for other, item in zip(self.keys, state.items, strict=True):
            if other == key:
                continue
            request, number, right = callback_path(*other)
            known = "outboundCallId" in plain(item)
            # With the other's own signature it is AlloMia's mistake. It shows only where the other's call is known.
            for signature in sorted({callback_path(*key)[2], *({right} if known else ())}):
                webhook = WebhookTask(request, number, signature, call_id(*key, 1), "failed", key)
                yield self._spawned(state, after, webhook, (webhook, "arrives"), needed=False)

    def _commands(self, state: ExplorerState) -> Iterator[Step]:
        """What an operator may do now."""
        scenario = self.scenario
        if state.policy + 1 < len(scenario.policies):
            replaced = (*state.replaced, (state.policy, state.now))
            after = state._replace(policy=state.policy + 1, policy_since=state.now, replaced=replaced)
            if scenario.policies[after.policy].lines and not scenario.policies[state.policy].lines:
                after = after._replace(limited_since=state.now)
            yield self._step(state, ("policy", scenario.policies[after.policy].name), after, needed=False)
        if state.redrives:
            after = state._replace(redrives=state.redrives - 1)
            for url, place in queues.PLACES.items():
                if found := queues.waiting(state.messages, url):
                    fixed = request_message(found[0].about[0], scenario, named=False) if place == KEPT else ""
                    redrive = RedriveTask(url, fixed, scenario.redrives - state.redrives)
                    yield self._spawned(state, after, redrive, (redrive, "starts"), needed=False)
        for request_id in sorted({request for request, _ in scenario.asked_for}) if state.cancels else ():
            after = state._replace(cancels=state.cancels - 1)
            cancel = CancelTask(request_id, scenario.cancels - state.cancels)
            yield self._spawned(state, after, cancel, (cancel, "starts"), needed=False)
        known = sorted({request for (request, _), item in zip(self.keys, state.items, strict=True) if item})
        for request_id in known:
            if state.resolves:
                after = state._replace(resolves=state.resolves - 1)
                resolve = ResolveTask(request_id, FINDING, scenario.resolves - state.resolves)
                yield self._spawned(state, after, resolve, (resolve, "starts"), needed=False)
            if state.redials:
                after = state._replace(redials=state.redials - 1)
                message = request_message(request_id, scenario, named=True)
                redial = RedialTask(request_id, message, scenario.redials - state.redials)
                yield self._spawned(state, after, redial, (redial, "starts"), needed=False)

    def _spawned(self, before: ExplorerState, state: ExplorerState, task: Task, label: Label, *, needed: bool) -> Step:
        seconds = (
            self.scenario.poll_seconds
            if isinstance(task, PollTask | KeepTask | SearchTask)
            else self.scenario.worker_seconds
        )
        history, upcoming = self._next(task, ())
        worker = Worker(task, history, 0, state.now + seconds)
        workers = (*state.workers, worker)
        if isinstance(upcoming, Done):
            after = self._done(state._replace(workers=workers), len(workers) - 1, worker, history, upcoming)
            return self._step(before, label, after, needed=needed)
        since = state.now if upcoming.kind == "clock" else 0
        after = state._replace(workers=with_workers(workers, len(workers) - 1, worker._replace(since=since)))
        return self._step(before, label, after, needed=needed)

    def _step(self, before: ExplorerState, label: Label, after: ExplorerState, *, needed: bool = True) -> Step:
        try:
            self.check(before, after)
        except GuaranteeBroken as broken:
            broken.add_note(" ".join(map(str, label)))
            raise
        if (
            not after.mishaps
            and any(message.where == ACKNOWLEDGED for message in after.messages)
            and not any(isinstance(worker.task, RedriveTask) or worker.resent for worker in after.workers)
        ):
            # They can't be delivered again. While a worker may send them again, their names stay taken.
            left = tuple(message for message in after.messages if message.where != ACKNOWLEDGED)
            after = after._replace(messages=left)
        return Step(label, after, needed)


def _lose(table: CallsTable, attempt: Attempt) -> None:
    """Dial an attempt, lose the answer, and give it up."""
    claimed = table.claim(attempt, "lost", START - DEADLINE_SECONDS, GRACE_SECONDS)
    assert claimed
    outcome = Outcome(Status.UNKNOWN, OutcomeSource.DEADLINE, reason_code=ReasonCode.NO_OUTCOME, reason="lost")
    assert table.give_up(claimed, outcome, START).stored


def _others() -> dict[Key, str]:
    """Three other calls that AlloMia accepted while it refused one, and that ended."""
    table = TableInMemory()
    for number in range(3):
        attempt = Attempt(attempt_key(f"other{number}", 1), START - REFUSED_FOR_SECONDS, request=REQUEST)
        claimed = calls_table(table).claim(attempt, "other", START - REFUSED_FOR_SECONDS, GRACE_SECONDS)
        assert claimed
        outcome = Outcome(Status.COMPLETED, OutcomeSource.WEBHOOK, call_id(f"other{number}", 1, 1))
        assert calls_table(table).record(claimed.key, outcome, START).stored
    return {(request, int(number)): dump(item) for (request, number), item in table.items.items()}


def _without(effect: Effect, entry: object) -> str:
    """A batch's arguments without one of its entries."""
    arguments = json.loads(effect.arguments)
    arguments["Entries"].remove(entry)
    return json.dumps(arguments)


def _dispatched(name: str) -> Key:
    """The attempt that a dispatch message is about, by its name."""
    request, _, number = name.split(" ")[1].partition("/")
    return request, int(number)


def _last_look(worker: Worker) -> int:
    """When a worker last read the clock."""
    return next((answer for answer in reversed(worker.history) if isinstance(answer, int)), START)


def _is_count(effect: Effect) -> bool:
    """Whether this asks how many wait for a line."""
    return effect.kind == "query" and '"Select": "COUNT"' in effect.arguments and '":condition"' in effect.arguments


def _kind_of_other(effect: Effect) -> str:
    """The kind of item of the policy table that is read: policy, number or batch; empty for any other effect."""
    key = other_key(effect)
    return key[0].partition("#")[0] if key and key not in {KEEPER, SEARCHED_BATCH} else ""


def _posted(history: History) -> bool:
    return not ANSWERS.keys().isdisjoint(_kinds(history))


def _kinds(history: History) -> set[str]:
    """The kinds of answers in a history."""
    return {str(answer).partition("\n")[0] for answer in history}


def _mishap(state: ExplorerState, *, fault: bool = False) -> ExplorerState:
    return state._replace(mishaps=state.mishaps - 1, faultless=state.faultless and not fault)
