"""The functions' AWS clients."""

import logging

import pytest

from outbound_calls.runtime.clients import Clients


def test_clients_have_the_credentials_of_their_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    found = []
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        client = Clients()("dynamodb")
        found.append(client._request_signer._credentials.access_key)
        client.close()

    assert found == ["first", "second"]


def test_a_new_client_leaves_no_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ca-central-1")
    caplog.set_level(logging.INFO, "botocore")

    Clients()("dynamodb").close()

    assert caplog.messages == []
