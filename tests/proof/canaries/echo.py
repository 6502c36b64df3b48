"""An AlloMia that talks too much: it repeats all that it was told, in every answer that it can give."""

import html
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from tests.unit.parts import HttpRequest, http_answer

CALL_ID = "c3d4e5f6-a7b8-9012-cdef-345678901234"

# By the request id, which is in the callback URL.
REFUSALS = {
    "plain": "{}",
    "quoted": "Invalid value '{}'.",
    "in-a-sentence": "we could not call {}, please check",
    "assigned": "phoneNumber={}",
    "glued": "value:{}!next",
    "between-letters": "x{}x",
    "underscored": "value_{}_refused",
}
FORMS: dict[str, Callable[[str], str]] = {
    "": str,
    "-upper": str.upper,
    "-lower": str.lower,
    "-json": lambda text: json.dumps(text)[1:-1],
    "-url": lambda text: quote(text, safe=""),
    "-form": quote_plus,
    "-html": lambda text: html.escape(text.replace("ë", "&euml;")),
}
ANSWERS = {
    "refused-text": "400 Bad Request",
    "refused-structure": "422 Unprocessable Entity",
    "refused-list": "404 Not Found",
    "key-refused": "401 Unauthorized",
    "forbidden": "403 Forbidden",
    "throttled": "429 Too Many Requests",
    "unavailable": "503 Service Unavailable",
    "broken": "500 Internal Server Error",
    "redirected": "302 Found",
    "odd": "200 OK",
}
REQUESTS = [*(f"{shape}{form}" for shape in REFUSALS for form in FORMS), *ANSWERS, "dropped", "failed", "calling"]


def answer(connection: socket.socket, request: HttpRequest) -> bool:
    """Behave towards one request as its callback URL asks; a status read repeats its path and key."""
    told: dict[str, Any] = json.loads(request.body) if request.body else {}
    said = [*_values(told), request.headers.get("authorization", ""), request.path]
    which = told.get("callbackUrl", "///").split("/")[-3]
    if which == "dropped":
        return False
    connection.sendall(_answer(which, said, told, request))
    return True


def _answer(which: str, said: list[str], told: Mapping[str, Any], request: HttpRequest) -> bytes:
    for shape, pattern in REFUSALS.items():
        for form, dress in FORMS.items():
            if which == f"{shape}{form}":
                words = " ".join(pattern.format(dress(value)) for value in said)
                return http_answer(json.dumps({"error": words}), "400 Bad Request")
    state = {"outboundCallId": CALL_ID, "contactId": None, "status": "calling", "message": " ".join(said)}
    if which == "failed":
        return http_answer(json.dumps(state | {"status": "failed"}))
    if which not in ANSWERS:
        return http_answer(json.dumps(state))
    bodies = {
        "refused-text": " ".join(said),
        "refused-structure": json.dumps({"error": {"message": said, "request": told}, "message": said}),
        "refused-list": json.dumps({"error": said}),
    }
    # A header may hold ASCII only.
    place = quote(" ".join(said), safe=" ")
    return http_answer(
        bodies.get(which, json.dumps({"error": " ".join(said), "request": told})),
        ANSWERS[which],
        Location=place,
        X_Said=place,
    )


def _values(value: object) -> list[str]:
    match value:
        case dict():
            return [text for each in value.values() for text in _values(each)]
        case list():
            return [text for each in value for text in _values(each)]
        case _:
            return [str(value)]
