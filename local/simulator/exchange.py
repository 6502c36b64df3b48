"""The telephone exchange: it takes orders, keeps the calls, counts the dials and sends the webhooks."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
from pydantic import BaseModel
from starlette.responses import Response

from local.simulator.answers import POST_RULES, STATUS_RULES, Rule, call_not_found
from local.simulator.behaviour import Post, Status, Webhook
from local.simulator.calls import Call, CallReport, Dials, Organization, SentWebhook, accept, report
from local.simulator.faults import Faults
from local.simulator.magic_numbers import behaviour_of
from local.simulator.orders import Order

_WEBHOOK_TIMEOUT_SECONDS = 30.0
"""AlloMia documents none; a receiver that takes longer is not worth waiting for."""


class _Memory(BaseModel):
    """What outlives the process, so that an outage of AlloMia forgets neither a call nor a dial."""

    faults: Faults
    calls: dict[str, Call] = {}
    attempted: Counter[str] = Counter()
    treated_badly_once: set[str] = set()


class Exchange:
    """AlloMia behind its API.

    Args:
        faults: How it behaves at first, and after a reset.
        client: Sends the webhooks; closed with the exchange.
        memory_file: Where to keep the calls while the process is down; None forgets them.
    """

    def __init__(self, faults: Faults, client: httpx.AsyncClient, memory_file: Path | None = None) -> None:
        self._first_faults = faults
        self._client = client
        self._memory_file = memory_file
        self._memory = _Memory(faults=faults)
        self._dice = Random(faults.seed)  # noqa: S311 (repeatable on purpose)
        self._errands: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> Faults:
        """The faults as they are set now."""
        return self._memory.faults

    def configure(self, patch: Faults) -> None:
        """Set the fields that are given in `patch`; a seed that is given starts its throws anew."""
        self._memory.faults = self.faults.changed_by(patch)
        if "seed" in patch.model_fields_set:
            self._dice.seed(patch.seed)

    async def reset(self) -> None:
        """Forget all calls, dials and webhooks to come, and behave as at the start."""
        await self._stop_errands()
        self._memory = _Memory(faults=self._first_faults)
        self._dice.seed(self._first_faults.seed)

    def open(self) -> None:
        """Take up what was left when the exchange was closed; webhooks whose time has passed are sent now."""
        if self._memory_file is not None and self._memory_file.exists():
            self._memory = _Memory.model_validate_json(self._memory_file.read_bytes())
            self._dice.seed(self.faults.seed)
            for call in self._memory.calls.values():
                self._send_webhooks_later(call)

    async def close(self) -> None:
        """Stop sending webhooks, and write down what is to be taken up again."""
        await self._stop_errands()
        await self._client.aclose()
        if self._memory_file is not None:
            self._memory_file.write_text(self._memory.model_dump_json())

    def organization_of(self, key: str) -> Organization | None:
        """Whose key this is; None when AlloMia does not know it."""
        if key in self.faults.accepted_keys:
            return "own"
        return "other" if key in self.faults.other_organization_keys else None

    def count_attempt(self, callback_url: str) -> None:
        """Note that a POST has arrived, whatever becomes of it."""
        self._memory.attempted[callback_url] += 1

    async def place(self, order: Order, organization: Organization) -> Response:
        """Place a call, or not, as the number dialled and the faults want it."""
        behaviour = self.faults.post_and_webhook_over(behaviour_of(order.phone_number), self._dice)
        rule = self._rule(POST_RULES, behaviour.post, Post.OK, order.callback_url or order.phone_number)
        if not rule.rings:
            return await self._answer(rule, order.model_dump(by_alias=True))
        call = accept(order.phone_number, order.callback_url, organization, behaviour, self.faults, datetime.now(UTC))
        self._memory.calls[call.outbound_call_id] = call
        if behaviour.webhook is Webhook.EARLY:
            await self._send_webhooks(call)
        else:
            self._send_webhooks_later(call)
        return await self._answer(rule, call.body("calling") | {"message": "Outbound call initiated"})

    async def tell_status(self, outbound_call_id: str, organization: Organization) -> Response:
        """Answer where the call stands."""
        call = self._memory.calls.get(outbound_call_id.lower())
        if call is None or call.organization != organization:
            return call_not_found()
        call.status_reads += 1
        status_answer = self.faults.status_over(call.own_status_answer, self._dice)
        rule = self._rule(STATUS_RULES, status_answer, Status.NORMAL, call.outbound_call_id)
        return await self._answer(rule, call.body(call.status_at(datetime.now(UTC))))

    def reports(self) -> list[CallReport]:
        """All accepted calls, in the order of their acceptance."""
        now = datetime.now(UTC)
        return [report(call, now) for call in self._memory.calls.values()]

    def dials(self) -> Dials:
        """How often each callback URL was dialled for."""
        accepted = Counter(call.callback_url for call in self._memory.calls.values())
        return Dials(attempted=dict(self._memory.attempted), accepted=dict(accepted))

    def _rule[Kind](self, rules: Mapping[Kind, Rule], kind: Kind, well: Kind, subject: str) -> Rule:
        """The rule of this kind, unless it holds once only and `subject` has had its turn."""
        rule = rules[kind]
        if not rule.once:
            return rule
        if subject in self._memory.treated_badly_once:
            return rules[well]
        self._memory.treated_badly_once.add(subject)
        return rule

    async def _answer(self, rule: Rule, body: Mapping[str, object]) -> Response:
        await asyncio.sleep(self.faults.latency_seconds)
        return rule.answer(body, self.faults)

    def _send_webhooks_later(self, call: Call) -> None:
        errand = asyncio.create_task(self._send_webhooks(call))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def _send_webhooks(self, call: Call) -> None:
        while call.webhooks_planned:
            planned = call.webhooks_planned[0]
            await asyncio.sleep((planned.at - datetime.now(UTC)).total_seconds())
            call.webhooks_sent.append(await self._send_webhook(call, planned.status))
            call.webhooks_planned.remove(planned)

    async def _send_webhook(self, call: Call, status: str) -> SentWebhook:
        """One POST; AlloMia documents no second try."""
        sent = SentWebhook(at=datetime.now(UTC), status=status)
        try:
            answer = await self._client.post(
                call.callback_url, json=call.body(status), timeout=_WEBHOOK_TIMEOUT_SECONDS
            )
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            return sent.model_copy(update={"error": type(failure).__name__})
        return sent.model_copy(update={"answer": answer.status_code})

    async def _stop_errands(self) -> None:
        errands = list(self._errands)
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*errands, return_exceptions=True)
