"""Many organizations on the deployed stack: one that is broken neither delays nor loses the calls of the others."""

import json
import time
from collections.abc import Iterator

import pytest

from local.environment import KEY_WITH_ID, LocalEnvironment
from outbound_calls.adapters.organizations import REREAD_SECONDS
from tests.stack.conftest import wait_until
from tests.stack.test_get_call import get, principal, report
from tests.unit.parts import ASSISTANT_ID, PHONE_NUMBER_ID

ANSWERED, NO_ANSWER_FOR_LONG, NO_SUCH_ASSISTANT = "+15005550100", "+15005550316", "+15005550302"
DEFAULTS = {"assistantId": ASSISTANT_ID, "phoneNumberId": PHONE_NUMBER_ID}
HEALTHY = "clinic-south"
BROKEN = {"clinic-revoked": ANSWERED, "clinic-wrong": NO_SUCH_ASSISTANT, "clinic-outage": NO_ANSWER_FOR_LONG}
"""Organizations that are broken, and the number that makes them so. The first one's key is revoked."""

CALLS = 4


@pytest.fixture
def clinics(world: LocalEnvironment) -> Iterator[LocalEnvironment]:
    """A stack whose secret got these organizations after it was deployed and used."""
    world.send({"requestId": "before-there-were-clinics", "phoneNumber": ANSWERED})
    wait_until(lambda: status_of(world, "before-there-were-clinics") == "completed")
    secrets, secret = world.cloud.client("secretsmanager"), f"{world.stack.name}/allomia-api-key"
    keys = {name: f"{name}-key" for name in (HEALTHY, *BROKEN)}
    content = {"default": json.loads(KEY_WITH_ID)} | {name: DEFAULTS | {"apiKey": key} for name, key in keys.items()}
    valid = [f"{name}={key}" for name, key in keys.items() if name != "clinic-revoked"]
    world.allomia.configure(organization_keys=tuple(valid))
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps({"organizations": content}))
    # A function that read the secret just now doesn't read it again for an unknown name.
    time.sleep(REREAD_SECONDS + 1)
    yield world
    for name in BROKEN:
        for number in range(CALLS):
            world.send({"cancel": {"requestId": f"visit-{number}"}, "organization": name})
    secrets.put_secret_value(SecretId=secret, SecretString=KEY_WITH_ID)


def status_of(world: LocalEnvironment, key: str) -> str | None:
    status: str | None = world.calls().get(key, {}).get("status")
    return status


def test_an_organization_that_is_broken_delays_and_loses_no_call_of_another(clinics: LocalEnvironment) -> None:
    # Given three organizations that are broken, each in another way, and whose calls come first
    for number in range(CALLS):
        for name, phone_number in BROKEN.items():
            clinics.send({"organization": name, "requestId": f"visit-{number}", "phoneNumber": phone_number})

    # When two others send requests under the same ids
    for number in range(CALLS):
        clinics.send({"organization": HEALTHY, "requestId": f"visit-{number}", "phoneNumber": ANSWERED})
        clinics.send({"requestId": f"visit-{number}", "phoneNumber": ANSWERED})

    # Then each of theirs is called once, and has its outcome by its own webhook
    keys = [f"{name}visit-{number}" for name in ("", f"{HEALTHY}~") for number in range(CALLS)]
    wait_until(lambda: all(status_of(clinics, key) == "completed" for key in keys))
    calls, dials = clinics.calls(), clinics.dials()
    assert {calls[key]["outcomeSource"] for key in keys} == {"webhook"}
    assert {dials[key] for key in keys} == {(1, 1)}

    # And what the broken ones asked for waits, for a reason of its own
    waiting = {name: {calls[f"{name}~visit-{number}"].get("parkReason") for number in range(CALLS)} for name in BROKEN}
    assert waiting["clinic-revoked"] <= {"key-declined", "circuit-open"}
    assert waiting["clinic-wrong"] <= {"refused-by-allomia"}
    assert waiting["clinic-outage"] <= {None, "short-of-time", "circuit-open"}

    # And the status API reports each under its organization, to a client that may read that organization alone
    calls_arn = clinics.stack.outputs["StatusApiArn"].removesuffix("*")
    reader = principal(clinics, f"{calls_arn}{HEALTHY}~*")
    found = report(clinics, f"{HEALTHY}~visit-1", reader)
    assert found
    assert (found.organization, found.request_id, found.status) == (HEALTHY, "visit-1", "completed")
    assert get(clinics, "visit-1", reader).status_code == 403

    # And those of the default organization alone, to a client that is denied the others
    of_default = principal(clinics, f"{calls_arn}*", denied=[f"{calls_arn}*~*"])
    assert get(clinics, "visit-1", of_default).status_code == 200
    assert get(clinics, f"{HEALTHY}~visit-1", of_default).status_code == 403
