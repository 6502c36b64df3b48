"""An upstream system, written from the documentation alone: asks for calls, and learns what became of each.

python examples/upstream.py ask CALL_QUEUE_URL APPOINTMENTS.json
python examples/upstream.py listen OUTCOMES_QUEUE_URL OUTCOMES.db

The queue of outcomes is its own, made by examples/upstream.yaml. It keeps what it knows in a file: outcomes come at
least once and in any order, and it may be stopped at any moment.
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
    "failed": "look why, then try again under a new requestId",
    "rejected": "mend the request, then ask under a new requestId",
    "unknown": "somebody may have been called: a person finds out, nobody calls again by machine",
}


def request_for(appointment: Json) -> Json:
    """The request for one appointment; the same for the same one, so that asking twice is asking once."""
    return {
        "requestId": f"reminder-{appointment['id']}",
        "phoneNumber": appointment["phoneNumber"],
        "customerName": appointment["name"],
        "dynamicVariables": {"appointmentDate": appointment["date"], "appointmentTime": appointment["time"]},
        # assistantId and phoneNumberId are left to the stack's defaults. Ids only: metadata comes back in the event.
        "metadata": {"appointmentId": appointment["id"]},
    }


def ask(call_queue_url: str, appointments: list[Json]) -> None:
    """Ask for a call for each appointment. When this raises, ask for all of them again: none will ring twice."""
    sqs = boto3.client("sqs")
    for appointment in appointments:
        sqs.send_message(QueueUrl=call_queue_url, MessageBody=json.dumps(request_for(appointment)))


class Outcomes:
    """What is known of each request, kept in a file."""

    def __init__(self, file: str) -> None:
        self.database = sqlite3.connect(file)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS outcomes"
            " (requestId TEXT, attempt INTEGER, status TEXT, final INTEGER, PRIMARY KEY (requestId, attempt))"
        )

    def learn(self, outcome: Json) -> bool:
        """Note an outcome; False if it says nothing new: what is known already, or less than what is known."""
        written = self.database.execute(
            "INSERT INTO outcomes VALUES (:requestId, :attempt, :status, :final)"
            " ON CONFLICT DO UPDATE SET status = excluded.status, final = excluded.final"
            " WHERE excluded.final > outcomes.final",
            outcome,
        )
        return written.rowcount == 1


def listen(outcomes_queue_url: str, outcomes: Outcomes) -> None:
    """Hear outcomes for as long as it runs, and say of each new one what to do next."""
    sqs = boto3.client("sqs")
    while True:
        answer = sqs.receive_message(QueueUrl=outcomes_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in answer.get("Messages", []):
            outcome = json.loads(message["Body"])["detail"]
            # Noted once it is acted on, and deleted once it is noted: if this process dies, the event comes again.
            with outcomes.database:
                if outcomes.learn(outcome):
                    appointment, status = outcome["metadata"]["appointmentId"], outcome["status"]
                    print(f"{appointment}: {status}; {NEXT_STEP[status]}", flush=True)
            sqs.delete_message(QueueUrl=outcomes_queue_url, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ask", queue_url, file]:
            ask(queue_url, json.loads(Path(file).read_text()))
        case ["listen", queue_url, file]:
            listen(queue_url, Outcomes(file))
        case _:
            sys.exit(__doc__)
