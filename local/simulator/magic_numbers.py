"""The magic numbers: a phone number that is dialled chooses how AlloMia behaves, as telephony sandboxes do.

This table is the only place where they are written; `python -m local.simulator --numbers` prints it.
The last four digits are grouped: 01xx outcomes, 02xx webhooks, 03xx the POST's answer (030x refused, 031x not
accepted but nobody can tell, 032x accepted but nobody can tell), 04xx the status answer.
Any other number is answered and completed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from local.simulator.behaviour import Behaviour, Outcome, Post, Status, Webhook

_PREFIX = "+1500555"


@dataclass(frozen=True, slots=True)
class MagicNumber:
    """One row of the table.

    Attributes:
        number: The phone number to dial.
        what: What AlloMia does.
        behaviour: The same, as the simulator plays it.
        dials: How many POSTs AlloMia accepts when the stack keeps its promises.
        status: The stack's own status in the end (`scheduled`: it goes on waiting for a key that works).
        source: The outcome's source (`webhook`, `poll`, `dispatch`, `deadline`); empty where there is none.
    """

    number: str
    what: str
    behaviour: Behaviour
    dials: int
    status: str
    source: str


def _row(
    digits: str, what: str, behaviour: Behaviour, status: str, source: str = "webhook", *, dials: int = 1
) -> MagicNumber:
    return MagicNumber(_PREFIX + digits, what, behaviour, dials, status, source)


def _post(post: Post, webhook: Webhook = Webhook.NORMAL) -> Behaviour:
    return Behaviour(post=post, webhook=webhook)


def _polled(status: Status) -> Behaviour:
    """The status answer only matters to a call whose webhook is lost."""
    return Behaviour(webhook=Webhook.LOST, status=status)


_ROWS = (
    _row("0100", "the person answers", Behaviour(), "completed"),
    _row("0101", "busy", Behaviour(Outcome.BUSY), "busy"),
    _row("0102", "nobody answers", Behaviour(Outcome.NO_ANSWER), "no-answer"),
    _row("0103", "the call fails", Behaviour(Outcome.FAILED), "failed"),
    _row(
        "0104",
        "the POST's answer says `failed` at once; so does a webhook after it",
        Behaviour(Outcome.FAILED, Post.FAILED),
        "failed",
        "dispatch",
    ),
    #
    _row("0200", "the webhook is never sent", Behaviour(webhook=Webhook.LOST), "completed", "poll"),
    _row("0201", "the webhook comes before the POST's answer", Behaviour(webhook=Webhook.EARLY), "completed"),
    _row("0202", "the webhook comes twice", Behaviour(webhook=Webhook.DUPLICATED), "completed"),
    _row(
        "0203",
        "a second webhook contradicts the first: `completed`, then `failed`",
        Behaviour(webhook=Webhook.CONTRADICTORY),
        "completed",
    ),
    _row("0204", "the webhook comes very late", Behaviour(webhook=Webhook.LATE), "completed", "poll"),
    _row(
        "0205",
        "a webhook with a status nobody knows, then the real one",
        Behaviour(webhook=Webhook.UNKNOWN_STATUS_FIRST),
        "completed",
    ),
    _row(
        "0206",
        "the person does not answer, and the webhook is never sent",
        Behaviour(Outcome.NO_ANSWER, webhook=Webhook.LOST),
        "no-answer",
        "poll",
    ),
    #
    _row(
        "0300",
        "400 whose words repeat the phone number",
        _post(Post.REFUSE_400),
        "rejected",
        "dispatch",
        dials=0,
    ),
    _row("0301", "422", _post(Post.REFUSE_422), "rejected", "dispatch", dials=0),
    _row("0302", "404", _post(Post.REFUSE_404), "rejected", "dispatch", dials=0),
    _row("0303", "409", _post(Post.REFUSE_409), "rejected", "dispatch", dials=0),
    _row("0304", "401, whatever the key", _post(Post.REFUSE_401), "scheduled", "", dials=0),
    _row("0305", "403, whatever the key", _post(Post.REFUSE_403), "scheduled", "", dials=0),
    _row("0306", "429 with `Retry-After` once, then accepted", _post(Post.REFUSE_429_ONCE), "completed"),
    _row("0307", "503 with `Retry-After` once, then accepted", _post(Post.REFUSE_503_ONCE), "completed"),
    #
    _row("0310", "500, not accepted", _post(Post.FAIL_500), "unknown", "deadline", dials=0),
    _row("0311", "502, not accepted", _post(Post.FAIL_502), "unknown", "deadline", dials=0),
    _row(
        "0312",
        "503 without `Retry-After`, not accepted",
        _post(Post.FAIL_503),
        "unknown",
        "deadline",
        dials=0,
    ),
    _row("0313", "504, not accepted", _post(Post.FAIL_504), "unknown", "deadline", dials=0),
    _row("0314", "408, not accepted", _post(Post.FAIL_408), "unknown", "deadline", dials=0),
    _row(
        "0315",
        "the connection is dropped, not accepted",
        _post(Post.DROP_BEFORE_ACCEPT),
        "unknown",
        "deadline",
        dials=0,
    ),
    _row(
        "0316",
        "no answer for a long time, not accepted",
        _post(Post.HANG_BEFORE_ACCEPT),
        "unknown",
        "deadline",
        dials=0,
    ),
    #
    _row("0320", "accepted, then 500", _post(Post.FAIL_500_AFTER_ACCEPT), "completed"),
    _row("0321", "accepted, then the connection is dropped", _post(Post.DROP_AFTER_ACCEPT), "completed"),
    _row(
        "0322",
        "accepted, then the connection is dropped, and the webhook is never sent",
        _post(Post.DROP_AFTER_ACCEPT, Webhook.LOST),
        "unknown",
        "deadline",
    ),
    _row(
        "0323",
        "accepted, then the connection is dropped, and the webhook comes very late",
        _post(Post.DROP_AFTER_ACCEPT, Webhook.LATE),
        "completed",
    ),
    _row("0324", "accepted, then no answer for a long time", _post(Post.HANG_AFTER_ACCEPT), "completed"),
    _row("0325", "accepted, then 200 with HTML", _post(Post.GARBAGE_AFTER_ACCEPT), "completed"),
    _row(
        "0326",
        "accepted, then 200 with a status nobody knows",
        _post(Post.UNKNOWN_STATUS_AFTER_ACCEPT),
        "completed",
    ),
    _row("0327", "accepted, then 200 without ids", _post(Post.NO_IDS_AFTER_ACCEPT), "completed"),
    _row("0328", "accepted, then 200 with a body of 16 MiB", _post(Post.HUGE_AFTER_ACCEPT), "completed"),
    _row(
        "0329",
        "accepted, then 200 with a body that trickles in byte by byte",
        _post(Post.TRICKLE_AFTER_ACCEPT),
        "completed",
    ),
    #
    _row(
        "0400",
        "no webhook; the status stays `calling` for ever",
        _polled(Status.STUCK),
        "unknown",
        "deadline",
    ),
    _row("0401", "no webhook; the status answers 404", _polled(Status.NOT_FOUND), "unknown", "deadline"),
    _row(
        "0402",
        "no webhook; the status answers 500 once, then well",
        _polled(Status.FAIL_500_ONCE),
        "completed",
        "poll",
    ),
    _row("0403", "no webhook; the status answers 200 with HTML", _polled(Status.GARBAGE), "unknown", "deadline"),
    _row(
        "0404",
        "no webhook; the status is one that nobody knows",
        _polled(Status.UNKNOWN_STATUS),
        "unknown",
        "deadline",
    ),
    _row(
        "0405",
        "no webhook; the status answers 401, whatever the key",
        _polled(Status.REFUSE_401),
        "unknown",
        "deadline",
    ),
    _row(
        "0406",
        "no webhook; the status gives no answer for a long time",
        _polled(Status.HANG),
        "unknown",
        "deadline",
    ),
    _row("0407", "no webhook; the status drops the connection", _polled(Status.DROP), "unknown", "deadline"),
)

MAGIC_NUMBERS: Mapping[str, MagicNumber] = MappingProxyType({row.number: row for row in _ROWS})


def behaviour_of(phone_number: str) -> Behaviour:
    """How AlloMia behaves when `phone_number` is dialled."""
    row = MAGIC_NUMBERS.get(phone_number)
    return row.behaviour if row else Behaviour()


def as_markdown() -> str:
    """The table, for the documentation."""
    head = ["number", "what AlloMia does", "times rung", "where the stack ends", "by"]
    rows = [
        [f"`{row.number}`", row.what, str(row.dials), f"`{row.status}`", row.source] for row in MAGIC_NUMBERS.values()
    ]
    rows.append(["any other", "the person answers", "1", "`completed`", "webhook"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
