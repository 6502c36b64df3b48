"""Forget a number: the dials that caps count, and what is parked for it. Its do-not-call entries stay."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pydantic import Field

from calls.operations.cancelling import Cancelling, CancelReport
from calls.operations.masking import masked
from calls.operations.records import Counted, Records
from outbound_calls.adapters.policy_table import NumberHashes, PolicyTable
from outbound_calls.contracts.wire import WireModel

STAYS = (
    "outcome events that were delivered, and what their receivers keep",
    "at AlloMia: a contact for each call, and recordings",
    "do-not-call entries, so that the number stays protected: calls do-not-call remove NUMBER",
    "messages that wait on the queues, and files that were exported from them",
    "backups of the tables, until they end",
)
"""What forgetting a number doesn't reach."""


class ForgetReport(WireModel):
    """What was forgotten of a number, masked, and what stays."""

    phone_number: str
    dials_forgotten: int
    cancelled: CancelReport = Field(description="the requests for it that hadn't ended")
    do_not_call_entries: int = Field(description="entries of the do-not-call list, which stay")
    stays_elsewhere: list[str]


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Forgets numbers."""

    table: PolicyTable
    numbers: NumberHashes
    records: Records
    cancelling: Cancelling

    def forget(self, phone_number: str) -> ForgetReport:
        """Cancel what is parked for a number, and forget its dials.

        Reads the open attempts: no other one has a number.
        """
        number = self.numbers.of(phone_number)
        # Cancelled first: what is parked could be dialled once its earlier dials are forgotten.
        counted = Counted()
        requests = dict.fromkeys(key.request for key in self.records.open_for_number(phone_number, counted))
        cancelled = self.cancelling.cancel(list(requests)).model_copy(update={"records_read": counted.read})
        dials = self.table.forget_dials(number, time.time())
        return ForgetReport(
            phone_number=masked(phone_number),
            dials_forgotten=dials,
            cancelled=cancelled,
            do_not_call_entries=len(self.table.remembered(number).objections),
            stays_elsewhere=list(STAYS),
        )
