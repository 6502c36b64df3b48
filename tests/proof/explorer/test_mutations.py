"""The explorer finds mistakes: each of a list of small changes to the code breaks a guarantee that it checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.proof.explorer.mutants import ROOT, Catch
from tests.proof.explorer.mutations import MUTATIONS


# One test for all of them: they share a process that has imported the layer's dependencies.
def test_the_explorer_catches_every_mutation(capsys: pytest.CaptureFixture[str]) -> None:
    # When each mutated copy of the code is explored
    started_at = time.monotonic()
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
    # Then each breaks the guarantee that it is expected to break
    escaped = [
        f"{mutation.name}: {catch.guarantee} instead of {mutation.guarantee}\n{catch.detail}"
        for mutation in MUTATIONS
        if (catch := catches[mutation.name]).guarantee != mutation.guarantee
    ]
    assert not escaped, "\n\n".join(escaped)
    with capsys.disabled():
        words = f"{len(MUTATIONS)} mutations of the code, each caught; {time.monotonic() - started_at:.0f} s"
        print(f"\n  {words}", file=sys.stderr, flush=True)  # noqa: T201 - figures for the reader


def test_every_mutation_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 70
