"""A unit test fails for each deliberate mistake in the policy: in its rules, boundaries, zones and their order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.proof.policy.mistakes import MISTAKES, Notice
from tests.tooling.mutation.run import ROOT


@pytest.mark.proof
# One test for all of them: they share a process that has imported the layer's dependencies.
def test_the_tests_of_policy_notice_every_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    # When the tests run on each copy of the layer with a mistake in it
    started_at = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-m", "tests.proof.policy.mistakes"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    notices = [Notice(*json.loads(line)) for line in process.stdout.splitlines()]
    # Then a test fails, and not because the layer can't be imported
    unnoticed = [f"{each.name}: {each.by}\n{each.detail}" for each in notices if "::" not in (each.by or "")]
    assert not unnoticed, "\n\n".join(unnoticed)
    assert {each.name for each in notices} == {mistake.name for mistake in MISTAKES}
    with capsys.disabled():
        words = f"{len(MISTAKES)} mistakes in the policy, each noticed; {time.monotonic() - started_at:.0f} s"
        print(f"\n  {words}", file=sys.stderr, flush=True)  # noqa: T201 - figures for the reader


def test_every_mistake_has_a_name_of_its_own() -> None:
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 85
