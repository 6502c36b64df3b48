"""The settings for all numbers at once: faults, times and accepted keys."""

import json
from collections.abc import Container
from random import Random
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from local.simulator.behaviours import (
    LOG_ANSWERS,
    LOG_ENTRIES,
    MEDIA_ANSWERS,
    OVER_HTTP,
    STATUS_ANSWERS,
    WEBHOOKS,
    Behaviour,
)

OWN, OTHER = "own", "other"
"""Two organizations of one tenant: the stack's, and another one."""

type Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


def _one_of(names: Container[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"no such behaviour: {name}")
        return name

    return AfterValidator(check)


class Faults(BaseModel):
    """What `PATCH /_control` sets; each field is also an option of `python -m local.simulator`.

    `post`, `webhooks`, `status` and `log_entries` replace what the dialled number asks for; `ok` and `normal` leave it
    to the number.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    post: Annotated[str, _one_of(OVER_HTTP)] = Field(
        "ok", description="The answer to a POST (`ok` leaves it to the number)"
    )
    webhooks: Annotated[str, _one_of(WEBHOOKS)] = Field(
        "normal", description="The webhooks of calls accepted from now on (`normal` leaves them to the number)"
    )
    status: Annotated[str, _one_of(STATUS_ANSWERS)] = Field(
        "normal", description="The answer to a status request (`normal` leaves it to the number)"
    )
    log_entries: Annotated[str, _one_of(LOG_ENTRIES)] = Field(
        "normal",
        description="The call log's entries for calls accepted from now on (`normal` leaves them to the number)",
    )
    log: Annotated[str, _one_of(LOG_ANSWERS)] = Field(
        "normal", description="The answer to a request for the call log or for a call's record"
    )
    media: Annotated[str, _one_of(MEDIA_ANSWERS)] = Field(
        "normal", description="The answer to a request for a transcript or a recording"
    )
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        1.0, description="How likely each of these takes effect, drawn again for each request"
    )
    seed: int | None = Field(None, description="Makes those draws repeatable")
    latency_seconds: Seconds = Field(0.0, description="Added before every answer, after AlloMia has acted")
    ring_seconds: Seconds = Field(1.0, description="From acceptance to the terminal status")
    webhook_delay_seconds: Seconds = Field(
        0.1, description="From the terminal status to the webhook, and between two webhooks"
    )
    late_seconds: Seconds = Field(120.0, description="What a late webhook adds to that")
    late_entry_seconds: Seconds = Field(
        120.0, description="How long after the call's end a late entry of the call log appears"
    )
    hang_seconds: Seconds = Field(
        60.0, description="How long a hanging connection stays open, and how long a trickling body takes"
    )
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        1, description="The `Retry-After` of a 429 or 503"
    )
    accepted_keys: tuple[str, ...] = Field(("test-key",), description="The keys of the stack's organization")
    other_organization_keys: tuple[str, ...] = Field(
        ("other-organization-key",), description="Valid keys of another organization, which cannot see these calls"
    )
    organization_keys: tuple[Annotated[str, StringConstraints(pattern="^[^=]+=.+$")], ...] = Field(
        (), description="Keys of more organizations of the tenant, each as `NAME=KEY`"
    )
    tenant_keys: tuple[str, ...] = Field(
        ("tenant-key",), description="Keys of the tenant, which see all its organizations and dial for the stack's"
    )

    def changed_by(self, patch: Self) -> Self:
        """These faults with the fields that were given in `patch`."""
        return self.model_copy(update={name: getattr(patch, name) for name in patch.model_fields_set})

    def applied_to(self, own: Behaviour, random: Random) -> Behaviour:
        """What a POST to a number with behaviour `own` leads to."""
        return Behaviour(
            outcome=own.outcome,
            post=self.post if self.post != "ok" and self._takes_effect(random) else own.post,
            webhooks=self.webhooks if self.webhooks != "normal" and self._takes_effect(random) else own.webhooks,
            status=own.status,
            log_entries=self.log_entries
            if self.log_entries != "normal" and self._takes_effect(random)
            else own.log_entries,
        )

    def status_for(self, own: str, random: Random) -> str:
        """The same for one status request."""
        return self.status if self.status != "normal" and self._takes_effect(random) else own

    def log_answer(self, random: Random) -> str:
        """The same for one request for the log or a record."""
        return self.log if self.log != "normal" and self._takes_effect(random) else "normal"

    def media_answer(self, random: Random) -> str:
        """The same for one request for a transcript or a recording."""
        return self.media if self.media != "normal" and self._takes_effect(random) else "normal"

    def organizations_of(self, key: str) -> tuple[str, ...]:
        """The organizations that a key sees, first the one that it dials for; none for a key that isn't valid."""
        named = {own: name for name, _, own in (each.partition("=") for each in self.organization_keys)}
        if key in self.accepted_keys:
            return (OWN,)
        if key in self.other_organization_keys:
            return (OTHER,)
        if key in named:
            return (named[key],)
        return tuple(dict.fromkeys([OWN, OTHER, *named.values()])) if key in self.tenant_keys else ()

    def _takes_effect(self, random: Random) -> bool:
        return random.random() < self.probability


def settings_as_markdown() -> str:
    """The table of the settings, for the documentation."""
    choices = {
        "post": OVER_HTTP,
        "webhooks": tuple(WEBHOOKS),
        "status": tuple(STATUS_ANSWERS),
        "logEntries": tuple(LOG_ENTRIES),
        "log": tuple(LOG_ANSWERS),
        "media": tuple(MEDIA_ANSWERS),
    }
    fields = {to_camel(name): field for name, field in Faults.model_fields.items()}
    rows = [["setting", "default", "meaning"], ["---"] * 3]
    for name, value in Faults().model_dump(mode="json").items():
        values = ", ".join(f"`{choice}`" for choice in choices.get(name, ()))
        default = value if isinstance(value, str) else json.dumps(value)
        rows.append([f"`{name}`", f"`{default}`", f"{fields[name].description}{': ' if values else ''}{values}."])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
