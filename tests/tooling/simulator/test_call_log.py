"""AlloMia's documented call log and call record, over both faces."""

import re
import uuid
from typing import Any

import httpx
import pytest

from local.simulator import organization_id
from tests.tooling.simulator.conftest import ORDER, Face, eventually

OWN = organization_id("own")
ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LISTED = {
    *("id", "organizationId", "callType", "agentId", "agentName", "teamId", "teamName", "phoneNumber"),
    *("userPhoneNumber", "callStartedAt", "callEndedAt", "callDurationSeconds", "createdAt"),
}


def log(face: Face, organization: str | None = OWN, **parameters: Any) -> httpx.Response:
    named = {} if organization is None else {"organizationId": organization}
    return face.http.get("/api/calls", params=named | parameters)


def entries(face: Face, **parameters: Any) -> list[dict[str, Any]]:
    answer = log(face, **parameters)
    assert answer.status_code == 200
    calls: list[dict[str, Any]] = answer.json()["calls"]
    return calls


def placed(face: Face, number: str = ORDER["phoneNumber"], **more: Any) -> str:
    """Place a call; its `outboundCallId`."""
    call_id: str = face.post(number, **more).json()["outboundCallId"]
    return call_id


def use_key(face: Face, key: str) -> None:
    face.http.headers["Authorization"] = f"Bearer {key}"


def test_a_call_is_in_the_log_as_documented(face: Face) -> None:
    call_id = placed(face, "+15005550100")
    face.wait_until_over()

    (entry,) = entries(face)

    assert entry.keys() == LISTED
    assert (entry["id"], entry["organizationId"], entry["callType"]) == (call_id, OWN, "Outbound")
    assert (entry["agentId"], entry["userPhoneNumber"]) == (ORDER["assistantId"], "+15005550100")
    assert all(ISO_8601.fullmatch(entry[name]) for name in ("callStartedAt", "callEndedAt", "createdAt"))
    assert int(entry["callDurationSeconds"]) >= 1


def test_a_call_in_progress_has_no_end(face: Face) -> None:
    face.allomia.configure(ring_seconds=3600)
    placed(face)

    (entry,) = entries(face)

    assert (entry["callEndedAt"], entry["callDurationSeconds"]) == (None, None)


def test_a_call_that_no_one_answered_has_no_duration(face: Face) -> None:
    placed(face, "+15005550102")
    face.wait_until_over()

    (entry,) = entries(face)

    assert entry["callEndedAt"]
    assert entry["callDurationSeconds"] == "0"


def test_the_log_is_paged(face: Face) -> None:
    ids = [placed(face) for _ in range(5)]

    first, last, beyond = (log(face, page=page, limit=2, sort="asc").json() for page in (1, 3, 4))

    assert [call["id"] for call in first["calls"] + last["calls"]] == [*ids[:2], ids[4]]
    assert beyond["calls"] == []
    assert first["pagination"] == {
        "page": 1,
        "limit": 2,
        "total": 5,
        "totalPages": 3,
        "hasNextPage": True,
        "hasPreviousPage": False,
    }
    assert last["pagination"] | {"hasNextPage": False, "hasPreviousPage": True} == last["pagination"]


def test_the_newest_calls_come_first(face: Face) -> None:
    ids = [placed(face) for _ in range(3)]

    assert [call["id"] for call in entries(face)] == ids[::-1]
    assert [call["id"] for call in entries(face, sort="asc")] == ids


def test_a_page_has_at_most_50_calls_and_20_by_itself(face: Face) -> None:
    for _ in range(51):
        placed(face)

    assert [len(entries(face, **limit)) for limit in ({}, {"limit": 50})] == [20, 50]


def test_the_log_can_be_narrowed_to_a_time_and_a_type(face: Face) -> None:
    placed(face)
    (entry,) = entries(face)
    at = entry["createdAt"]

    assert len(entries(face, **{"from": at, "to": at})) == 1
    assert entries(face, to="1969-01-01T00:00:00Z") == entries(face, **{"from": "2101-01-01T00:00:00Z"}) == []
    assert [len(entries(face, callType=kind)) for kind in ("Outbound", "Inbound", "Web")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"page": 0}, "page"),
        ({"page": "first"}, "page"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"callType": "outbound"}, "callType"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-13-01T00:00:00Z"}, "to"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"sort": "newest"}, "sort"),
    ],
)
def test_an_invalid_parameter_gets_400(face: Face, parameters: dict[str, Any], named: str) -> None:
    answer = log(face, **parameters)

    assert answer.status_code == 400
    assert named in answer.json()["error"]


@pytest.mark.parametrize("key", ["test-key", "tenant-key"])
def test_the_organization_must_be_named_whichever_the_key(face: Face, key: str) -> None:
    use_key(face, key)

    answer = log(face, None)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("organizationId")


def test_a_key_is_required(face: Face) -> None:
    call_id = placed(face)
    use_key(face, "wrong")

    for answer in (log(face), face.http.get(f"/api/calls/{call_id}")):
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


def test_an_organizations_key_sees_its_own_calls_only(face: Face) -> None:
    call_id = placed(face)
    use_key(face, "other-organization-key")

    assert log(face).status_code == log(face, str(uuid.uuid4())).status_code == 404
    assert log(face).json() == {"error": "Organization not found"}
    assert entries(face, organization=organization_id("other")) == []
    assert face.http.get(f"/api/calls/{call_id}").json() == {"error": "Call not found"}
    assert face.status(call_id).status_code == 404


def test_a_tenants_key_sees_all_its_organizations(face: Face) -> None:
    face.allomia.configure(organization_keys=["north=north-key", "south=south-key"])
    calls = {}
    for name, key in {"own": "test-key", "other": "other-organization-key", "north": "north-key"}.items():
        use_key(face, key)
        calls[name] = placed(face)
    use_key(face, "tenant-key")

    for name, call_id in calls.items():
        assert [call["id"] for call in entries(face, organization=organization_id(name))] == [call_id]
        assert face.status(call_id).status_code == face.http.get(f"/api/calls/{call_id}").status_code == 200
    assert entries(face, organization=organization_id("south")) == []
    assert log(face, str(uuid.uuid4())).status_code == 404


def test_a_tenants_key_dials_for_the_stacks_organization(face: Face) -> None:
    use_key(face, "tenant-key")
    call_id = placed(face)
    use_key(face, "test-key")

    assert face.status(call_id).status_code == 200


def test_a_key_that_is_removed_is_declined_at_once(face: Face) -> None:
    face.allomia.configure(organization_keys=["north=north-key", "north=second-key"])
    use_key(face, "north-key")
    call_id = placed(face)

    face.allomia.configure(organization_keys=["north=second-key"])

    assert face.status(call_id).status_code == 401
    use_key(face, "second-key")
    assert face.status(call_id).status_code == 200


# What the log shows of a call.


def seen(face: Face, behaviour: str) -> tuple[str, list[dict[str, Any]]]:
    face.allomia.configure(log_entries=behaviour)
    call_id = placed(face)
    face.wait_until_over()
    return call_id, entries(face, sort="asc")


def test_an_entry_may_appear_late(face: Face) -> None:
    face.allomia.configure(late_entry_seconds=3600)
    call_id, listed = seen(face, "late")

    assert listed == []
    assert face.http.get(f"/api/calls/{call_id}").status_code == 404

    face.allomia.configure(late_entry_seconds=0)
    call_id, _ = seen(face, "late")
    assert eventually(lambda: entries(face))[0]["id"] == call_id


def test_an_entry_may_never_appear(face: Face) -> None:
    assert seen(face, "never")[1] == []


def test_an_entry_may_appear_twice(face: Face) -> None:
    call_id, listed = seen(face, "twice")

    assert [call["id"] for call in listed] == [call_id] * 2


@pytest.mark.parametrize("behaviour", ["other-id", "open"])
def test_an_entry_may_have_another_id_which_has_no_status(face: Face, behaviour: str) -> None:
    call_id, (entry,) = seen(face, behaviour)

    assert entry["id"] != call_id
    assert face.status(entry["id"]).status_code == face.http.get(f"/api/calls/{call_id}").status_code == 404
    assert face.http.get(f"/api/calls/{entry['id']}").status_code == 200
    assert (entry["callEndedAt"] is None) == (behaviour == "open")


def test_a_call_by_hand_may_be_beside_it(face: Face) -> None:
    call_id, (own, by_hand) = seen(face, "by-hand")

    assert own["id"] == call_id != by_hand["id"]
    assert own["userPhoneNumber"] == by_hand["userPhoneNumber"]
    assert face.status(by_hand["id"]).status_code == 404


def test_the_logs_clock_may_be_apart(face: Face) -> None:
    face.allomia.configure(log_entries="normal")
    placed(face)
    _, (normal, apart) = seen(face, "clock-apart")

    assert normal["createdAt"] < apart["createdAt"]


# The record of a call.


def record(face: Face) -> dict[str, Any]:
    """The record of a call that was completed."""
    call_id = placed(face, customerName="Ada")
    face.wait_until_over()
    found: dict[str, Any] = face.http.get(f"/api/calls/{call_id}").json()
    return found


def test_a_record_says_what_the_call_achieved(face: Face) -> None:
    found = record(face)

    assert found.keys() > LISTED
    assert (found["callEndedReason"], found["callOutcome"]) == ("customer-ended-call", "appointment_confirmed")
    assert found["callSummary"] != found["callSummaryFr"]
    assert found["userName"] == "Ada"


def test_a_record_of_a_call_in_progress_says_nothing_yet(face: Face) -> None:
    face.allomia.configure(ring_seconds=3600)

    found = face.http.get(f"/api/calls/{placed(face)}").json()

    assert {found[name] for name in ("callEndedReason", "callOutcome", "callSummary", "recordingUrl")} == {None}


@pytest.mark.parametrize(
    ("name", "kind", "begin"), [("transcriptUrl", "text/plain", b"assistant:"), ("recordingUrl", "audio/wav", b"RIFF")]
)
def test_a_file_is_served_by_its_url_alone(face: Face, name: str, kind: str, begin: bytes) -> None:
    url = record(face)[name]
    del face.http.headers["Authorization"]

    file = face.http.get(url)

    assert (file.status_code, file.headers["Content-Type"].partition(";")[0]) == (200, kind)
    assert file.content.startswith(begin)


def test_a_url_with_another_signature_or_with_a_key_is_declined(face: Face) -> None:
    url = record(face)["recordingUrl"]
    assert face.http.get(url).status_code == 400
    del face.http.headers["Authorization"]

    assert face.http.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403
    assert face.http.get(url.replace("expires=", "expires=9")).status_code == 403
    assert face.http.get(url.partition("?")[0]).status_code == 403


def test_a_url_is_valid_for_an_hour(transport_face: Any) -> None:
    url = record(transport_face)["transcriptUrl"]
    del transport_face.http.headers["Authorization"]

    transport_face.sleep(3595)
    assert transport_face.http.get(url).status_code == 200
    transport_face.sleep(10)
    assert transport_face.http.get(url).status_code == 403


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("decline-401", [401, 401]),
        ("decline-429", [429, 429]),
        ("fail-500", [500, 500]),
        ("fail-500-once", [500, 200]),
        ("fail-503", [503, 503]),
        ("garbage", [200, 200]),
        ("odd", [200, 200]),
        ("redirect-307", [307, 307]),
    ],
)
def test_the_log_and_the_record_can_fail(face: Face, fault: str, codes: list[int]) -> None:
    call_id = placed(face)
    face.allomia.configure(log=fault)

    assert [log(face).status_code for _ in codes] == codes
    assert [face.http.get(f"/api/calls/{call_id}").status_code for _ in codes] == codes


@pytest.mark.parametrize("fault", ["drop", "hang"])
def test_the_logs_connection_can_fail(face: Face, fault: str) -> None:
    face.allomia.configure(log=fault, hang_seconds=0.05)

    with pytest.raises(httpx.RemoteProtocolError):
        log(face)


@pytest.mark.parametrize(("fault", "code"), [("expired", 403), ("not-found", 404), ("fail-500", 500), ("huge", 200)])
def test_a_file_can_be_missing(face: Face, fault: str, code: int) -> None:
    url = record(face)["recordingUrl"]
    del face.http.headers["Authorization"]
    face.allomia.configure(media=fault)

    assert face.http.get(url).status_code == code


def test_the_log_outlives_the_process(http_face: Any) -> None:
    call_id = placed(http_face)
    http_face.allomia.stop()
    http_face.allomia.start()

    def again() -> list[str]:
        return [call["id"] for call in entries(http_face)]

    assert eventually(again) == [call_id]
