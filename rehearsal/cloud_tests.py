"""tests/cloud in an AWS account: the tests of ledger and policy with AWS's own DynamoDB, SQS and Secrets Manager."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from local.sam import ROOT

ONLY_ON_LOCALHOST = (
    "test_console_browser",
    "test_console_size",
    "test_doctor",
    "test_other_clouds",
    "test_outcomes_over_https",
    "test_senders",
)
"""They need the local cloud: its clock and its delivery to localhost, or a table of 10,000 calls."""

WORKERS = 4
TEST_SECONDS = 900


def command() -> list[str]:
    """What runs the tests."""
    ignored = [f"--ignore=tests/cloud/{name}.py" for name in ONLY_ON_LOCALHOST]
    limit = f"test_seconds={TEST_SECONDS}"
    return [sys.executable, "-I", "-m", "pytest", "-q", "-n", str(WORKERS), "-o", limit, "tests/cloud", *ignored]


def environment(session: Any, shell: Mapping[str, str]) -> dict[str, str]:
    """The shell's environment, and the account's credentials in the one variable that tests keep."""
    credentials = session.get_credentials().get_frozen_credentials()
    account = {
        "region": session.region_name,
        "key": credentials.access_key,
        "secret": credentials.secret_key,
        "token": credentials.token,
    }
    return {**shell, "TESTS_CLOUD": "aws-account", "TESTS_AWS_ACCOUNT": json.dumps(account)}


def run(session: Any) -> bool:
    """Run them; returns whether all passed."""
    variables = environment(session, os.environ)
    done = subprocess.run(command(), cwd=ROOT, env=variables, check=False)  # noqa: S603 - no input in it
    return done.returncode == 0
