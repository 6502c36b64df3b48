"""Records every request that a test makes of AWS, and says which of them AWS would refuse.

The functions turn boto3's validation off, and the emulator accepts more than AWS. So botocore hands each request to
`requests.note` before it is built, whichever client makes it, and a test fails that made one which AWS refuses.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore import handlers

from tests.aws_rules import Expressions, faults, parts

if TYPE_CHECKING:
    from botocore.model import OperationModel

EVENT = "before-parameter-build"
"""botocore's event for a request as it was made, with the model of its operation."""


class Requests:
    """The requests of this process and of the functions that its tests start."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._refused: list[str] = []
        self._types: set[tuple[str, str, str]] = set()
        self._computed: set[tuple[str, str]] = set()

    def listen(self) -> None:
        """Hear of each request of every client that is made from now on."""
        # Each session registers these handlers, and each client takes over those of its session.
        handlers.BUILTIN_HANDLERS.append((EVENT, self.note, handlers.REGISTER_LAST))

    def note(self, params: Mapping[str, Any], model: OperationModel, **_: Any) -> None:
        """Check a request that is about to be sent."""
        self.counts[f"{model.service_model.service_name}:{model.name}"] += 1
        found = [f"{model.name}: {fault}" for fault in faults(model, params)]
        self._refused += found
        if not found and model.service_model.service_name == "dynamodb":
            for part in map(Expressions, parts(params)):
                self._types |= {(part.params["TableName"], *each) for each in part.written()}
                self._computed |= {(part.params["TableName"], name) for name in part.computed()}

    def note_lines(self, lines: Iterable[str]) -> None:
        """Check the requests that a function wrote down, each as a line of JSON."""
        for service, operation, params in map(json.loads, lines):
            self.note(params, service_model(service).operation_model(operation))

    def refused(self) -> list[str]:
        """What AWS would say of the requests since the last call of this method."""
        found, self._refused = self._refused, []
        # The emulator computes with text as well.
        texts = [each for each in self._types if each[:2] in self._computed and each[2] != "N"]
        return found + [f"{name} is computed with, but is also written as {kind}" for _, name, kind in texts]


@cache
def service_model(service: str) -> Any:
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


requests = Requests()
