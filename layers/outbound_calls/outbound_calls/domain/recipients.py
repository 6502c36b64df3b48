"""What is remembered of the person at a number: dials, and the objections to being dialled. Times are epoch seconds."""

from dataclasses import dataclass

DEFAULT_ORGANIZATION = "default"


def organization_name(organization: str | None) -> str:
    """An organization's name in the policy: absent means the default one."""
    return organization or DEFAULT_ORGANIZATION


def organization_key(name: str | None) -> str | None:
    """An organization as keys name it: None for the default one, which may be named too."""
    return None if name == DEFAULT_ORGANIZATION else name


@dataclass(frozen=True, slots=True)
class PastDial:
    """A dial to the number that AlloMia may have taken. `at` is the latest time at which it was posted."""

    at: float
    organization: str | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """An entry of the do-not-call list: until a time or for good, for an organization or all, for purposes or all."""

    until: float | None = None
    organization: str | None = None
    purposes: tuple[str, ...] = ()

    def holds(self, organization: str | None, purpose: str | None, at: float) -> bool:
        """Whether it forbids a dial for an organization (None: the default one) and a purpose at a time."""
        return (
            (self.until is None or at < self.until)
            and (self.organization is None or organization_name(self.organization) == organization_name(organization))
            and (not self.purposes or purpose in self.purposes)
        )


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the stack remembers of a number. The attempt's own dial, if it has one, isn't among the dials."""

    dials: tuple[PastDial, ...] = ()
    objections: tuple[Objection, ...] = ()
