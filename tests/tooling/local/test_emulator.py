import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator import BuiltFunction, Emulator, EmulatorError, environment_file
from local.sam import ROOT, build

HANDLER = """
import os, time

def handler(event, context):
    print("got", event["do"])
    if event["do"] == "raise":
        raise ValueError("on demand")
    if event["do"] == "sleep":
        time.sleep(30)
    if event["do"] == "import":
        import httpx
    if event["do"] == "exit":
        os._exit(3)
    return {"did": event["do"], "left": context.get_remaining_time_in_millis() > 0}
"""


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime emulator is a Linux program")


@pytest.fixture
def function(tmp_path: Path) -> BuiltFunction:
    (tmp_path / "app.py").write_text(HANDLER)
    return BuiltFunction(
        name="Example",
        code=tmp_path,
        handler="app.handler",
        timeout=3.0,
        memory=128,
        layers=(),
        variables={"DECLARED": None},
    )


def test_an_answer_and_what_was_printed(function: BuiltFunction) -> None:
    with Emulator(function) as emulator:
        invocation = emulator.invoke({"do": "answer"})

    assert invocation.error is None
    assert invocation.answer == {"did": "answer", "left": True}
    assert invocation.log == ("got answer",)


def test_an_error_is_an_error_although_the_emulator_answers_200(function: BuiltFunction) -> None:
    with Emulator(function) as emulator:
        assert emulator.invoke({"do": "raise"}).error == "ValueError: on demand"
        assert emulator.invoke({"do": "answer"}).error is None


def test_the_timeout_is_enforced_and_the_next_invocation_works(function: BuiltFunction) -> None:
    with Emulator(function) as emulator:
        assert "timed out after 3.00 seconds" in str(emulator.invoke({"do": "sleep"}).error)
        assert emulator.invoke({"do": "answer"}).error is None


def test_a_package_that_no_layer_has_cannot_be_imported(function: BuiltFunction) -> None:
    with Emulator(function) as emulator:
        assert "No module named 'httpx'" in str(emulator.invoke({"do": "import"}).error)


def test_a_process_that_dies_is_an_error(function: BuiltFunction) -> None:
    with Emulator(function) as emulator:
        assert emulator.invoke({"do": "exit"}).error is not None


def test_a_variable_that_the_template_does_not_declare_is_refused(function: BuiltFunction) -> None:
    with pytest.raises(EmulatorError, match="OTHER"):
        Emulator(function, {"DECLARED": "1", "OTHER": "2"})


def test_a_built_function_runs_with_its_layers() -> None:
    build()
    environment = {
        "CALLS_TABLE_NAME": "calls",
        "POLICY_TABLE_NAME": "policy",
        "CALL_QUEUE_URL": "http://127.0.0.1:9/queue",
        "HANDED_ON_QUEUE_URL": "http://127.0.0.1:9/queue",
        "ALLOMIA_API_KEY_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:123456789012:secret:key-abcdef",
    }

    with Emulator("PollCallsFunction", environment) as emulator:
        invocation = emulator.invoke({"items": []})

    assert invocation.error is None, invocation.log
    assert invocation.answer["polled"] == 0


def test_a_function_whose_start_fails_says_why() -> None:
    build()

    with Emulator("PollCallsFunction") as emulator:
        invocation = emulator.invoke({"items": []})

    assert invocation.error is not None
    assert "calls_table_name" in "\n".join(invocation.log)


def test_an_unknown_function_is_named_beside_those_that_are_there() -> None:
    build()

    with pytest.raises(EmulatorError, match=r"no function Missing\. There are: .*PlaceCallFunction"):
        Emulator("Missing")


def test_without_a_local_environment_one_line_says_what_to_do(tmp_path: Path) -> None:
    file, event = tmp_path / "env.json", tmp_path / "event.json"
    event.write_text("{}")

    missing = emulate("PlaceCallFunction", event, "--env-vars", file)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        names = BuiltFunction.load("PlaceCallFunction").variables
        file.write_text(json.dumps({"PlaceCallFunction": dict.fromkeys(names, "x") | {"AWS_ENDPOINT_URL": address}}))
        stopped = emulate("PlaceCallFunction", event, "--env-vars", file)

    assert missing == f"{file} does not exist. Run `make local` in another terminal first: it writes that file.\n"
    assert stopped == f"Nothing listens at {address}. Is `make local` still running in another terminal?\n"


def emulate(*arguments: str | Path) -> str:
    """What the command prints to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "local.emulator", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    return done.stderr


def test_a_file_for_sam_gives_each_function_its_variables(tmp_path: Path) -> None:
    build()
    file = tmp_path / "env.json"
    file.write_text(
        '{"Parameters": {"CALLS_TABLE_NAME": "common", "WEBHOOK_URL": "http://x"},'
        ' "PollCallsFunction": {"CALLS_TABLE_NAME": "own"}}'
    )

    assert environment_file(file, "PollCallsFunction") == {"CALLS_TABLE_NAME": "own"}
    assert environment_file(file, "ReceiveWebhookFunction") == {"CALLS_TABLE_NAME": "common"}
