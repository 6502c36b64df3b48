"""How AlloMia is to behave for one call: what the POST does, what the webhook does, what the status does."""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Outcome(StrEnum):
    """AlloMia's terminal statuses."""

    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"


@unique
class Post(StrEnum):
    """What `POST /api/outbound` does; `answers.POST_RULES` says which of these ring the person."""

    OK = "ok"
    FAILED = "failed"

    REFUSE_400 = "refuse-400"
    REFUSE_401 = "refuse-401"
    REFUSE_403 = "refuse-403"
    REFUSE_404 = "refuse-404"
    REFUSE_409 = "refuse-409"
    REFUSE_422 = "refuse-422"
    REFUSE_429 = "refuse-429"
    REFUSE_429_ONCE = "refuse-429-once"
    REFUSE_503 = "refuse-503"
    REFUSE_503_ONCE = "refuse-503-once"

    FAIL_408 = "fail-408"
    FAIL_500 = "fail-500"
    FAIL_502 = "fail-502"
    FAIL_503 = "fail-503"
    FAIL_504 = "fail-504"
    DROP_BEFORE_ACCEPT = "drop-before-accept"
    HANG_BEFORE_ACCEPT = "hang-before-accept"

    FAIL_500_AFTER_ACCEPT = "fail-500-after-accept"
    DROP_AFTER_ACCEPT = "drop-after-accept"
    HANG_AFTER_ACCEPT = "hang-after-accept"
    GARBAGE_AFTER_ACCEPT = "garbage-after-accept"
    UNKNOWN_STATUS_AFTER_ACCEPT = "unknown-status-after-accept"
    NO_IDS_AFTER_ACCEPT = "no-ids-after-accept"
    HUGE_AFTER_ACCEPT = "huge-after-accept"
    TRICKLE_AFTER_ACCEPT = "trickle-after-accept"


@unique
class Webhook(StrEnum):
    """What becomes of the POST to the callback URL."""

    NORMAL = "normal"
    LOST = "lost"
    DUPLICATED = "duplicated"
    EARLY = "early"
    LATE = "late"
    CONTRADICTORY = "contradictory"
    UNKNOWN_STATUS_FIRST = "unknown-status-first"


@unique
class Status(StrEnum):
    """What `GET /api/outbound/{id}/status` does for a call that exists."""

    NORMAL = "normal"
    STUCK = "stuck"
    NOT_FOUND = "not-found"
    REFUSE_401 = "refuse-401"
    REFUSE_429 = "refuse-429"
    FAIL_500 = "fail-500"
    FAIL_500_ONCE = "fail-500-once"
    FAIL_503 = "fail-503"
    DROP = "drop"
    HANG = "hang"
    GARBAGE = "garbage"
    UNKNOWN_STATUS = "unknown-status"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One call's script. The default is AlloMia as it is documented."""

    outcome: Outcome = Outcome.COMPLETED
    post: Post = Post.OK
    webhook: Webhook = Webhook.NORMAL
    status: Status = Status.NORMAL
