"""The console's pages."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from calls.console.access import Access, Keys
from calls.console.actions import Actions, Done, finding_in
from calls.console.forms import Form, attempts_in, messages_in, one, read_form
from calls.operations.cancelling import own_name, request_key
from calls.operations.discarding import MessageQueue
from calls.operations.explaining import Explaining, ShownRequest
from calls.operations.lines import LinesView
from calls.operations.masking import mask_text, masked, unmasked
from calls.operations.overview import MAX_ORGANIZATIONS, Overview
from calls.operations.reporting import Most, Period, Reporting, Selection, needs_a_person
from calls.operations.resolving import Finding, NotAllowed, reports_an_answer
from calls.operations.stack import DeployedStack, NoSuchStack
from calls.operations.watching import queue_depth
from calls.pages.report import Language, Words, environment, report_style, report_values
from outbound_calls.adapters.conditional_writes import WriteUnanswered
from outbound_calls.adapters.secrets import SecretUnusable
from outbound_calls.contracts.time_zones import time_zone
from outbound_calls.contracts.vocabulary import Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import AttemptKey
from outbound_calls.domain.transitions import TERMINAL
from outbound_calls.use_cases.decide import PolicyUnreadable

_FOLDER = Path(__file__).parent
LANGUAGE_COOKIE = "calls-language"

type View = Callable[[Request], Response]
type Action = Callable[[Request, Form], Response]

MOST_REPORTED = Most(ended=10_000, open=1_000)
"""Of the numbers of today: more would take too long for a page."""

VIEWS = ("overview", "to-do", "waiting", "messages", "report", "policy")
"""The views in the navigation, by the name of their words."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """How a console is run. `clock` is epoch seconds."""

    read_only: bool = False
    show_numbers: bool = False
    language: Language = Language.ENGLISH
    clock: Callable[[], float] = time.time


def console_app(stack: DeployedStack, options: ConsoleOptions, host: str, keys: Keys) -> Access:
    """The console of a stack, at this host and port."""
    console = Console(stack, options, keys)
    views = {
        "/": console.overview,
        "/to-do": console.to_do,
        "/waiting": console.waiting,
        "/messages": console.messages,
        "/report": console.report,
        "/policy": console.policy,
        "/requests/{key}": console.request,
    }
    actions = {
        "/resolve": console.resolve,
        "/cancel": console.cancel,
        "/discard": console.discard,
        "/dial-again": console.dial_again,
        "/pause": console.pause,
        "/resume": console.resume,
    }
    routes = [
        *(Route(path, console.answering(view)) for path, view in views.items()),
        *(
            Route(path, console.acting(action), methods=["POST"])
            for path, action in actions.items()
            if not options.read_only
        ),
        Route("/language/{language}", console.choose_language),
        Route("/console.css", style),
    ]
    return Access(Starlette(routes=routes, exception_handlers={HTTPException: console.refused}), host, keys)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The organizations whose calls a page looks at (None is the default one), of every one of the stack."""

    every: Sequence[str | None]
    looked_at: Sequence[str | None]
    name: str = ""
    """The one that was chosen."""

    @property
    def left(self) -> int:
        """How many aren't looked at, although none was chosen."""
        return 0 if self.name else len(self.every) - len(self.looked_at)


@dataclass(frozen=True, slots=True)
class Console:
    """Answers with pages. Each reads only what it shows."""

    stack: DeployedStack
    options: ConsoleOptions
    keys: Keys

    def answering(self, view: View) -> View:
        """A view that answers an error with a page."""

        def answer(request: Request) -> Response:
            try:
                return view(request)
            except HTTPException:
                raise
            except Exception as error:  # noqa: BLE001 - its text may hold a person's data
                return self._failed(request, error)

        return answer

    def acting(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        """An action that takes a form of this console, and answers an error with a page."""

        async def answer(request: Request) -> Response:
            form = await read_form(request, self.keys.form)
            return await run_in_threadpool(self.answering(lambda each: action(each, form)), request)

        return answer

    def resolve(self, request: Request, form: Form) -> Response:
        """Record what a person found out: of one call at once, of several after they confirmed it."""
        if single := one(form, "single"):
            finding, _, call = single.partition(" ")
            form = {"finding": [finding], "call": [call]}
        elif one(form, "confirmed") != "yes":
            return self._confirm_calls(request, "resolve", form, "to-do", finding=finding_in(form))
        return self._done(request, self._actions().resolve(form), "to-do")

    def cancel(self, request: Request, form: Form) -> Response:
        """Cancel requests, after the person confirmed it."""
        if one(form, "confirmed") != "yes":
            return self._confirm_calls(request, "cancel", form, "waiting")
        return self._done(request, self._actions().cancel(form), "waiting")

    def discard(self, request: Request, form: Form) -> Response:
        """Delete messages that wait, after the person confirmed it."""
        queue = self._queue(one(form, "queue"))
        if single := one(form, "single"):
            form = {**form, "message": [single]}
        if one(form, "confirmed") != "yes":
            chosen = [(f"{id_} {name}", name) for id_, name in messages_in(form).items()]
            return self._confirm(request, "discard", "message", chosen, "messages", queue=queue.name)
        return self._done(request, self._actions().discard(form, queue), "messages")

    def dial_again(self, request: Request, form: Form) -> Response:
        """Make another attempt."""
        return self._done(request, self._actions().dial_again(form), "waiting")

    def pause(self, request: Request, form: Form) -> Response:
        """Pause calls."""
        return self._done(request, self._actions().pause(form), "policy")

    def resume(self, request: Request, form: Form) -> Response:
        """Resume calls."""
        return self._done(request, self._actions().resume(form), "policy")

    def _actions(self) -> Actions:
        return Actions(self.stack, self.options.clock)

    def _confirm_calls(self, request: Request, action: str, form: Form, back: str, **fields: str) -> Response:
        chosen = [(f"{each.request}/{each.number}", str(each.request)) for each in attempts_in(form)]
        return self._confirm(request, action, "call", chosen, back, **fields)

    def _confirm(
        self, request: Request, action: str, name: str, chosen: Sequence[tuple[str, str]], back: str, **fields: str
    ) -> Response:
        """Ask whether to do this with what was chosen: with each value of the field `name`, and its words."""
        return self._page(request, "confirm", action=action, name=name, chosen=chosen, back=back, fields=fields)

    def _done(self, request: Request, done: Sequence[Done], back: str) -> Response:
        view = "done" if all(each.worked for each in done) else "partly done"
        return self._page(request, "done", heading=f"view {view}", done=done, back=back)

    def overview(self, request: Request) -> Response:
        """What needs a person, what is in progress, which lines are in use, and what waits, in short."""
        stack, look, chosen = self.stack, self._look(), self._chosen(request)
        lines = LinesView(stack.table, stack.lines_table, stack.current_policy, self.options.clock)
        with ThreadPoolExecutor() as pool:
            to_do = pool.submit(look.to_do, chosen.looked_at)
            open_calls = pool.submit(look.open_calls)
            in_use = pool.submit(lines.limited, chosen.looked_at)
            queues = pool.map(lambda each: queue_depth(stack.sqs, each.name, each.url), self._queues())
            return self._page(
                request,
                "overview",
                chosen=chosen,
                paused=stack.policies.in_force().paused,
                open=open_calls.result(),
                stuck=open_calls.result().stuck,
                to_do=to_do.result(),
                lines=in_use.result(),
                queues=list(queues),
            )

    def to_do(self, request: Request) -> Response:
        """What needs a person."""
        chosen = self._chosen(request)
        return self._page(request, "to-do", chosen=chosen, to_do=self._look().to_do(chosen.looked_at))

    def waiting(self, request: Request) -> Response:
        """What is in progress, and what waits, why and until when."""
        return self._page(request, "waiting", open=self._look().open_calls())

    def messages(self, request: Request) -> Response:
        """The messages that wait for a person, with why."""
        mask = unmasked if self.options.show_numbers else masked
        with ThreadPoolExecutor() as pool:
            queues = list(pool.map(lambda each: each.list(mask), self._queues()))
        return self._page(request, "messages", queues=queues)

    def report(self, request: Request) -> Response:
        """The results of today's calls."""
        zone, now = self._zone(), self.options.clock()
        today = datetime.fromtimestamp(now, zone).date()
        chosen = self._chosen(request)
        selection = Selection(chosen.looked_at)
        period = Period(today, today, zone)
        report = Reporting(self.stack.records, now).of_days(selection, period, trend=False, most=MOST_REPORTED)
        values: dict[str, Any] = report_values(report, self._words(request))
        return self._page(request, "report", chosen=chosen, **values)

    def policy(self, request: Request) -> Response:
        """The policy in force, and with `?preview` who could be called now."""
        preview = self._look().preview(self.stack.judge) if "preview" in request.query_params else None
        in_force = self.stack.policies.in_force()
        document = json.dumps(in_force.document.wire(), indent=2, ensure_ascii=False)
        organizations = self.stack.organization_names()
        return self._page(
            request, "policy", policy=in_force, organizations=organizations, document=document, preview=preview
        )

    def request(self, request: Request) -> Response:
        """One request, with all its attempts and, while it waits, what policy says for it rule by rule."""
        key = request_key(request.path_params["key"])
        stack = self.stack
        report = Explaining(stack.table, stack.judge, stack.lines_table, self.options.clock).show(key)
        if report is None:
            raise HTTPException(404)
        mask = unmasked if self.options.show_numbers else masked
        last = self.stack.table.read(AttemptKey(key, report.attempts[-1].attempt))
        number = mask(last.request.phone_number) if last and last.request else None
        unknown = [each.attempt for each in report.attempts if each.status is Status.UNKNOWN]
        return self._page(
            request,
            "request",
            key=str(key),
            report=report,
            phone_number=number,
            unknown=max(unknown, default=None),
            can_cancel=report.park_reason is not None or report.next_attempt_at is not None,
            can_dial_again=_ended(report),
        )

    def choose_language(self, request: Request) -> Response:
        """Show pages in another language from now on, the one that it was asked on first."""
        back = urlsplit(request.headers.get("referer", "")).path
        is_view = back.removeprefix("/") in VIEWS or back.startswith("/requests/")
        response = RedirectResponse(back if is_view else "/", 303)
        if (language := request.path_params["language"]) in list(Language):
            response.set_cookie(LANGUAGE_COOKIE, language, httponly=True, samesite="strict")
        return response

    def refused(self, request: Request, error: Exception) -> Response:
        """There is no such page, or it can't be used so."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._page(request, "error", problem=None, status=status)

    def _failed(self, request: Request, error: Exception) -> Response:
        """What was asked can't be done. No text of an error that isn't known is shown: it may hold personal data."""
        match error:
            case NotAllowed() | InvalidInput():
                status, problem = 409, str(error)
            case ClientError():
                answer = error.response["Error"]
                status, problem = 502, f"{error.operation_name}: {answer.get('Code')}: {answer.get('Message')}"
            case WriteUnanswered():
                status, problem = 502, self._words(request).word("not confirmed")
            case NoSuchStack() | SecretUnusable() | PolicyUnreadable() | BotoCoreError():
                status, problem = 502, str(error)
            case _:
                status, problem = 500, type(error).__name__
        return self._page(request, "error", problem=problem, status=status)

    def _look(self) -> Overview:
        return Overview(self.stack.records, self.options.clock())

    def _chosen(self, request: Request) -> Chosen:
        """The organization that the address names, or else the first ones."""
        every, name = self.stack.organization_names(), request.query_params.get("organization")
        if not name:
            return Chosen(every, every[:MAX_ORGANIZATIONS])
        organization = own_name(name)
        if organization not in every:
            raise HTTPException(404)
        return Chosen(every, [organization], name)

    def _queues(self) -> list[MessageQueue]:
        """The queues of messages that wait for a person, each with the name of its words."""
        stack, clock = self.stack, self.options.clock
        invalid, failed = stack.invalid_messages_queue_url, stack.dead_letter_queue_url
        return [
            MessageQueue(stack.sqs, "invalid messages", invalid, True, stack.last_moment, clock),
            MessageQueue(stack.sqs, "dead letters", failed, False, stack.last_moment, clock),
        ]

    def _queue(self, name: str) -> MessageQueue:
        for each in self._queues():
            if each.name == name:
                return each
        raise HTTPException(404)

    def _zone(self) -> tzinfo | None:
        name = self.stack.policies.time_zone(None)
        return time_zone(name) if name else None

    def _words(self, request: Request) -> Words:
        chosen = request.cookies.get(LANGUAGE_COOKIE)
        return Words(Language(chosen) if chosen in list(Language) else self.options.language)

    def _page(self, request: Request, view: str, *, status: int = 200, **values: Any) -> Response:
        """A view in the language that was chosen. Everything that others wrote is escaped, and numbers are masked."""
        words, now = self._words(request), self.options.clock()
        shared: Mapping[str, object] = {
            "view": view,
            "views": VIEWS,
            "language": words.language.value,
            "languages": {each.value: words.word(f"language {each}") for each in Language},
            "stack": self.stack,
            "read_only": self.options.read_only,
            "form_key": self.keys.form,
            "word": words.word,
            "number": words.number,
            "outcome": words.outcome,
            "code": words.code,
            "needs_a_person": needs_a_person,
            "findings": list(Finding),
            "moment": lambda text: _local(words, text),
            "ago": lambda seconds: _local(words, datetime.fromtimestamp(int(now) - seconds, UTC).isoformat()),
            "duration": words.duration,
            "pause": lambda text: _pause(words, text),
            "all_chosen": "all" in request.query_params,
            "mask": mask_text,
            "now": _local(words, datetime.fromtimestamp(int(now), UTC).isoformat()),
        }
        return HTMLResponse(_templates().get_template(f"{view}.html.jinja").render(**{**shared, **values}), status)


def _ended(report: ShownRequest) -> bool:
    """Whether another attempt could be made: the last has ended, and the call didn't take place."""
    answered = (reports_an_answer(each.status, each.reason_code) for each in report.attempts)
    return report.attempts[-1].status in TERMINAL and not any(answered)


def _pause(words: Words, text: str) -> str:
    """Where calls are paused, as `calling_policy.pauses` says it, in a page's language."""
    if text == "all calls":
        return words.word("every call")
    parts = (part.partition(" ") for part in text.split(", "))
    return ", ".join(words.word(kind, name=name) for kind, _, name in parts)


def style(_request: Request) -> Response:
    """The style sheet."""
    text = report_style() + (_FOLDER / "console.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css")


@cache
def _templates() -> Environment:
    return environment(_FOLDER)


def _local(words: Words, text: str | None) -> str:
    """An ISO time by this computer's clock."""
    if text is None:
        return ""
    return words.short_moment(datetime.fromisoformat(text).astimezone())
