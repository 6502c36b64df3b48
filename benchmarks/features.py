"""What a call asks of DynamoDB beyond a healthy one, for what the policy or the secret adds.

tests/cloud/test_counts.py counts each of them exactly.
"""

from collections.abc import Mapping
from types import MappingProxyType

type Counts = Mapping[str, int]

CALL: Counts = MappingProxyType({"Query": 1, "PutItem": 1, "UpdateItem": 2})
"""Of a healthy call: what is remembered of the number, the claim, the settling, the outcome."""

READS = frozenset({"GetItem", "Query"})

MORE: Mapping[str, Counts] = MappingProxyType(
    {
        "calling windows": MappingProxyType({}),
        "a batch": MappingProxyType({"GetItem": 1}),
        "a cap on calls to one recipient": MappingProxyType({"PutItem": 1}),
        "a limit of calls at once, with a free line": MappingProxyType({"GetItem": 1, "UpdateItem": 1}),
        "rules for a redial, whether it comes or not": MappingProxyType({"UpdateItem": 1}),
        "AlloMia's id of the organization, for its call log": MappingProxyType({"PutItem": 1}),
    }
)
"""The requests more until the call has its outcome, each of one unit at least."""

AFTERWARDS: Mapping[str, Counts] = MappingProxyType(
    {"a limit of calls at once, with a free line": MappingProxyType({"UpdateItem": 1})}
)
"""Those of release_lines, which frees the line."""


def counts(*names: str) -> dict[str, int]:
    """The requests of a call with these."""
    found = dict(CALL)
    for name in names:
        for request, count in MORE[name].items():
            found[request] = found.get(request, 0) + count
    return found


def units(name: str) -> tuple[int, int]:
    """The read and write units more."""
    asked = [*MORE[name].items(), *AFTERWARDS.get(name, {}).items()]
    reads = sum(count for request, count in asked if request in READS)
    return reads, sum(count for _, count in asked) - reads
