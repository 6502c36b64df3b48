"""Which status may follow which. The calls table derives the conditions of its writes from `TRANSITIONS`."""

from outbound_calls.contracts.vocabulary import Status

ALLOMIA_OUTCOMES = frozenset({Status.COMPLETED, Status.FAILED, Status.BUSY, Status.NO_ANSWER})
"""AlloMia's own terminal statuses."""

TERMINAL = ALLOMIA_OUTCOMES | {Status.REJECTED, Status.CANCELLED, Status.UNKNOWN}

# `None` stands for "no record yet". A `scheduled`, `rejected` or `cancelled` attempt may receive AlloMia's outcome
# although AlloMia answered that it accepted nothing: only AlloMia knows an attempt's signed callback URL, so a webhook
# proves that the person was called. Recording it prevents a second call. Apart from these, an outcome whose redial is
# pending gives way to a signed `completed`.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.SCHEDULED, Status.DISPATCHING, Status.REJECTED, Status.CANCELLED}),
    Status.SCHEDULED: frozenset({Status.SCHEDULED, Status.DISPATCHING, Status.REJECTED, Status.CANCELLED})
    | ALLOMIA_OUTCOMES,
    Status.DISPATCHING: frozenset({Status.SCHEDULED, Status.CALLING, Status.REJECTED, Status.CANCELLED, Status.UNKNOWN})
    | ALLOMIA_OUTCOMES,
    Status.CALLING: ALLOMIA_OUTCOMES | {Status.UNKNOWN},
    **dict.fromkeys({Status.UNKNOWN, Status.REJECTED, Status.CANCELLED}, ALLOMIA_OUTCOMES),
    **dict.fromkeys(ALLOMIA_OUTCOMES, frozenset[Status]()),
}


def predecessors(status: Status) -> frozenset[Status]:
    """The statuses of an existing record from which `status` may follow."""
    return frozenset(before for before, after in TRANSITIONS.items() if before is not None and status in after)
