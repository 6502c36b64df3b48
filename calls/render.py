"""Results for a person to read. The same values are the JSON."""

from collections.abc import Iterable
from functools import singledispatch

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.doctor import Check, Diagnosis, Verdict
from calls.following import QUEUED, Followed, Following
from calls.preflight import Preflight, Refusal
from calls.queues import Redriven
from calls.records import Found, Search
from calls.resolving import Redial, Resolved
from calls.results import Look, Placing, Redialled, Refusals
from calls.watching import View
from outbound_calls.contracts import Wire
from outbound_calls.reports import AttemptReport, CallReport

_MOST_FOLLOWED = 30
_STYLES = {
    "completed": "green",
    "failed": "yellow",
    "busy": "yellow",
    "no-answer": "yellow",
    "rejected": "bold red",
    "unknown": "bold red",
    "calling": "cyan",
    "dispatching": "cyan",
    "scheduled": "magenta",
    QUEUED: "dim",
}
_VERDICTS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}


@singledispatch
def render(result: Wire) -> RenderableType:
    """A result as rich shows it."""
    raise TypeError(f"{type(result).__name__} has no form for a person")


@render.register
def _(report: CallReport) -> RenderableType:
    shown: list[RenderableType] = [Text.assemble(report.request_id, "  ", _status(report.status))]
    if report.metadata:
        shown.append(_facts((f"metadata {name}", value) for name, value in report.metadata.items()))
    return Group(*shown, *(_attempt(attempt) for attempt in report.attempts))


def _attempt(attempt: AttemptReport) -> RenderableType:
    details = attempt.call_details
    facts = {
        "status": _status(attempt.status),
        "final": "yes" if attempt.final else "no: another status may follow",
        "asked for": attempt.created_at,
        "dispatched": attempt.dispatched_at,
        "looked at next": attempt.due_at,
        "parked": f"{attempt.times_parked} times" if attempt.times_parked else None,
        "parked because": attempt.park_reason,
        "AlloMia's call": attempt.outbound_call_id,
        "AlloMia's contact": attempt.contact_id,
        "started": details.started_at if details else None,
        "ended": details.ended_at if details else None,
        "seconds": str(details.duration) if details and details.duration is not None else None,
        "ended because": details.ended_reason if details else None,
        "recorded": attempt.recorded_at,
        "by": attempt.outcome_source,
        "reason": attempt.reason,
    }
    return Group(Text(f"attempt {attempt.attempt}", "bold"), _facts(facts.items()))


@render.register
def _(search: Search) -> RenderableType:
    read = f"{search.records_read} records read, {search.read_units:g} read units"
    more = "; there are more: raise --limit" if search.more else ""
    return Group(_found(search.calls), Text(f"{len(search.calls)} shown{more} ({read})"))


def _found(calls: Iterable[Found]) -> Table:
    table = _table("request", "#", "status", "asked for", "recorded", "by", "reason")
    for call in calls:
        table.add_row(
            call.request_id,
            str(call.attempt),
            _status(call.status),
            call.created_at,
            call.recorded_at or "",
            call.outcome_source or "",
            call.reason or call.park_reason or "",
        )
    return table


@render.register
def _(preflight: Preflight) -> RenderableType:
    shown: list[RenderableType] = [
        _facts(
            [
                ("rows", str(preflight.rows)),
                ("to be sent", str(preflight.to_send)),
                ("refused", str(len(preflight.refused))),
                ("said twice in here", str(len(preflight.repeated))),
                ("known to the stack already", str(len(preflight.already_there))),
            ]
        )
    ]
    if preflight.refused:
        shown.append(_refusals(preflight.refused))
    if preflight.repeated:
        table = _table("row", "same as row", "request")
        for repeated in preflight.repeated:
            table.add_row(str(repeated.row), str(repeated.same_as_row), repeated.request_id)
        shown += [Text("Said twice, and sent once:"), table]
    if preflight.already_there:
        table = _table("row", "request", "status")
        for known in preflight.already_there:
            table.add_row(str(known.row), known.request_id, _status(known.status))
        shown += [Text("Known to the stack already, and not sent:"), table]
    if preflight.alike:
        table = _table("rows", "number")
        for alike in preflight.alike:
            table.add_row(", ".join(map(str, alike.rows)), alike.phone_number)
        warning = "Warning: the same number and the same variables under different ids. Each of these is a call:"
        shown += [Text(warning, "yellow"), table]
    if preflight.ids_from_rows:
        shown.append(
            Text(
                f"{preflight.ids_from_rows} rows name no requestId and go by what they say: the same row is the same "
                "call, a changed row is another one."
            )
        )
    return Group(*shown)


@render.register
def _(refusals: Refusals) -> RenderableType:
    return _refusals(refusals.refused)


def _refusals(refused: Iterable[Refusal]) -> RenderableType:
    table = _table("row", "field", "rule")
    for refusal in refused:
        table.add_row(str(refusal.row), refusal.field, refusal.rule)
    return Group(Text("Refused:"), table)


@render.register
def _(placing: Placing) -> RenderableType:
    shown: list[RenderableType] = []
    if placing.sent is None:
        # Only looked at: the preflight is the answer. Otherwise it was told before the question.
        shown.append(render(placing.preflight))
    else:
        shown.append(Text(f"{placing.sent} of {placing.preflight.to_send} sent"))
    if placing.not_sent:
        table = _table("row", "request", "why")
        for each in placing.not_sent:
            table.add_row(str(each.row), each.request_id, each.reason)
        shown += [Text("Not sent. Run the same again, nobody is called twice:", "bold red"), table]
    if placing.following:
        shown.append(render(placing.following))
    return Group(*shown)


@render.register
def _(following: Following) -> RenderableType:
    table = _table("request", "row", "#", "status", "by", "reason")
    # The eye is on what is still open, and on what needs somebody.
    for call in sorted(following.calls, key=_interest)[:_MOST_FOLLOWED]:
        row = "" if call.row is None else str(call.row)
        source, reason = call.outcome_source or "", call.reason or ""
        table.add_row(call.request_id, row, str(call.attempt), _status(call.status), source, reason)
    more = len(following.calls) - _MOST_FOLLOWED
    left_out = f" ({more} more are not shown; with --json all are)" if more > 0 else ""
    return Group(table, Text(f"{following.ended} of {len(following.calls)} have their outcome{left_out}"))


def _interest(call: Followed) -> int:
    return 0 if call.status in {"unknown", "rejected"} else 1 + call.ended


@render.register
def _(view: View) -> RenderableType:
    under_way = _facts((status, str(count)) for status, count in view.under_way.items())
    queues = _table("queue", "waiting", "held")
    for queue in view.queues:
        queues.add_row(queue.queue, str(queue.waiting), str(queue.held))
    return Group(under_way, queues, Text("ended while you watched:"), _found(view.ended))


@render.register
def _(resolved: Resolved) -> RenderableType:
    return Text.assemble(f"{resolved.request_id}, attempt {resolved.attempt}: recorded as ", _status(resolved.status))


@render.register
def _(redial: Redial) -> RenderableType:
    return _facts(
        [
            ("request", redial.request_id),
            ("to", redial.phone_number),
            (f"attempt {redial.attempt - 1}", _status(redial.last_status)),
            ("because", redial.last_reason),
            ("metadata", "the record's" if redial.metadata_kept else None),
        ]
    )


@render.register
def _(redialled: Redialled) -> RenderableType:
    redial = redialled.redial
    said = Text(f"{redial.request_id}: attempt {redial.attempt} goes to the queue with the poller's next sweep")
    return Group(said, render(redialled.following)) if redialled.following else said


@render.register
def _(look: Look) -> RenderableType:
    table = _table("message", "request", "number", "age", "reason")
    for message in look.messages:
        table.add_row(
            message.id,
            message.request_id or "",
            message.phone_number or "",
            _age(message.age_seconds),
            message.reason or "",
        )
    exported = Text(f"Written to {look.exported_to}: it holds names and numbers.") if look.exported_to else None
    return Group(table, Text(f"{len(look.messages)} messages in {look.queue}"), *([exported] if exported else []))


@render.register
def _(redriven: Redriven) -> RenderableType:
    facts = _facts(
        [
            ("put back", str(redriven.sent)),
            ("not sent, left in the queue", str(len(redriven.unsent)) if redriven.unsent else None),
            ("not found in the queue", str(len(redriven.not_found)) if redriven.not_found else None),
            ("put back, but still here", str(redriven.twice) if redriven.twice else None),
            ("still in the queue", str(redriven.still_there)),
        ]
    )
    table = _table("message", "why")
    for each in redriven.unsent:
        table.add_row(each.id, each.reason)
    for missing in redriven.not_found:
        table.add_row(missing, "not found: put back before, expired, or held by another look")
    return Group(facts, table) if table.row_count else facts


@render.register
def _(check: Check) -> RenderableType:
    line = Text.assemble((f"{check.verdict.value:8}", _VERDICTS[check.verdict]), f"{check.name}: {check.found}")
    return Group(line, Text(f"        → {check.advice}")) if check.advice else line


@render.register
def _(diagnosis: Diagnosis) -> RenderableType:
    verdict = Text("in order", "green") if diagnosis.in_order else Text("not in order", "bold red")
    return Group(*map(render, diagnosis.checks), verdict)


def _status(status: str) -> Text:
    return Text(status, _STYLES.get(status, ""))


def _table(*columns: str) -> Table:
    table = Table(*columns, header_style="bold")
    table.columns[0].no_wrap = True
    return table


def _facts(facts: Iterable[tuple[str, str | Text | None]]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in facts:
        if value is not None:
            table.add_row(name, value)
    return table


def _age(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
