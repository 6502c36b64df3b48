"""Remember which rows were placed from this machine, so that a rewritten file doesn't call anyone twice.

The stack deduplicates by a request's id. An id that is derived from a row changes with the row, and one of the row's
own changes when a spreadsheet takes it for a number: 000123 becomes 123. This notices both by the number called.

No number, name or id is stored: only hashes, keyed like the ids of rows (`RowIds`).
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from calls.operations.masking import Mask
from calls.operations.preflight import CheckedRow, PlacedBefore, RewrittenRow
from calls.operations.rewriting import canonical
from outbound_calls.domain.timing import utc_text

KEPT_DAYS = 30

_TABLE = """
CREATE TABLE IF NOT EXISTS placed (
  number BLOB, id BLOB, like_id BLOB, derived INTEGER, at INTEGER, PRIMARY KEY (number, id)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """The rows placed through one stack with one `batch`. Epoch seconds are passed in.

    Without the file nothing is placed: its methods raise OSError.
    """

    path: Path
    stack_arn: str
    batch: str = ""

    def look(self, rows: Iterable[CheckedRow], mask: Mask, now: float) -> PlacedBefore:
        """What was placed of these rows, or of what they may have been."""
        count, last = 0, 0
        rewritten: list[RewrittenRow] = []
        with self._opened(now) as database:
            for row in rows:
                number = row.request.phone_number
                own, like = self._ids(row)
                earlier = database.execute(
                    "SELECT id, like_id, derived, at FROM placed WHERE number = ? ORDER BY at", (self._hash(number),)
                ).fetchall()
                if times := [at for id_, _, _, at in earlier if id_ == own]:
                    count, last = count + 1, max(last, *times)
                    continue
                others = [at for _, other, derived, at in earlier if row.id_derived or derived or other == like]
                if others:
                    rewritten.append(
                        RewrittenRow(
                            row=row.row,
                            request_id=row.request_id,
                            phone_number=mask(number),
                            placed_at=utc_text(others[-1]),
                        )
                    )
        return PlacedBefore(rows=count, last_at=utc_text(last) if count else None, rewritten=rewritten)

    def remember(self, rows: Sequence[CheckedRow], now: float) -> None:
        """Remember these rows. Before they are sent: what was remembered and not sent costs a question."""
        with self._opened(now) as database:
            database.executemany(
                "INSERT OR REPLACE INTO placed VALUES (?, ?, ?, ?, ?)",
                (
                    (self._hash(row.request.phone_number), *self._ids(row), int(row.id_derived), int(now))
                    for row in rows
                ),
            )

    @contextmanager
    def _opened(self, now: float) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as database, database:
                database.execute(_TABLE)
                database.execute("DELETE FROM placed WHERE at < ?", (int(now) - KEPT_DAYS * 86_400,))
                yield database
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"it can't be used ({error}): move it away", str(self.path)) from None

    def _ids(self, row: CheckedRow) -> tuple[bytes, bytes]:
        return self._hash(row.request_id), self._hash(canonical(row.request_id))

    def _hash(self, text: str) -> bytes:
        return hmac.digest(self.stack_arn.encode(), f"{self.batch}\0{text}".encode(), hashlib.sha256)[:16]
