"""A rehearsal: a deployed stack against AlloMia's deployed sandbox, which leaves the stack as it was."""

import json
import os
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from calls.operations.stack import Clients, DeployedStack
from local.cloud import LocalCloud
from local.environment import LocalEnvironment
from local.simulator import Simulator
from local.stack import complete
from rehearsal.changes import with_parameters
from rehearsal.rehearse import QUICK, Sandbox, deploy_sandbox, driven, rehearse
from rehearsal.steps import Stage
from tests.stack.conftest import wait_until

QUICKER = QUICK | {"WebhookGraceSeconds": "4"}


@pytest.fixture(scope="module")
def sandbox(parts: tuple[LocalCloud, Simulator]) -> Sandbox:
    cloud, _ = parts
    deploy_sandbox("sandbox", dict(os.environ) | cloud.environment(), LocalEndpointUrl=cloud.endpoint_url)
    deployed = complete(cloud, "sandbox", "SandboxApi")
    outputs = deployed.outputs
    client = cast("Clients", cloud.client)
    return Sandbox(client, outputs["SandboxTableName"], deployed.api_url, outputs["EndingLayerArn"])


def test_a_rehearsal_shows_that_the_guarantees_hold_and_gives_back_what_it_changed(
    world: LocalEnvironment, sandbox: Sandbox, tmp_path: Path
) -> None:
    stack = DeployedStack.find(world.stack.name, cast("Clients", world.cloud.client))
    parameters = {**QUICKER, "AllomiaBaseUrl": sandbox.url}
    with with_parameters(stack, parameters, every_seconds=0.2), driven(stack, sandbox) as environment:
        report = rehearse(
            Stage(stack, environment, sandbox.ending_layer, give_up_seconds=90, warm=2), Console(quiet=True)
        )

    broken = [each for each in report.guarantees if not each["holds"]]
    assert report.holds, "\n".join([*map(str, broken), *map(str, report.calls)])
    assert len(report.calls) > 10
    written = report.write(tmp_path)
    assert json.loads(written.with_suffix(".json").read_text())["left_out"] == report.left_out
    assert "+1500555" not in written.read_text() + written.with_suffix(".json").read_text()
    # Nothing is left that the stack could dial through another AlloMia.
    assert environment.to_be_dialled() == []
    assert DeployedStack.find(stack.name, stack.client).parameters == stack.parameters
    # It calls through the AlloMia from before, and no one for the rehearsal.
    world.send({"requestId": "after-the-rehearsal", "phoneNumber": "+15005550100"})
    wait_until(lambda: world.dials().get("after-the-rehearsal"))
    assert [each for each in world.dials() if each.startswith(environment.prefix)] == []
