"""The status API of the deployed stack: who may read it, who may not, and what it reports as a call goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.environment import LocalEnvironment
from outbound_calls.contracts.status_api import RequestReport
from tests.stack.conftest import every, let_deadline_pass, wait_until
from tests.stack.test_stack import OUTCOME, post, signature_of
from tests.tooling.docs.markdown import PROJECT, fences, read

NO_WEBHOOK = "+15005550200"
ANSWER_AND_WEBHOOK_LOST = "+15005550501"
NAME = "Hazel Mockingbird"


def get(
    world: LocalEnvironment, request_id: str, credentials: Credentials | None, service: str = "execute-api"
) -> httpx.Response:
    """Ask for a call's status, signed with these credentials or not at all."""
    url = f"{world.stack.status_api_url}/{quote(request_id, safe='')}"
    request = AWSRequest("GET", url)
    if credentials is not None:
        SigV4Auth(credentials, service, world.cloud.region).add_auth(request)
    return httpx.get(url, headers=dict(request.headers), trust_env=False, timeout=30)


def principal(world: LocalEnvironment, *resources: str, denied: Sequence[str] = ()) -> Credentials:
    """A principal in the account who may invoke these, but those that are denied, and nothing else."""
    iam, name = world.cloud._make_client("iam"), f"reader-{uuid4().hex}"
    iam.create_user(UserName=name)
    if resources:
        allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": list(resources)}
        deny = {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": list(denied)}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow, *([deny] if denied else [])]})
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="module")
def reader(world: LocalEnvironment) -> Credentials:
    """An upstream system with the policy that the README shows."""
    return principal(world, world.stack.outputs["StatusApiArn"])


@pytest.fixture(scope="module")
def reminder(world: LocalEnvironment) -> str:
    """A finished call, with the id that the README's examples ask for."""
    request_id = "reminder-A-1001"
    world.send({"requestId": request_id, "phoneNumber": "+15005550100", "metadata": {"appointmentId": "A-1001"}})
    wait_until(lambda: world.calls().get(request_id, {}).get("status") == "completed")
    return request_id


def report(world: LocalEnvironment, request_id: str, credentials: Credentials) -> RequestReport | None:
    answer = get(world, request_id, credentials)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200
    return RequestReport.model_validate_json(answer.text)


def test_a_call_is_reported_as_it_goes_on(world: LocalEnvironment, reader: Credentials) -> None:
    # Given a request that was not sent yet
    assert get(world, "followed", reader).status_code == 404

    # When it is sent, and its outcome is long in coming
    world.send({"requestId": "followed", "phoneNumber": NO_WEBHOOK, "customerName": NAME, "metadata": {"clinic": "7"}})
    seen: list[RequestReport] = []

    def has(final: bool) -> bool:
        if found := report(world, "followed", reader):
            seen.append(found)
        return bool(seen) and seen[-1].final is final

    wait_until(lambda: has(final=False))
    wait_until(lambda: has(final=True), meanwhile=every(3, world.sweep))

    # Then its status is reported before and after, and the reports only ever went forward
    statuses = list(dict.fromkeys(str(each.status) for each in seen))
    assert statuses in (["dispatching", "calling", "completed"], ["calling", "completed"], ["dispatching", "completed"])
    before, after = seen[0].attempts[0], seen[-1].attempts[0]
    assert (before.due_at is not None, before.recorded_at, after.due_at) == (True, None, None)
    assert (after.outcome_source, after.outbound_call_id) == ("poll", world.calls()["followed"]["outboundCallId"])
    assert after.recorded_at
    assert seen[-1].metadata == {"clinic": "7"}
    # And nothing personal, while the record held it
    assert NAME not in seen[0].model_dump_json()
    assert NO_WEBHOOK not in seen[0].model_dump_json()


def test_unknown_is_reported_and_then_the_real_outcome(world: LocalEnvironment, reader: Credentials) -> None:
    world.send({"requestId": "followed-unknown", "phoneNumber": ANSWER_AND_WEBHOOK_LOST})

    def is_unknown() -> RequestReport | None:
        found = report(world, "followed-unknown", reader)
        return found if found and found.status == "unknown" else None

    def look_after_its_deadline() -> None:
        let_deadline_pass(world, "followed-unknown")
        world.sweep()

    unknown = wait_until(is_unknown, meanwhile=every(3, look_after_its_deadline))

    assert unknown is not None
    assert (unknown.final, unknown.attempts[0].outcome_source) == (False, "deadline")
    assert unknown.attempts[0].reason

    # And when its webhook comes after all, that is reported at once
    assert post(world, "followed-unknown", 1, signature_of("followed-unknown"), OUTCOME) == 200
    known = report(world, "followed-unknown", reader)
    assert known is not None
    assert (known.status, known.final, known.attempts[0].reason) == ("completed", True, None)
    assert known.wire()["attempts"][0]["callDetails"] == OUTCOME["callDetails"]


def test_only_authorized_readers_get_a_report(world: LocalEnvironment, reader: Credentials, reminder: str) -> None:
    arn = world.stack.outputs["StatusApiArn"]
    everybody: dict[str, Credentials | None] = {
        "no credentials": None,
        "a principal without rights": principal(world),
        "a principal who may read other calls": principal(world, arn.replace("calls/*", "calls/visit-*")),
        "a principal who may use another method": principal(world, arn.replace("/GET/", "/POST/")),
        "a principal who may use another API": principal(world, re.sub(r":[^:/]+/\*/GET", ":other/*/GET", arn)),
        "a guessed secret key": Credentials(reader.access_key, "guessed" * 5),
        "an unknown key": Credentials("AKIAQQQQQQQQQQQQQQQQ", "guessed" * 5),
    }
    asked = (reminder, "never-asked", "not an id")

    answers = {
        (who, request_id): get(world, request_id, credentials)
        for who, credentials in everybody.items()
        for request_id in asked
    }

    # Then not even the existence of the call is revealed
    assert {each: answer.status_code for each, answer in answers.items()} == dict.fromkeys(answers, 403)
    for answer in answers.values():
        assert not {"completed", "outboundCallId"} & set(re.findall(r"\w+", answer.text))
    for who in everybody:
        assert len({answers[who, request_id].text.replace(request_id, "") for request_id in asked}) == 1
    # And an authorized reader gets it
    assert get(world, reminder, reader).status_code == 200


def test_a_right_can_be_for_some_calls_only(world: LocalEnvironment, reminder: str) -> None:
    of_reminders = principal(world, world.stack.outputs["StatusApiArn"].replace("calls/*", "calls/reminder-*"))

    assert get(world, reminder, of_reminders).status_code == 200
    assert get(world, "reminder-of-nothing", of_reminders).status_code == 404
    assert get(world, "visit-1", of_reminders).status_code == 403


@pytest.mark.parametrize("request_id", ["never-asked", "Reminder-A-1001", "reminder-A-100", "reminder-A-1001."])
def test_what_was_never_asked_for_is_not_there(world: LocalEnvironment, reader: Credentials, request_id: str) -> None:
    answer = get(world, request_id, reader)

    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "no record of this request: not processed yet, invalid, or expired"},
    )


@pytest.mark.parametrize("request_id", ["a b", "a+b", "a%b", "a&b=c", "é", "*", "v" * 129, "$default"])
def test_an_invalid_id_gets_the_rule(world: LocalEnvironment, reader: Credentials, request_id: str) -> None:
    answer = get(world, request_id, reader)

    assert (answer.status_code, answer.json()["error"].split(":")[0]) == (400, "requestId")
    assert answer.headers["content-type"] == "application/json"


def test_an_answer_is_json_that_is_not_cached(world: LocalEnvironment, reader: Credentials, reminder: str) -> None:
    for request_id in (reminder, "never-asked", "not an id"):
        answer = get(world, request_id, reader)
        assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")


def test_the_api_can_only_be_read(world: LocalEnvironment, reader: Credentials, reminder: str) -> None:
    before = world.calls()[reminder]
    url = f"{world.stack.status_api_url}/{reminder}"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        request = AWSRequest(method, url)
        SigV4Auth(reader, "execute-api", world.cloud.region).add_auth(request)
        refused = httpx.request(method, url, headers=dict(request.headers), trust_env=False)
        assert refused.status_code in {403, 404}

    # And there is no list of calls
    assert get(world, "", reader).status_code in {400, 403, 404}
    assert world.calls()[reminder] == before


def test_the_webhook_still_needs_no_credentials(world: LocalEnvironment) -> None:
    # 403 is the function's own, for the signature in the path
    answer = httpx.post(f"{world.stack.webhook_url}/no-one/1/forged", json={}, trust_env=False)

    assert (answer.status_code, answer.json()) == (403, {"error": "not a callback URL of this stack"})


# What the README shows.


def environment(world: LocalEnvironment) -> dict[str, str]:
    """The shell of a reader: an assumed role's credentials, which have a session token."""
    iam, sts = world.cloud._make_client("iam"), world.cloud._make_client("sts")
    name = f"reader-{uuid4().hex}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": world.cloud.account}}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    shown = fences(read("docs/integrate/status-api.md"), "json")
    (policy,) = (block for block in shown if "execute-api:Invoke" in block)
    policy = policy.replace("the output StatusApiArn", world.stack.outputs["StatusApiArn"])
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy)
    given = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    return world.cloud.environment() | {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def test_the_example_in_python_reads_a_call(world: LocalEnvironment, reminder: str) -> None:
    printed: dict[str, Any] = {}
    for request_id in (reminder, "never-asked"):
        command = [sys.executable, f"{PROJECT}/examples/read_call.py", world.stack.status_api_url, request_id]
        done = subprocess.run(command, env=environment(world), capture_output=True, text=True, timeout=60, check=True)
        printed[request_id] = json.loads(done.stdout)

    assert printed[reminder]["status"] == "completed"
    assert printed["never-asked"] is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_example_with_curl_reads_a_call(world: LocalEnvironment, reminder: str) -> None:
    (shown,) = (block for block in fences(read("docs/integrate/status-api.md"), "sh") if "--aws-sigv4" in block)
    command = shown[shown.index("curl ") :]
    settings = f"output() {{ echo {world.stack.status_api_url}; }}; AWS_REGION={world.cloud.region}; "

    done = subprocess.run(
        ["bash", "-c", settings + command],
        env=environment(world),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout)["requestId"] == reminder
