"""What is set for every number at once: the faults, the times and the accepted keys."""

from random import Random
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from local.simulator.behaviour import Behaviour, Post, Status, Webhook

type Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Faults(BaseModel):
    """What `PATCH /_control` sets; every field is also an option of `python -m local.simulator`.

    A fault that is set goes over what the dialled number asks for; `ok` and `normal` leave it to the number.

    Attributes:
        post: What the POST does.
        webhooks: What becomes of the webhooks of calls accepted from now on.
        status: What the status answers, from now on.
        probability: How likely each of these three is to strike, thrown anew each time.
        seed: Makes those throws repeatable.
        latency_seconds: Added before every answer, after AlloMia has acted.
        ring_seconds: From the acceptance to the terminal status.
        webhook_delay_seconds: From the terminal status to the webhook, and between two webhooks.
        late_seconds: What a late webhook adds to that.
        hang_seconds: How long a hanging connection stays open, and how long a trickling body takes.
        retry_after_seconds: The `Retry-After` of a 429 or 503.
        accepted_keys: The keys of the organization that the stack belongs to.
        other_organization_keys: Valid keys of another organization, which cannot see this one's calls.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    post: Post = Post.OK
    webhooks: Webhook = Webhook.NORMAL
    status: Status = Status.NORMAL
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    seed: int | None = None
    latency_seconds: Seconds = 0.0
    ring_seconds: Seconds = 1.0
    webhook_delay_seconds: Seconds = 0.1
    late_seconds: Seconds = 120.0
    hang_seconds: Seconds = 60.0
    retry_after_seconds: Annotated[int, Field(ge=0, le=86_400)] = 1
    accepted_keys: tuple[str, ...] = ("test-key",)
    other_organization_keys: tuple[str, ...] = ("other-organization-key",)

    def changed_by(self, patch: Self) -> Self:
        """These faults with the fields that were given in `patch`."""
        return self.model_copy(update={name: getattr(patch, name) for name in patch.model_fields_set})

    def post_and_webhook_over(self, own: Behaviour, dice: Random) -> Behaviour:
        """The number's own behaviour, with the faults that strike a POST over it."""
        return Behaviour(
            outcome=own.outcome,
            post=self.post if self.post is not Post.OK and self._strikes(dice) else own.post,
            webhook=self.webhooks if self.webhooks is not Webhook.NORMAL and self._strikes(dice) else own.webhook,
            status=own.status,
        )

    def status_over(self, own: Status, dice: Random) -> Status:
        """The same for one read of a call's status."""
        return self.status if self.status is not Status.NORMAL and self._strikes(dice) else own

    def _strikes(self, dice: Random) -> bool:
        return dice.random() < self.probability
