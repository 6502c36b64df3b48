"""What the stack's own parts send to place_call. Apart from requests, whose models the poller need not build."""

from typing import Annotated

from pydantic import ConfigDict, Field

from outbound_calls.contracts.wire import (
    MAX_ATTEMPT_NUMBER,
    ORGANIZATION_SEPARATOR,
    AttemptNumber,
    OrganizationName,
    RequestKeyText,
    WireModel,
)


class AttemptName(WireModel):
    """Names one attempt: `requestId` is its request's key in the calls table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: RequestKeyText = Field(
        description=f"a request's id, or its organization and its id with {ORGANIZATION_SEPARATOR} between them"
    )
    attempt: AttemptNumber = Field(description=f"a whole number from 1 to {MAX_ATTEMPT_NUMBER}")


class DispatchMessage(WireModel):
    """The poller's message: this parked attempt may be tried now. Its request is in the table.

    `times_parked` distinguishes a late message from a current one: it doesn't match once the attempt was parked again.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    dispatch: AttemptName = Field(description="only the poller sends this: requestId and attempt of a parked attempt")
    times_parked: Annotated[int, Field(ge=1)] = Field(description="how often the attempt was parked by then")


class FreeLines(WireModel):
    """Whose free lines are to be handed on."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    organization: OrganizationName | None = None


class HandOnMessage(WireModel):
    """Hand on an organization's free lines: the index of those who wait may not have shown all of them."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    hand_on: FreeLines = Field(description="only this stack sends this: an object with organization")
