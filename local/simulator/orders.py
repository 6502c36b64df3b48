"""What AlloMia accepts as the body of `POST /api/outbound`."""

from typing import Annotated

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

type _Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$")]


def _web_address(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("not an http or https URL")
    return text


class Order(BaseModel):
    """A call to place. Optional fields may be absent but not null; unknown ones are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, strict=True, extra="ignore"
    )

    phone_number: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{8,18}$")]
    assistant_id: _Uuid
    phone_number_id: _Uuid
    customer_name: str = ""
    dynamic_variables: dict[str, str] = {}
    callback_url: Annotated[str, AfterValidator(_web_address)] = ""

    @property
    def subject(self) -> str:
        """Names the order among others: its callback URL, or its phone number where it has none."""
        return self.callback_url or self.phone_number


def explain(invalid: ValidationError) -> str:
    """Which fields are invalid and why, on one line, without their values."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in invalid.errors(include_url=False, include_input=False, include_context=False)
    )
