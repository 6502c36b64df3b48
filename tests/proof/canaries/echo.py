"""An AlloMia that leaks: every answer repeats all that it was sent."""

import html
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from tests.unit.parts import CALL_ID, HttpRequest, http_answer

# The request id, which is in the callback URL, selects the answer.
DECLINING = {
    "plain": "{}",
    "quoted": "Invalid value '{}'.",
    "in-a-sentence": "we could not call {}, please check",
    "assigned": "phoneNumber={}",
    "glued": "value:{}!next",
    "between-letters": "x{}x",
    "underscored": "value_{}_declined",
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
    "declined-text": "400 Bad Request",
    "declined-structure": "422 Unprocessable Entity",
    "declined-list": "404 Not Found",
    "key-declined": "401 Unauthorized",
    "forbidden": "403 Forbidden",
    "throttled": "429 Too Many Requests",
    "unavailable": "503 Service Unavailable",
    "broken": "500 Internal Server Error",
    "redirected": "302 Found",
    "odd": "200 OK",
}
DECLINED = [*(f"{shape}{form}" for shape in DECLINING for form in FORMS), *(n for n in ANSWERS if "declined-" in n)]
OTHERS = [*(name for name in ANSWERS if "declined-" not in name), "dropped", "failed", "calling"]


def answer(connection: socket.socket, request: HttpRequest) -> bool:
    """Answer as the callback URL in the request asks. A status answer repeats the path and the key."""
    order: dict[str, Any] = json.loads(request.body) if request.body else {}
    content = [*_values(order), request.headers.get("authorization", ""), request.path]
    which = order.get("callbackUrl", "///").split("/")[-3]
    if which == "dropped":
        return False
    connection.sendall(_answer(which, content, order))
    return True


def _answer(which: str, content: list[str], order: Mapping[str, Any]) -> bytes:
    for shape, pattern in DECLINING.items():
        for form, encode in FORMS.items():
            if which == f"{shape}{form}":
                words = " ".join(pattern.format(encode(value)) for value in content)
                return http_answer(json.dumps({"error": words}), "400 Bad Request")
    words = " ".join(content)
    if which not in ANSWERS:
        status = "failed" if which == "failed" else "calling"
        state = {"outboundCallId": CALL_ID, "contactId": None, "status": status, "message": words}
        return http_answer(json.dumps(state))
    bodies = {
        "declined-text": words,
        "declined-structure": json.dumps({"error": {"message": content, "request": order}, "message": content}),
        "declined-list": json.dumps({"error": content}),
    }
    body = bodies.get(which, json.dumps({"error": words, "request": order}))
    # A header can hold ASCII only.
    header = quote(words, safe=" ")
    return http_answer(body, ANSWERS[which], Location=header, X_Echo=header)


def _values(value: object) -> list[str]:
    match value:
        case dict():
            return [text for each in value.values() for text in _values(each)]
        case list():
            return [text for each in value for text in _values(each)]
        case _:
            return [str(value)]
