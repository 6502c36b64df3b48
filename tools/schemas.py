"""The contracts as JSON Schemas in docs/integrate/schemas. `make schemas` writes them from the models of the code.

Titles, examples and most descriptions are here and not in the models, where they would cost every cold start. Tests
compare the files with the code in both directions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from outbound_calls.adapters.attempt_items import attempt_from_item
from outbound_calls.adapters.dynamodb import from_dynamodb
from outbound_calls.contracts.allomia import MAX_WEBHOOK_BYTES, STATUS_RULE, CallState
from outbound_calls.contracts.events import DETAIL_TYPE, SOURCE, OutcomeEvent
from outbound_calls.contracts.messages import (
    MAX_DAYS_AHEAD,
    MAX_MESSAGE_BYTES,
    CallRequestMessage,
    CancelMessage,
    DoNotCallMessage,
    read_message,
)
from outbound_calls.contracts.status_api import RequestReport
from outbound_calls.contracts.vocabulary import OutcomeSource, ParkReason, ReasonCode, Status
from outbound_calls.contracts.wire import InvalidInput
from outbound_calls.domain.attempts import Attempt
from outbound_calls.domain.transitions import ALLOMIA_OUTCOMES, TERMINAL
from outbound_calls.use_cases.look_up import request_report
from outbound_calls.use_cases.publish import outcome_event

PROJECT = Path(__file__).parents[1]
SCHEMAS = PROJECT / "docs/integrate/schemas"

type Json = Any
type Schema = dict[str, Any]

PERSONAL = ("phoneNumber", "customerName", "dynamicVariables")
"""The fields of a request that are personal data. No event, report or log line has them."""

OPEN_CODES: dict[str, type[StrEnum]] = {
    "reasonCode": ReasonCode,
    "parkReason": ParkReason,
    "outcomeSource": OutcomeSource,
}
"""Fields whose codes may be added to without a new version. A schema shows today's codes as examples."""

_RENAMED = {"ge": "minimum", "le": "maximum"}  # pydantic leaves a union's bounds under its own names
_NOISE = {"title", "default"}
_ORDER = ["description", "type", "properties", "required"]
# This stack's times. AlloMia's are passed on as they came.
_TIMES = (
    *("createdAt", "dispatchedAt", "dueAt", "recordedAt", "nextAttemptAt", "notAfter", "cancelRequestedAt"),
    "localTime",
)

_NAMES = {
    "requestId": "the request's id, or the id of its SQS message if it has none",
    "attempt": "the number of the dial for this request, from 1; a redial or an operator makes another one",
    "outboundCallId": "AlloMia's id of the call",
    "contactId": "AlloMia's id of the person called",
    "callDetails": "the call's times, its duration and why it ended, as AlloMia reports them",
    "outcomeSource": "where the outcome comes from; sources may be added",
    "metadata": "the request's metadata, unchanged",
}


@dataclass(frozen=True)
class Contract:
    """One schema, with what documents it."""

    name: str
    title: str
    description: str
    schema: Schema
    examples: list[Json]

    @property
    def file(self) -> Path:
        """Its path."""
        return SCHEMAS / f"{self.name}.json"

    def text(self) -> str:
        """The content of its file."""
        document = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": self.file.name,
            "title": self.title,
            "description": self.description,
            **self.schema,
            "examples": self.examples,
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def contracts() -> Iterator[Contract]:
    """Every contract that others build on."""
    yield Contract(
        "call-request",
        "Request for one phone call",
        f"The body of a message on the call queue. Rules that JSON Schema can't express: UTF-8, at most "
        f"{MAX_MESSAGE_BYTES} bytes, no unpaired surrogates; assistantId and phoneNumberId are required if the stack "
        "has no default; an organization must be configured in the stack; a time must exist, notBefore be at most "
        f"{MAX_DAYS_AHEAD} days ahead of the message, and notAfter later; a timeZone must exist in the IANA's data; a "
        "calling window must end later than it starts; numbers have no fraction, not even .0. Without a requestId, the "
        "id of the SQS message is used.",
        _request(),
        [_event("requests/completed.json")],
    )
    yield Contract(
        "cancel",
        "Cancellation",
        "The body of a message on the call queue: a request, or every request of a batch, is not dialled any more. It "
        "may arrive before the request itself.",
        _cancel(),
        [{"cancel": {"requestId": "reminder-A-1001"}}, {"cancel": {"batch": "reminders-2026-11-30"}}],
    )
    yield Contract(
        "do-not-call",
        "Entry for the do-not-call list",
        "The body of a message on the call queue: a number that is not to be dialled any more. Without an organization "
        "it applies to every organization. Only an operator can remove an entry.",
        _do_not_call(),
        [
            {"doNotCall": {"phoneNumber": "+15005550100"}},
            {
                "doNotCall": {
                    "phoneNumber": "+15005550100",
                    "until": "2027-04-01T00:00:00-04:00",
                    "purposes": ["marketing"],
                },
                "organization": "north",
            },
        ],
    )
    yield Contract(
        "call-outcome",
        "Outcome of an attempt",
        f"The detail of a `{DETAIL_TYPE}` event. Ignore fields and codes that you don't know; they may be added.",
        _outcome(),
        [_published(name) for name in ("completed", "unknown")],
    )
    yield Contract(
        "call-outcome-event",
        "Outcome of an attempt, as EventBridge delivers it",
        "The event that a rule's target receives. In an SQS queue it is the body of the message.",
        _envelope(),
        [_delivered("completed")],
    )
    yield Contract(
        "request-report",
        "Report of a request",
        "The answer of the status API. A field without a value is absent. Times are ISO 8601, UTC. Ignore fields and "
        "codes that you don't know; they may be added.",
        _report(),
        [request_report([_attempt(name)]).wire() for name in ("completed", "unknown")],
    )
    yield Contract(
        "webhook",
        "AlloMia's webhook",
        f"The body that AlloMia posts to a callback URL when a call has ended, as far as it is read: JSON of at most "
        f"{MAX_WEBHOOK_BYTES} bytes. Unknown fields are ignored, and so are optional fields in an undocumented form. "
        "Another status is kept as AlloMia's word if it has 1 to 32 letters, hyphens and underscores.",
        _webhook(),
        [json.loads(_event("receive_webhook/completed.json")["body"])],
    )
    yield Contract(
        "invalid-message",
        "Attributes of an invalid message",
        "The message attributes, all of type String, that a message in the invalid-messages queue has. Its body is the "
        "message as received, including personal data.",
        _invalid_message(),
        [_invalid_example()],
    )


def write() -> None:
    """Write every schema into its file."""
    SCHEMAS.mkdir(exist_ok=True)
    for contract in contracts():
        contract.file.write_text(contract.text())


def _request() -> Schema:
    schema = _schema_of(CallRequestMessage)
    for name in PERSONAL:
        schema["properties"][name]["x-personal-data"] = True
    return schema


def _cancel() -> Schema:
    schema = _schema_of(CancelMessage)
    # These two are the rule "exactly one", where null means absent.
    one = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("requestId", "batch")]
    schema["properties"]["cancel"] |= {"oneOf": one}
    return schema


def _do_not_call() -> Schema:
    schema = _schema_of(DoNotCallMessage)
    schema["properties"]["doNotCall"]["properties"]["phoneNumber"]["x-personal-data"] = True
    return schema


def _outcome() -> Schema:
    schema = _described(
        _all_required(_schema_of(OutcomeEvent)),
        _NAMES,
        version="the version of this contract; a new one means that consumers have to change",
        status="how the attempt ended",
        outboundCallId="AlloMia's id of the call; null if AlloMia reported none",
        contactId="AlloMia's id of the person called; null if AlloMia reported none",
        callDetails="the call's times, its duration and why it ended; null if AlloMia reported nothing",
    )
    schema["properties"]["status"]["enum"] = [status for status in Status if status in TERMINAL]
    return schema | {
        "if": {"properties": {"status": {"const": Status.UNKNOWN}}},
        "then": {"properties": {"final": {"const": False}}},
    }


def _envelope() -> Schema:
    # docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    text = {"type": "string"}
    properties: Schema = {
        "version": {"const": "0", "description": "EventBridge's version; this contract's version is in the detail"},
        "id": text | {"description": "the event's id; an outcome that is published twice has two"},
        "source": {"const": SOURCE},
        "detail-type": {"const": DETAIL_TYPE},
        "account": text,
        "region": text,
        "time": text | {"format": "date-time", "description": "when it was published"},
        "resources": {"type": "array", "items": text},
        "detail": {"$ref": "call-outcome.json"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _report() -> Schema:
    schema = _absent_if_none(_schema_of(RequestReport))
    attempts = schema["properties"]["attempts"]
    attempts["items"] = _described(
        attempts["items"],
        _NAMES,
        status="the attempt's status",
        createdAt="when the request was sent, or its redial was due",
    )
    return _described(schema, _NAMES, status="the status of the last attempt that isn't dropped")


def _webhook() -> Schema:
    schema = _schema_of(CallState)
    schema["properties"]["status"] = {
        "description": f"required: {STATUS_RULE}",
        "type": "string",
        "enum": [status for status in Status if status in ALLOMIA_OUTCOMES],
    }
    schema["required"] = ["status"]
    for name in schema["properties"].keys() - set(schema["required"]):
        documented = schema["properties"][name]
        schema["properties"][name] = {"anyOf": [documented, {"description": "any other value is ignored"}]}
    return schema


def _invalid_message() -> Schema:
    attributes = {
        "reason": "the field and the rule, for a person",
        "field": "the field that breaks its rule; `body` for the whole message; the name of an unknown field",
        "rule": "the rule, in words that may change",
        "messageId": "the id that the message had on the call queue",
        "sentAt": "when the call queue got the message: epoch milliseconds, in digits",
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in attributes.items()},
        "required": [name for name in attributes if name != "sentAt"],
    }


def _schema_of(model: type[BaseModel]) -> Schema:
    """A model's schema without references, so that it is complete in one place."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    definitions: Schema = schema.pop("$defs", {})
    # This rule is code in the model: a request's id is a segment of the callback URL's path.
    definitions["RequestId"] = definitions.get("RequestId", {}) | {"not": {"enum": [".", ".."]}}
    inlined: Schema = _inlined(schema, definitions)
    return {name: value for name, value in inlined.items() if name != "description"}


def _inlined(part: Json, definitions: Mapping[str, Schema]) -> Json:
    match part:
        case {"$ref": str(reference)}:
            rest = {name: each for name, each in part.items() if name != "$ref"}
            return _inlined(definitions[reference.removeprefix("#/$defs/")] | rest, definitions)
        case {"properties": dict(properties)}:
            rest = {name: each for name, each in part.items() if name != "properties"}
            inner = {name: _field(name, _inlined(each, definitions)) for name, each in properties.items()}
            return _tidy(_inlined(rest, definitions) | {"properties": inner})
        case dict():
            return _tidy({name: _inlined(each, definitions) for name, each in part.items()})
        case list():
            return [_inlined(each, definitions) for each in part]
        case _:
            return part


def _field(name: str, schema: Schema) -> Schema:
    if name in _TIMES:
        return schema | {"format": "date-time"}
    if name in OPEN_CODES:
        return {key: each for key, each in schema.items() if key != "enum"} | {"examples": list(OPEN_CODES[name])}
    return schema


def _tidy(schema: Schema) -> Schema:
    schema = {_RENAMED.get(name, name): each for name, each in schema.items() if name not in _NOISE}
    match schema:
        case {"anyOf": [{"type": "integer"}, {"type": "number"}]}:
            schema["type"] = "number"
            del schema["anyOf"]
        case {"anyOf": [{"type": str(kind)}, {"type": "null"}]}:
            schema = schema.pop("anyOf")[0] | schema | {"type": [kind, "null"]}
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
    return dict(sorted(schema.items(), key=lambda each: _ORDER.index(each[0]) if each[0] in _ORDER else len(_ORDER)))


def _all_required(schema: Schema) -> Schema:
    """The schema of a model that is written with null in place of a missing value."""
    properties = {
        name: _all_required(each) if "properties" in each else each for name, each in schema["properties"].items()
    }
    return schema | {"properties": properties, "required": list(properties)}


def _absent_if_none(schema: Schema) -> Schema:
    """The schema of a model that is written without the fields that have no value."""
    properties: Schema = {}
    required = []
    for name, each in schema["properties"].items():
        match each:
            case {"type": [kind, "null"]}:
                properties[name] = each | {"type": kind}
                if "enum" in each:
                    properties[name]["enum"] = [value for value in each["enum"] if value is not None]
            case _:
                properties[name] = each
                required.append(name)
        if "properties" in each:
            properties[name] = _absent_if_none(properties[name])
        if "properties" in each.get("items", {}):
            properties[name] = each | {"items": _absent_if_none(each["items"])}
    return schema | {"properties": properties} | ({"required": required} if required else {})


def _described(schema: Schema, common: Mapping[str, str], **descriptions: str) -> Schema:
    """The schema with descriptions: those in `common` of fields that it has, and those for it alone."""
    properties: Schema = schema["properties"]
    known = {name: text for name, text in common.items() if name in properties} | descriptions
    described = {name: _tidy(properties[name] | {"description": text}) for name, text in known.items()}
    return schema | {"properties": properties | described}


def _event(name: str) -> Json:
    return json.loads((PROJECT / "events" / name).read_text())


def _attempt(name: str) -> Attempt:
    image = _event(f"publish_outcome/{name}.json")["Records"][0]["dynamodb"]["NewImage"]
    return attempt_from_item(from_dynamodb(image))


def _published(name: str) -> Json:
    return json.loads(outcome_event(_attempt(name)).model_dump_json())


def _delivered(name: str) -> Json:
    detail = _published(name)
    return {
        "version": "0",
        "id": "8a3c5f9e-6f0b-4a57-9d0b-2f5e1c7a4d21",
        "source": SOURCE,
        "detail-type": DETAIL_TYPE,
        "account": "123456789012",
        "region": "ca-central-1",
        "time": detail["recordedAt"],
        "resources": [],
        "detail": detail,
    }


def _invalid_example() -> Json:
    try:
        read_message(json.dumps(_event("requests/invalid-message.json")))
    except InvalidInput as error:
        return {
            "reason": f"{error.field}: {error.rule}",
            "field": error.field,
            "rule": error.rule,
            "messageId": "5d0c3a1e-9b57-4d0e-8a4b-1f2e3d4c5b6a",
            "sentAt": "1775053800000",
        }
    raise ValueError("the sample of an invalid message is valid")


if __name__ == "__main__":
    write()
