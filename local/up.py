"""`make local`: the stack on the local cloud, left running, with hints on what to try.

Writes events/env.json, with which `sam local invoke`, `sam local start-api` and `make invoke` run a function against
this very stack.
"""

import contextlib
import json
import platform
import shlex
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from local.bridge import Bridge
from local.environment import LocalEnvironment, running
from local.stack import function_environment

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT_FILE = ROOT / "events/env.json"
_FUNCTIONS = (
    "PlaceCallFunction",
    "ReceiveWebhookFunction",
    "PollCallsFunction",
    "PublishOutcomeFunction",
    "GetCallFunction",
)


def main() -> int:
    """Run until interrupted."""
    console = Console(soft_wrap=True)
    with contextlib.ExitStack() as everything:
        with console.status("Starting the local cloud and AlloMia's simulator, building and deploying template.yaml"):
            world = everything.enter_context(running({"WebhookGraceSeconds": 10, "CallDeadlineSeconds": 120}))
        bridge = everything.enter_context(
            Bridge(*(_port(url) for url in (world.cloud.endpoint_url, world.allomia.url)))
        )
        environments = {name: function_environment(world.cloud, world.stack, name) for name in _FUNCTIONS}
        # The file format of `sam local --env-vars`.
        ENVIRONMENT_FILE.write_text(json.dumps(environments, indent=2).replace("127.0.0.1", bridge.host) + "\n")
        everything.callback(ENVIRONMENT_FILE.unlink, missing_ok=True)
        console.print(hints(world), markup=False, highlight=False)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        stopped.wait()
    return 0


def _port(url: str) -> int:
    return urlsplit(url).port or 80


def hints(world: LocalEnvironment) -> str:
    """What can be done now, as commands to copy."""
    aws = " ".join(
        f"{name}={shlex.quote(value)}" for name, value in world.cloud.environment().items() if "AWS_" in name
    )
    stack, simulator = world.stack, world.allomia.url
    architecture = "x86_64" if platform.machine().lower() in {"x86_64", "amd64"} else "arm64"
    # Without them a container would be made for the template's own default architecture, and find no local cloud.
    overrides = f"--parameter-overrides Architecture={architecture} LocalEndpointUrl={world.cloud.endpoint_url}"
    return f"""\
The stack {stack.name} runs here until Ctrl-C. For the AWS command line (version 2) in another terminal:

  export {aws}

Post a message (what a phone number makes AlloMia do: .venv/bin/python -m local.simulator --numbers):
  aws sqs send-message --queue-url {stack.call_queue_url} --message-body file://events/requests/completed.json

The same with the operator's command, and what else it does (docs/operate/command.md):
  .venv/bin/calls place --phone-number +15005550100 --wait --stack {stack.name}
  .venv/bin/calls watch --stack {stack.name}

Watch the table, start the poller without waiting for its minute, read the rejected messages with their reasons:
  aws dynamodb scan --table-name {stack.calls_table_name} --output table
  aws stepfunctions start-execution --state-machine-arn {stack.poller_arn}
  aws sqs receive-message --queue-url {stack.invalid_messages_queue_url} --message-attribute-names All

Look a call up:
  curl --aws-sigv4 aws:amz:{world.cloud.region}:execute-api --user {world.cloud.account}:local \\
    {stack.status_api_url}/completed

Read a log:
  aws logs tail /aws/lambda/{stack.name}/place-call --since 5m

Make AlloMia misbehave, see whom it rang, and make it well again:
  curl -X PATCH {simulator}/_control -d '{{"post": "fail-500", "webhooks": "lost"}}'
  curl {simulator}/_control/dials
  curl -X POST {simulator}/_control/reset

Run one function by itself against all this, under Lambda's own runtime emulator, or with Docker:
  make invoke FUNCTION=PlaceCallFunction EVENT=events/place_call/completed.json
  .venv/bin/sam local invoke PlaceCallFunction -e events/place_call/completed.json --env-vars events/env.json \\
    {overrides}
  .venv/bin/sam local start-api --env-vars events/env.json {overrides}
"""


if __name__ == "__main__":
    sys.exit(main())
