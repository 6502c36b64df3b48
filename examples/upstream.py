"""An upstream system, built on the documentation alone: it requests calls, cancels them and acts on their outcomes.

python examples/upstream.py ask CALL_QUEUE_URL APPOINTMENTS.json
python examples/upstream.py cancel CALL_QUEUE_URL APPOINTMENT_ID...
python examples/upstream.py listen OUTCOMES_QUEUE_URL OUTCOMES.db

examples/upstream.yaml creates its queue of outcomes. Events arrive at least once and in any order, and the process may
be stopped at any time, so it keeps the outcomes that it knows in a file.
"""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import boto3

type Json = dict[str, Any]

NEXT_STEP = {
    "completed": "nothing to do",
    "busy": "try again later, under a new requestId",
    "no-answer": "try again later, under a new requestId",
    "failed": "find out why, then try again under a new requestId",
    "rejected": "fix the request, then send it under a new requestId",
    "cancelled": "nothing to do",
    "unknown": "the phone may have rung: a person finds out, and no system calls again",
}


def request_id_of(appointment_id: str) -> str:
    """Names the request for an appointment."""
    return f"reminder-{appointment_id}"


def request_for(appointment: Json) -> Json:
    """The request for an appointment. It's always the same, so sending it twice makes one call."""
    # Only this system knows where the person lives. Without it, the stack has to guess from the number.
    zone = {"timeZone": appointment["timeZone"]} if "timeZone" in appointment else {}
    return zone | {
        "requestId": request_id_of(appointment["id"]),
        "phoneNumber": appointment["phoneNumber"],
        "customerName": appointment["name"],
        "dynamicVariables": {"appointmentDate": appointment["date"], "appointmentTime": appointment["time"]},
        # The stack's defaults apply for assistantId and phoneNumberId. Metadata comes back in the event: ids only.
        "metadata": {"appointmentId": appointment["id"]},
    }


def ask(call_queue_url: str, appointments: list[Json]) -> None:
    """Request a call for each appointment. If this raises, run it again with all of them: no one is called twice."""
    sqs = boto3.client("sqs")
    for appointment in appointments:
        sqs.send_message(QueueUrl=call_queue_url, MessageBody=json.dumps(request_for(appointment)))


def cancellation_of(appointment_id: str) -> Json:
    """The message that cancels the request for an appointment. It may even arrive before the request."""
    return {"cancel": {"requestId": request_id_of(appointment_id)}}


def cancel(call_queue_url: str, appointment_ids: list[str]) -> None:
    """Cancel the calls for these appointments. If this raises, run it again: cancelling twice changes nothing."""
    sqs = boto3.client("sqs")
    for appointment_id in appointment_ids:
        sqs.send_message(QueueUrl=call_queue_url, MessageBody=json.dumps(cancellation_of(appointment_id)))


def next_step(outcome: Json) -> str | None:
    """What to do about an outcome, as one line; None if another system made the request."""
    appointment = outcome["metadata"].get("appointmentId")
    step = NEXT_STEP[outcome["status"]]
    if outcome["nextAttemptAt"]:
        step = f"wait: the stack tries again, not before {outcome['nextAttemptAt']}"
    return appointment and f"{appointment}: {outcome['status']}; {step}"


class Outcomes:
    """The known outcome of each request, kept in a file."""

    def __init__(self, file: str) -> None:
        self.database = sqlite3.connect(file)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS outcomes"
            " (requestId TEXT PRIMARY KEY, attempt INTEGER, status TEXT, final INTEGER)"
        )

    def learn(self, outcome: Json) -> bool:
        """Store an outcome; False if it is a duplicate or says less than what is known.

        The highest attempt wins. Within an attempt a final outcome wins, whichever comes first.
        """
        written = self.database.execute(
            "INSERT INTO outcomes VALUES (:requestId, :attempt, :status, :final)"
            " ON CONFLICT DO UPDATE SET attempt = excluded.attempt, status = excluded.status, final = excluded.final"
            " WHERE (excluded.attempt, excluded.final) > (outcomes.attempt, outcomes.final)",
            outcome,
        )
        return written.rowcount == 1


def listen(outcomes_queue_url: str, outcomes: Outcomes) -> None:
    """Receive outcomes until the process ends, and print the next step for each new one."""
    sqs = boto3.client("sqs")
    while True:
        answer = sqs.receive_message(QueueUrl=outcomes_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in answer.get("Messages", []):
            outcome = json.loads(message["Body"])["detail"]
            line = next_step(outcome)
            # Act, store, delete, in this order: if the process dies between them, the event arrives again.
            with outcomes.database:
                if line and outcomes.learn(outcome):
                    print(line, flush=True)
            sqs.delete_message(QueueUrl=outcomes_queue_url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ask", queue_url, file]:
            ask(queue_url, json.loads(Path(file).read_text()))
        case ["cancel", queue_url, *appointment_ids] if appointment_ids:
            cancel(queue_url, appointment_ids)
        case ["listen", queue_url, file]:
            listen(queue_url, Outcomes(file))
        case _:
            sys.exit(__doc__)
