"""The local cloud: an AWS emulator on a free port of this machine, and clients for it.

It stands in for SQS, DynamoDB, Lambda, API Gateway, Step Functions, EventBridge, Secrets Manager, IAM and
CloudFormation. IAM is enforced: a function whose role lacks a right gets AccessDenied, as on AWS.
"""

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import boto3
import httpx
from botocore.config import Config

from local.child_process import ChildProcess

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2 import ApiGatewayV2Client
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "123456789012"
REGION = "ca-central-1"
HOST = "127.0.0.1"

START_SECONDS = 30.0
START_ATTEMPTS = 3
MEMORY_BYTES = 4 * 2**30


class LocalCloudError(Exception):
    """The local cloud did not start, or did not do what it was told."""


class LocalCloud:
    """An AWS emulator that runs while the context is open.

    Every instance is a cloud of its own: it shares no state, port or folder with another. All that it starts
    and writes is gone when the context closes, and its processes end even if this one is killed.
    """

    def __init__(self) -> None:
        self._process: ChildProcess | None = None
        self._folder: Path | None = None
        self._port = 0
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            LocalCloudError: It did not answer within START_SECONDS; the message ends with what it printed.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="allomia-local-cloud-", dir=_scratch()))
        try:
            for attempt in range(1, START_ATTEMPTS + 1):
                self._port = free_port()
                self._process = self._start(self._folder)
                if self._wait_until_ready(self._process):
                    return self
                self._stop_process()
                if attempt == START_ATTEMPTS or "already in use" not in self.log():
                    break
            raise LocalCloudError(f"The local cloud did not start. It printed:\n{self.log()[-4000:]}")
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and remove what it wrote."""
        self.stop()

    def stop(self) -> None:
        """End the emulator with its functions' processes, and remove its files. May be called twice."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._stop_process()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def endpoint_url(self) -> str:
        """The one URL at which every service answers."""
        return f"http://{HOST}:{self._port}"

    @property
    def account(self) -> str:
        """The account's id."""
        return ACCOUNT

    @property
    def region(self) -> str:
        """The only region."""
        return REGION

    @property
    def folder(self) -> Path:
        """Where it keeps its files while it runs.

        Raises:
            LocalCloudError: It does not run.
        """
        if self._folder is None:
            raise LocalCloudError("The local cloud is not running.")
        return self._folder

    def environment(self) -> dict[str, str]:
        """The variables with which another process's AWS clients reach this cloud as its root user."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": f"{HOST},localhost",
        }

    # Spelled out because a wrapper around boto3's client loses the type that each name stands for.
    @overload
    def client(self, service: Literal["apigatewayv2"]) -> "ApiGatewayV2Client": ...
    @overload
    def client(self, service: Literal["cloudformation"]) -> "CloudFormationClient": ...
    @overload
    def client(self, service: Literal["dynamodb"]) -> "DynamoDBClient": ...
    @overload
    def client(self, service: Literal["events"]) -> "EventBridgeClient": ...
    @overload
    def client(self, service: Literal["lambda"]) -> "LambdaClient": ...
    @overload
    def client(self, service: Literal["logs"]) -> "CloudWatchLogsClient": ...
    @overload
    def client(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def client(self, service: Literal["secretsmanager"]) -> "SecretsManagerClient": ...
    @overload
    def client(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def client(self, service: Literal["stepfunctions"]) -> "SFNClient": ...

    def client(self, service: str) -> Any:
        """A client of this cloud, made once for each service and shared between threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def configure(self, settings: Mapping[str, float | str]) -> None:
        """Change how the emulator behaves, e.g. `{"stepfunctions._SFN_WAIT_SCALE": 0.1}` to shorten waits.

        Raises:
            LocalCloudError: It does not know a setting, or refuses its value.
        """
        url = f"{self.endpoint_url}/_ministack/config"
        answer = httpx.post(url, json=dict(settings), trust_env=False).raise_for_status().json()
        refused = sorted(settings.keys() - answer["applied"].keys())
        if refused:
            raise LocalCloudError(f"The local cloud refused the settings {', '.join(refused)}.")

    def log(self) -> str:
        """What the emulator has printed, for a look at why something failed."""
        if self._folder is None:
            return ""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _make_client(self, service: str) -> Any:
        session: Any = boto3.session.Session(ACCOUNT, "local", region_name=REGION)
        return session.client(
            service,
            endpoint_url=self.endpoint_url,
            config=Config(proxies={}, max_pool_connections=32, retries={"mode": "standard"}),
        )

    def _start(self, folder: Path) -> ChildProcess:
        program = ROOT / ".venv/local-cloud/bin/ministack"
        if not program.exists():
            raise LocalCloudError(f"{program.relative_to(ROOT)} is missing: run `make setup` first.")
        scratch = folder / "tmp"
        scratch.mkdir(exist_ok=True)
        # Functions inherit this environment, so it holds nothing of the developer's own. No Docker: at its
        # start the emulator removes containers that another instance may be using.
        environment = {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "DOCKER_HOST": f"unix://{folder}/no-docker",
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "MINISTACK_HOST": HOST,
            "GATEWAY_PORT": str(self._port),
            "BIND_HOST": HOST,
            "AUTH": "true",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
        }
        return ChildProcess([program], environment=environment, folder=scratch, log=folder / "log")

    def _wait_until_ready(self, process: ChildProcess) -> bool:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=self.endpoint_url, trust_env=False, timeout=2.0) as http:
            while time.monotonic() < deadline and process.running():
                try:
                    if http.get("/_ministack/ready").status_code == httpx.codes.OK:
                        # Another process may have taken the port and answered in its place.
                        return process.running()
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        return False

    def _stop_process(self) -> None:
        process, self._process = self._process, None
        # Nothing in it is worth an orderly end, which would take it a second.
        if process is not None:
            process.stop()


def _scratch() -> Path | None:
    """Memory instead of a disk, where there is plenty: every start of a function reads its layers anew.

    None stands for the folder of temporary files, as it does for a TMPDIR that somebody has chosen.
    """
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of its own in it
    if "TMPDIR" in os.environ or not memory.is_dir() or shutil.disk_usage(memory).free < MEMORY_BYTES:
        return None
    return memory


def free_port() -> int:
    """A TCP port on which nobody listened a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
