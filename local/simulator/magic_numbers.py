"""The magic numbers: the number dialled chooses how AlloMia behaves, as in telephony sandboxes.

`python -m local.simulator --numbers` prints this table for the documentation. The last four digits are grouped: 01xx
outcomes, 02xx webhooks, 03xx the POST's answer (030x proves that no call was placed; 031x, not accepted, and 032x,
accepted, look the same to the client), 04xx the status answer, 05xx the call log. Any other number is answered and
completed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from local.simulator.behaviours import ANSWERS, Behaviour

_PREFIX = "+1500555"


@dataclass(frozen=True, slots=True)
class MagicNumber:
    """One row of the table.

    Attributes:
        number: The phone number to dial.
        what: What AlloMia does, in words.
        behaviour: What AlloMia does.
        status: The stack's final status (`scheduled`, `calling`: it waits until AlloMia accepts it, or the key).
        source: The outcome's source (`webhook`, `poll`, `dispatch`, `deadline`); empty without an outcome.
    """

    number: str
    what: str
    behaviour: Behaviour
    status: str
    source: str

    @property
    def dials(self) -> int:
        """How many POSTs AlloMia accepts when the stack keeps its guarantees."""
        answer = ANSWERS[self.behaviour.post]
        return int(answer.accepted or answer.once)


def _webhooks(webhooks: str, outcome: str = "completed") -> Behaviour:
    return Behaviour(outcome, webhooks=webhooks)


def _post(post: str, webhooks: str = "normal") -> Behaviour:
    return Behaviour(post=post, webhooks=webhooks)


def _polled(status: str) -> Behaviour:
    """The status answer only matters to a call whose webhook is lost."""
    return Behaviour(webhooks="lost", status=status)


def _logged(log_entries: str, outcome: str = "completed") -> Behaviour:
    """The log only matters to a call whose answer and webhook are lost."""
    return Behaviour(outcome, post="drop-after-accept", webhooks="lost", log_entries=log_entries)


_UNKNOWN = ("unknown", "deadline")
_COMPLETED = ("completed", "webhook")
_WAITING = ("scheduled", "")
_LOGGED = ("completed", "call-log")
"""Where AlloMia's id of the organization is configured; `unknown` without it."""

_ROWS: tuple[tuple[str, str, Behaviour, tuple[str, str]], ...] = (
    ("0100", "the person answers", Behaviour(), _COMPLETED),
    ("0101", "busy", Behaviour("busy"), ("busy", "webhook")),
    ("0102", "no answer", Behaviour("no-answer"), ("no-answer", "webhook")),
    ("0103", "the call fails", Behaviour("failed"), ("failed", "webhook")),
    ("0104", "the POST's answer is already `failed`; a webhook repeats it", _post("failed"), ("failed", "dispatch")),
    #
    ("0200", "the webhook is never sent", _webhooks("lost"), ("completed", "poll")),
    ("0201", "the webhook arrives before the POST's answer", _webhooks("early"), _COMPLETED),
    ("0202", "the webhook is sent twice", _webhooks("duplicated"), _COMPLETED),
    (
        "0203",
        "a second webhook contradicts the first: `completed`, then `failed`",
        _webhooks("contradictory"),
        _COMPLETED,
    ),
    ("0204", "the webhook is very late", _webhooks("late"), ("completed", "poll")),
    (
        "0205",
        "a webhook with an undocumented status, then the real one",
        _webhooks("unknown-status-first"),
        _COMPLETED,
    ),
    (
        "0206",
        "no answer, and the webhook is never sent",
        _webhooks("lost", "no-answer"),
        ("no-answer", "poll"),
    ),
    ("0207", "the only webhook has an undocumented status", _webhooks("unknown-status-only"), ("completed", "poll")),
    ("0208", "the webhook has everything that trips a parser", _webhooks("odd"), _COMPLETED),
    #
    ("0300", "400, and its error repeats the phone number", _post("decline-400"), _WAITING),
    ("0301", "422", _post("decline-422"), _WAITING),
    ("0302", "404", _post("decline-404"), _WAITING),
    ("0303", "409", _post("decline-409"), _WAITING),
    ("0304", "401 for any key", _post("decline-401"), _WAITING),
    ("0305", "403 for any key", _post("decline-403"), _WAITING),
    ("0306", "429 with `Retry-After` once, then accepted", _post("decline-429-once"), _COMPLETED),
    ("0307", "503 with `Retry-After` once, then accepted", _post("decline-503-once"), _COMPLETED),
    ("0308", "404 with a proxy's page in HTML", _post("decline-404-proxy"), _WAITING),
    ("0309", "402, and its error is an object", _post("decline-402"), _WAITING),
    #
    ("0310", "not accepted: 500", _post("fail-500"), _UNKNOWN),
    ("0311", "not accepted: 502", _post("fail-502"), _UNKNOWN),
    ("0312", "not accepted: 503 without `Retry-After`", _post("fail-503"), _UNKNOWN),
    ("0313", "not accepted: 504", _post("fail-504"), _UNKNOWN),
    ("0314", "not accepted: 408", _post("fail-408"), _UNKNOWN),
    ("0315", "not accepted: the connection is dropped", _post("drop-before-accept"), _UNKNOWN),
    ("0316", "not accepted: no answer for a long time", _post("hang-before-accept"), _UNKNOWN),
    #
    ("0320", "accepted, then 500", _post("fail-500-after-accept"), _COMPLETED),
    ("0321", "accepted, then the connection is dropped", _post("drop-after-accept"), _COMPLETED),
    (
        "0322",
        "accepted, then the connection is dropped, and the webhook is never sent",
        _post("drop-after-accept", "lost"),
        _LOGGED,
    ),
    (
        "0323",
        "accepted, then the connection is dropped; the webhook is very late, and the call log never shows the call",
        Behaviour(post="drop-after-accept", webhooks="late", log_entries="never"),
        _COMPLETED,
    ),
    ("0324", "accepted, then no answer for a long time", _post("hang-after-accept"), _COMPLETED),
    ("0325", "accepted, then 200 with HTML", _post("garbage-after-accept"), _COMPLETED),
    ("0326", "accepted, then 200 with an undocumented status", _post("unknown-status-after-accept"), _COMPLETED),
    ("0327", "accepted, then 200 without ids", _post("no-ids-after-accept"), _COMPLETED),
    ("0328", "accepted, then 200 with a body of 16 MiB", _post("huge-after-accept"), _COMPLETED),
    ("0329", "accepted, then 200 with a body that trickles in byte by byte", _post("trickle-after-accept"), _COMPLETED),
    (
        "0330",
        "accepted, then 200 with an undocumented status, and the webhook is never sent",
        _post("unknown-status-after-accept", "lost"),
        ("completed", "poll"),
    ),
    (
        "0331",
        "accepted, then 200 with everything that trips a parser, and the webhook is never sent",
        _post("odd-after-accept", "lost"),
        ("completed", "poll"),
    ),
    ("0332", "accepted, then 200 with a body in gzip, twice", _post("gzip-after-accept"), _COMPLETED),
    #
    ("0400", "no webhook; the status stays `calling`", _polled("stuck"), _UNKNOWN),
    ("0401", "no webhook; the status request gets 404", _polled("not-found"), _UNKNOWN),
    ("0402", "no webhook; the status request gets 500 once", _polled("fail-500-once"), ("completed", "poll")),
    ("0403", "no webhook; the status request gets 200 with HTML", _polled("garbage"), _UNKNOWN),
    ("0404", "no webhook; the status is undocumented", _polled("unknown-status"), _UNKNOWN),
    ("0405", "no webhook; the status request gets 401 for any key", _polled("decline-401"), ("calling", "")),
    ("0406", "no webhook; the status request gets no answer for a long time", _polled("hang"), _UNKNOWN),
    ("0407", "no webhook; the status request's connection is dropped", _polled("drop"), _UNKNOWN),
    ("0408", "no webhook; the status answer has everything that trips a parser", _polled("odd"), ("completed", "poll")),
    #
    ("0500", "answer and webhook are lost; the call log shows the call late", _logged("late"), _UNKNOWN),
    ("0501", "answer and webhook are lost; the call log never shows the call", _logged("never"), _UNKNOWN),
    ("0502", "answer and webhook are lost; the call log shows the call twice", _logged("twice"), _LOGGED),
    (
        "0503",
        "answer and webhook are lost; the call log shows the call under another id",
        _logged("other-id"),
        _LOGGED,
    ),
    ("0504", "the same, and no one answers", _logged("other-id", "no-answer"), _UNKNOWN),
    ("0505", "the same, and the entry never gets an end", _logged("open"), _UNKNOWN),
    (
        "0506",
        "answer and webhook are lost; the call log's clock is ten minutes ahead",
        _logged("clock-apart"),
        _UNKNOWN,
    ),
    (
        "0507",
        "answer and webhook are lost; the call log also shows a call to the same number that was made by hand",
        _logged("by-hand"),
        _UNKNOWN,
    ),
)

MAGIC_NUMBERS: Mapping[str, MagicNumber] = MappingProxyType(
    {_PREFIX + digits: MagicNumber(_PREFIX + digits, what, behaviour, *ends) for digits, what, behaviour, ends in _ROWS}
)


def behaviour_of(phone_number: str) -> Behaviour:
    """How AlloMia behaves when `phone_number` is dialled."""
    row = MAGIC_NUMBERS.get(phone_number)
    return row.behaviour if row else Behaviour()


def as_markdown() -> str:
    """The table, for the documentation."""
    head = ["number", "what AlloMia does", "times rung", "final status", "source"]
    rows = [
        [f"`{row.number}`", row.what, str(row.dials), f"`{row.status}`", row.source] for row in MAGIC_NUMBERS.values()
    ]
    rows.append(["any other", "the person answers", "1", "`completed`", "webhook"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
