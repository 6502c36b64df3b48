"""Whether another attempt follows an outcome, and when."""

from outbound_calls.contracts.vocabulary import Status
from outbound_calls.domain.attempts import Redial


def redial_delay(redial: Redial, status: Status, ended_reason: str | None, attempts: int) -> int | None:
    """Seconds from an outcome to the next attempt; None when none follows.

    `attempts` counts the dials of the request so far, whatever their outcomes; its first one included. What isn't known
    to be an outcome of AlloMia's (`unknown`, `rejected`, `cancelled`) is never dialled again.
    """
    if not 1 <= attempts < redial.max_attempts:
        return None
    match status:
        case Status.BUSY | Status.NO_ANSWER | Status.FAILED:
            delays = redial.after_status.get(status)
        case Status.COMPLETED if ended_reason is not None:
            delays = redial.after_ended_reason.get(ended_reason)
        case _:
            return None
    return delays[min(attempts, len(delays)) - 1] if delays else None
