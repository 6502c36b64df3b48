"""A rehearsal: the deployed stack against AlloMia's deployed sandbox."""

import json
import os
from pathlib import Path
from typing import cast

from rich.console import Console

from calls.operations.stack import Clients
from local.cloud import LocalCloud
from local.environment import deploy_into
from local.simulator import Simulator
from local.stack import complete
from rehearsal.rehearse import LEFT_OUT, QUICK, Sandbox, deploy_sandbox, rehearse


def test_a_rehearsal_shows_that_the_guarantees_hold(parts: tuple[LocalCloud, Simulator], tmp_path: Path) -> None:
    cloud, _ = parts
    environment = dict(os.environ) | cloud.environment()
    deploy_sandbox("sandbox", environment, LocalEndpointUrl=cloud.endpoint_url)
    deployed = complete(cloud, "sandbox", "SandboxApi")
    sandbox = Sandbox(cast("Clients", cloud.client), deployed.outputs["SandboxTableName"], deployed.api_url)
    rehearsed = deploy_into(cloud, cast("Simulator", sandbox), QUICK, "rehearsed")

    report = rehearse(rehearsed, "rehearsed", Console(quiet=True))

    assert [each for each in report.guarantees if not each["holds"]] == []
    assert report.holds
    assert len(report.calls) > 8
    written = report.write(tmp_path)
    assert json.loads(written.with_suffix(".json").read_text())["left_out"] == list(LEFT_OUT)
    assert "+1500555" not in written.read_text() + written.with_suffix(".json").read_text()
