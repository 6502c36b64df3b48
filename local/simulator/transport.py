"""AlloMia in the same process: an httpx transport that answers as scripted, on the time that the test passes in."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock
from time import time
from typing import override

import httpx

from local.simulator.allomia import Allomia, Reply, read_order
from local.simulator.behaviours import ANSWERS, NOTHING_SENT, STATUS_ANSWERS, Answer, Body, PostAnswer
from local.simulator.calls import Call, Dials, ShownCall, call_id
from local.simulator.faults import Faults

_TIMEOUTS: dict[type[BaseException], str] = {
    httpx.ConnectTimeout: "connect",
    httpx.WriteTimeout: "write",
    httpx.PoolTimeout: "pool",
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that AlloMia is to send: `body` to `url`, at Unix time `at`."""

    at: float
    url: str
    body: Body


class ScriptedAllomia(httpx.BaseTransport):
    """AlloMia as a transport. It knows the calls it accepted, and counts POSTs per callback URL.

    Without a script it is healthy, and the magic numbers work. `post` and `status` answer all requests until they are
    set again; None goes back to normal. Each is a name from `ANSWERS` (for `status`: `STATUS_ANSWERS`) or made with
    `returns(...)` or `fails(...)`. `post` may also be a function that chooses the answer to each order::

        allomia = ScriptedAllomia(clock, accepted_keys=(API_KEY,))
        client = httpx.Client(base_url="https://allomia.example", transport=allomia)

        allomia.post = "decline-429"                        # a behaviour of the simulator
        allomia.post = returns(400, {"error": "no credit"}) # or any answer
        allomia.post = fails(httpx.ReadTimeout)             # or any exception
        allomia.before_answer = lambda request: receive(allomia.state(URL, "completed"))

        assert allomia.posts == [{"phoneNumber": "+14155550123", ...}]
        allomia.check_dials()

    Nothing sleeps and no webhook is sent by itself: they are kept in `webhooks`, and handed to `on_webhook`.

    Args:
        clock: Unix time in seconds.
        sleep: Lets time pass: latency, timeouts, hanging and trickling answers.
        on_webhook: Gets each webhook when its call is accepted, before the POST is answered.
        connect_attempts: How often the real transport would try to connect.
        faults: Fields of `Faults`, as for `Simulator`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time,
        *,
        sleep: Callable[[float], None] = lambda _: None,
        on_webhook: Callable[[Webhook], None] = lambda _: None,
        connect_attempts: int = 1,
        **faults: object,
    ) -> None:
        self.allomia = Allomia(Faults.model_validate(faults, by_name=True), clock)
        self.post: str | PostAnswer | Callable[[dict[str, object]], PostAnswer | None] | None = None
        self.status: str | Answer | None = None
        self.before_answer: Callable[[httpx.Request], None] = lambda _: None
        """Called for each request that arrives, after AlloMia has acted on it."""
        self.posts: list[dict[str, object]] = []
        """The orders of the POSTs that arrived."""
        self.polled: list[str] = []
        """The call ids of the status requests that arrived."""
        self.may_be_accepted: Counter[str] = Counter()
        """By callback URL: the POSTs whose answer does not prove that no call was placed."""
        self.webhooks: list[Webhook] = []
        self._sleep = sleep
        self._on_webhook = on_webhook
        self._connect_attempts = connect_attempts
        self._lock = Lock()

    def calls(self) -> list[ShownCall]:
        """The accepted calls, in the order of acceptance."""
        return self.allomia.shown_calls()

    def dials(self) -> Dials:
        """How many POSTs arrived and how many were accepted, for each callback URL."""
        return self.allomia.dials()

    def configure(self, **faults: object) -> None:
        """Set fields of `Faults`, and leave the others."""
        self.allomia.configure(Faults.model_validate(faults, by_name=True))

    def call(self, callback_url: str) -> Call | None:
        """The call placed with this callback URL; None when there is none."""
        return self.allomia.memory.calls.get(call_id(callback_url))

    def state(self, callback_url: str, status: str = "calling", **changes: object) -> dict[str, object]:
        """What AlloMia answers, or sends to the callback URL, when the call's status is `status`.

        The same id is used for a call that was never placed, as in a forged webhook.
        """
        call = self.call(callback_url)
        body = call.body(status) if call else {"outboundCallId": call_id(callback_url), "status": status}
        return body | changes

    def check_dials(self) -> None:
        """Check that no attempt was dialled twice.

        Raises:
            AssertionError: Two POSTs for one callback URL may have placed a call.
        """
        twice = {url: count for url, count in self.may_be_accepted.items() if count > 1}
        if twice:
            raise AssertionError(f"dialled more than once: {twice}")

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request as scripted.

        Raises:
            BaseException: The scripted one; an httpx error where the real transport would raise it.
        """
        body = request.read()
        post = self._post_answer(body)
        status = STATUS_ANSWERS[self.status] if isinstance(self.status, str) else self.status
        with self._lock:
            authorization = request.headers.get("Authorization", "")
            reply = self.allomia.handle(
                request.method,
                request.url.path,
                authorization,
                body,
                query=request.url.query.decode(),
                base_url=f"{request.url.scheme}://{request.url.netloc.decode()}",
                post=post,
                status=status,
            )
            arrived = reply.answer.error not in NOTHING_SENT
            if arrived:
                self._note(request, body, reply)
        for webhook in _webhooks_of(reply.accepted):
            self.webhooks.append(webhook)
            self._on_webhook(webhook)
        if arrived:
            self.before_answer(request)
        return play(reply, request, self._sleep, self._connect_attempts)

    def _post_answer(self, body: bytes) -> PostAnswer | None:
        if isinstance(self.post, str):
            return ANSWERS[self.post]
        return self.post(read_order(body)) if callable(self.post) else self.post

    def _note(self, request: httpx.Request, body: bytes, reply: Reply) -> None:
        if request.method == "GET":
            if request.url.path.endswith("/status"):
                self.polled.append(request.url.path.split("/")[-2])
            return
        order = read_order(body)
        self.posts.append(order)
        if isinstance(reply.answer, PostAnswer) and reply.answer.means.may_be_accepted:
            self.may_be_accepted[str(order.get("callbackUrl", ""))] += 1


def play(
    reply: Reply,
    request: httpx.Request,
    sleep: Callable[[float], None] = lambda _: None,
    connect_attempts: int = 1,
) -> httpx.Response:
    """What an httpx client sees of `reply`, within the timeouts of its request.

    A test with its own transport calls it with `local.simulator.allomia.reply(ANSWERS[name], healthy_body)`.

    Raises:
        BaseException: The answer's own error.
        httpx.ReadTimeout: The answer takes longer than the request's read timeout.
    """
    timeouts = request.extensions.get("timeout", {})

    def wait(seconds: float) -> None:
        limit = timeouts.get("read")
        if limit is not None and seconds >= limit:
            sleep(limit)
            raise httpx.ReadTimeout("the read timed out", request=request)
        sleep(seconds)

    failure = reply.answer.error
    if failure is httpx.ReadTimeout:
        wait(reply.hang_seconds)
        failure = httpx.RemoteProtocolError
    if failure is not None:
        attempts = connect_attempts if failure is httpx.ConnectTimeout else 1
        sleep(attempts * (timeouts.get(_TIMEOUTS.get(failure, "")) or 0.0))
        raise failure("scripted")
    wait(reply.latency_seconds)
    return httpx.Response(int(reply.answer.code), headers=reply.headers, stream=_Stream(reply, wait), request=request)


class _Stream(httpx.SyncByteStream):
    def __init__(self, reply: Reply, wait: Callable[[float], None]) -> None:
        self._reply, self._wait = reply, wait

    @override
    def __iter__(self) -> Iterator[bytes]:
        content = self._reply.content
        if self._reply.answer.cut:
            yield content[: len(content) // 2]
            raise httpx.ReadError("scripted")
        if not self._reply.answer.trickles:
            yield content
            return
        for byte in content:
            yield bytes([byte])
            self._wait(self._reply.hang_seconds / len(content))


def _webhooks_of(call: Call | None) -> list[Webhook]:
    if call is None:
        return []
    planned = call.webhooks_planned
    return [Webhook(each.at.timestamp(), call.callback_url, call.body(each.status)) for each in planned]
