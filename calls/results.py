"""Answers of commands that are made of several modules' values."""

from pydantic import Field

from calls.following import Following
from calls.preflight import Preflight, Refusal
from calls.queues import Waiting
from calls.resolving import Redial
from outbound_calls.contracts import Wire


class NotSent(Wire):
    """A row that SQS has not confirmed."""

    row: int
    request_id: str
    reason: str


class Placing(Wire):
    """What became of the rows of `place`."""

    preflight: Preflight
    sent: int | None = Field(None, description="absent when nothing was to be sent: --dry-run, or rows were refused")
    not_sent: list[NotSent] = Field(default_factory=list)
    following: Following | None = Field(None, description="with --wait: how the calls that were sent stand")


class Look(Wire):
    """What waits in a queue."""

    queue: str
    messages: list[Waiting]
    more: bool = Field(description="true when the look stopped at its limit")
    exported_to: str | None = None


class Refusals(Wire):
    """Lines of a mended file that break a rule; nothing was sent."""

    refused: list[Refusal]


class Redialled(Wire):
    """A further attempt that was made."""

    redial: Redial
    following: Following | None = None
