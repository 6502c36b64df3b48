"""The console's pages over the real tables: what they show, who gets them, and what that reads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from calls.console.access import COOKIE, HEADERS, Access, Keys
from calls.console.app import ConsoleOptions, console_app
from calls.pages.report import Language
from local.cloud import ROOT, LocalCloud
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, Labels, RequestKey
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import an_outcome, new_attempt, operations_asked
from tests.unit.parts import PHONE_NUMBER, Clock
from tests.world import NOW

HOST = "127.0.0.1:8123"
ORIGIN = f"http://{HOST}"
VIEWS = ("/", "/to-do", "/waiting", "/messages", "/report", "/policy", "/policy?preview")
HOSTILE = "<script>alert(1)</script>\"'>"
OTHER_NUMBER = "+15145550199"
KEYS = Keys("the-token", "the-cookie", "the-form")


@pytest.fixture(scope="module")
def operated(cloud: LocalCloud) -> OperatedStack:
    return OperatedStack(cloud)


class Browser:
    """A browser with cookies, which follows no redirect by itself."""

    def __init__(self, app: Access, cookies: dict[str, str]) -> None:
        self._app = app
        self._cookies = httpx.Cookies(cookies)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._ask("GET", path, options))

    def post(self, path: str, *, form: str = "the-form", origin: str = ORIGIN, **fields: Any) -> httpx.Response:
        """Send a form of this console."""
        return asyncio.run(self._ask("POST", path, {"data": {"form": form, **fields}, "headers": {"origin": origin}}))

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self._cookies) as http:
            answer = await http.request(method, path, **options)
            self._cookies = http.cookies
        return answer


def client(operated: OperatedStack, *, let_in: bool = True, **options: Any) -> Browser:
    """A browser, let in or not."""
    chosen = replace(ConsoleOptions(clock=Clock(now=NOW + 300)), **options)
    app = console_app(operated.stack, chosen, HOST, KEYS)
    return Browser(app, {COOKIE: KEYS.cookie} if let_in else {})


def parked(operated: OperatedStack, request_id: str, reason: ParkReason = ParkReason.PAUSED) -> AttemptKey:
    attempt = replace(
        new_attempt(AttemptKey(RequestKey(request_id), 1)), labels=Labels({"clinic": HOSTILE, "other": OTHER_NUMBER})
    )
    assert operated.stack.table.park(attempt, NOW + 60, reason)
    return attempt.key


def unknown(operated: OperatedStack, request_id: str) -> AttemptKey:
    claimed = operated.attempts.claim(new_attempt(AttemptKey(RequestKey(request_id), 1)))
    assert claimed is not None
    assert operated.stack.table.record(claimed.key, an_outcome(Status.UNKNOWN), NOW + 200).stored
    return claimed.key


def message(operated: OperatedStack, request_id: str, reason: str | None = None) -> str:
    """An invalid message with the rule that it breaks, or a dead letter; returns its id."""
    stack = operated.stack
    url = stack.invalid_messages_queue_url if reason else stack.dead_letter_queue_url
    attributes: Any = {"reason": {"DataType": "String", "StringValue": reason}} if reason else {}
    body = json.dumps({"requestId": request_id, "phoneNumber": OTHER_NUMBER, "customerName": "Ada"})
    sent = stack.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    return str(sent["MessageId"])


@pytest.fixture(scope="module")
def filled(operated: OperatedStack) -> OperatedStack:
    """With a call that needs a person, one in progress, three that wait, and two messages."""
    message(operated, "invalid-1", "timeZone: a time zone")
    message(operated, "failed-1")
    unknown(operated, "lost-1")
    claimed = operated.attempts.claim(new_attempt(AttemptKey(RequestKey("placed-1"), 1)))
    assert claimed is not None
    parked(operated, "waits-1", ParkReason.OUTSIDE_CALLING_WINDOW)
    parked(operated, "waits-2", ParkReason.KEY_DECLINED)
    parked(operated, "waits-3")
    return operated


def test_the_printed_address_lets_a_browser_in_with_a_cookie_of_its_own(operated: OperatedStack) -> None:
    browser = client(operated, let_in=False)

    answer = browser.get("/?token=the-token")

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {part.strip().lower() for part in cookie.split(";")} == {
        f"{COOKIE}=the-cookie",
        "httponly",
        "path=/",
        "samesite=strict",
    }
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 403),
        ("/?token=", {}, 403),
        ("/?token=the-tokem", {}, 403),
        ("/to-do?token=the-token", {}, 403),
        ("/", {"cookie": f"{COOKIE}=the-token"}, 403),
        ("/", {"cookie": f"{COOKIE}=é"}, 403),
        ("/?token=the-token", {"host": "console.example"}, 421),
        ("/?token=the-token", {"host": "localhost:8123"}, 421),
        ("/", {"cookie": f"{COOKIE}=the-cookie", "host": "127.0.0.1:9999"}, 421),
        ("/", {"cookie": f"{COOKIE}=the-cookie", "sec-fetch-site": "cross-site"}, 403),
        ("/", {"cookie": f"{COOKIE}=the-cookie", "sec-fetch-site": "same-site"}, 403),
        ("/console.css", {}, 403),
        ("/no-such-page", {}, 403),
    ],
)
def test_no_one_else_gets_anything(operated: OperatedStack, path: str, headers: dict[str, str], status: int) -> None:
    answer = client(operated, let_in=False).get(path, headers={name: each.encode() for name, each in headers.items()})

    assert answer.status_code == status
    assert operated.name not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", [*VIEWS, "/requests/lost-1", "/requests/none", "/none", "/console.css", "/?token=no"])
def test_every_answer_forbids_what_a_page_does_not_need(filled: OperatedStack, path: str) -> None:
    answer = client(filled).get(path)

    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert "<style" not in answer.text


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("path", [*VIEWS, "/requests/lost-1", "/requests/waits-1"])
def test_no_page_holds_a_number_or_a_name(filled: OperatedStack, path: str, language: Language) -> None:
    answer = client(filled, language=language).get(path)

    assert answer.status_code == 200, answer.text
    assert f'<html lang="{language}">' in answer.text
    assert PHONE_NUMBER not in answer.text
    assert "Ada" not in answer.text
    assert OTHER_NUMBER not in answer.text


def test_a_number_is_shown_only_where_it_is_asked_for(filled: OperatedStack) -> None:
    assert PHONE_NUMBER in client(filled, show_numbers=True).get("/requests/waits-1").text


def test_what_others_wrote_is_text(filled: OperatedStack) -> None:
    text = client(filled).get("/requests/waits-1").text

    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_each_view_shows_its_calls(filled: OperatedStack) -> None:
    browser = client(filled)

    to_do, waiting = browser.get("/to-do").text, browser.get("/waiting").text

    assert "lost-1" in to_do
    assert "waits-1" not in to_do
    assert all(words in waiting for words in ("placed-1", "waits-1", "outside calling hours", "AlloMia declines"))
    assert "lost-1" not in waiting
    assert all(words in browser.get("/").text for words in ("lost-1", "placed-1"))
    assert "Result unknown" in browser.get("/report").text


def test_the_policy_says_who_could_be_called_now(filled: OperatedStack) -> None:
    text = client(filled).get("/policy?preview").text

    assert "Could be called now: 3. Must wait: 0. Would be rejected: 0." in text
    assert "preset open" in text


def test_another_language_is_a_choice_that_stays(filled: OperatedStack) -> None:
    browser = client(filled)

    assert browser.get("/language/fr").status_code == 303
    assert "À traiter" in browser.get("/").text
    assert "set-cookie" not in browser.get("/language/xx").headers


@pytest.mark.parametrize(
    ("page", "back"),
    [
        (f"{ORIGIN}/to-do?all", "/to-do"),
        (f"{ORIGIN}/requests/lost-1", "/requests/lost-1"),
        (f"{ORIGIN}/resolve", "/"),
        (f"{ORIGIN}//example.com", "/"),
        ("https://example.com/policy", "/policy"),
        ("", "/"),
    ],
)
def test_another_language_shows_the_same_view(filled: OperatedStack, page: str, back: str) -> None:
    answer = client(filled).get("/language/fr", headers={"referer": page})

    assert (answer.status_code, answer.headers["location"]) == (303, back)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/none", 404, "no such page"),
        ("/requests/none", 404, "no such page"),
        ("/requests/" + urlencode({"": "a b"})[1:], 409, "requestId"),
    ],
)
def test_what_is_not_there_has_a_page(filled: OperatedStack, path: str, status: int, words: str) -> None:
    answer = client(filled).get(path)

    assert (answer.status_code, words in answer.text) == (status, True)


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", 15), ("/to-do", 7), ("/waiting", 10), ("/report", 10), ("/policy", 2), ("/policy?preview", 17)],
)
def test_a_page_reads_no_more_than_it_shows(filled: OperatedStack, path: str, most: int) -> None:
    browser = client(filled)

    with operations_asked(filled.stack.table.client) as asked:
        browser.get(path)

    assert asked.total() <= most, asked
    assert "Scan" not in asked


def test_one_click_records_what_a_person_found_out(filled: OperatedStack) -> None:
    key = unknown(filled, "lost-2")

    text = client(filled).post("/resolve", single="no-answer lost-2/1").text

    assert filled.attempts.status(key) == "no-answer"
    assert filled.attempts.existing_item(key)["resolvedBy"] == filled.stack.operator_arn
    assert "lost-2: No answer" in text


def test_several_are_recorded_once_that_is_confirmed_and_each_has_its_result(filled: OperatedStack) -> None:
    keys = [unknown(filled, f"bulk-{number}") for number in (1, 2)]
    waiting = parked(filled, "bulk-3")
    chosen: dict[str, Any] = {"finding": "busy", "call": [f"{key.request}/1" for key in (*keys, waiting)]}

    asked = client(filled).post("/resolve", **chosen).text

    assert [filled.attempts.status(key) for key in keys] == ["unknown", "unknown"]
    assert all(str(key.request) in asked for key in keys)

    done = client(filled).post("/resolve", confirmed="yes", **chosen).text

    assert [filled.attempts.status(key) for key in (*keys, waiting)] == ["busy", "busy", "scheduled"]
    assert "attempt 1 is scheduled; only an unknown call can be resolved" in done


def test_what_can_not_be_found_out_stays_unknown_and_leaves_the_list(filled: OperatedStack) -> None:
    key = unknown(filled, "left-1")
    assert "left-1" in client(filled).get("/to-do").text

    asked = client(filled).post("/resolve", finding="unknown", call="left-1/1").text
    assert "Leave these calls (1) unknown?" in asked

    text = client(filled).post("/resolve", single="unknown left-1/1").text

    assert "be found out" in text
    assert filled.attempts.status(key) == "unknown"
    assert "left-1" not in client(filled).get("/to-do").text


def test_the_page_of_a_request_offers_what_can_be_done_with_it(filled: OperatedStack) -> None:
    key = unknown(filled, "lost-3")

    assert 'action="/cancel"' in client(filled).get("/requests/waits-1").text
    page = client(filled).get("/requests/lost-3").text
    assert 'value="busy lost-3/1"' in page
    assert 'action="/cancel"' not in page
    client(filled).post("/resolve", single="busy lost-3/1")
    assert filled.attempts.status(key) == "busy"
    assert 'action="/resolve"' not in client(filled).get("/requests/lost-3").text


def test_what_could_not_be_done_has_another_heading(filled: OperatedStack) -> None:
    assert "<h1>Not everything was done</h1>" in client(filled).post("/resolve", single="busy waits-1/1").text


def test_what_waits_until_a_setting_is_fixed_is_on_the_overview(filled: OperatedStack) -> None:
    assert "Requests that wait until someone fixes a setting: 1." in client(filled).get("/").text


def test_messages_are_discarded_once_that_is_confirmed(filled: OperatedStack) -> None:
    ids = {name: message(filled, name, "notBefore: a time") for name in ("bad-1", "bad-2", "bad-3")}
    values = [f"{ids[name]} {name}" for name in ("bad-1", "bad-2")]
    chosen: dict[str, Any] = {"queue": "invalid messages", "message": values}

    asked = client(filled).post("/discard", **chosen).text
    assert "Delete these messages (2) for good?" in asked
    assert all(f'value="{value}"' in asked for value in values)
    assert "bad-3" not in asked
    assert "bad-3" in client(filled).post("/discard", queue="invalid messages", single=f"{ids['bad-3']} bad-3").text

    done = client(filled).post("/discard", confirmed="yes", **chosen).text
    assert all(words in done for words in ("bad-1: discarded", "bad-2: discarded"))
    assert "bad-1: not in the queue any more" in client(filled).post("/discard", confirmed="yes", **chosen).text
    left = client(filled).get("/messages").text
    assert not any(name in left for name in ("bad-1", "bad-2"))
    assert all(name in left for name in ("bad-3", "invalid-1", "failed-1"))
    # A message of another queue isn't touched
    assert client(filled).post("/discard", queue="requests", confirmed="yes", message=values).status_code == 404


@pytest.mark.parametrize("path", ["/to-do", "/waiting", "/messages"])
def test_all_of_a_list_are_chosen_with_one_link(filled: OperatedStack, path: str) -> None:
    browser = client(filled)

    none, every = browser.get(path).text, browser.get(f"{path}?all").text

    assert ('href="?all"' in none, " checked>" in none) == (True, False)
    assert every.count('type="checkbox"') == every.count(" checked>") > 0


def test_requests_are_cancelled_once_that_is_confirmed(filled: OperatedStack) -> None:
    key = parked(filled, "cancel-1")

    client(filled).post("/cancel", call="cancel-1/1")
    assert filled.attempts.status(key) == "scheduled"

    done = client(filled).post("/cancel", call="cancel-1/1", confirmed="yes").text
    assert filled.attempts.status(key) == "cancelled"
    assert "it is not dialled" in done


def test_a_call_is_dialled_again_only_if_the_person_knows_what_that_means(filled: OperatedStack) -> None:
    key = unknown(filled, "again-1")
    fields = {"request": "again-1", "phoneNumber": PHONE_NUMBER, "dynamicVariables": "day=Monday\nplace=Room 4"}
    fields["timeZone"] = "America/Vancouver"

    refused = client(filled).post("/dial-again", **fields)
    assert (refused.status_code, len(filled.stack.table.read_all(key.request))) == (409, 1)

    done = client(filled).post("/dial-again", confirmed="yes", **fields)
    again = filled.attempts.read(AttemptKey(key.request, 2))
    assert (done.status_code, again.status, again.park_reason) == (200, "scheduled", ParkReason.DIAL_AGAIN)
    assert again.terms.time_zone == "America/Vancouver"
    assert again.request is not None
    assert again.request.dynamic_variables == {"day": "Monday", "place": "Room 4"}
    assert PHONE_NUMBER not in refused.text + done.text
    assert client(filled).post("/dial-again", confirmed="yes", **fields).status_code == 409
    assert "again-1" not in client(filled).get("/to-do").text


def test_calls_are_paused_and_resumed(cloud: LocalCloud) -> None:
    operated = OperatedStack(cloud)
    browser = client(operated)

    assert "In progress: 0. Waiting: 0." in browser.post("/pause").text
    assert operated.stack.policies.in_force().paused
    assert "Calls are paused" in browser.get("/").text

    browser.post("/resume")
    assert operated.stack.policies.in_force().paused == []


ACTIONS = ("/resolve", "/cancel", "/discard", "/dial-again", "/pause", "/resume")


@pytest.mark.parametrize("path", ACTIONS)
def test_no_other_page_can_change_anything(filled: OperatedStack, path: str) -> None:
    key = unknown(filled, f"safe-{path[1:]}")
    fields = {"confirmed": "yes", "finding": "busy", "call": f"{key.request}/1", "request": str(key.request)}
    origins = ("null", "http://127.0.0.1:9999", "http://localhost:8123", f"https://{HOST}", "")

    answers = [client(filled).post(path, origin=origin, **fields) for origin in origins]
    answers += [client(filled).post(path, form="another", **fields), client(filled).get(path)]
    answers += [client(filled, let_in=False).post(path, **fields)]

    assert {answer.status_code for answer in answers} <= {403, 405}
    assert filled.attempts.status(key) == "unknown"
    assert filled.stack.policies.in_force().paused == []


@pytest.mark.parametrize("path", ACTIONS)
def test_read_only_has_no_action(filled: OperatedStack, path: str) -> None:
    browser = client(filled, read_only=True)

    assert browser.post(path, confirmed="yes", call="waits-1/1", queue="dead letters").status_code == 404


@pytest.mark.parametrize("path", [*VIEWS, "/requests/lost-1"])
def test_read_only_has_no_form(filled: OperatedStack, path: str) -> None:
    page = client(filled, read_only=True).get(path)

    assert (page.status_code, "<form" in page.text, "checkbox" in page.text) == (200, False, False)


@contextmanager
def command(operated: OperatedStack, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`calls console` as a process of its own, with the operator's credentials."""
    credentials = operated.session.get_credentials()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/outbound_calls'}",
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": operated.session.region_name,
    }
    stack = ("--stack", operated.name, "--endpoint-url", operated.endpoint_url)
    process = subprocess.Popen(
        [sys.executable, "-m", "calls", "console", *stack, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_prints_the_address_that_lets_a_browser_in_until_ctrl_c(filled: OperatedStack) -> None:
    with command(filled) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(follow_redirects=True) as http:
            page = http.get(url)
        stranger = httpx.get(url.partition("?")[0])
        process.send_signal(signal.SIGINT)
        code = process.wait(20)

    assert (page.status_code, filled.name in page.text, "placed-1" in page.text) == (200, True, True)
    assert "token" not in str(page.url)
    assert (stranger.status_code, code) == (403, 0)


def test_a_port_in_use_is_a_clear_error(operated: OperatedStack, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        code = operated.run("console", "--port", str(port))

    assert code == 1
    assert capsys.readouterr().err == (
        f"calls: port {port} can't be used: Address already in use. Choose another with --port\n"
    )
