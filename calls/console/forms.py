"""Reads a form that a page of the console sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from calls.operations.cancelling import request_key
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import AttemptKey, RequestKey

MAX_BYTES = 128 * 1024
MAX_FIELDS = 300

type Form = Mapping[str, Sequence[str]]


async def read_form(request: Request, key: str) -> Form:
    """The fields of a form.

    Raises:
        HTTPException: When it isn't a form of this console, or too long.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413)
    if request.headers.get("content-type") != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPException(400) from None
    if not secrets.compare_digest(one(form, "form").encode(), key.encode()):
        raise HTTPException(403)
    return form


def one(form: Form, name: str) -> str:
    """The value of a field; empty where there is none."""
    return (form.get(name) or ("",))[0].strip()


def requests_in(form: Form) -> list[RequestKey]:
    """The requests that were chosen, each once.

    Raises:
        InvalidInput: When none was, or it isn't one.
    """
    return [each.request for each in attempts_in(form)]


def attempts_in(form: Form) -> list[AttemptKey]:
    """The attempts that were chosen, each once.

    Raises:
        InvalidInput: When none was, or it isn't one.
    """
    chosen = dict.fromkeys(form.get("call", ()))
    if not chosen:
        raise InvalidInput("call", "choose at least one")
    return [_attempt(each) for each in chosen]


def messages_in(form: Form) -> dict[str, str]:
    """The names of the messages that were chosen, by their ids.

    Raises:
        InvalidInput: When none was.
    """
    chosen = dict(map(_message, filter(None, form.get("message", ()))))
    if not chosen:
        raise InvalidInput("message", "choose at least one")
    return chosen


def _message(text: str) -> tuple[str, str]:
    id_, _, name = text.partition(" ")
    return id_, name or id_


def _attempt(text: str) -> AttemptKey:
    request, _, number = text.rpartition("/")
    if not number.isdecimal() or not number.isascii() or len(number) > 3:
        raise InvalidInput("call", "a request's id, a slash and the attempt's number")
    return AttemptKey(request_key(request), int(number))
