"""Receives outcomes over HTTPS without AWS: what an endpoint behind examples/outcomes-over-https.yaml has to do.

OUTCOMES_KEY=... python examples/receiver.py PORT OUTCOMES.db

It speaks plain HTTP: put it behind whatever terminates TLS for you. Events arrive at least once and in any order, so it
keeps the outcomes that it knows in a file, and answers 2xx only after that. Any other answer makes EventBridge try
again, or give up: it does so at once for 400.
"""

import hmac
import json
import os
import sqlite3
import sys
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

type Json = dict[str, Any]

KEY_HEADER = "X-Outcomes-Key"
MAX_BODY_BYTES = 256 * 1024  # EventBridge's own limit for an event

TABLE = """CREATE TABLE IF NOT EXISTS outcomes (
    organization TEXT, requestId TEXT, attempt INTEGER, status TEXT, final INTEGER,
    PRIMARY KEY (organization, requestId)
)"""
# The highest attempt wins. Within an attempt a final outcome wins, whichever comes first.
LEARN = """INSERT INTO outcomes VALUES (:organization, :requestId, :attempt, :status, :final)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, status = excluded.status, final = excluded.final
    WHERE (excluded.attempt, excluded.final) > (outcomes.attempt, outcomes.final)"""


def learn(file: str, outcome: Json) -> bool:
    """Store an outcome; False if it is a duplicate or says less than what is known."""
    # NULL equals nothing in a primary key, so the default organization has a name here.
    named = outcome | {"organization": outcome["organization"] or "default"}
    with closing(sqlite3.connect(file, timeout=4)) as database, database:
        database.execute(TABLE)
        return database.execute(LEARN, named).rowcount == 1


def receiver(port: int, key: str, file: str) -> ThreadingHTTPServer:
    """A server that takes outcomes with this key."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 4  # EventBridge waits 5 seconds

        def do_POST(self) -> None:
            """Take one outcome."""
            self.send_response(self.take())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def take(self) -> HTTPStatus:
            """The answer to one outcome. A wrong key is 401, which EventBridge tries again: it may be a new one."""
            given = self.headers.get(KEY_HEADER, "")
            if not hmac.compare_digest(given.encode(), key.encode()):
                return HTTPStatus.UNAUTHORIZED
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > MAX_BODY_BYTES:
                return HTTPStatus.BAD_REQUEST
            try:
                outcome = json.loads(self.rfile.read(int(length)))["detail"]
                if learn(file, outcome):
                    print(f"{outcome['requestId']}: {outcome['status']}", flush=True)
            except (ValueError, KeyError, TypeError, sqlite3.ProgrammingError):
                return HTTPStatus.BAD_REQUEST
            except sqlite3.Error:
                return HTTPStatus.SERVICE_UNAVAILABLE
            return HTTPStatus.NO_CONTENT

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [port, file] if os.environ.get("OUTCOMES_KEY"):
            receiver(int(port), os.environ["OUTCOMES_KEY"], file).serve_forever()
        case _:
            sys.exit(__doc__)
