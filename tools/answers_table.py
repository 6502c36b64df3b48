"""The table of AlloMia's answers in docs/explain/architecture.md, made by the real client from each answer.

python -m tools.answers_table    writes it
"""

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import httpx

from outbound_calls.adapters.allomia import (
    Accepted,
    AllomiaClient,
    Ambiguous,
    Declined,
    Ended,
    KeyUnusable,
    NotAccepted,
    PlaceAnswer,
    Throttled,
    http_client,
)
from outbound_calls.adapters.organizations import Organization
from outbound_calls.contracts.vocabulary import ParkReason
from outbound_calls.domain.attempts import CallRequest
from outbound_calls.domain.timing import KEY_DECLINED_BACKOFF_SECONDS
from outbound_calls.runtime.assembly import Assembly

PAGE = Path(__file__).resolve().parent.parent / "docs/explain/architecture.md"
_BLOCK = re.compile(r"(?<=<!-- generated: allomia-answers -->\n).*?(?=<!-- end generated -->)", re.DOTALL)
_REQUEST = CallRequest("+15005550100", "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa")
_STATE = {"outboundCallId": "c3d4e5f6-a7b8-9012-cdef-345678901234", "status": "calling"}

_ERROR = {"error": "invalid"}


def _answer(code: int, body: object = None, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx.Response(code, json=body, headers=names)


def _raise(error: type[httpx.RequestError]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("", request=request)

    return answer


ANSWERS: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "connect error or TLS failure": _raise(httpx.ConnectError),
    "connect timeout": _raise(httpx.ConnectTimeout),
    "no free connection": _raise(httpx.PoolTimeout),
    "301, 307 or 308": _answer(307),
    "429": _answer(429),
    "503 with `Retry-After`": _answer(503, Retry_After="60"),
    "401": _answer(401),
    "403": _answer(403),
    "400": _answer(400, _ERROR),
    "404": _answer(404, _ERROR),
    "422": _answer(422, _ERROR),
    "any other 4xx": _answer(418, _ERROR),
    "a 4xx that is no error in JSON, such as a proxy's page": _answer(404),
    "2xx with `failed`": _answer(200, _STATE | {"status": "failed"}),
    "2xx with `failed` and no id": _answer(200, {"status": "failed"}),
    "2xx with `calling`": _answer(200, _STATE),
    "2xx with an id and any other status": _answer(200, _STATE | {"status": "queued"}),
    "2xx that can't be read": _answer(200),
    "read timeout": _raise(httpx.ReadTimeout),
    "write timeout": _raise(httpx.WriteTimeout),
    "dropped connection": _raise(httpx.RemoteProtocolError),
    "408": _answer(408),
    "500": _answer(500),
    "503 without `Retry-After`": _answer(503),
    "any other 5xx": _answer(599),
    "any other redirect": _answer(302),
}


def _ask(answer: Callable[[httpx.Request], httpx.Response]) -> PlaceAnswer:
    organizations = Assembly(lambda *_: None).organizations("")
    with http_client("https://allomia.invalid", httpx.MockTransport(answer)) as http:
        client = AllomiaClient(http, organizations)
        return client.place_call(Organization("key"), _REQUEST, "https://hooks.invalid/a/1/s")


def _meaning(answer: PlaceAnswer) -> tuple[str, str]:
    """Whether a call may have been placed, and what follows."""
    match answer:
        case Accepted(outcome=None, allomia_status=None):
            return "yes", "`calling`"
        case Accepted(outcome=None):
            return "yes", "`calling`; the status is kept and counted, and not guessed at"
        case Accepted(outcome=outcome) | Ended(outcome) if outcome:
            return "it failed", f"`{outcome.status}`"
        case Declined():
            code = ParkReason.REFUSED_BY_ALLOMIA
            return "no", f"`scheduled` and tried again (`{code}`); `rejected` only where the request itself is wrong"
        case Throttled(reason):
            return "no", f"`scheduled`, at least for `Retry-After` (`{reason}`)"
        case KeyUnusable(reason):
            minutes = round(KEY_DECLINED_BACKOFF_SECONDS / 60)
            return "no", f"`scheduled` for at least {minutes} minutes; the key is read again (`{reason}`)"
        case NotAccepted(reason):
            return "no", f"`scheduled` with backoff (`{reason}`)"
        case Ambiguous():
            return "maybe", "stays `dispatching`: never posted again"
    raise AssertionError(answer)


def rows() -> Iterator[tuple[str, str, str]]:
    """The table's rows, answers with the same meaning in one."""
    meanings = [(name, *_meaning(_ask(answer))) for name, answer in ANSWERS.items()]
    for (placed, follows), alike in groupby(meanings, key=lambda row: row[1:]):
        yield ", ".join(name for name, *_ in alike), placed, follows
    yield "the function is killed between claim and settle", "maybe", "stays `dispatching`: never posted again"


def page() -> str:
    """The page with the table as it should be."""
    table = ["| what happened | may a call have been placed? | what follows |", "| --- | --- | --- |"]
    table += [f"| {' | '.join(row)} |" for row in rows()]
    return _BLOCK.sub(lambda _old: "\n".join(table) + "\n", PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())
