"""The local cloud: an AWS emulator on a free port of localhost, and clients for it.

It emulates SQS, DynamoDB, Lambda, API Gateway, Step Functions, EventBridge, Secrets Manager, IAM and CloudFormation.
IAM is enforced: a function whose role lacks a permission gets AccessDenied, as on AWS.
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
import botocore.session
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
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "123456789012"
REGION = "ca-central-1"
HOST = "127.0.0.1"

START_SECONDS = 30.0
START_ATTEMPTS = 3
# 300 calls in a row leave 3.5 GB of function folders.
FREE_MEMORY_BYTES = 8 * 2**30


class LocalCloudError(Exception):
    """The local cloud did not start, or rejected a setting."""


class LocalCloud:
    """An AWS emulator that runs while the context is open.

    Instances share no state, port or folder. When the context closes, everything that this one started and wrote is
    gone. Its processes end even if the process that owns it is killed.
    """

    def __init__(self) -> None:
        self._process: ChildProcess | None = None
        self._folder: Path | None = None
        self._port = 0
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            LocalCloudError: It was not ready within START_SECONDS; the message ends with its output.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="allomia-local-cloud-", dir=scratch_folder(os.environ)))
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
        """Stop it and remove its files."""
        self.stop()

    def stop(self) -> None:
        """Stop the emulator with its functions' processes, and remove its files. Safe to call twice."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._stop_process()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @property
    def endpoint_url(self) -> str:
        """The URL of every service."""
        return f"http://{HOST}:{self._port}"

    @property
    def account(self) -> str:
        """The id of the AWS account."""
        return ACCOUNT

    @property
    def region(self) -> str:
        """The AWS region."""
        return REGION

    @property
    def folder(self) -> Path:
        """The folder of its files while it runs.

        Raises:
            LocalCloudError: It is not running.
        """
        if self._folder is None:
            raise LocalCloudError("The local cloud is not running.")
        return self._folder

    def environment(self) -> dict[str, str]:
        """The environment variables that make another process's AWS clients use this cloud, as its root user."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": f"{HOST},localhost",
        }

    # Overloads, because a wrapper around boto3's `client` loses the type that belongs to each name.
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
    def client(self, service: Literal["sns"]) -> "SNSClient": ...
    @overload
    def client(self, service: Literal["sqs"]) -> "SQSClient": ...
    @overload
    def client(self, service: Literal["stepfunctions"]) -> "SFNClient": ...

    def client(self, service: str) -> Any:
        """A client of this cloud. There is one for each service; threads may share it."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def configure(self, settings: Mapping[str, float | str]) -> None:
        """Change settings of the emulator, e.g. `{"stepfunctions._SFN_WAIT_SCALE": 0.1}` to shorten waits.

        Raises:
            LocalCloudError: A setting is unknown, or its value is invalid.
        """
        url = f"{self.endpoint_url}/_ministack/config"
        answer = httpx.post(url, json=dict(settings), trust_env=False).raise_for_status().json()
        not_applied = sorted(settings.keys() - answer["applied"].keys())
        if not_applied:
            raise LocalCloudError(f"The local cloud rejected the settings {', '.join(not_applied)}.")

    def log(self) -> str:
        """The output of the emulator so far, to find out why something failed."""
        if self._folder is None:
            return ""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _make_client(self, service: str) -> Any:
        # No profile and no settings file of the user: a profile that does not exist would make boto3 fail.
        core = botocore.session.Session(
            session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        )
        session: Any = boto3.session.Session(ACCOUNT, "local", region_name=REGION, botocore_session=core)
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
        # Functions inherit this environment, so it holds nothing of the developer's. No Docker: at its start the
        # emulator removes containers that another instance may be using.
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
                        # Another process may have taken the port and sent this response.
                        return process.running()
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        return False

    def _stop_process(self) -> None:
        process, self._process = self._process, None
        # Killed, because a graceful shutdown takes a second and nothing in it is worth saving.
        if process is not None:
            process.stop()


def scratch_folder(
    environment: Mapping[str, str],
    memory: Path = Path("/dev/shm"),  # noqa: S108 - mkdtemp creates a private folder in it
    free_bytes: int = FREE_MEMORY_BYTES,
) -> Path | None:
    """Where the emulator's files go: memory if enough of it is free, since each start of a function reads its layers.

    None means the default folder for temporary files, which TMPDIR can change.
    """
    if "TMPDIR" in environment or not memory.is_dir() or shutil.disk_usage(memory).free < free_bytes:
        return None
    return memory


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
