"""docs/integrate has the fields, codes and answers of the contracts, and its examples are valid."""

import json
import re
from collections import Counter
from http import HTTPStatus

from local.simulator.magic_numbers import MAGIC_NUMBERS
from outbound_calls.contracts import envelopes
from outbound_calls.contracts.events import DETAIL_TYPE, SOURCE, OutcomeEvent
from outbound_calls.contracts.messages import (
    MAX_MESSAGE_BYTES,
    CallRequestMessage,
    CancelMessage,
    DoNotCall,
    DoNotCallMessage,
    read_message,
)
from outbound_calls.contracts.status_api import AttemptReport, RequestReport
from outbound_calls.contracts.terms import RedialRules
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import WireModel
from outbound_calls.domain.transitions import TERMINAL
from tests.tooling.docs.markdown import code, fences, prose, read, table
from tests.tooling.template.rendering import read_template

REQUESTS, OUTCOMES, STATUS_API = (read(f"docs/integrate/{name}.md") for name in ("requests", "outcomes", "status-api"))


def first_column(page: str, *head: str) -> list[str]:
    return [name for row in table(page, *head) for name in code(row[0])]


def rules(model: type[WireModel]) -> dict[str, str]:
    return {str(field.alias): str(field.description) for field in model.model_fields.values()}


def test_the_fields_of_a_redial_and_of_a_do_not_call_entry_and_their_rules() -> None:
    for name, model in (("redial", RedialRules), ("doNotCall", DoNotCall)):
        written = {code(field)[0]: rule for field, rule, _ in table(REQUESTS, f"{name} field", "rule")}

        assert written.items() == rules(model).items()


def test_the_fields_of_a_request_and_their_rules() -> None:
    written = {name: rule for name, rule, _ in table(REQUESTS, "field", "rule")}

    assert written == {f"`{name}`": rule for name, rule in rules(CallRequestMessage).items()}
    assert f"up to {MAX_MESSAGE_BYTES:,} bytes" in prose(REQUESTS)


def test_the_requests_that_are_shown_are_valid() -> None:
    blocks = [json.loads(block) for block in fences(REQUESTS, "json")]
    parts = [block for block in blocks if len(block) == 1 and block.keys() <= rules(CallRequestMessage).keys()]
    whole = [block for block in blocks if block not in parts and "Statement" not in block]
    bodies = [body for page in (REQUESTS, read("README.md")) for body in re.findall(r"--message-body '([^']+)'", page)]
    shown = [*map(read_message, [*map(json.dumps, whole), *bodies])]

    assert Counter(map(type, shown)) == {CallRequestMessage: 3, CancelMessage: 2, DoNotCallMessage: 1}
    assert len(parts) == 2
    for part in parts:
        assert isinstance(read_message(json.dumps(part | {"phoneNumber": "+15005550100"})), CallRequestMessage)


def test_the_event_that_is_shown_is_one_that_is_published() -> None:
    (shown,) = (json.loads(block) for block in fences(OUTCOMES, "json"))

    assert (shown["source"], shown["detail-type"]) == (SOURCE, DETAIL_TYPE)
    assert json.loads(OutcomeEvent.model_validate(shown["detail"]).model_dump_json()) == shown["detail"]
    assert first_column(OUTCOMES, "detail field") == list(shown["detail"])


def test_every_code_is_explained_once() -> None:
    statuses = first_column(OUTCOMES, "status", "meaning")

    assert sorted(statuses) == sorted(Status)
    assert set(statuses[:3]) == set(Status) - TERMINAL  # "The first three"
    assert sorted(first_column(OUTCOMES, "`reasonCode`", "status")) == sorted(ReasonCode)
    assert sorted(first_column(OUTCOMES, "`outcomeSource`", "meaning")) == sorted(OutcomeSource)
    assert sorted(first_column(STATUS_API, "`parkReason`", "meaning")) == sorted(ParkReason)


def test_the_report_that_is_shown_is_one_that_is_returned() -> None:
    (shown,) = (json.loads(block) for block in fences(STATUS_API, "json") if '"attempts"' in block)

    assert RequestReport.model_validate(shown).wire() == shown
    attempt_fields = {f"attempts[].{field.alias}" for field in AttemptReport.model_fields.values()}
    request_fields = {field.alias for field in RequestReport.model_fields.values()}
    assert set(first_column(STATUS_API, "report field")) <= attempt_fields | request_fields


def test_every_answer_of_the_status_api_is_explained() -> None:
    explained = {int(number) for row in table(STATUS_API, "answer") for number in row[0].split(", ")}

    own = {HTTPStatus[name].value for name in re.findall(r"HTTPStatus\.([A-Z_]+)", read("functions/get_call/app.py"))}
    assert explained == own | {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    route = read_template()["Resources"]["GetCallFunction"]["Properties"]["Events"]["Read"]["Properties"]
    rate, burst = (route["RouteSettings"][f"Throttling{name}Limit"] for name in ("Rate", "Burst"))
    assert f"More than {rate} reads a second (bursts of {burst})" in STATUS_API


def test_every_envelope_is_explained_with_its_words() -> None:
    reasons = {code(row[1])[0] for row in table(read("docs/integrate/senders.md"), "what arrived", "`reason`")}

    words = {value for name, value in vars(envelopes).items() if name.isupper() and not name.startswith("_")}
    assert reasons == {f"body: {each}" for each in words} | {"unknown field: spelled phoneNumber"}


def test_the_statement_for_senders_allows_only_sending() -> None:
    blocks = map(json.loads, fences(read("docs/integrate/senders.md"), "json"))
    (statement,) = (block for block in blocks if "Sid" in block)

    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"].keys() == {"ArnEquals"}
    assert read_template()["Resources"]["QueuesTlsOnly"]["Type"] == "AWS::SQS::QueuePolicy"


def test_the_numbers_of_the_sandbox_do_what_the_page_says() -> None:
    rows = table(read("docs/integrate/sandbox.md"), "send", "you get")

    shown = {code(row[0])[0]: code(row[1])[0] for row in rows if code(row[0])}
    assert shown == {number: MAGIC_NUMBERS[number].status for number in shown}
    assert len(shown) == len(rows) - 1
