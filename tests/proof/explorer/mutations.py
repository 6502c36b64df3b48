"""Deliberate mistakes that the explorer must catch. Each names functions of the layer, and what to change in them."""

from __future__ import annotations

from typing import NamedTuple

from tests.proof.explorer.guarantees import Guarantee
from tests.proof.explorer.operators import (
    Change,
    Operator,
    add_argument,
    add_element,
    allow_transition,
    always,
    always_returns,
    default_result,
    drop_argument,
    drop_call,
    drop_case,
    drop_condition,
    drop_element,
    drop_if,
    drop_key,
    drop_placeholder,
    forbid_transition,
    in_case,
    in_handler,
    move_call_before,
    negate_test,
    replace_argument,
    replace_call,
    replace_constant,
    replace_name,
    replace_test,
    swallow_exceptions,
)


class Mutation(NamedTuple):
    name: str
    changes: tuple[Change, ...]
    scenario: str
    """The scenario in which it shows."""

    guarantee: Guarantee
    """The guarantee that it breaks there."""


def _mutation(name: str, scenario: str, guarantee: Guarantee, *changes: tuple[str, Operator]) -> Mutation:
    return Mutation(name, tuple(Change(*change) for change in changes), scenario, guarantee)


_TABLE = "adapters.calls_table.CallsTable"
_WRITES = "adapters.conditional_writes"
_ALLOMIA = "adapters.allomia.AllomiaClient"
_PLACE, _DIAL = "use_cases.place.PlaceCalls", "use_cases.dial.DialAttempts"
_RECEIVE = "use_cases.receive.ReceiveWebhooks"
_POLL = "use_cases.sweep.PollCalls"
_SEARCHES = "adapters.batch_searches.BatchSearches"
_NOTING_FIRST = """(
    lambda found: (found[1] and searches.note_searched(found[1]), found)[1]
)(searches.search_batch(search))"""
_LOOK = "use_cases.look_in_log.LookInLog"
_REDRIVE = "operations.redriving.Redrive"
_RESOLVING = "operations.resolving.Resolving"
_STILL_ALLOWS = "use_cases.decide.JudgeAttempts.still_allows"
_TRANSITIONS = "domain.transitions.TRANSITIONS"
_LEASED = "#dueAt = :seen AND attribute_not_exists(#redialAt)"
_AS_SHOWN = "#status = :status AND attribute_not_exists(#nextAttempt)"
_MARK = (
    "SET #cancelRequestedAt = if_not_exists(#cancelRequestedAt, :now),"
    " #cancelRequestedBy = if_not_exists(#cancelRequestedBy, :source) REMOVE #redial"
)
_EARLY = "replace(attempt, claim_id='early')"
_TAKING_FIRST = f"(limits.take({_EARLY}), self._claim(attempt, limits, seconds_left) or limits.give_back())[1]"

_CLAIM = (
    _mutation(
        "the claim is written after the POST",
        "one request",
        Guarantee.CLAIMED_BEFORE_DIALLED,
        (f"{_DIAL}.dial", replace_call("_post", "self._post(organization, attempt, callback_url)")),
        (f"{_DIAL}.dial", move_call_before("_post", "_claim")),
    ),
    _mutation(
        "a new attempt is claimed although it has a record",
        "one request",
        Guarantee.ONE_DIAL,
        (f"{_WRITES}.ConditionalWrites.put", drop_argument("put_item", "ConditionExpression")),
    ),
    _mutation(
        "another worker's claim counts as one's own",
        "one request",
        Guarantee.ONE_DIAL,
        ("adapters.calls_table._is_claim", drop_condition("claimId")),
    ),
    _mutation(
        "a new attempt's claim that the SDK sent twice doesn't count as one's own",
        "one request",
        Guarantee.CLAIM_GIVEN_BACK,
        (f"{_TABLE}.claim", replace_call("_is_claim", "False", with_="new")),
    ),
    _mutation(
        "a parked attempt's claim that is repeated doesn't count as one's own",
        "parked at the start",
        Guarantee.CLAIM_GIVEN_BACK,
        (f"{_TABLE}.claim", replace_call("_is_claim", "False", with_="item_now")),
    ),
    _mutation(
        "a claimed attempt may be claimed",
        "parked more than once",
        Guarantee.ONE_DIAL,
        (_TRANSITIONS, allow_transition("DISPATCHING", "DISPATCHING")),
    ),
    _mutation(
        "a claim isn't bound to how often the attempt was parked",
        "parked more than once",
        Guarantee.BACKOFF,
        (f"{_TABLE}.claim", drop_condition("times_parked")),
    ),
    _mutation(
        "a claim that isn't answered is not given back",
        "short of time",
        Guarantee.CLAIM_GIVEN_BACK,
        (f"{_DIAL}._claim", replace_call("_insist", "True", with_="maybe_claimed")),
    ),
    _mutation(
        "a claim that comes too late for a POST is not given back",
        "short of time",
        Guarantee.CLAIM_GIVEN_BACK,
        (f"{_DIAL}.dial", replace_call("_insist", "_duplicate(claimed)", with_="SHORT_OF_TIME")),
    ),
    _mutation(
        "an old decision is posted",
        "slow workers",
        Guarantee.FRESH_DECISION,
        (f"{_DIAL}._may_post", drop_condition("MAX_DECISION_AGE_SECONDS")),
    ),
    _mutation(
        "the claim sets no due time",
        "one request",
        Guarantee.ARMED,
        (f"{_TABLE}.claim", drop_key("dueAt")),
    ),
    _mutation(
        "the claim keeps the park reason",
        "parked more than once",
        Guarantee.TRUE_OUTCOME,
        (f"{_TABLE}.claim", replace_name("removes", "()")),
    ),
)

_SETTLE = (
    _mutation(
        "settling has no condition",
        "one request",
        Guarantee.OUTCOME_STAYS,
        (f"{_TABLE}.settle", drop_condition("claim_id")),
        (_TRANSITIONS, allow_transition("COMPLETED", "CALLING")),
    ),
    _mutation(
        "settling drops the due time",
        "one request",
        Guarantee.ARMED,
        (f"{_TABLE}.settle", add_element("'dueAt'", beside="numberHash")),
    ),
    _mutation(
        "settling loses the call's id",
        "one request",
        Guarantee.TRUE_OUTCOME,
        (f"{_TABLE}.settle", drop_key("outboundCallId")),
    ),
)

_ANSWERS = (
    _mutation(
        "a read timeout counts as nothing sent",
        "every answer",
        Guarantee.ONE_DIAL,
        ("adapters.allomia._NOTHING_SENT", add_element("httpx.ReadTimeout", beside="ConnectTimeout")),
    ),
    _mutation(
        "the POST is sent again after a lost answer",
        "every answer",
        Guarantee.ONE_DIAL,
        (
            f"{_ALLOMIA}.place_call",
            in_handler(
                "httpx.RequestError", replace_call("Ambiguous", "self.place_call(organization, request, callback_url)")
            ),
        ),
    ),
    _mutation(
        "a 500 counts as nothing accepted",
        "every answer",
        Guarantee.ONE_DIAL,
        (
            f"{_ALLOMIA}._place_answer",
            in_case("_", replace_call("Ambiguous", "NotAccepted(ParkReason.RATE_LIMITED, status)")),
        ),
    ),
    _mutation(
        "a 503 without Retry-After counts as nothing accepted",
        "every answer",
        Guarantee.ONE_DIAL,
        (f"{_ALLOMIA}._place_answer", in_case("HTTPStatus.SERVICE_UNAVAILABLE", default_result("_retry_after", 0.0))),
    ),
    _mutation(
        "a 408 counts as declined",
        "every answer",
        Guarantee.ONE_DIAL,
        (f"{_ALLOMIA}._place_answer", drop_case("HTTPStatus.REQUEST_TIMEOUT")),
    ),
    _mutation(
        "an unreadable answer counts as declined",
        "every answer",
        Guarantee.ONE_DIAL,
        (f"{_ALLOMIA}._place_answer", in_handler("InvalidInput", replace_call("Ambiguous", "Declined(status)"))),
    ),
    _mutation(
        "an ambiguous answer parks the attempt",
        "every answer",
        Guarantee.ONE_DIAL,
        (
            f"{_DIAL}._settle",
            in_case("Ambiguous", replace_call("Placement", "self._park_for(attempt, ParkReason.ALLOMIA_UNREACHABLE)")),
        ),
    ),
    _mutation(
        "a declined request is acknowledged and not recorded",
        "every answer",
        Guarantee.RIGHT_END,
        (
            f"{_DIAL}._settle",
            in_case("Declined", replace_call("_refused", "Placement(PlaceResult.REJECTED, attempt.key)")),
        ),
    ),
    _mutation(
        "a refusal is final although no other call was accepted",
        "refused",
        Guarantee.RIGHT_END,
        (f"{_DIAL}._refused", replace_call("may_be_final", "True")),
        (f"{_DIAL}._refused", replace_call("is_final", "True")),
    ),
    _mutation(
        "the backoff ignores what AlloMia asked for",
        "every answer",
        Guarantee.BACKOFF,
        (f"{_DIAL}._settle", in_case("NotAccepted", replace_call("_min_wait_seconds", "0.0"))),
    ),
)

_PARK = (
    _mutation(
        "parking a claimed attempt doesn't ask for its claim",
        "writes sent twice",
        Guarantee.ONE_DIAL,
        (f"{_TABLE}.park", drop_condition("claim_id")),
    ),
    _mutation(
        "parking a parked attempt takes a claimed one as well",
        "parked more than once",
        Guarantee.ONE_DIAL,
        (f"{_TABLE}.park", drop_condition("status", beside="times_parked")),
    ),
    _mutation(
        "parking a parked attempt isn't bound to how often it was parked",
        "parked at the start",
        Guarantee.BACKOFF,
        (f"{_TABLE}.park", drop_condition("times_parked", beside="status")),
    ),
    _mutation(
        "parking isn't counted",
        "parked more than once",
        Guarantee.OWN_FAULTS_ONLY,
        (f"{_TABLE}.park", drop_argument("_move", "increments")),
    ),
    _mutation(
        "parking loses the request",
        "one request",
        Guarantee.ARMED,
        (f"{_TABLE}.park", add_element("'request'", beside="claimId")),
    ),
    _mutation(
        "an attempt that can't be dialled now is acknowledged and not parked",
        "one request",
        Guarantee.ARMED,
        (f"{_DIAL}._park", replace_call("table.park", "True")),
    ),
    _mutation(
        "a dispatch message is tried however often the attempt was parked since",
        "parked more than once",
        Guarantee.BACKOFF,
        (f"{_PLACE}._dispatch", drop_condition("times_parked")),
    ),
    _mutation(
        "a parked attempt is never dispatched",
        "parked more than once",
        Guarantee.AN_END,
        (f"{_POLL}.poll", drop_call("send_dispatch")),
    ),
)

_POLICY = (
    _mutation(
        "a request never expires",
        "a day passes",
        Guarantee.EXPIRY,
        ("policy.evaluation._expiry", always_returns("RuleResult('expiry', '')")),
    ),
    _mutation(
        "a request expires at once",
        "one request",
        Guarantee.EXPIRY,
        ("policy.evaluation._expiry", negate_test("expires_at")),
    ),
    _mutation(
        "a request's age counts from its delivery",
        "a day passes",
        Guarantee.EXPIRY,
        (f"{_PLACE}._new_attempt", always("sent_at")),
    ),
    _mutation(
        "a rejection takes a claimed attempt as well",
        "a day passes",
        Guarantee.ONE_DIAL,
        (f"{_TABLE}.reject", drop_condition("status")),
        # Which would notice that it has expired since
        (_STILL_ALLOWS, always_returns("True")),
    ),
    _mutation(
        "a rejected request is kept",
        "a day passes",
        Guarantee.NOTHING_KEPT,
        (f"{_TABLE}.reject", drop_call("item.pop")),
    ),
    _mutation(
        "an expired request is acknowledged and not recorded",
        "a day passes",
        Guarantee.ARMED,
        (f"{_DIAL}._reject", replace_call("table.reject", "self.table.record(attempt.key, outcome, self.clock())")),
    ),
)

_MESSAGES = (
    _mutation(
        "an unreadable message is acknowledged and not kept",
        "an unreadable message",
        Guarantee.ARMED,
        (f"{_PLACE}.place", drop_call("invalid_messages.keep")),
    ),
    _mutation(
        "a message is acknowledged although the table is out of reach",
        "parked more than once, any mishaps",
        Guarantee.ARMED,
        (f"{_PLACE}.place", swallow_exceptions("Placement(PlaceResult.DUPLICATE, None)")),
    ),
)

_WEBHOOKS = (
    _mutation(
        "a webhook is answered and not recorded",
        "one request",
        Guarantee.ACKNOWLEDGED_WHEN_RECORDED,
        (
            f"{_RECEIVE}.receive",
            replace_call("table.record", "type('Recording', (), {'result': RecordResult.STORED, 'attempt': None})()"),
        ),
    ),
    _mutation(
        "the webhook's signature isn't checked",
        "two requests",
        Guarantee.TRUE_OUTCOME,
        (f"{_RECEIVE}._verified", replace_call("callbacks.verify", "True")),
    ),
    _mutation(
        "the webhook's attempt number is ignored",
        "a redial",
        Guarantee.TRUE_OUTCOME,
        (f"{_RECEIVE}._verified", replace_argument("AttemptKey", 1, "1")),
    ),
    _mutation(
        "the signature doesn't cover the attempt number",
        "a redial",
        Guarantee.TRUE_OUTCOME,
        ("adapters.callback_urls.sign", drop_placeholder("number")),
    ),
    _mutation(
        "an outcome of another call is recorded",
        "two requests",
        Guarantee.TRUE_OUTCOME,
        (f"{_TABLE}.record", drop_condition("outbound_call_id")),
    ),
)

_OUTCOMES = (
    _mutation(
        "an outcome replaces an outcome",
        "one request",
        Guarantee.OUTCOME_STAYS,
        (_TRANSITIONS, allow_transition("COMPLETED", "NO_ANSWER")),
    ),
    _mutation(
        "unknown replaces an outcome",
        "one request",
        Guarantee.OUTCOME_STAYS,
        (_TRANSITIONS, allow_transition("COMPLETED", "UNKNOWN")),
        (f"{_TABLE}.give_up", drop_condition("claim_id")),
        (f"{_TABLE}.give_up", drop_condition("due_at")),
    ),
    _mutation(
        "an outcome never replaces unknown",
        "one request",
        Guarantee.ACKNOWLEDGED_WHEN_RECORDED,
        (_TRANSITIONS, forbid_transition("UNKNOWN", "COMPLETED")),
    ),
    _mutation(
        "a webhook's outcome never replaces a refusal",
        "refused and called",
        Guarantee.ACKNOWLEDGED_WHEN_RECORDED,
        (_TRANSITIONS, forbid_transition("REJECTED", "COMPLETED")),
    ),
    _mutation(
        "an outcome that comes before the answer to the POST is not recorded",
        "one request",
        Guarantee.ACKNOWLEDGED_WHEN_RECORDED,
        (_TRANSITIONS, forbid_transition("DISPATCHING", "COMPLETED")),
    ),
    _mutation(
        "the request is kept when the attempt has ended",
        "one request",
        Guarantee.NOTHING_KEPT,
        ("adapters.calls_table._REMOVED_AT_THE_END", drop_element("request")),
    ),
    _mutation(
        "the due time is kept when the attempt has ended",
        "one request",
        Guarantee.NOTHING_KEPT,
        ("adapters.calls_table._REMOVED_AT_THE_END", drop_element("dueAt")),
    ),
)

_POLLS = (
    _mutation(
        "the lease has no condition",
        "one request",
        Guarantee.ONE_LEASE,
        (f"{_TABLE}.lease", replace_constant("#dueAt = :seen AND attribute_not_exists(#redialAt)", "")),
        (f"{_TABLE}.lease", drop_key("seen")),
    ),
    _mutation(
        "the lease takes any open attempt",
        "one request",
        Guarantee.ONE_LEASE,
        (
            f"{_TABLE}.lease",
            replace_constant("#dueAt = :seen AND attribute_not_exists(#redialAt)", "attribute_exists(#dueAt)"),
        ),
        (f"{_TABLE}.lease", drop_key("seen")),
    ),
    _mutation(
        "the lease takes the attempt out of the index",
        "one request",
        Guarantee.ARMED,
        (
            f"{_TABLE}.lease",
            replace_constant(
                "SET #dueAt = :now + #pollDelay, #pollDelay = #pollDelay + :step",
                "SET #pollDelay = #pollDelay + :step REMOVE #dueAt",
            ),
        ),
        (f"{_TABLE}.lease", drop_key("now")),
    ),
    _mutation(
        "bringing a poll forward has no condition",
        "one request",
        Guarantee.NOTHING_KEPT,
        (f"{_TABLE}.set_due", replace_constant(_LEASED, "")),
        (f"{_TABLE}.set_due", drop_key("seen")),
    ),
    _mutation(
        "giving up isn't bound to the lease",
        "slow workers",
        Guarantee.DEADLINE,
        (f"{_TABLE}.give_up", drop_condition("claim_id")),
        (f"{_TABLE}.give_up", drop_condition("due_at")),
    ),
    _mutation(
        "giving up is bound to the due time alone",
        "slow workers",
        Guarantee.DEADLINE,
        (f"{_TABLE}.give_up", drop_condition("claim_id")),
    ),
    _mutation(
        "the deadline is never reached",
        "one request",
        Guarantee.AN_END,
        (f"{_POLL}._ask", drop_if("patience")),
    ),
    _mutation(
        "the deadline counts from the request",
        "parked more than once",
        Guarantee.DEADLINE,
        (f"{_POLL}._deadline_at", drop_condition("dispatched_at")),
    ),
    _mutation(
        "what a poll found is not recorded",
        "one request",
        Guarantee.RIGHT_END,
        (f"{_POLL}._ask", drop_if("outcome")),
    ),
)

_BY_HAND = (
    _mutation(
        "a dead letter goes by the id that its sender's attribute names",
        "a dead letter without an id",
        Guarantee.ONE_DIAL,
        ("operations.waiting_messages.held_messages", replace_argument("_held", 1, "True")),
    ),
    _mutation(
        "a message that is sent again gets no id",
        "a dead letter without an id",
        Guarantee.ONE_DIAL,
        ("operations.redriving._body", always("requestId")),
    ),
    _mutation(
        "a message that is sent again counts as young",
        "a dead letter for a day",
        Guarantee.EXPIRY,
        ("operations.redriving._body", always("last")),
    ),
    _mutation(
        "a message is deleted although SQS didn't confirm that it was sent again",
        "dead letters",
        Guarantee.ARMED,
        (f"{_REDRIVE}.send", replace_argument("delete_messages", 2, "[message for message, _ in plan.to_send]")),
    ),
    _mutation(
        "an invalid message is kept without its id",
        "a fixed message",
        Guarantee.ONE_DIAL,
        ("adapters.queues.InvalidMessagesQueue.keep", drop_key("messageId")),
    ),
    _mutation(
        "a fixed message goes by its id in the queue of invalid messages",
        "a fixed message",
        Guarantee.ONE_DIAL,
        ("operations.waiting_messages._held", replace_constant("messageId", "another")),
    ),
    _mutation(
        "a call is resolved that isn't unknown",
        "resolved too early",
        Guarantee.TRUE_OUTCOME,
        ("operations.resolving.choose_unknown", drop_if("unknown")),
        (f"{_TABLE}.resolve", drop_condition("UNKNOWN")),
    ),
    _mutation(
        "a finding is reported as recorded although another outcome came first",
        "resolved by hand",
        Guarantee.TRUE_REPORT,
        (f"{_RESOLVING}.record_attempt", drop_if("found")),
    ),
    _mutation(
        "a request is dialled again although its outcome has changed since it was shown",
        "dialled again by hand",
        Guarantee.ONE_DIAL,
        (f"{_RESOLVING}.dial_again", drop_if("last_status")),
    ),
    _mutation(
        "a request is dialled again before its last attempt has ended",
        "dialled again by two",
        Guarantee.ONE_DIAL,
        (f"{_RESOLVING}.prepare", drop_if("TERMINAL")),
    ),
    _mutation(
        "an attempt that was made is reported as refused",
        "an attempt sent twice",
        Guarantee.TRUE_REPORT,
        (f"{_RESOLVING}.dial_again", drop_condition("_is_there")),
    ),
)

_RULES = "policy.evaluation._results"
_REDIALS = (
    _mutation(
        "the next attempt is made although the redial is not pending any more",
        "redialled or cancelled",
        Guarantee.ONE_LEASE,
        (f"{_TABLE}.make_next", replace_constant(" AND #redialAt = :seen", " AND :seen = :seen")),
    ),
    _mutation(
        "a lease takes what is to be dialled again",
        "redialled",
        Guarantee.ARMED,
        (f"{_TABLE}.lease", replace_constant(_LEASED, "#dueAt = :seen")),
    ),
    _mutation(
        "the redial rules are kept with unknown",
        "one request",
        Guarantee.NOTHING_KEPT,
        ("adapters.calls_table._REMOVED_AT_THE_END", drop_element("redial")),
    )._replace(scenario="redialled"),
    _mutation(
        "an outcome is final although another attempt follows",
        "redialled",
        Guarantee.ONE_END,
        ("domain.attempts.Attempt.final", drop_condition("redial_at")),
    ),
    _mutation(
        "an outcome is published again when the next attempt is made",
        "redialled",
        Guarantee.ONE_END,
        ("use_cases.publish.is_published", drop_condition("next_attempt")),
    ),
    _mutation(
        "a redial that expired is rejected",
        "a redial that expires",
        Guarantee.REDIAL,
        (f"{_DIAL}._reject", drop_if("is_redial")),
    ),
    _mutation(
        "a redial is dropped, and the outcome before is not final",
        "a redial that expires",
        Guarantee.ONE_END,
        (f"{_TABLE}.drop", replace_constant("REMOVE #nextAttempt", "SET #nextAttempt = :this")),
    ),
    _mutation(
        "a completed that comes late doesn't end a redial that is pending",
        "redialled or answered",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}._answered", replace_call("_replace_provisional", "recording")),
    ),
    _mutation(
        "a completed that comes late replaces what another attempt has followed",
        "redialled or answered",
        Guarantee.OUTCOME_STAYS,
        (
            f"{_TABLE}._replace_provisional",
            replace_constant("#redialAt = :seenRedialAt", ":seenRedialAt = :seenRedialAt"),
        ),
    ),
    _mutation(
        "a completed that comes late doesn't cancel the next attempt",
        "redialled or answered",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}._answered_meanwhile", always_returns("False")),
    ),
    _mutation(
        "a completed that comes late doesn't mark an attempt in progress",
        "answered before a redial that is refused",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}._answered_meanwhile", replace_call("note_answered", "True")),
    ),
    _mutation(
        "a completed that comes late overlooks an attempt made meanwhile",
        "answered before the third attempt",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}._answered_meanwhile", replace_call("drop_redial", "(self.drop_redial(found, now), True)[1]")),
    ),
    _mutation(
        "a completed that comes late cancels an attempt in progress",
        "redialled or answered",
        Guarantee.TRUE_OUTCOME,
        (f"{_TABLE}._answered_meanwhile", drop_condition("SCHEDULED")),
    ),
    _mutation(
        "the transaction of a person's redial doesn't ask for the outcome that was shown",
        "dialled again by hand",
        Guarantee.ONE_DIAL,
        (
            f"{_TABLE}.make_next",
            replace_constant(_AS_SHOWN, ":status = :status AND attribute_not_exists(#nextAttempt)"),
        ),
    ),
)

_CANCEL = (
    _mutation(
        "an attempt whose cancellation was requested is parked",
        "redialled or cancelled",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}.park", drop_condition("not_stopped")),
    ),
    _mutation(
        "a cancellation doesn't remove the redial rules of a call in progress",
        "redialled or cancelled",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}.request_cancel", replace_constant(_MARK, _MARK.removesuffix(" REMOVE #redial"))),
        ("adapters.calls_table._redial_at", drop_condition("_STOPS")),
    ),
    _mutation(
        "a cancellation takes a claimed attempt as well",
        "redialled or cancelled",
        Guarantee.ONE_DIAL,
        (f"{_TABLE}.cancel_scheduled", drop_condition("SCHEDULED")),
    ),
    _mutation(
        "a cancellation of a request that was not seen is not recorded",
        "redialled or cancelled",
        Guarantee.NOT_AFTER_A_STOP,
        (f"{_TABLE}.cancel_unseen", always_returns("True")),
    ),
    _mutation(
        "a cancellation is acknowledged although the request changed",
        "redialled or cancelled",
        Guarantee.NOT_AFTER_A_STOP,
        (
            "use_cases.cancel.CancelRequests.cancel",
            replace_call("_write", "(self._write(request, last, source), True)[1]"),
        ),
    ),
    _mutation(
        "a cancellation by hand is reported although the request changed",
        "redialled or cancelled by hand",
        Guarantee.NOT_AFTER_A_STOP,
        (
            "use_cases.cancel.CancelRequests.cancel",
            replace_call("_write", "(self._write(request, last, source), True)[1]"),
        ),
    ),
    _mutation(
        "a cancelled batch is dialled",
        "a batch that arrives at any time",
        Guarantee.NOT_AFTER_A_STOP,
        (_RULES, drop_call("_cancelled")),
    ),
    _mutation(
        "a search for a batch isn't repeated after a crash",
        "a batch that is searched for",
        Guarantee.RIGHT_END,
        (f"{_SEARCHES}.lease_batch", replace_name("BATCH_LEASE_SECONDS", "10**6")),
    ),
    _mutation(
        "a search for a batch rests after the first shard",
        "a batch that is searched for",
        Guarantee.RIGHT_END,
        (f"{_SEARCHES}.search_batch", replace_test("due_shards", "True")),
    ),
    _mutation(
        "a batch is searched for before what was decided is parked",
        "a batch that is searched for",
        Guarantee.RIGHT_END,
        (f"{_SEARCHES}.expect_batch", replace_name("BATCH_SEARCHED_AFTER_SECONDS", "0")),
    ),
    _mutation(
        "a search for a batch notes a page before it cancels what is on it",
        "a batch that is searched for",
        Guarantee.RIGHT_END,
        ("use_cases.cancel_batch.CancelBatches.go_on", replace_call("search_batch", _NOTING_FIRST)),
    ),
)

_CAPS = (
    _mutation(
        "a dial is remembered before the claim",
        "two requests for one number",
        Guarantee.CAP,
        (f"{_DIAL}.dial", replace_call("_claim", _TAKING_FIRST)),
    ),
    _mutation(
        "dials are remembered although others were meanwhile",
        "two requests for one number",
        Guarantee.CAP,
        ("adapters.policy_table.PolicyTable._put_dials", replace_constant("attribute_not_exists(subject)", "")),
        ("adapters.policy_table.PolicyTable._put_dials", replace_constant("revision = :seen", ":seen = :seen")),
    ),
    _mutation(
        "a dial is given back after the claim, even of another claim",
        "two requests for one number",
        Guarantee.CAP,
        (f"{_DIAL}.dial", replace_call("_settle", "(self._settle(claimed, answer), limits.give_back())[0]")),
        ("adapters.policy_table.PolicyTable.give_back_dial", drop_if("claim_id")),
    ),
    _mutation(
        "caps are not looked at",
        "two requests for one number",
        Guarantee.CAP,
        (_RULES, drop_call("_recipient_caps")),
    ),
    _mutation(
        "an attempt's own dial counts",
        "a cap that rejects",
        Guarantee.CAP,
        ("adapters.policy_table.Remembered.recipient", replace_test("attempt", "True")),
    ),
)

_LINES_TABLE, _HAND_ON = "adapters.lines_table.LinesTable", "use_cases.hand_on"
_ONE_LINE = "two requests for one line"
_LIMITED_LATER, _COUNT = "a limit while calls are in progress", "use_cases.count_calls.CountCalls.count_in_progress"
_IF_FREE = "(attribute_exists(#lines.#reserved) AND size(#lines) <= :limit) OR (size(#lines) < :limit AND "

_LINES = (
    _mutation(
        "a line is taken although none is free",
        _ONE_LINE,
        Guarantee.LINES,
        ("domain.lines.Lines.admits", always_returns("True")),
        (
            f"{_LINES_TABLE}.take_line",
            replace_constant(_IF_FREE, _IF_FREE.replace("(size(#lines) <", "(attribute_exists(#lines) AND :limit =")),
        ),
    ),
    _mutation(
        "a newcomer overtakes",
        "three requests for one line",
        Guarantee.IN_LINE,
        ("domain.lines.Lines.admits", always_returns("self.is_free(limit, now)")),
        (f"{_LINES_TABLE}.take_line", replace_call("join", "'attribute_exists(#lines)'")),
    ),
    _mutation(
        "a claim doesn't say that it takes a line",
        _ONE_LINE,
        Guarantee.LINE_USED,
        (f"{_DIAL}._claim", replace_test("max_concurrent_calls", "False")),
    ),
    _mutation(
        "an end forgets the line",
        _ONE_LINE,
        Guarantee.LINE_USED,
        ("adapters.calls_table._REMOVED_AT_THE_END", add_element("'line'", beside="claimId")),
    ),
    _mutation(
        "the stream frees no line",
        _ONE_LINE,
        Guarantee.LINE_USED,
        (
            "use_cases.release_lines.ReleaseLines._release",
            replace_call("give_back_lines", "self.lines_table.read_lines(organization)"),
        ),
    ),
    _mutation(
        "a line outlives its call, though no one waits",
        "one request for one line",
        Guarantee.LINE_FREED,
        (
            "use_cases.release_lines.ReleaseLines._release",
            replace_call("give_back_lines", "self.lines_table.read_lines(organization)"),
        ),
    ),
    _mutation(
        "a freed line isn't handed on",
        _ONE_LINE,
        Guarantee.LINE_USED,
        (f"{_HAND_ON}._Handing.hand_on_to", always_returns("None")),
    ),
    _mutation(
        "what is parked for a line isn't marked",
        _ONE_LINE,
        Guarantee.LINE_USED,
        (f"{_DIAL}._park_until", drop_call("_mark_waiting")),
    ),
    _mutation(
        "a worker that marks doesn't look for a free line",
        _ONE_LINE,
        Guarantee.LINE_USED,
        ("use_cases.wait_for_line.WaitForLine.mark", drop_call("_hand_on")),
    ),
    _mutation(
        "an index that lags isn't looked at again",
        _ONE_LINE,
        Guarantee.LINE_USED,
        (f"{_HAND_ON}.HandOnLines.hand_on", drop_call("send_hand_on")),
    ),
    _mutation(
        "a mark is cleared while the index may lag",
        _ONE_LINE,
        Guarantee.LINE_USED,
        ("domain.lines.Mark.is_settled", always_returns("True")),
    ),
    _mutation(
        "a limit doesn't count the calls in progress when it is set",
        _LIMITED_LATER,
        Guarantee.LINES,
        ("domain.lines.Lines.is_counted", always_returns("True")),
    ),
    _mutation(
        "calls in progress are counted before all know of the limit",
        "a limit that not all know yet",
        Guarantee.LINES,
        (_COUNT, replace_test("COUNT_AFTER_SECONDS", "False")),
    ),
    _mutation(
        "calls that are counted get no line",
        _LIMITED_LATER,
        Guarantee.LINES,
        (_COUNT, drop_call("put_lines")),
    ),
    _mutation(
        "a call that is counted doesn't know its line",
        "a limit with a line to spare",
        Guarantee.LINE_FREED,
        (_COUNT, replace_call("hold_line", "True")),
    ),
    _mutation(
        "a call that ends while it is counted keeps its line",
        "a limit with a line to spare",
        Guarantee.LINE_FREED,
        (_COUNT, drop_call("give_back_lines")),
    ),
    _mutation(
        "a call that ends while it is counted learns of a line",
        _LIMITED_LATER,
        Guarantee.OUTCOME_STAYS,
        (
            "adapters.unlimited_calls.UnlimitedCalls.hold_line",
            replace_constant("#claimId = :held", "attribute_exists(#status)"),
        ),
    ),
    _mutation(
        "lines are handed on before the calls in progress are counted",
        _LIMITED_LATER,
        Guarantee.AN_END,
        (f"{_HAND_ON}.HandOnLines.hand_on", replace_call("is_counted", "True")),
    ),
)

_CONFLICTS = (
    _mutation(
        "a write that meets a transaction fails",
        "redialled or answered",
        Guarantee.OWN_FAULTS_ONLY,
        (f"{_WRITES}._is_conflict", always_returns("False")),
    ),
)

_CHANGES = (
    _mutation("a pause is not looked at", "paused at the start", Guarantee.ALLOWED, (_RULES, drop_call("_paused"))),
    _mutation(
        "a window is not looked at", "a window that shuts", Guarantee.ALLOWED, (_RULES, drop_call("_calling_window"))
    ),
    _mutation(
        "a window that closes between decision and POST is not noticed",
        "a window that shuts",
        Guarantee.ALLOWED,
        (_STILL_ALLOWS, always_returns("True")),
    ),
    _mutation(
        "the do-not-call list is not looked at",
        "do not call",
        Guarantee.NOT_AFTER_A_STOP,
        (_RULES, drop_call("_do_not_call")),
    ),
    _mutation(
        "a policy that can't be read allows all",
        "unreadable at the start",
        Guarantee.ALLOWED,
        ("use_cases.decide._unreadable", always_returns("Judgement(Dial())")),
    ),
    _mutation(
        "the keeper releases nothing",
        "paused and resumed",
        Guarantee.RIGHT_END,
        ("use_cases.keep.KeepWaiting._release", replace_call("lease_for_dispatch", "None")),
    ),
    _mutation(
        "no keeper looks after what waits",
        "paused and resumed",
        Guarantee.RIGHT_END,
        (f"{_DIAL}._park", drop_call("expect_waiting")),
    ),
)

_LOG = (
    _mutation(
        "an entry of the log is taken that another attempt may have made",
        "two calls to one number in the log",
        Guarantee.TRUE_OUTCOME,
        (f"{_LOOK}.look", drop_if("has_rival")),
    ),
    _mutation(
        "a dial isn't remembered for the log",
        "two calls to one number in the log",
        Guarantee.TRUE_OUTCOME,
        (f"{_DIAL}._mark", replace_call("mark_dial", "None")),
    ),
    _mutation(
        "an attempt that the log doesn't show is dialled again",
        "found in the log",
        Guarantee.ONE_DIAL,
        (
            f"{_POLL}._look",
            replace_call(
                "_give_up",
                "self.table.park(attempt, now, ParkReason.SHORT_OF_TIME) and Poll(PollResult.WAITING, attempt.key)",
                "looked",
            ),
        ),
    ),
    _mutation(
        "the log's id counts as AlloMia's id of the call",
        "found in the log",
        Guarantee.TRUE_OUTCOME,
        (f"{_LOOK}._ask", add_argument("Outcome", "outbound_call_id", "log_id")),
    ),
    _mutation(
        "the hash of a number is kept",
        "found in the log",
        Guarantee.NOTHING_KEPT,
        ("adapters.calls_table._REMOVED_AT_THE_END", drop_element("numberHash")),
    ),
)

MUTATIONS = (
    *_CLAIM,
    *_SETTLE,
    *_ANSWERS,
    *_PARK,
    *_POLICY,
    *_MESSAGES,
    *_WEBHOOKS,
    *_OUTCOMES,
    *_POLLS,
    *_BY_HAND,
    *_REDIALS,
    *_CANCEL,
    *_CAPS,
    *_LINES,
    *_CONFLICTS,
    *_CHANGES,
    *_LOG,
)
