"""AlloMia's record of a call, and its recording and transcript. The stack keeps none of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

import httpx
from pydantic import Field

from calls.operations.private_files import new_file
from calls.operations.proxies import proxied
from calls.operations.resolving import NotAllowed
from outbound_calls.adapters.allomia import (
    CONNECT_SECONDS,
    KEY_UNUSABLE,
    NOT_FOUND,
    AllomiaClient,
    KeyUnusable,
    StatusUnavailable,
    http_client,
)
from outbound_calls.adapters.bounded_http import BoundedTransport, deadline
from outbound_calls.adapters.call_log import CallLog
from outbound_calls.adapters.calls_table import CallsTable
from outbound_calls.adapters.organizations import Organizations
from outbound_calls.contracts.call_log import CallRecord
from outbound_calls.contracts.wire import AttemptNumber, OrganizationName, RequestId, WireModel
from outbound_calls.domain.attempts import Attempt, RequestKey

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Fits more than two hours of uncompressed stereo sound at 8 kHz."""

MAX_DOWNLOAD_SECONDS = 900.0
_READ_SECONDS = 30.0


class AllomiaUnavailable(Exception):
    """AlloMia's answer can't be had now. Its text holds no key and no link."""


class Language(StrEnum):
    """A language that AlloMia writes summaries in."""

    ENGLISH = "en"
    FRENCH = "fr"


class Kind(StrEnum):
    """A file that AlloMia keeps of a call."""

    RECORDING = "recording"
    TRANSCRIPT = "transcript"


class RecordReport(WireModel):
    """What a call achieved, as AlloMia reports it."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    outbound_call_id: str = Field(description="or the id of the call in AlloMia's call log, where only that is known")
    outcome: str | None = Field(None, description="AlloMia's word for it, extracted by AI")
    ended_reason: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration: float | None = Field(None, description="seconds")
    summary: str | None = Field(None, description="written by AI")
    language: Language | None = Field(None, description="of the summary: the one asked for, if AlloMia has it")
    recording: bool = Field(description="whether AlloMia offers a recording")
    transcript: bool = Field(description="whether AlloMia offers a transcript")


class SavedFile(WireModel):
    """A file that was fetched."""

    organization: OrganizationName | None = Field(None, description="absent for the default organization")
    request_id: RequestId
    attempt: AttemptNumber
    kind: Kind
    file: str
    size_bytes: int


type OnProgress = Callable[[int, int | None], None]
"""Gets the bytes that arrived so far, and how many there will be if that is known."""


@dataclass(frozen=True, slots=True)
class CallRecords:
    """Asks AlloMia about calls, with the key of the request's organization."""

    table: CallsTable
    organizations: Organizations
    allomia_url: str
    max_file_bytes: int = MAX_FILE_BYTES

    def record(self, request: RequestKey, number: int | None, language: Language) -> RecordReport:
        """AlloMia's record of an attempt: this one, or else the last one that AlloMia gave an id.

        Raises:
            NotAllowed: When there is no such attempt, or AlloMia has no record of it.
            AllomiaUnavailable: When AlloMia declines the key or can't be reached.
        """
        attempt, record = self._record(request, number)
        summaries = {Language.ENGLISH: record.call_summary, Language.FRENCH: record.french_summary}
        written = [each for each in sorted(summaries, key=lambda each: each is not language) if summaries[each]]
        return RecordReport(
            organization=request.organization,
            request_id=request.request_id,
            attempt=attempt.key.number,
            outbound_call_id=_log_id(attempt),
            outcome=record.outcome,
            ended_reason=record.call_ended_reason,
            started_at=record.call_started_at,
            ended_at=record.call_ended_at,
            duration=record.call_duration_seconds,
            summary=summaries[written[0]] if written else None,
            language=written[0] if written else None,
            recording=record.recording_url is not None,
            transcript=record.transcript_url is not None,
        )

    def save(
        self, request: RequestKey, number: int | None, kind: Kind, path: Path, force: bool, on_progress: OnProgress
    ) -> SavedFile:
        """Fetch the recording or the transcript of an attempt into a file that only its owner can read.

        Raises:
            NotAllowed: As `record`, or when AlloMia offers no such file.
            AllomiaUnavailable: As `record`, or when the file can't be fetched whole.
            OSError: When the file exists (unless `force`), or can't be written.
        """
        with new_file(path, force=force) as file:
            attempt, record = self._record(request, number)
            link = record.recording_url if kind is Kind.RECORDING else record.transcript_url
            if link is None:
                raise NotAllowed(f"AlloMia offers no {kind} of this call")
            size = self._fetch(link, file, on_progress)
        return SavedFile(
            organization=request.organization,
            request_id=request.request_id,
            attempt=attempt.key.number,
            kind=kind,
            file=str(path),
            size_bytes=size,
        )

    def _record(self, request: RequestKey, number: int | None) -> tuple[Attempt, CallRecord]:
        attempt = self._attempt(request, number)
        try:
            transport = proxied(self.allomia_url)
        except httpx.UnsupportedProtocol as error:
            raise AllomiaUnavailable(f"AlloMia can't be asked: {error}") from None
        with http_client(self.allomia_url, transport) as http:
            client = AllomiaClient(http, self.organizations)
            organization = client.organization_named(request.organization)
            if isinstance(organization, KeyUnusable):
                raise AllomiaUnavailable(f"the AlloMia key: {organization.detail}")
            answer = CallLog(client).call_record(organization, _log_id(attempt))
        match answer:
            case StatusUnavailable(reason) if reason == NOT_FOUND:
                raise NotAllowed("AlloMia has no record of this call under its id, or not yet")
            case StatusUnavailable(reason) if reason == KEY_UNUSABLE:
                raise AllomiaUnavailable("AlloMia declines the key")
            case StatusUnavailable(reason):
                raise AllomiaUnavailable(f"AlloMia can't be asked: {reason}")
        return attempt, answer

    def _attempt(self, request: RequestKey, number: int | None) -> Attempt:
        attempts = {each.key.number: each for each in self.table.read_all(request)}
        if not attempts:
            raise NotAllowed("there is no record of this request")
        named = [each for each in sorted(attempts) if _log_id(attempts[each])]
        chosen = number or max(named or attempts)
        if chosen not in attempts:
            raise NotAllowed(f"there is no attempt {chosen} of this request")
        if chosen not in named:
            raise NotAllowed(f"attempt {chosen} has no id of AlloMia's, so AlloMia can't be asked about it")
        return attempts[chosen]

    def _fetch(self, link: str, file: IO[bytes], on_progress: OnProgress) -> int:
        """Write what is behind a link; returns how many bytes. No error names the link: who has it can read the file.

        AlloMia's key isn't sent: the file may be kept elsewhere.
        """
        if not link.startswith("https://") and self.allomia_url.startswith("https://"):
            raise AllomiaUnavailable("AlloMia's link to the file isn't encrypted")
        size = 0
        try:
            with (
                httpx.Client(
                    transport=proxied(link) or BoundedTransport(connections=1, connect_retries=1),
                    timeout=httpx.Timeout(_READ_SECONDS, connect=CONNECT_SECONDS),
                    headers={"Accept-Encoding": "identity", "User-Agent": "allomia-outbound-calls"},
                    follow_redirects=False,
                    trust_env=False,
                ) as http,
                deadline(MAX_DOWNLOAD_SECONDS, time.monotonic) as seconds_left,
                http.stream("GET", link) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise AllomiaUnavailable(f"the file can't be fetched: HTTP {answer.status_code}")
                if answer.headers.get("Content-Encoding", "identity") != "identity":
                    raise AllomiaUnavailable("the file can't be fetched: it is compressed, which wasn't asked for")
                length = answer.headers.get("Content-Length", "")
                total = int(length) if length.isascii() and length.isdigit() else None
                for chunk in answer.iter_raw():
                    size += len(chunk)
                    if size > self.max_file_bytes:
                        raise AllomiaUnavailable(f"the file is larger than {self.max_file_bytes} bytes")
                    if seconds_left() <= 0:
                        raise AllomiaUnavailable("the file can't be fetched in time")
                    file.write(chunk)
                    on_progress(size, total)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AllomiaUnavailable(f"the file can't be fetched: {type(error).__name__}") from None
        return size


def _log_id(attempt: Attempt) -> str:
    """The id of a call's record at AlloMia; empty where none is known."""
    return attempt.call_log_id or attempt.outbound_call_id or ""
