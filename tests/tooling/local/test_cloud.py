import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.cloud import LocalCloud, LocalCloudError, scratch_folder

ROOT = Path(__file__).parents[3]
OWNER = """
import time
from local.cloud import LocalCloud
with LocalCloud() as cloud:
    print(cloud.endpoint_url, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as started:
        yield started


def test_a_message_goes_through_a_queue(cloud: LocalCloud) -> None:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="requests")["QueueUrl"]

    sqs.send_message(QueueUrl=url, MessageBody="hello")

    messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)["Messages"]
    assert [message["Body"] for message in messages] == ["hello"]
    assert url.startswith(f"{cloud.endpoint_url}/{cloud.account}/")


def test_two_clouds_share_nothing(cloud: LocalCloud) -> None:
    cloud.client("sqs").create_queue(QueueName="mine")

    with LocalCloud() as other:
        assert other.client("sqs").list_queues().get("QueueUrls", []) == []
        assert other.endpoint_url != cloud.endpoint_url


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own list of sockets")
def test_it_answers_only_on_this_machine(cloud: LocalCloud) -> None:
    port = cloud.endpoint_url.rsplit(":", 1)[1]
    addresses = {
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rsplit(":", 1)[1], 16) == int(port)
    }
    assert addresses == {f"0100007F:{int(port):04X}"}


def test_a_setting_is_applied_and_an_unknown_one_rejected(cloud: LocalCloud) -> None:
    cloud.configure({"stepfunctions._SFN_WAIT_SCALE": 1})

    with pytest.raises(LocalCloudError, match="no_such_setting"):
        cloud.configure({"no_such_setting": 1})


def test_nothing_is_left_when_the_context_closes() -> None:
    with LocalCloud() as cloud:
        cloud.client("sqs").create_queue(QueueName="requests")
        folder = cloud.folder
        assert folder.exists()

    assert not folder.exists()
    assert not answers(cloud.endpoint_url)


def test_it_ends_even_when_its_owner_is_killed(tmp_path: Path) -> None:
    # Its files are the one thing that a killed owner leaves behind.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        endpoint = owner.stdout.readline().strip()
        assert answers(endpoint)

        os.kill(owner.pid, signal.SIGKILL)

    deadline = time.monotonic() + 5
    while answers(endpoint) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not answers(endpoint)


def test_memory_is_used_only_where_there_is_plenty(tmp_path: Path) -> None:
    assert scratch_folder({}, memory=tmp_path, free_bytes=1) == tmp_path
    assert scratch_folder({}, memory=tmp_path, free_bytes=2**60) is None
    assert scratch_folder({"TMPDIR": "/elsewhere"}, memory=tmp_path, free_bytes=1) is None


def test_a_profile_that_does_not_exist_does_no_harm() -> None:
    program = "from local.cloud import LocalCloud; print(LocalCloud().client('sqs').meta.region_name)"

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "AWS_PROFILE": "missing"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("ca-central-1\n", "")


def answers(endpoint: str) -> bool:
    try:
        httpx.get(f"{endpoint}/_ministack/health", trust_env=False)
    except httpx.TransportError:
        return False
    return True
