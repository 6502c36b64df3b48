"""Receive webhooks: verify the callback URL, read the outcome, record it with one conditional write."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from outbound_calls.adapters.call_states import outcome_from_state, unfamiliar_status
from outbound_calls.adapters.calls_table import RecordResult
from outbound_calls.contracts.allomia import MAX_WEBHOOK_BYTES, STATUS_RULE, read_call_state
from outbound_calls.contracts.vocabulary import OutcomeSource
from outbound_calls.contracts.wire import MAX_ATTEMPT_NUMBER, InvalidInput
from outbound_calls.domain.attempts import AttemptKey, RequestKey

if TYPE_CHECKING:
    from outbound_calls.adapters.callback_urls import CallbackUrls
    from outbound_calls.adapters.calls_table import CallsTable
    from outbound_calls.contracts.allomia import CallState
    from outbound_calls.domain.attempts import Attempt, Outcome

# One spelling for each number, so that each attempt has one URL.
_CANONICAL_NUMBER = re.compile(r"[1-9][0-9]?")


class Webhook(NamedTuple):
    """One request to the callback URL, as API Gateway passes it on. `request_id` is the request's key in the table."""

    request_id: str
    attempt: str
    signature: str
    body: str
    is_base64: bool = False


class Receipt(NamedTuple):
    """The answer to a webhook. `message` goes to the sender. `key` is set once the signature is verified."""

    status: HTTPStatus
    message: str
    key: AttemptKey | None = None
    result: RecordResult | None = None
    outcome: Outcome | None = None
    attempt: Attempt | None = None
    allomia_status: str | None = None
    """AlloMia's word for a status that it doesn't document; empty where it is no word."""


_FORBIDDEN = Receipt(HTTPStatus.FORBIDDEN, "not a callback URL of this stack")
_ANSWERS = {
    RecordResult.STORED: (HTTPStatus.OK, "outcome recorded"),
    RecordResult.REPLACED: (HTTPStatus.OK, "outcome recorded"),
    RecordResult.ALREADY_RECORDED: (HTTPStatus.OK, "outcome was recorded before"),
    RecordResult.CONTRADICTS: (HTTPStatus.OK, "another outcome was recorded before"),
    RecordResult.NEXT_CANCELLED: (HTTPStatus.OK, "another outcome was recorded before; no other attempt follows"),
    RecordResult.OTHER_CALL: (HTTPStatus.BAD_REQUEST, "outboundCallId: not the call of this attempt"),
    RecordResult.NO_SUCH_ATTEMPT: (_FORBIDDEN.status, _FORBIDDEN.message),
}
_ANSWERS_WITHOUT_OUTCOME = _ANSWERS | {
    RecordResult.STORED: (HTTPStatus.OK, "noted, not an outcome"),
    RecordResult.ALREADY_RECORDED: (HTTPStatus.OK, "an outcome was recorded before"),
}


@dataclass(eq=False, slots=True)
class ReceiveWebhooks:
    """The use case. `clock` is epoch seconds."""

    table: CallsTable
    callbacks: CallbackUrls
    clock: Callable[[], float]

    def receive(self, webhook: Webhook) -> Receipt:
        """Record the outcome in a webhook. Raises when the table or the signing secret can't be reached."""
        key = self._verified(webhook)
        if key is None:
            return _FORBIDDEN
        try:
            state = read_call_state(_body(webhook))
        except InvalidInput as error:
            return Receipt(HTTPStatus.BAD_REQUEST, str(error), key)
        outcome = outcome_from_state(state, OutcomeSource.WEBHOOK)
        if outcome is None:
            return self._note(key, state)
        recording = self.table.record(key, outcome, self.clock())
        status, message = _ANSWERS[recording.result]
        return Receipt(status, message, key, recording.result, outcome, recording.attempt)

    def _note(self, key: AttemptKey, state: CallState) -> Receipt:
        """Keep the call's id, and a word that AlloMia doesn't document. What isn't an outcome is never guessed at."""
        word = unfamiliar_status(state)
        recording = self.table.note(key, state.outbound_call_id, word, self.clock())
        status, message = _ANSWERS_WITHOUT_OUTCOME[recording.result]
        if state.status is None and status is HTTPStatus.OK:
            status, message = HTTPStatus.BAD_REQUEST, f"status: {STATUS_RULE}"
        return Receipt(status, message, key, recording.result, None, recording.attempt, word)

    def _verified(self, webhook: Webhook) -> AttemptKey | None:
        if not _CANONICAL_NUMBER.fullmatch(webhook.attempt) or int(webhook.attempt) > MAX_ATTEMPT_NUMBER:
            return None
        try:
            key = AttemptKey(RequestKey.from_text(webhook.request_id), int(webhook.attempt))
        except InvalidInput:
            return None
        return key if self.callbacks.verify(key, webhook.signature) else None


def _body(webhook: Webhook) -> bytes:
    too_large = InvalidInput("body", f"at most {MAX_WEBHOOK_BYTES} bytes")
    # Four characters of base64 carry three bytes; anything longer is too large whatever it says.
    if len(webhook.body) > (MAX_WEBHOOK_BYTES * 4) // 3 + 4:
        raise too_large
    try:
        body = b64decode(webhook.body, validate=True) if webhook.is_base64 else webhook.body.encode(errors="replace")
    except ValueError:
        raise InvalidInput("body", "a JSON object") from None
    if len(body) > MAX_WEBHOOK_BYTES:
        raise too_large
    return body
