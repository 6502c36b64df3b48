"""The explorer finds mistakes: each of a list of small changes to the code breaks a guarantee that it checks.

`make test` tries a fifth of those of each guarantee, `make proof` all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Sequence

import pytest

from tests.proof.explorer.guarantees import Guarantee
from tests.proof.explorer.mutants import PACKAGES, ROOT, Catch
from tests.proof.explorer.mutations import MUTATIONS, Mutation

SHARE = 5
"""Of so many mutations of one guarantee, `make test` tries one."""


def code() -> int:
    """A number that is the same for the same code."""
    found = 0
    for path in sorted(path for package in PACKAGES for path in package.rglob("*.py")):
        found = zlib.crc32(path.read_bytes(), found)
    return found


def sample(version: int) -> list[Mutation]:
    """The mutations to try on a version of the code. The next version has others, so that all have their turn."""
    of_guarantee: dict[Guarantee, list[Mutation]] = defaultdict(list)
    for mutation in MUTATIONS:
        of_guarantee[mutation.guarantee].append(mutation)
    return [mutation for each in of_guarantee.values() for mutation in each[version % min(SHARE, len(each)) :: SHARE]]


def assert_caught(mutations: Sequence[Mutation], capsys: pytest.CaptureFixture[str]) -> None:
    # When each mutated copy of the code is explored, in processes forked from one with the layer's dependencies
    started_at = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tests.proof.explorer.mutants", *(mutation.name for mutation in mutations)],
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
        for mutation in mutations
        if (catch := catches[mutation.name]).guarantee != mutation.guarantee
    ]
    assert not escaped, "\n\n".join(escaped)
    with capsys.disabled():
        words = f"{len(mutations)} mutations of the code, each caught; {time.monotonic() - started_at:.0f} s"
        print(f"\n  {words}", file=sys.stderr, flush=True)  # noqa: T201 - figures for the reader


def test_the_explorer_catches_some_mutations_of_each_guarantee(capsys: pytest.CaptureFixture[str]) -> None:
    assert_caught(sample(code()), capsys)


@pytest.mark.proof
def test_the_explorer_catches_every_mutation(capsys: pytest.CaptureFixture[str]) -> None:
    assert_caught(MUTATIONS, capsys)


def test_each_sample_has_every_guarantee_and_all_mutations_have_their_turn() -> None:
    samples = [sample(version) for version in range(60)]

    for each in samples:
        assert {mutation.guarantee for mutation in each} == {mutation.guarantee for mutation in MUTATIONS}
    assert {mutation.name for each in samples for mutation in each} == {mutation.name for mutation in MUTATIONS}


def test_every_mutation_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 70
