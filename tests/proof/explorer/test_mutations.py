"""The explorer finds mistakes: each of a list of small changes to the layer breaks a promise that it watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.proof.explorer.mutants import ROOT, Catch, mutate
from tests.proof.explorer.mutations import MUTATIONS, Mutation


# One test for all of them: they share a process that has the packages loaded which the layer needs.
def test_the_explorer_catches_every_mutation(capsys: pytest.CaptureFixture[str]) -> None:
    # When each mutated copy of the layer is explored
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tests.proof.explorer.mutants"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    catches = {catch.name: catch for catch in (Catch(*json.loads(line)) for line in process.stdout.splitlines())}
    # Then each breaks the promise that it is expected to break
    escaped = [
        f"{mutation.name}: {catch.promise} instead of {mutation.promise}\n{catch.words}"
        for mutation in MUTATIONS
        if (catch := catches[mutation.name]).promise != mutation.promise
    ]
    assert not escaped, "\n\n".join(escaped)
    with capsys.disabled():
        words = f"{len(MUTATIONS)} mutations of the layer, each caught; {time.monotonic() - began:.0f} s"
        print(f"\n  {words}", file=sys.stderr, flush=True)  # noqa: T201 - a figure that one runs it for


def test_every_mutation_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 12


def test_a_mutation_whose_text_is_gone_is_refused(tmp_path: Path) -> None:
    gone = Mutation("gone", "place.py", "this is nowhere", "", "one request", "one dial")
    with pytest.raises(ValueError, match="0 times"):
        mutate(gone, tmp_path)
