"""When a message that waits for a person expires: by the policy in force, as if it had never left the call queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calls.operations.waiting_messages import last_moment
from outbound_calls.contracts.messages import CallRequestMessage, read_message
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import Attempt, AttemptKey, CallRequest, Labels, RequestKey
from outbound_calls.policy.evaluation import expires_at
from outbound_calls.use_cases.decide import CurrentPolicy, PolicyUnreadable, candidate_of
from outbound_calls.use_cases.new_attempt import terms_of


@dataclass(frozen=True, slots=True)
class LastMoments:
    """The last moments of requests by the policy of a stack."""

    policy: CurrentPolicy

    def __call__(self, fields: Mapping[str, Any], sent_at: float) -> int:
        """Epoch seconds after which a request that was sent at `sent_at` must not be dialled.

        What isn't a valid request, or can't be judged since the policy can't be read, has a day.
        """
        try:
            asked = read_message(json.dumps(fields))
            if not isinstance(asked, CallRequestMessage):
                return last_moment(fields, sent_at)
            key = AttemptKey(RequestKey("message", asked.organization), 1)
            # The assistant and the number to call from don't matter for this.
            request = CallRequest(asked.phone_number, "", "")
            labels, terms = Labels(purpose=asked.purpose), terms_of(asked, sent_at)
            rules, _ = self.policy.rules(asked.organization, asked.purpose)
        except (InvalidInput, PolicyUnreadable):
            return last_moment(fields, sent_at)
        attempt = Attempt(key, int(sent_at), request=request, labels=labels, terms=terms)
        return int(expires_at(candidate_of(attempt), rules))
