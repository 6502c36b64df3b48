"""Results for a person to read. `--json` prints the same values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from functools import singledispatch

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from calls.cli.listing import Listing, counted, local_moment, local_time, tallied
from calls.operations.doctor import Check, Diagnosis, Verdict
from calls.operations.explaining import ShownRequest
from calls.operations.following import QUEUED, FollowedAttempt, Following
from calls.operations.placing import PlaceReport
from calls.operations.placing_again import AgainPreflight
from calls.operations.preflight import InvalidRow, InvalidRows, Preflight
from calls.operations.records import STATUS_ORDER, FoundAttempt, SearchResult
from calls.operations.redriving import RedriveReport
from calls.operations.republishing import OutcomesFound, RepublishReport
from calls.operations.resolving import Redial, RedialReport, Resolved
from calls.operations.waiting_messages import DiscardReport, QueueListing
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
                ("next attempt", local_moment(report.next_attempt_at)),
                ("expires", local_moment(report.not_after)),
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
        "phone rang": attempt.dialled,
        "created": local_moment(attempt.created_at),
        "dispatched": local_moment(attempt.dispatched_at),
        "next poll": local_moment(attempt.due_at),
        "parked": f"{attempt.times_parked} times" if attempt.times_parked else None,
        "park reason": attempt.park_reason,
        "AlloMia's call": attempt.outbound_call_id,
        "AlloMia's contact": attempt.contact_id,
        "in AlloMia's log": attempt.call_log_id,
        "AlloMia's status": attempt.allomia_status,
        "call started": local_moment(details.started_at) if details else None,
        "call ended": local_moment(details.ended_at) if details else None,
        "duration": f"{details.duration} s" if details and details.duration is not None else None,
        "ended reason": details.ended_reason if details else None,
        "recorded": local_moment(attempt.recorded_at),
        "source": attempt.outcome_source,
        "resolved by": attempt.resolved_by,
        "reason code": attempt.reason_code,
        "reason": attempt.reason,
    }
    return Group(Text(f"attempt {attempt.attempt}", "bold"), facts_table(facts.items()))


@render.register
def _(search: SearchResult) -> RenderableType:
    found = len(search.calls)
    calls = counted(found, "call") if search.open is None else f"{found:,} of {counted(search.open, 'open call')}"
    if search.open == 0:
        calls = "no open calls"
    more = "; there are more: raise --limit" if search.more else ""
    heading = f"{calls}{_after_colon(tallied(search.by_status))}{more}"
    return Group(Text(heading, "bold"), *_found(search.calls))


def _after_colon(words: str) -> str:
    return f": {words}" if words else ""


def _found(attempts: Iterable[FoundAttempt]) -> list[RenderableType]:
    listing = Listing(["status", "local time", "rang", "reason"], long="request")
    for attempt in attempts:
        listing.add(
            render_status(attempt.status),
            local_time(attempt.recorded_at or attempt.created_at),
            attempt.dialled.value,
            attempt.reason_code or attempt.park_reason or "",
            long=_request(attempt, attempt.metadata),
        )
    return [listing] if len(listing) else []


def _request(call: FoundAttempt | FollowedAttempt, metadata: Mapping[str, str] | None = None) -> Text:
    """The request's key, the number of a later attempt, and what its sender knows it by."""
    known = "".join(f"  {name}={value}" for name, value in (metadata or {}).items())
    return Text.assemble(_name(call), f" #{call.attempt}" if call.attempt > 1 else "", (known, "dim"))


@render.register
def _(state: StackState) -> RenderableType:
    not_read = {"not read yet": state.not_read}
    queues = Listing([">waiting", ">held"], long="queue")
    for queue in state.queues:
        queues.add(str(queue.waiting), str(queue.held), long=queue.queue)
    shown = f" (the last {len(state.ended)})" if len(state.ended) < sum(state.ended_by_status.values()) else ""
    ended = tallied(state.ended_by_status) or "none"
    return Group(
        Text(f"{counted(state.total, 'open call')}{_after_colon(tallied(state.open | not_read))}", "bold"),
        queues,
        Text(f"Ended during this watch: {ended}{shown}", "bold"),
        *_found(state.ended),
    )


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
        table = Listing([">row", ">same as row"], long="request")
        for duplicate in preflight.duplicate[:_MAX_FOLLOWED]:
            table.add(str(duplicate.row), str(duplicate.same_as_row), long=duplicate.request_id)
        shown += [Text(f"Duplicate rows, sent once{_more(preflight.duplicate)}:"), table]
    if preflight.known:
        table = Listing([">row", "status"], long="request")
        for known in preflight.known[:_MAX_FOLLOWED]:
            table.add(str(known.row), render_status(known.status), long=known.request_id)
        shown += [Text(f"Rows that the stack already knows, not sent{_more(preflight.known)}:"), table]
    if preflight.similar:
        table = Listing(["number"], long="rows")
        for similar in preflight.similar[:_MAX_FOLLOWED]:
            table.add(similar.phone_number, long=", ".join(map(str, similar.rows)))
        warning = "Warning: the same number and variables under different ids. Each of these rows is a call:"
        shown += [Text(warning, "yellow"), table]
    if preflight.placed_before and preflight.placed_before.rows:
        before = preflight.placed_before
        shown.append(Text(f"{before.rows} of the rows to send were placed before, last at {before.last_at}."))
    if preflight.rewritten:
        table = Listing([">row", "number"], long="placed as another row at")
        for rewritten in preflight.rewritten[:_MAX_FOLLOWED]:
            table.add(str(rewritten.row), rewritten.phone_number, long=rewritten.placed_at)
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
        table = Listing([">row"], long="new request, rejected as, and reason")
        for row in preflight.again[:_MAX_FOLLOWED]:
            table.add(str(row.row), long=f"{row.request_id}  {row.rejected_id}  {row.reason or row.reason_code}")
        shown += [Text(f"Rejected, and sent again{_more(preflight.again)}:"), table]
    if preflight.others:
        others = facts_table((status, str(count)) for status, count in preflight.others.items())
        shown += [Text("Not sent again, by status:"), others]
    return Group(*shown)


@render.register
def _(rows: InvalidRows) -> RenderableType:
    return _invalid(rows.invalid)


def _invalid(rows: Sequence[InvalidRow]) -> RenderableType:
    table = Listing([">row", "column", "value"], long="field and rule")
    for row in rows[:_MAX_FOLLOWED]:
        table.add(str(row.row), row.column or "", row.value or "", long=f"{row.field}: {row.rule}")
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
    if report.invalid_rows_in:
        shown.append(Text(f"The invalid rows are in {report.invalid_rows_in}. Fix them there, and place that file."))
    if report.unsent:
        listing = Listing([">row"], long="request and reason")
        for row in report.unsent[:_MAX_FOLLOWED]:
            listing.add(str(row.row), long=f"{row.request_id}  {row.reason}")
        words = (
            f"{len(report.unsent)} not sent{_more(report.unsent)}. Run the same command again; no one is called twice:"
        )
        shown += [Text(words, "bold red"), listing]
    if report.following:
        shown.append(render(report.following))
    return Group(*shown)


@render.register
def _(following: Following) -> RenderableType:
    counts = Counter(call.status for call in following.calls)
    tally = tallied({status: counts[status] for status in (*STATUS_ORDER, QUEUED)})
    listing = Listing(["status", "rang", ">row", "reason"], long="request")
    for call in sorted(following.calls, key=_priority)[:_MAX_FOLLOWED]:
        listing.add(
            render_status(call.status),
            call.dialled.value,
            "" if call.row is None else str(call.row),
            call.reason_code or call.park_reason or "",
            long=_request(call),
        )
    ended = f"{following.ended} of {len(following.calls)} have their outcome{_after_colon(tally)}"
    shown: list[RenderableType] = [Text(ended, "bold")]
    if len(listing):
        shown.append(listing)
    if more := _more(following.calls):
        shown.append(Text(more.strip(" ()")))
    return Group(*shown)


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
def _(queue: QueueListing) -> RenderableType:
    noun = queue.queue.removesuffix("s")
    more = "; there are more: raise --limit" if queue.more else ""
    expired = sum(message.expired for message in queue.messages)
    too_old = f", {expired} expired" if expired else ""
    shown: list[RenderableType] = [Text(f"{counted(len(queue.messages), noun)}{too_old}{more}", "bold")]
    listing = Listing(["age", "number"], long="message, request and reason")
    for message in queue.messages:
        listing.add(
            f"{_age(message.age_seconds)}{', expired' if message.expired else ''}",
            message.phone_number or "",
            long="  ".join(filter(None, [message.id, message.request_id, message.reason])),
        )
    if len(listing):
        shown.append(listing)
    if queue.exported_to:
        shown.append(Text(f"Exported to {queue.exported_to}, which holds names and numbers."))
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
            ("still in the queue", _still_there(report.still_there, report.unseen)),
        ]
    )
    listing = Listing([], long="message and reason")
    for message in report.unsent:
        listing.add(long=f"{message.id}  {message.reason}")
    for message_id in report.expired:
        listing.add(long=f"{message_id}  expired: not sent without --late")
    for message_id in report.unreadable:
        listing.add(long=f"{message_id}  not JSON that the stack can read: its sender has to send it again")
    for message_id in report.not_found:
        listing.add(long=f"{message_id}  not found: sent before, expired, or held by another reader")
    return Group(facts, listing) if len(listing) else facts


@render.register
def _(report: DiscardReport) -> RenderableType:
    noun = report.queue.removesuffix("s")
    heading = Text(f"{report.discarded:,} of {counted(report.chosen, noun)} discarded", "bold")
    listing = Listing([], long="message and reason")
    for message_id in report.not_found:
        listing.add(long=f"{message_id}  not found: not in the queue, or held by another reader")
    still_there = Text(f"still in the queue: {_still_there(report.still_there, report.unseen)}")
    copy = [Text(f"Exported to {report.exported_to}, which holds names and numbers.")] if report.exported_to else []
    return Group(heading, *([listing] if len(listing) else []), still_there, *copy)


def _still_there(seen: int, unseen: int) -> str:
    return f"{seen:,}, and {unseen:,} that weren't looked at: raise --limit" if unseen else f"{seen:,}"


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


def render_status(status: str) -> Text:
    """A status in its colour."""
    return Text(status, _STYLES.get(status, ""))


def narrow_table(*columns: str) -> Table:
    """A table for narrow terminals: no lines, and every column is whole but the last, which gets what width is left.

    A column whose name begins with `>` holds numbers. What may be long, such as an id, belongs into the last.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns[:-1]:
        table.add_column(column.removeprefix(">"), justify="right" if column[:1] == ">" else "left", no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
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
