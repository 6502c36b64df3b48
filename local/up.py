"""`make local`: deploys the stack to the local cloud, leaves it running, opens the console, and prints commands to try.

Writes events/env.json and events/parameters.yaml, with which `sam local` and `make invoke` run a function against this
stack; samconfig.toml names both. While another `make local` runs, it leaves that one's files alone and writes
events/env-2.json and events/parameters-2.yaml.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from local.bridge import Bridge
from local.cloud import LocalCloudError
from local.console import open_browser, running_console, wants_browser
from local.environment import KEY_WITH_ID, LocalEnvironment, running
from local.sam import ROOT, SamError
from local.stack import function_environment

EVENTS = ROOT / "events"
FUNCTIONS = (
    "PlaceCallFunction",
    "ReceiveWebhookFunction",
    "PollCallsFunction",
    "PublishOutcomeFunction",
    "GetCallFunction",
    "ReleaseLinesFunction",
)


def main() -> int:
    """Run until Ctrl-C; returns the exit code."""
    console = Console(soft_wrap=True)
    stopped = threading.Event()
    try:
        with contextlib.ExitStack() as stack:
            with console.status("Starting the local cloud and the AlloMia simulator, and deploying template.yaml"):
                environment = stack.enter_context(
                    running({"WebhookGraceSeconds": 10, "CallDeadlineSeconds": 120}, secret=KEY_WITH_ID)
                )
            bridge = stack.enter_context(Bridge(_port(environment.cloud.endpoint_url), _port(environment.allomia.url)))
            variables = {name: function_environment(environment.cloud, environment.stack, name) for name in FUNCTIONS}
            parameters = {"Architecture": architecture(), "LocalEndpointUrl": environment.cloud.endpoint_url}
            number = stack.enter_context(sam_files(EVENTS, variables, parameters, bridge.host))
            url = stack.enter_context(running_console(environment))
            console.print(hints(environment, number, docker(bridge), url), markup=False, highlight=False)
            if url and wants_browser(os.environ):
                open_browser(url)
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, lambda *_: stopped.set())
            stopped.wait()
    except (LocalCloudError, SamError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def sam_files(
    folder: Path, variables: Mapping[str, Mapping[str, str]], parameters: Mapping[str, str], host: str
) -> Iterator[int]:
    """The files for `sam local --env-vars` and `--parameter-overrides`, while the context is open; yields their number.

    The number is 1 unless another running process has that. A lock on the file shows that the process runs, so files
    that a killed process left behind are used again.

    Args:
        folder: Where to write them.
        variables: Environment variables by the functions' logical ids.
        parameters: Template parameters.
        host: The address that replaces 127.0.0.1, which in a container is the container.
    """
    for number in range(1, 100):
        with (folder / env_file(number)).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            overrides = folder / parameters_file(number)
            try:
                file.truncate(0)
                file.write(json.dumps(variables, indent=2).replace("127.0.0.1", host) + "\n")
                file.flush()
                # JSON strings are YAML too.
                lines = (f"{name}: {json.dumps(value)}\n" for name, value in parameters.items())
                overrides.write_text("".join(lines).replace("127.0.0.1", host))
                yield number
            finally:
                overrides.unlink(missing_ok=True)
                (folder / env_file(number)).unlink(missing_ok=True)
            return
    raise SamError(f"There are 99 environment files in {folder} already.")


def env_file(number: int) -> str:
    """The name of the file with environment variables."""
    return "env.json" if number == 1 else f"env-{number}.json"


def parameters_file(number: int) -> str:
    """The name of the file with template parameters."""
    return "parameters.yaml" if number == 1 else f"parameters-{number}.yaml"


def docker(bridge: Bridge) -> str:
    """What was found of Docker, and what that means for `sam local`."""
    if bridge.found:
        return f"Docker: found. Containers reach this stack at {bridge.host}."
    installed = "it is installed but not running" if shutil.which("docker") else "it is not installed"
    return f"Docker: not found ({installed}). `sam local` needs it: start Docker, then `make local` again."


def architecture() -> str:
    """This machine's, as the template names it."""
    return "x86_64" if platform.machine().lower() in {"x86_64", "amd64"} else "arm64"


def _port(url: str) -> int:
    return urlsplit(url).port or 80


def hints(environment: LocalEnvironment, number: int, docker: str, console_url: str | None) -> str:
    """Commands to copy, and the console's address.

    Each works as it is printed, as often as you like, in any shell in the project's root.
    """
    stack, cloud, simulator = environment.stack, environment.cloud, environment.allomia.url
    aws = f"aws --endpoint-url {cloud.endpoint_url}"
    calls = f".venv/bin/calls {{}} --stack {stack.name} --endpoint-url {cloud.endpoint_url}"
    variables = f"events/{env_file(number)}"
    # The first one's files are the defaults of samconfig.toml and of `make invoke`.
    for_make = "" if number == 1 else f" ENV_VARS={variables}"
    for_sam = (
        "" if number == 1 else f" --env-vars {variables} --parameter-overrides file://events/{parameters_file(number)}"
    )
    return f"""\
{stack.name} runs until Ctrl-C.
{docker}
  AWS            {cloud.endpoint_url}
  AlloMia        {simulator}
  StatusApiUrl   {stack.status_api_url}
  WebhookUrl     {stack.webhook_url}
  variables      {variables}

First, in another terminal (these credentials work on the local cloud only):
  unset AWS_PROFILE AWS_SESSION_TOKEN
  export AWS_ACCESS_KEY_ID={cloud.account} AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION={cloud.region}

Request a call with the operator's command. Another --batch makes it another call; docs/operate/command.md has more:
  {calls.format('place --phone-number +15005550100 --batch "$(date +%s)" --wait --yes')}
  {calls.format("watch")}

Or in a browser, with what needs a person, what waits and why (docs/operate/console.md):
  {console_url or calls.format("console --open")}

Or with the AWS CLI, version 2.13 or later. .venv/bin/python -m local.simulator --numbers lists what other numbers do:
  {aws} sqs send-message --queue-url {stack.call_queue_url} --message-body file://events/requests/completed.json

Read the table, start the poller now, and read invalid messages with the reasons:
  {aws} dynamodb scan --table-name {stack.calls_table_name} --output table
  {aws} stepfunctions start-execution --state-machine-arn {stack.poller_arn}
  {aws} sqs receive-message --queue-url {stack.invalid_messages_queue_url} --message-attribute-names All

Look up a call:
  curl --aws-sigv4 aws:amz:{cloud.region}:execute-api --user {cloud.account}:local {stack.status_api_url}/completed

Read a log:
  {aws} logs tail /aws/lambda/{stack.name}/place-call --since 5m

Make AlloMia misbehave, see which calls it placed, and reset it:
  curl -X PATCH {simulator}/_control -d '{{"post": "fail-500", "webhooks": "lost"}}'
  curl {simulator}/_control/dials
  curl -X POST {simulator}/_control/reset

Run one function against this stack, under Lambda's runtime emulator or, with Docker, under sam:
  make invoke FUNCTION=PlaceCallFunction EVENT=events/place_call/completed.json{for_make}
  .venv/bin/sam local invoke PlaceCallFunction -e events/place_call/completed.json{for_sam}
  .venv/bin/sam local start-api{for_sam}
"""


if __name__ == "__main__":
    sys.exit(main())
