"""Runs the explorer on mutated copies of the layer: `python -m tests.proof.explorer.mutants [NAME…]`.

Each copy is explored in a process of its own, which imports the copy in the layer's place. These processes are forked
from one that has imported only what the layer needs of others, since that is what takes the time. One line of JSON for
each mutation comes out, as soon as it is known.
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

from tests.proof.explorer.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[3]
LAYER = ROOT / "layers/outbound_calls/outbound_calls"
AT_ONCE = 2


class Catch(NamedTuple):
    """What the explorer said of one mutation."""

    name: str
    promise: str | None
    words: str
    seconds: float


def mutate(mutation: Mutation, folder: Path) -> None:
    """Copy the layer into a folder, with the mistake in it."""
    copy = folder / LAYER.name
    shutil.copytree(LAYER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in ((mutation.module, mutation.old, mutation.new), *mutation.also):
        module = copy / name
        source = module.read_text()
        if (found := source.count(old)) != 1:
            raise ValueError(f"{mutation.name}: its text is in {name} {found} times, and not once: {old}")
        module.write_text(source.replace(old, new))


def hunt(mutation: Mutation) -> Catch:
    """Explore the scenario in which the mutation shows. For a process that has not imported the layer."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        mutate(mutation, Path(folder))
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        from tests.proof.explorer.scenarios import SCENARIOS
        from tests.proof.explorer.search import Violation, explore

        assert sys.modules["outbound_calls"].__file__ == f"{folder}/outbound_calls/__init__.py"
        promise, words = None, "not caught"
        try:
            explore(SCENARIOS[mutation.scenario])
        except Violation as violation:
            promise, words = violation.promise, str(violation)
    return Catch(mutation.name, promise, words, time.monotonic() - began)


def _in_a_fork(mutation: Mutation) -> int:
    """The id of a process that prints the catch."""
    if child := os.fork():
        return child
    try:
        catch = hunt(mutation)
    except BaseException:  # noqa: BLE001 - told to the parent
        catch = Catch(mutation.name, None, traceback.format_exc(), 0.0)
    # One write of less than a pipe's buffer, so that two processes' lines do not mix.
    os.write(sys.stdout.fileno(), (json.dumps(catch._replace(words=catch.words[:3000])) + "\n").encode())
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
