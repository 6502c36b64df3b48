"""Runs the explorer on mutated copies of the code: `python -m tests.proof.explorer.mutants [NAME…]`.

Each copy is explored in a process of its own, which imports the copies. These processes are forked
from one that has imported the code's dependencies, since importing them takes longest. It prints one line of JSON for
each mutation, as soon as its result is known.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import boto3.dynamodb.types  # noqa: F401 - see above
import httpx  # noqa: F401
import pydantic  # noqa: F401

from tests.proof.explorer.guarantees import Guarantee
from tests.proof.explorer.mutations import MUTATIONS, Mutation
from tests.proof.explorer.operators import apply

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = (ROOT / "layers/outbound_calls/outbound_calls", ROOT / "calls")
AT_ONCE = 2


class Catch(NamedTuple):
    """The explorer's result for one mutation: the guarantee that it found broken, if any, and how."""

    name: str
    guarantee: str | None
    detail: str
    seconds: float


def mutate(mutation: Mutation, folder: Path) -> None:
    """Copy the layer and the operator's command into a folder, with the mistake in them.

    Raises:
        DoesNotApply: They have no place, or more than one, for one of the changes.
    """
    for package in PACKAGES:
        shutil.copytree(package, folder / package.name)
    for change in mutation.changes:
        package = next(each for each in PACKAGES if (each / change.target.partition(".")[0]).is_dir())
        apply(change.operator, change.target, folder / package.name)


def hunt(mutation: Mutation) -> Catch:
    """Explore the scenario in which the mutation shows. For a process that has not imported the code yet."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        mutate(mutation, Path(folder))
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        from tests.proof.explorer.scenarios import SCENARIOS
        from tests.proof.explorer.search import Violation, explore, shortest

        for package in PACKAGES:
            imported = sys.modules.get(package.name)
            assert imported is None or imported.__file__ == f"{folder}/{package.name}/__init__.py"
        guarantee, detail = None, "not caught"
        try:
            # Only the search in depth notices what goes on forever, and the other one is faster.
            search = explore if mutation.guarantee is Guarantee.AN_END else shortest
            search(SCENARIOS[mutation.scenario])
        except Violation as violation:
            guarantee, detail = violation.guarantee, str(violation)
    return Catch(mutation.name, guarantee, detail, time.process_time() - began)


def _in_a_fork(mutation: Mutation) -> int:
    """The id of a process that prints the catch."""
    if child := os.fork():
        return child
    try:
        catch = hunt(mutation)
    except BaseException:  # noqa: BLE001 - the parent reports it
        catch = Catch(mutation.name, None, traceback.format_exc(), 0.0)
    # One write of less than a pipe's buffer, so that the lines of two processes don't mix.
    os.write(sys.stdout.fileno(), (json.dumps(catch._replace(detail=catch.detail[:3000])) + "\n").encode())
    os._exit(0)


def main(names: list[str]) -> None:
    running = set[int]()
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        if len(running) == AT_ONCE:
            running.discard(os.wait()[0])
        running.add(_in_a_fork(mutation))
    for _ in running:
        os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
