"""The console in a real browser: axe finds nothing, the keyboard is enough, and the content-security policy holds.

With `TESTS_SCREENSHOTS=1` the first writes the screenshots of docs/operate/images.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import uvicorn

from calls.console.access import Keys
from calls.console.app import ConsoleOptions, console_app
from calls.pages.report import Language
from local.cloud import ROOT, LocalCloud
from outbound_calls.contracts.vocabulary import ParkReason, Status
from outbound_calls.domain.attempts import AttemptKey, RequestKey
from tests.cloud.operator import OperatedStack
from tests.cloud.parts import an_outcome, new_attempt
from tests.unit.parts import PHONE_NUMBER, Clock
from tests.world import NOW

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
VIEWS = (
    "",
    "to-do?all",
    "waiting",
    "messages",
    "report",
    "policy",
    "policy?preview",
    "requests/lost-1",
    "requests/waits-1",
    "none",
)
SCREENSHOTS = {
    "": "overview",
    "to-do?all": "to-do",
    "waiting": "waiting",
    "messages": "messages",
    "policy?preview": "policy",
}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the console's browser tests need Chromium: install chromium")


class Served(NamedTuple):
    """A console that runs."""

    operated: OperatedStack
    url: str
    key: str


@pytest.fixture(scope="module")
def served(cloud: LocalCloud) -> Iterator[Served]:
    operated = OperatedStack(cloud, name="allomia-outbound-calls-dev")
    for name in ("lost-1", "lost-2"):
        claimed = operated.attempts.claim(new_attempt(AttemptKey(RequestKey(name), 1)))
        assert claimed is not None
        assert operated.stack.table.record(claimed.key, an_outcome(Status.UNKNOWN), NOW + 200).stored
    assert operated.attempts.claim(new_attempt(AttemptKey(RequestKey("placed-1"), 1)))
    for name, reason in (("waits-1", ParkReason.OUTSIDE_CALLING_WINDOW), ("waits-2", ParkReason.KEY_DECLINED)):
        assert operated.stack.table.park(new_attempt(AttemptKey(RequestKey(name), 1)), NOW + 60, reason)
    for url, name in (
        (operated.stack.invalid_messages_queue_url, "bad-1"),
        (operated.stack.dead_letter_queue_url, "bad-2"),
    ):
        broken: Any = {"reason": {"DataType": "String", "StringValue": "timeZone: a time zone"}}
        body = json.dumps({"requestId": name, "phoneNumber": PHONE_NUMBER})
        operated.stack.sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=broken)
    document = b'{"organizations": {"north": {"maxConcurrentCalls": 3}}}'
    operated.stack.policies.set(*operated.stack.policies.propose(document, None), "user/alice")
    keys = Keys()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        app = console_app(operated.stack, ConsoleOptions(clock=Clock(now=NOW + 300)), host, keys)
        server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Served(operated, f"http://{host}/", keys.url)
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


def opened(browser: Browser, served: Served, *, checked: bool = False) -> Page:
    """A page of a browser that was let in. `checked` lets axe in, which the content-security policy wouldn't."""
    page = browser.new_context(bypass_csp=checked, viewport={"width": 1000, "height": 620}).new_page()
    page.goto(f"{served.url}?token={served.key}")
    assert page.url == served.url
    return page


@pytest.mark.parametrize("language", Language)
def test_axe_finds_nothing(browser: Browser, served: Served, language: Language) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, served, checked=True)
    page.goto(f"{served.url}language/{language}")
    views = VIEWS if language is Language.ENGLISH else VIEWS[1:3]
    found = {}
    for view in views:
        shown = page.goto(served.url + view)
        assert shown is not None
        assert shown.status == (404 if view == "none" else 200)
        if "TESTS_SCREENSHOTS" in os.environ and language is Language.ENGLISH and view in SCREENSHOTS:
            page.screenshot(path=ROOT / f"docs/operate/images/console-{SCREENSHOTS[view]}.png")
        found[view] = [(each["id"], each["help"]) for each in Axe().run(page).response["violations"]]

    assert found == {view: [] for view in views}


def reach(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press a key until this has the focus, and it can be seen."""
    for _ in range(60):
        page.keyboard.press(key)
        if wanted.evaluate("element => element === document.activeElement"):
            assert wanted.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
            return
    raise AssertionError(f"{wanted} can't be reached with {key}")


def press(page: Page, button: str, key: str = "Tab") -> None:
    """Reach a button and press Enter."""
    reach(page, page.get_by_role("button", name=button, exact=True), key)
    page.keyboard.press("Enter")


def choose(page: Page, name: str) -> None:
    reach(page, page.get_by_role("checkbox", name=f"Choose {name}"))
    page.keyboard.press("Space")


def done(page: Page) -> str:
    """What the page says that was done."""
    page.get_by_role("heading", name="Done", exact=True).wait_for()
    return page.get_by_role("main").inner_text()


def test_a_call_is_resolved_with_the_keyboard_alone(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.goto(served.url + "to-do")

    press(page, "Record lost-2 as: Busy")

    assert "lost-2: Busy" in done(page)
    assert served.operated.attempts.status(AttemptKey(RequestKey("lost-2"), 1)) == "busy"
    assert [each for each in problems if "Content Security Policy" in each] == []


def test_a_request_is_cancelled_with_the_keyboard_alone(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    page.goto(served.url + "waiting")

    choose(page, "waits-2")
    press(page, "Cancel the chosen requests…", "Shift+Tab")
    press(page, "Confirm")

    assert "waits-2: cancelled" in done(page)
    assert served.operated.attempts.status(AttemptKey(RequestKey("waits-2"), 1)) == "cancelled"


def test_a_message_is_discarded_with_the_keyboard_alone(browser: Browser, served: Served) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, served, checked=True)
    page.goto(served.url + "messages")

    press(page, "Discard bad-1…")
    page.get_by_role("heading", name="Please confirm").wait_for()
    assert Axe().run(page).response["violations"] == []
    press(page, "Confirm")

    assert "bad-1: discarded" in done(page)


def test_calls_are_paused_and_resumed_with_the_keyboard_alone(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    page.goto(served.url + "policy")

    press(page, "Pause calls")
    assert "Calls are paused everywhere" in done(page)
    assert served.operated.stack.policies.in_force().paused == ["all calls"]
    page.goto(served.url + "policy")
    press(page, "Resume calls")

    assert "Calls are resumed" in done(page)
    assert served.operated.stack.policies.in_force().paused == []


def test_a_page_runs_no_script(browser: Browser, served: Served) -> None:
    page = opened(browser, served)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.wait_for_timeout(100)

    assert page.title().startswith("Overview")
