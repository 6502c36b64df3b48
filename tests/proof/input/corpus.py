"""The corpora of bad input, as they lie in this folder: one case to a line of JSON.

A long text is written in pieces, `["{\\"customerName\\":\\"", ["n", 201], "\\"}"]`, a pair standing for a repetition.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MESSAGES = HERE / "messages.jsonl"
WEBHOOKS = HERE / "webhooks.jsonl"
RULES: dict[str, str] = json.loads((HERE / "rules.json").read_text())

type Case = dict[str, Any]
type Piece = str | Sequence[str | int]
type Text = str | Sequence[Piece]


def write(path: Path, cases: Iterable[Case]) -> None:
    """Write a corpus, a case to a line; what cannot be seen on a screen is escaped."""
    path.write_text("".join(f"{json.dumps(case)}\n" for case in cases))


def mixed(*values: Any) -> tuple[Any, ...]:
    """Values of any type, to try one after another."""
    return values


def expand(text: Text | None) -> str:
    """A text of a case, put together."""
    if text is None or isinstance(text, str):
        return text or ""
    return "".join(piece if isinstance(piece, str) else _repeated(piece) for piece in text)


def _repeated(piece: Sequence[str | int]) -> str:
    repeat, times = piece
    return str(repeat) * int(times)


@dataclass(frozen=True)
class MessageCase:
    """A message of the call queue, and what must become of it."""

    name: str
    body: str
    field: str | None
    """Named by the refusal; None for a message that is read."""
    rule: str
    reads: dict[str, Any]
    """Fields of a message that is read, as it must be read."""

    @property
    def from_a_queue(self) -> bool:
        """Whether it can stand in a queue."""
        return fits_a_queue(self.body)


def fits_a_queue(body: str) -> bool:
    """Whether SQS takes it as a message: not empty, and of the characters that XML has."""
    return bool(body) and all(map(_in_a_queue, body))


def _in_a_queue(character: str) -> bool:
    # docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    code = ord(character)
    return code in {0x9, 0xA, 0xD} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def message_cases() -> list[MessageCase]:
    """The messages, in the order of the file."""
    return [_message_case(json.loads(line)) for line in MESSAGES.read_text().splitlines()]


def _message_case(case: Case) -> MessageCase:
    refused = case.get("refused", {})
    return MessageCase(
        case["name"],
        expand(case["body"]),
        refused.get("field"),
        RULES[refused["rule"]] if refused else "",
        case.get("accepted", {}),
    )


@dataclass(frozen=True)
class WebhookCase:
    """A request to the callback URL, and what must be answered.

    It names the parts of the path as the gateway hands them on, or (`target`) the path as it goes over the wire.
    """

    name: str
    request_id: str
    attempt: str
    signature: str
    method: str
    target: str | None
    headers: dict[str, str]
    body: str
    is_base64: bool
    only_use_case: bool
    """It cannot be sent over HTTP, or means something else there."""
    record: str
    """The status of the attempt's record before."""
    statuses: list[int]
    words: str | None
    """Of the answer; None where it may be the gateway's own."""
    stored: dict[str, Any] | None
    """What the record must hold afterwards; None where nothing may change."""


def webhook_cases() -> list[WebhookCase]:
    """The webhooks, in the order of the file."""
    return [_webhook_case(json.loads(line)) for line in WEBHOOKS.read_text().splitlines()]


def _webhook_case(case: Case) -> WebhookCase:
    answer = case["answer"]
    return WebhookCase(
        name=case["name"],
        request_id=expand(case.get("requestId")),
        attempt=expand(case.get("attempt")),
        signature=expand(case.get("signature")),
        method=case.get("method", "POST"),
        target=expand(case["target"]) if "target" in case else None,
        headers=case.get("headers", {}),
        body=expand(case["body"]),
        is_base64=case.get("isBase64", False),
        only_use_case=case.get("only") == "use case",
        record=case.get("record", "calling"),
        statuses=answer["status"] if isinstance(answer["status"], list) else [answer["status"]],
        words=answer.get("words"),
        stored=case.get("stored"),
    )
