"""The contracts as JSON Schemas in docs/integrate/schemas. `make schemas` writes them from the code's models.

What only documentation needs (titles, examples, which fields are personal) is said here and not in the models, where
it would cost every cold start. Tests hold the files against the code, in both directions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outbound_calls.items import plain
from outbound_calls.lifecycle import ALLOMIA_OUTCOMES, TERMINAL, Status
from outbound_calls.publish import DETAIL_TYPE, SOURCE
from outbound_calls.reports import CallReport, attempt_report, outcome_event
from pydantic import BaseModel

from outbound_calls.contracts import (
    MAX_MESSAGE_BYTES,
    MAX_WEBHOOK_BYTES,
    CallRequest,
    CallState,
    InvalidInput,
    OutcomeEvent,
    read_message,
)

PROJECT = Path(__file__).parents[1]
SCHEMAS = PROJECT / "docs/integrate/schemas"

type Json = Any
type Schema = dict[str, Any]

PERSONAL = ("phoneNumber", "customerName", "dynamicVariables")
"""The fields of a request that are about a person; they are in no event, no report and no log line."""

_RENAMED = {"ge": "minimum", "le": "maximum"}  # pydantic passes a union's bounds on under its own names
_NOISE = {"title", "default"}
_ORDER = ["description", "type", "properties", "required"]
_TIMES = ("createdAt", "dispatchedAt", "dueAt", "recordedAt")  # ours; AlloMia's are passed on as they came


@dataclass(frozen=True)
class Contract:
    """One schema: what its file is called, and what it says."""

    name: str
    title: str
    description: str
    schema: Schema
    examples: list[Json]

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return SCHEMAS / f"{self.name}.json"

    def document(self) -> Schema:
        """The whole schema, as it stands in its file."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": self.file.name,
            "title": self.title,
            "description": self.description,
            **self.schema,
            "examples": self.examples,
        }

    def text(self) -> str:
        """The content of its file."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n"


def contracts() -> Iterator[Contract]:
    """Every contract that others build on."""
    yield Contract(
        "call-request",
        "Request for one phone call",
        "The body of a message on the call queue. JSON Schema cannot say the rest: it is UTF-8, of at most "
        f"{MAX_MESSAGE_BYTES} bytes, without unpaired surrogates; assistantId and phoneNumberId are required where "
        "the stack has no default. Without a requestId the message's id in SQS takes its place.",
        _request(),
        [_event("requests/completed.json")],
    )
    yield Contract(
        "call-outcome",
        "Outcome of a call",
        f"The detail of a `{DETAIL_TYPE}` event. Ignore fields that you do not know: later ones may be added.",
        _outcome(),
        [_published(name) for name in ("completed", "unknown")],
    )
    yield Contract(
        "call-outcome-event",
        "Outcome of a call, as EventBridge delivers it",
        "The event as a rule's target receives it, in a queue as the body of the message.",
        _envelope(),
        [_delivered("completed")],
    )
    yield Contract(
        "invalid-message",
        "Attributes of a rejected message",
        "The message attributes, all of type String, beside the body in the rejected queue. The body is the message "
        "as it came, personal data included.",
        _rejected(),
        [_rejection()],
    )
    yield Contract(
        "call-report",
        "What is known of a request",
        "The answer of the status API. Ignore fields that you do not know: later ones may be added.",
        _report(),
        [_reported(name) for name in ("completed", "unknown")],
    )
    yield Contract(
        "webhook",
        "Webhook of AlloMia",
        f"What AlloMia posts to a callback URL, as far as it is read here: UTF-8, at most {MAX_WEBHOOK_BYTES} bytes, "
        "nested at most 200 deep. Unknown fields are ignored, and so is an optional one that is not in its documented "
        "form.",
        _webhook(),
        [json.loads(_event("receive_webhook/completed.json")["body"])],
    )


def write() -> None:
    """Write every schema into its file."""
    SCHEMAS.mkdir(exist_ok=True)
    for contract in contracts():
        contract.file.write_text(contract.text())


def _request() -> Schema:
    schema = _schema_of(CallRequest)
    for name in PERSONAL:
        schema["properties"][name]["x-personal-data"] = True
    return schema


def _outcome() -> Schema:
    schema = _all_required(_schema_of(OutcomeEvent))
    schema["properties"]["status"]["enum"] = [status for status in Status if status in TERMINAL]
    return _described(
        schema,
        version="changes only when a consumer has to; see docs/integrate/contracts.md",
        requestId="the request's, or the id of its message in SQS",
        attempt="which dial for the request: 1, and one more each time that a person has it dialled again",
        status="how it ended",
        outboundCallId="AlloMia's id of the call; null where AlloMia did not tell",
        contactId="AlloMia's id of the person called; null where AlloMia did not tell",
        callDetails="how the call went, as AlloMia tells it; null where it did not tell",
        outcomeSource="who told: AlloMia (webhook, poll, dispatch), a person (operator) or nobody (deadline)",
        metadata="the request's own, as it came",
    ) | {
        "if": {"properties": {"status": {"const": Status.UNKNOWN}}},
        "then": {"properties": {"final": {"const": False}}},
        "else": {"properties": {"final": {"const": True}}},
    }


def _envelope() -> Schema:
    # docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "version": {"const": "0", "description": "EventBridge's own; the contract's is in the detail"},
            "id": text | {"description": "of this event; an outcome that is published twice has two"},
            "source": {"const": SOURCE},
            "detail-type": {"const": DETAIL_TYPE},
            "account": text,
            "region": text,
            "time": text | {"format": "date-time", "description": "when it was published"},
            "resources": {"type": "array", "items": text},
            "detail": {"$ref": "call-outcome.json"},
        },
        "required": ["version", "id", "source", "detail-type", "account", "region", "time", "resources", "detail"],
    }


def _rejected() -> Schema:
    attributes = {
        "reason": "the field and the rule, for a person",
        "field": "the field that breaks its rule, `body` for the whole message; an unknown field's own name",
        "rule": "the rule, in words that may change",
        "messageId": "the id that the message had on the call queue",
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": what} for name, what in attributes.items()},
        "required": list(attributes),
    }


def _report() -> Schema:
    schema = _absent_if_nothing(_schema_of(CallReport))
    attempts = schema["properties"]["attempts"]
    attempts["items"] = _described(
        _absent_if_nothing(attempts["items"]),
        attempt="which dial for the request: 1, and one more each time that a person has it dialled again",
        status="where it stands",
        createdAt="when the request came",
        outboundCallId="AlloMia's id of the call",
        contactId="AlloMia's id of the person called",
        callDetails="how the call went, as AlloMia tells it",
        outcomeSource="who told how it ended",
    )
    return _described(schema, requestId="the request's, or the id of its message in SQS", status="of the last attempt")


def _webhook() -> Schema:
    schema = _schema_of(CallState)
    schema["properties"]["status"] |= {"enum": [status for status in Status if status in ALLOMIA_OUTCOMES]}
    schema["properties"]["status"]["description"] = "required: one of completed, failed, busy, no-answer"
    for name in schema["properties"].keys() - set(schema["required"]):
        documented = schema["properties"][name]
        schema["properties"][name] = {"anyOf": [documented, {"description": "anything else is left out"}]}
    return schema


def _schema_of(model: type[BaseModel]) -> Schema:
    """A model's schema without references, so that a reader and every tool have it all in one place."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    definitions: Schema = schema.pop("$defs", {})
    # A rule that is code: the request's id is a segment of the callback URL's path.
    definitions["RequestId"] = definitions.get("RequestId", {}) | {"not": {"enum": [".", ".."]}}
    plain_schema: Schema = _inlined(schema, definitions)
    return {name: value for name, value in plain_schema.items() if name != "description"}


def _inlined(part: Json, definitions: Mapping[str, Schema]) -> Json:
    match part:
        case {"$ref": str(reference)}:
            rest = {name: each for name, each in part.items() if name != "$ref"}
            return _inlined(definitions[reference.removeprefix("#/$defs/")] | rest, definitions)
        case {"properties": dict(properties)}:
            rest = {name: each for name, each in part.items() if name != "properties"}
            inner = {name: _timed(name, _inlined(each, definitions)) for name, each in properties.items()}
            return _tidy(_inlined(rest, definitions) | {"properties": inner})
        case dict():
            return _tidy({name: _inlined(each, definitions) for name, each in part.items()})
        case list():
            return [_inlined(each, definitions) for each in part]
        case _:
            return part


def _timed(name: str, schema: Schema) -> Schema:
    return schema | ({"format": "date-time"} if name in _TIMES else {})


def _tidy(schema: Schema) -> Schema:
    schema = {_RENAMED.get(name, name): each for name, each in schema.items() if name not in _NOISE}
    match schema:
        case {"anyOf": [{"type": "integer"}, {"type": "number"}]}:
            schema["type"] = "number"
            del schema["anyOf"]
        case {"anyOf": [{"type": str(kind)}, {"type": "null"}]}:
            rules = schema.pop("anyOf")[0]
            values = {"enum": [*rules["enum"], None]} if "enum" in rules else {}
            schema = rules | schema | values | {"type": [kind, "null"]}
    return dict(sorted(schema.items(), key=lambda each: _ORDER.index(each[0]) if each[0] in _ORDER else len(_ORDER)))


def _all_required(schema: Schema) -> Schema:
    """The schema of what is always written whole, with null where there is nothing."""
    properties = {
        name: _all_required(each) if "properties" in each else each for name, each in schema["properties"].items()
    }
    return schema | {"properties": properties, "required": list(properties)}


def _absent_if_nothing(schema: Schema) -> Schema:
    """The schema of what is written without what it does not have."""
    properties: Schema = {}
    required = []
    for name, each in schema["properties"].items():
        match each:
            case {"type": [kind, "null"]}:
                properties[name] = each | {"type": kind}
                if "enum" in each:
                    properties[name]["enum"] = each["enum"][:-1]
            case _:
                properties[name] = each
                required.append(name)
        if "properties" in each:
            properties[name] = _absent_if_nothing(properties[name])
    return schema | {"properties": properties} | ({"required": required} if required else {})


def _described(schema: Schema, **descriptions: str) -> Schema:
    for name, description in descriptions.items():
        schema["properties"][name] = _tidy(schema["properties"][name] | {"description": description})
    return schema


def _event(name: str) -> Json:
    return json.loads((PROJECT / "events" / name).read_text())


def _image(name: str) -> Mapping[str, Json]:
    image: Mapping[str, Json] = _event(f"publish_outcome/{name}.json")["Records"][0]["dynamodb"]["NewImage"]
    return image


def _published(name: str) -> Json:
    return json.loads(outcome_event(_image(name)).model_dump_json())


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


def _rejection() -> Json:
    body = json.dumps(_event("requests/invalid-message.json"))
    try:
        read_message(body)
    except InvalidInput as refusal:
        return {
            "reason": f"{refusal.field}: {refusal.rule}",
            "field": refusal.field,
            "rule": refusal.rule,
            "messageId": "5d0c3a1e-9b57-4d0e-8a4b-1f2e3d4c5b6a",
        }
    raise ValueError("the example of a bad message is a good one")


def _reported(name: str) -> Json:
    attempt = attempt_report(plain(_image(name)))
    report = CallReport(
        request_id=_image(name)["requestId"]["S"], status=attempt.status, final=attempt.final, attempts=[attempt]
    )
    return report.wire()


if __name__ == "__main__":
    write()
