"""Results for a person to read. `--json` prints the same values."""

from collections.abc import Iterable, Sequence, Sized
from functools import singledispatch

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.operations.doctor import Check, Diagnosis, Verdict
from calls.operations.explaining import ShownRequest
from calls.operations.following import QUEUED, FollowedAttempt, Following
from calls.operations.placing import PlaceReport
from calls.operations.placing_again import AgainPreflight
from calls.operations.preflight import InvalidRow, InvalidRows, Preflight
from calls.operations.records import FoundAttempt, SearchResult
from calls.operations.redriving import RedriveReport
from calls.operations.republishing import OutcomesFound, RepublishReport
from calls.operations.resolving import Redial, RedialReport, Resolved
from calls.operations.waiting_messages import QueueListing
from calls.operations.watching import StackState
from outbound_calls.contracts.status_api import AttemptReport, RequestReport
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.attempts import RequestKey

_MAX_FOLLOWED = 30
_STYLES = {
    "completed": "green",
    "failed": "yellow",
    "busy": "yellow",
    "no-answer": "yellow",
    "rejected": "bold red",
    "unknown": "bold red",
    "cancelled": "yellow",
    "calling": "cyan",
    "dispatching": "cyan",
    "scheduled": "magenta",
    QUEUED: "dim",
}
_VERDICTS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red", Verdict.SKIPPED: "dim"}


@singledispatch
def render(result: WireModel) -> RenderableType:
    """A result as rich shows it."""
    raise TypeError(f"{type(result).__name__} can't be rendered")


# Requests and attempts.


@render.register
def _(report: RequestReport) -> RenderableType:
    shown: list[RenderableType] = [
        Text.assemble(_name(report), "  ", render_status(report.status)),
        facts_table(
            [
                ("final", "yes" if report.final else "no: another status may follow"),
                ("next attempt", report.next_attempt_at),
                ("expires", report.not_after),
                ("batch", report.batch),
                *((f"metadata {name}", value) for name, value in report.metadata.items()),
            ]
        ),
    ]
    return Group(*shown, *(_attempt(attempt) for attempt in report.attempts))


@render.register
def _(request: ShownRequest) -> RenderableType:
    shown = render.dispatch(RequestReport)(request)
    return Group(Text(f"{request.waiting}", "magenta"), shown) if request.waiting else shown


def _attempt(attempt: AttemptReport) -> RenderableType:
    details = attempt.call_details
    facts: dict[str, str | Text | None] = {
        "status": render_status(attempt.status),
        "dialled": attempt.dialled,
        "created": attempt.created_at,
        "dispatched": attempt.dispatched_at,
        "next poll": attempt.due_at,
        "parked": f"{attempt.times_parked} times" if attempt.times_parked else None,
        "park reason": attempt.park_reason,
        "AlloMia's call": attempt.outbound_call_id,
        "AlloMia's contact": attempt.contact_id,
        "AlloMia's status": attempt.allomia_status,
        "call started": details.started_at if details else None,
        "call ended": details.ended_at if details else None,
        "duration": f"{details.duration} s" if details and details.duration is not None else None,
        "ended reason": details.ended_reason if details else None,
        "recorded": attempt.recorded_at,
        "source": attempt.outcome_source,
        "reason code": attempt.reason_code,
        "reason": attempt.reason,
    }
    return Group(Text(f"attempt {attempt.attempt}", "bold"), facts_table(facts.items()))


@render.register
def _(search: SearchResult) -> RenderableType:
    read = f"{search.records_read} records read, {search.read_units:g} read units"
    more = "; there are more: raise --limit" if search.more else ""
    return Group(_found(search.calls), Text(f"{len(search.calls)} shown{more} ({read})"))


def _found(attempts: Iterable[FoundAttempt]) -> Table:
    table = _table("request", "#", "status", "created", "recorded", "source", "reason")
    for attempt in attempts:
        table.add_row(
            _name(attempt),
            str(attempt.attempt),
            render_status(attempt.status),
            attempt.created_at,
            attempt.recorded_at or "",
            attempt.outcome_source or "",
            _reason(attempt),
        )
    return table


@render.register
def _(state: StackState) -> RenderableType:
    open_calls = facts_table((status, str(count)) for status, count in state.open.items())
    queues = _table("queue", "waiting", "held")
    for queue in state.queues:
        queues.add_row(queue.queue, str(queue.waiting), str(queue.held))
    return Group(open_calls, queues, Text("Ended during this watch:"), _found(state.ended))


# Placing.


@render.register
def _(preflight: Preflight) -> RenderableType:
    counts = {
        "rows": preflight.rows,
        "to send": preflight.to_send,
        "invalid": len(preflight.invalid),
        "duplicate": len(preflight.duplicate),
        "already known": len(preflight.known),
    }
    shown: list[RenderableType] = []
    if preflight.invalid:
        shown.append(_invalid(preflight.invalid))
    if preflight.duplicate:
        table = _table("row", "same as row", "request")
        for duplicate in preflight.duplicate[:_MAX_FOLLOWED]:
            table.add_row(str(duplicate.row), str(duplicate.same_as_row), duplicate.request_id)
        shown += [Text(f"Duplicate rows, sent once{_more(preflight.duplicate)}:"), table]
    if preflight.known:
        table = _table("row", "request", "status")
        for known in preflight.known[:_MAX_FOLLOWED]:
            table.add_row(str(known.row), known.request_id, render_status(known.status))
        shown += [Text(f"Rows that the stack already knows, not sent{_more(preflight.known)}:"), table]
    if preflight.similar:
        table = _table("rows", "number")
        for similar in preflight.similar[:_MAX_FOLLOWED]:
            table.add_row(", ".join(map(str, similar.rows)), similar.phone_number)
        warning = "Warning: the same number and variables under different ids. Each of these rows is a call:"
        shown += [Text(warning, "yellow"), table]
    if preflight.placed_before and preflight.placed_before.rows:
        before = preflight.placed_before
        shown.append(Text(f"{before.rows} of the rows to send were placed before, last at {before.last_at}."))
    if preflight.rewritten:
        table = _table("row", "number", "placed as another row at")
        for rewritten in preflight.rewritten[:_MAX_FOLLOWED]:
            table.add_row(str(rewritten.row), rewritten.phone_number, rewritten.placed_at)
        warning = f"Perhaps placed before, and changed since{_more(preflight.rewritten)}:"
        shown += [Text(warning, "yellow"), table]
    if preflight.derived_ids:
        shown.append(
            Text(
                f"{preflight.derived_ids} rows have no requestId and get one derived from their content: the same row "
                "is the same call, a changed row is another call."
            )
        )
    # Last, so that no list pushes them off the screen.
    return Group(*shown, facts_table((name, str(count)) for name, count in counts.items()))


@render.register
def _(preflight: AgainPreflight) -> RenderableType:
    counts = {
        "rows": preflight.rows,
        "to send again": preflight.to_send,
        "invalid": len(preflight.invalid),
        "duplicate": len(preflight.duplicate),
    }
    shown: list[RenderableType] = [facts_table((name, str(count)) for name, count in counts.items())]
    if preflight.invalid:
        shown.append(_invalid(preflight.invalid))
    if preflight.again:
        table = _table("row", "new request", "rejected as", "reason")
        for row in preflight.again[:_MAX_FOLLOWED]:
            table.add_row(str(row.row), row.request_id, row.rejected_id, row.reason or row.reason_code)
        shown += [Text(f"Rejected, and sent again{_more(preflight.again)}:"), table]
    if preflight.others:
        others = facts_table((status, str(count)) for status, count in preflight.others.items())
        shown += [Text("Not sent again, by status:"), others]
    return Group(*shown)


@render.register
def _(rows: InvalidRows) -> RenderableType:
    return _invalid(rows.invalid)


def _invalid(rows: Sequence[InvalidRow]) -> RenderableType:
    table = _table("row", "column", "field", "value", "rule")
    for row in rows[:_MAX_FOLLOWED]:
        table.add_row(str(row.row), row.column or "", row.field, row.value or "", row.rule)
    return Group(Text(f"Invalid rows{_more(rows)}:"), table)


@render.register
def _(report: PlaceReport) -> RenderableType:
    shown: list[RenderableType] = []
    if report.sent is None:
        # The checks are the result. Otherwise they were shown before the question.
        shown.append(render(report.preflight))
        if report.policy:
            shown.append(render(report.policy))
    else:
        shown.append(Text(f"{report.sent} of {report.preflight.to_send} sent"))
    if report.refused_in:
        shown.append(Text(f"The invalid rows are in {report.refused_in}. Fix them there, and place that file."))
    if report.unsent:
        table = _table("row", "request", "reason")
        for row in report.unsent:
            table.add_row(str(row.row), row.request_id, row.reason)
        shown += [Text("Not sent. Run the same command again; no one is called twice:", "bold red"), table]
    if report.following:
        shown.append(render(report.following))
    return Group(*shown)


@render.register
def _(following: Following) -> RenderableType:
    table = _table("request", "row", "#", "status", "source", "reason")
    for call in sorted(following.calls, key=_priority)[:_MAX_FOLLOWED]:
        row = "" if call.row is None else str(call.row)
        table.add_row(
            _name(call), row, str(call.attempt), render_status(call.status), call.outcome_source or "", _reason(call)
        )
    return Group(table, Text(f"{following.ended} of {len(following.calls)} have their outcome{_more(following.calls)}"))


def _priority(call: FollowedAttempt) -> int:
    """First what needs a person, then what is open."""
    return 0 if call.status in {"unknown", "rejected"} else 1 + call.ended


# Resolving.


@render.register
def _(resolved: Resolved) -> RenderableType:
    return Text.assemble(f"{_name(resolved)}, attempt {resolved.attempt}: recorded as ", render_status(resolved.status))


@render.register
def _(redial: Redial) -> RenderableType:
    return facts_table(
        [
            ("request", _name(redial)),
            ("number", redial.phone_number),
            (f"attempt {redial.attempt - 1}", render_status(redial.last_status)),
            ("reason code", redial.last_reason_code),
            ("reason", redial.last_reason),
            ("metadata", "kept from the record" if redial.metadata_kept else None),
        ]
    )


@render.register
def _(report: RedialReport) -> RenderableType:
    made = Text(f"{_name(report.redial)}: the poller's next sweep dispatches attempt {report.redial.attempt}")
    return Group(made, render(report.following)) if report.following else made


# Messages that wait.


@render.register
def _(listing: QueueListing) -> RenderableType:
    table = _table("message", "request", "number", "age", "reason")
    for message in listing.messages:
        table.add_row(
            message.id,
            message.request_id or "",
            message.phone_number or "",
            f"{_age(message.age_seconds)}{', expired' if message.expired else ''}",
            message.reason or "",
        )
    more = "; there are more: raise --limit" if listing.more else ""
    shown: list[RenderableType] = [table, Text(f"{len(listing.messages)} {listing.queue}{more}")]
    if listing.exported_to:
        shown.append(Text(f"Exported to {listing.exported_to}, which holds names and numbers."))
    return Group(*shown)


@render.register
def _(report: RedriveReport) -> RenderableType:
    facts = facts_table(
        [
            ("sent", str(report.sent)),
            ("not sent", str(len(report.unsent)) if report.unsent else None),
            ("expired", str(len(report.expired)) if report.expired else None),
            ("unreadable", str(len(report.unreadable)) if report.unreadable else None),
            ("not found", str(len(report.not_found)) if report.not_found else None),
            ("sent, but not deleted here", str(report.not_deleted) if report.not_deleted else None),
            ("still in the queue", str(report.still_there)),
        ]
    )
    table = _table("message", "reason")
    for message in report.unsent:
        table.add_row(message.id, message.reason)
    for message_id in report.expired:
        table.add_row(message_id, "older than 24 hours, or past its notAfter: not sent without --late")
    for message_id in report.unreadable:
        table.add_row(message_id, "not JSON that the stack can read: its sender has to send it again")
    for message_id in report.not_found:
        table.add_row(message_id, "not found: sent before, expired, or held by another reader")
    return Group(facts, table) if table.row_count else facts


# Outcomes to publish again.


@render.register
def _(found: OutcomesFound) -> RenderableType:
    facts = facts_table(
        [
            ("recorded since", found.since),
            ("until", found.until),
            ("outcomes", str(found.to_publish)),
            ("first", found.first_recorded_at),
            ("last", found.last_recorded_at),
        ]
    )
    return Group(facts, facts_table((render_status(status), str(count)) for status, count in found.by_status.items()))


@render.register
def _(report: RepublishReport) -> RenderableType:
    if report.published is None:
        return render(report.found)
    shown = [Text(f"{report.published} of {report.found.to_publish} published again")]
    if report.not_published:
        line = f"{report.not_published} not published ({report.reason}): go on with --since {report.continue_since}"
        shown.append(Text(line, "bold red"))
    return Group(*shown)


# The doctor.


@render.register
def _(check: Check) -> RenderableType:
    line = Text.assemble((f"{check.verdict.value:8}", _VERDICTS[check.verdict]), f"{check.name}: {check.found}")
    return Group(line, Text(f"        → {check.advice}")) if check.advice else line


@render.register
def _(diagnosis: Diagnosis) -> RenderableType:
    verdict = Text("healthy", "green") if diagnosis.healthy else Text("not healthy", "bold red")
    return Group(*map(render, diagnosis.checks), verdict)


# Parts of these.


def _name(of: RequestReport | FoundAttempt | FollowedAttempt | Resolved | Redial) -> str:
    """The text of the request's key, as the commands accept it."""
    return str(RequestKey(of.request_id, of.organization))


def _reason(attempt: FoundAttempt | FollowedAttempt) -> str:
    return attempt.reason or attempt.reason_code or attempt.park_reason or ""


def render_status(status: str) -> Text:
    """A status in its colour."""
    return Text(status, _STYLES.get(status, ""))


def _table(*columns: str) -> Table:
    table = Table(*columns, header_style="bold")
    table.columns[0].no_wrap = True
    return table


def facts_table(rows: Iterable[tuple[str | Text, str | Text | None]]) -> Table:
    """Names and values, without those that hold nothing."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value is not None:
            table.add_row(name, value)
    return table


def _more(rows: Sized) -> str:
    more = len(rows) - _MAX_FOLLOWED
    return f" ({more} more are not shown; --json shows all)" if more > 0 else ""


def _age(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
