"""The organizations in the secret of AlloMia keys: whose key, assistant and number a request is dialled with.

The secret is the key itself, ``{"apiKey": "…", "organizationId": "…"}``, or
``{"organizations": {"north": {"apiKey": "…", "organizationId": "…", "assistantId": "…", "phoneNumberId": "…"}}}``.
What is wrong with one organization holds up no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from outbound_calls.adapters.secrets import Secret, SecretUnusable
from outbound_calls.contracts.wire import ORGANIZATION_RULE, OrganizationName, Uuid, reader
from outbound_calls.domain.recipients import DEFAULT_ORGANIZATION

REREAD_SECONDS = 5.0
"""For a name that isn't in the secret it is read again at most this often."""

_MAX_ID_LENGTH = 128
_NOT_ONE_OF_THESE = 'the secret is JSON, but neither {"apiKey": "…"} nor {"organizations": {"NAME": {"apiKey": "…"}}}'
_NAME_BREAKS_THE_RULE = f"an organization's name in the secret breaks the rule: {ORGANIZATION_RULE}"


class OrganizationMissing(SecretUnusable):
    """The secret, which was read just now, names no such organization."""


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization's key, its id at AlloMia, and what its requests get where they name none of their own."""

    api_key: str = field(repr=False)
    organization_id: str | None = None
    assistant_id: str | None = None
    phone_number_id: str | None = None


@dataclass(eq=False, slots=True)
class Organizations:
    """The organizations in a secret. Shared by threads. A name is None for the default organization.

    `assistant_id` and `phone_number_id` are the default organization's, where the secret names none.
    """

    secret: Secret
    assistant_id: str | None = None
    phone_number_id: str | None = None

    def named(self, name: str | None) -> Organization:
        """The organization with this name. A name that isn't in the secret is looked for in it again.

        Raises:
            OrganizationMissing: When the secret has no such name.
            SecretUnusable: When the secret can't be read, or what it says of this organization can't be used.
        """
        found = read_organizations(self.secret.current())
        if name not in found:
            found = read_organizations(self.secret.recent(REREAD_SECONDS))
        if name not in found:
            if found.broken_names:
                # One of them may be meant.
                raise SecretUnusable(_NAME_BREAKS_THE_RULE)
            raise OrganizationMissing("the secret names no such organization")
        organization = found[name]
        if name is not None:
            return organization
        return replace(
            organization,
            assistant_id=organization.assistant_id or self.assistant_id,
            phone_number_id=organization.phone_number_id or self.phone_number_id,
        )

    def in_secret(self) -> SecretContent:
        """All that the secret says.

        Raises:
            SecretUnusable: When it can't be read or used.
        """
        return read_organizations(self.secret.current())

    def expire(self) -> None:
        """Have the secret read again for the next use, since AlloMia declines a key in it."""
        self.secret.expire()


@dataclass(frozen=True, slots=True)
class SecretContent:
    """What a secret says. Of an organization that can't be used, it has the rule that its entry breaks."""

    organizations: Mapping[str | None, Organization | str]
    broken_names: int = 0
    """How many names break the rule for names. They aren't among the organizations."""

    def __contains__(self, name: str | None) -> bool:
        return name in self.organizations

    def __getitem__(self, name: str | None) -> Organization:
        """The organization.

        Raises:
            SecretUnusable: When its entry can't be used.
        """
        found = self.organizations[name]
        if isinstance(found, str):
            raise SecretUnusable(found)
        return found


@lru_cache(maxsize=4)
def read_organizations(secret_text: str) -> SecretContent:
    """The organizations in a secret's text.

    Raises:
        SecretUnusable: When it has none. Names the rule, and nothing of the content.
    """
    text = secret_text.strip()
    if not text.startswith("{"):
        return _default_alone({"apiKey": text})
    try:
        content = json.loads(text, object_pairs_hook=_named_once)
    except (ValueError, RecursionError):
        raise SecretUnusable(_NOT_ONE_OF_THESE) from None
    if "organizations" not in content:
        return _default_alone(content)
    entries = content["organizations"]
    if "apiKey" in content or not isinstance(entries, dict) or not entries:
        raise SecretUnusable(_NOT_ONE_OF_THESE)
    names = [name for name in entries if _is_a(OrganizationName, name)]
    return SecretContent(
        {None if name == DEFAULT_ORGANIZATION else name: _organization(entries[name]) for name in names},
        broken_names=len(entries) - len(names),
    )


def _default_alone(entry: object) -> SecretContent:
    organization = _organization(entry)
    if isinstance(organization, str):
        raise SecretUnusable(organization)
    return SecretContent({None: organization})


def _named_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. A name that occurs twice in it has no value: it isn't known which one was meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = None if name in found else value
    return found


def _organization(entry: object) -> Organization | str:
    """An organization; or the rule that its entry breaks."""
    if not isinstance(entry, dict):
        return "an organization in the secret is no JSON object"
    api_key, organization_id = _word(entry.get("apiKey")), _word(entry.get("organizationId"))
    if not api_key:
        return "the secret holds no key of printable ASCII characters"
    if organization_id is None and entry.get("organizationId") is not None:
        return "organizationId in the secret: printable ASCII characters"
    if organization_id and len(organization_id) > _MAX_ID_LENGTH:
        return f"organizationId in the secret: at most {_MAX_ID_LENGTH} characters"
    ids: dict[str, str | None] = {}
    for name in ("assistantId", "phoneNumberId"):
        value = entry.get(name) or None
        if value is not None and not _is_a(Uuid, value):
            return f"{name} in the secret: a UUID"
        ids[name] = value and str(value).lower()
    return Organization(api_key, organization_id or None, ids["assistantId"], ids["phoneNumberId"])


def _word(value: object) -> str | None:
    """A text of printable ASCII characters, as fits in an HTTP header and in a URL; empty where there is none."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if all("!" <= character <= "~" for character in text) else None


def _is_a(kind: Any, value: object) -> bool:
    try:
        reader(kind).validate_python(value)
    except ValidationError:
        return False
    return True
