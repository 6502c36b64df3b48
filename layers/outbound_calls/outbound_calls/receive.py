"""Receive webhooks: verify whom the outcome is for, read it, record it with one conditional write."""

from __future__ import annotations

import re
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import ValidationError

from outbound_calls.contracts import (
    MAX_WEBHOOK_BYTES,
    AttemptKey,
    InvalidInput,
    Outcome,
    outcome_of,
    read_call_state,
)
from outbound_calls.ledger import Recorded
from outbound_calls.lifecycle import OutcomeSource

if TYPE_CHECKING:
    from outbound_calls.callbacks import CallbackUrls
    from outbound_calls.ledger import Call, Ledger

# One spelling for each number; which numbers there are is the key's own rule.
_CANONICAL_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request to the callback URL, as API Gateway hands it on."""

    request_id: str
    attempt: str
    signature: str
    body: str
    is_base64: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a webhook. `words` go to the sender, `key` only once the signature was verified."""

    status: HTTPStatus
    words: str
    key: AttemptKey | None = None
    result: Recorded | None = None
    outcome: Outcome | None = None
    call: Call | None = None


_FORBIDDEN = Receipt(HTTPStatus.FORBIDDEN, "not a callback URL of this stack")
_ANSWERS = {
    Recorded.STORED: (HTTPStatus.OK, "recorded"),
    Recorded.ALREADY_THERE: (HTTPStatus.OK, "already recorded"),
    Recorded.CONTRADICTS: (HTTPStatus.OK, "another outcome was recorded before"),
    Recorded.OTHER_CALL: (HTTPStatus.BAD_REQUEST, "outboundCallId: not the call of this attempt"),
    Recorded.NO_SUCH_ATTEMPT: (_FORBIDDEN.status, _FORBIDDEN.words),
}


@dataclass(frozen=True, slots=True)
class ReceiveWebhooks:
    """The use case; `clock` is epoch seconds."""

    ledger: Ledger
    callbacks: CallbackUrls
    clock: Callable[[], float] = time.time

    def receive(self, webhook: Webhook) -> Receipt:
        """Record the outcome that a webhook brings. Raises when the table or the secret is out of reach."""
        key = self._verified(webhook)
        if key is None:
            return _FORBIDDEN
        try:
            outcome = _outcome(webhook)
        except InvalidInput as refusal:
            return Receipt(HTTPStatus.BAD_REQUEST, str(refusal), key)
        record = self.ledger.record(key, outcome, self.clock())
        status, words = _ANSWERS[record.result]
        return Receipt(status, words, key, record.result, outcome, record.call)

    def _verified(self, webhook: Webhook) -> AttemptKey | None:
        if not _CANONICAL_NUMBER.fullmatch(webhook.attempt):
            return None
        try:
            key = AttemptKey(request_id=webhook.request_id, attempt=int(webhook.attempt))
        except ValidationError:
            return None
        return key if self.callbacks.verify(key, webhook.signature) else None


def _outcome(webhook: Webhook) -> Outcome:
    # Four characters of base64 carry three bytes; beyond that the length alone refuses it.
    if len(webhook.body) > (MAX_WEBHOOK_BYTES * 4) // 3 + 4:
        raise InvalidInput("body", f"at most {MAX_WEBHOOK_BYTES} bytes")
    try:
        body = b64decode(webhook.body, validate=True) if webhook.is_base64 else webhook.body.encode()
    except ValueError:
        raise InvalidInput("body", "a JSON object in UTF-8") from None
    if len(body) > MAX_WEBHOOK_BYTES:
        raise InvalidInput("body", f"at most {MAX_WEBHOOK_BYTES} bytes")
    outcome = outcome_of(read_call_state(body), OutcomeSource.WEBHOOK)
    if outcome is None:
        raise InvalidInput("status", "one of completed, failed, busy, no-answer")
    return outcome
