"""What can be done on the console. Each takes a form, and returns what happened to each call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from calls.console.forms import Form, attempts_in, messages_in, one, requests_in
from calls.operations.cancelling import Cancelling, request_key
from calls.operations.discarding import Discarded, MessageQueue
from calls.operations.masking import masked
from calls.operations.pausing import Pausing
from calls.operations.preflight import read_request
from calls.operations.resolving import Finding, NotAllowed, Resolving
from calls.operations.stack import DeployedStack
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from outbound_calls.use_cases.cancel import CancelRequests, CancelResult

_NOT_DONE = frozenset(
    {
        "not confirmed",
        "still paused",
        f"cancel {CancelResult.TOO_LATE}",
        "cancel not-confirmed",
        f"discard {Discarded.NOT_FOUND}",
        f"discard {Discarded.NOT_CONFIRMED}",
    }
)
"""The words of what wasn't done."""


@dataclass(frozen=True, slots=True)
class Done:
    """What happened to one call or setting: a word of the pages, or the words of what forbids it."""

    name: str
    word: str | None = None
    problem: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    """What goes into the word."""

    @property
    def worked(self) -> bool:
        """Whether it was done, or had been before."""
        return self.problem is None and self.word not in _NOT_DONE


@dataclass(frozen=True, slots=True)
class Actions:
    """Changes a stack. `clock` is epoch seconds."""

    stack: DeployedStack
    clock: Callable[[], float]

    def resolve(self, form: Form) -> list[Done]:
        """Record what a person found out about calls whose result is unknown. One that fails stops no other."""
        finding = finding_in(form)
        return [self._record(key, finding) for key in attempts_in(form)]

    def discard(self, form: Form, queue: MessageQueue) -> list[Done]:
        """Delete messages of a queue."""
        messages = messages_in(form)
        done = queue.discard(messages.keys())
        return [Done(messages[each], f"discard {result}") for each, result in done.items()]

    def _record(self, key: AttemptKey, finding: Finding) -> Done:
        resolving = Resolving(self.stack.table, self.stack.defaults, self.clock, self.stack.operator_arn)
        try:
            resolving.record(key.request, finding, key.number)
        except NotAllowed as error:
            return Done(str(key.request), problem=str(error))
        except (WriteUnanswered, ClientError, BotoCoreError):
            return Done(str(key.request), "not confirmed")
        return Done(str(key.request), f"finding {finding}")

    def cancel(self, form: Form) -> list[Done]:
        """Cancel requests, so that they aren't dialled."""
        stack = self.stack
        cancelling = Cancelling(CancelRequests(stack.table, self.clock), stack.records, stack.policy_table, self.clock)
        report = cancelling.cancel(requests_in(form))
        return [
            Done(str(RequestKey(each.request_id, each.organization)), f"cancel {each.result}")
            for each in report.requests
        ]

    def dial_again(self, form: Form) -> list[Done]:
        """Make another attempt of a request that has ended.

        Raises:
            InvalidInput: When a field breaks its rule, or the person didn't confirm.
            NotAllowed: When the request's state doesn't allow it.
        """
        if one(form, "confirmed") != "yes":
            raise InvalidInput("confirmed", "required: the person may be called a second time")
        key = request_key(one(form, "request"))
        fields = {
            name: one(form, name)
            for name in ("phoneNumber", "customerName", "timeZone", "purpose", "assistantId", "phoneNumberId")
            if one(form, name)
        }
        variables = _variables(one(form, "dynamicVariables"))
        message = fields | ({"dynamicVariables": variables} if variables else {})
        named = {"organization": key.organization} if key.organization else {}
        request = read_request(json.dumps(message | named), self.stack.defaults)
        resolving = Resolving(self.stack.table, self.stack.defaults, self.clock, self.stack.operator_arn)
        redial, attempt = resolving.prepare(key, request, False, masked)
        resolving.dial_again(redial, attempt)
        return [Done(str(key), "dial again done")]

    def pause(self, form: Form) -> list[Done]:
        """Pause all calls, or those of an organization."""
        return self._set_paused(form, True)

    def resume(self, form: Form) -> list[Done]:
        """Resume them."""
        return self._set_paused(form, False)

    def _set_paused(self, form: Form, paused: bool) -> list[Done]:
        organization = one(form, "organization") or None
        report = Pausing(self.stack.policies, self.stack.records).set_paused(paused, organization, self.stack.operator)
        still = [Done(each, "still paused") for each in report.still_paused] if not paused else []
        counts = {"in_progress": report.in_progress, "waiting": report.waiting}
        counted = Done("", "open at least" if report.at_least else "open counted", values=counts)
        return [Done(organization or "", "paused done" if paused else "resumed done"), counted, *still]


def finding_in(form: Form) -> Finding:
    """What the person found out.

    Raises:
        InvalidInput: When it is nothing that can be recorded.
    """
    try:
        return Finding(one(form, "finding"))
    except ValueError:
        raise InvalidInput("finding", f"one of {', '.join(Finding)}") from None


def _variables(text: str) -> dict[str, str]:
    """Variables, one in a line: name=value.

    Raises:
        InvalidInput: When a line has no name.
    """
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise InvalidInput("dynamicVariables", "one in a line: name=value")
        found[name.strip()] = value.strip()
    return found
