"""Clients that two generators make from docs/integrate/openapi.json. `make client-generators` installs them."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tools.schemas import PROJECT, Contract, contracts

OPENAPI = PROJECT / "docs/integrate/openapi.json"
INSTALLED = PROJECT / ".venv/client-generators"
CONTRACTS = list(contracts())

USE_PYTHON = """
import json, sys
import httpx
from client import Client, models
from client.api.default import get_call

def as_sent(model):
    # Python writes UTC as an offset.
    return json.loads(json.dumps(model.to_dict()).replace("+00:00", "Z"))

examples = json.load(sys.stdin)
for name, values in examples.items():
    for value in values:
        read = as_sent(getattr(models, name).from_dict(value))
        assert read == value, (read, value)

def answer(request):
    assert request.url.raw_path == b"/calls/a%20b"
    return httpx.Response(200, json=report)

report = examples["RequestReport"][0]
client = Client("https://example.com", httpx_args={"transport": httpx.MockTransport(answer)})
assert as_sent(get_call.sync("a b", client=client)) == report
"""


def type_name(contract: Contract) -> str:
    return "".join(word.capitalize() for word in contract.name.split("-"))


def run(*command: str | Path, text: str = "") -> None:
    path = os.pathsep.join([str(INSTALLED / "bin"), os.environ["PATH"]])
    environment: Mapping[str, str] = os.environ | {"PATH": path}
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_python_client_reads_every_example_and_asks_for_a_report(tmp_path: Path) -> None:
    generator = INSTALLED / "bin/openapi-python-client"
    run(
        generator,
        "generate",
        "--path",
        OPENAPI,
        "--output-path",
        tmp_path / "client",
        "--meta=none",
        "--fail-on-warning",
    )
    use = tmp_path / "use.py"
    use.write_text(USE_PYTHON)
    examples: dict[str, Any] = {type_name(contract): contract.examples for contract in CONTRACTS}
    run(INSTALLED / "bin/python", use, text=json.dumps(examples))


@pytest.fixture
def typescript(tmp_path: Path) -> Path:
    """A folder with the types of the document, and the examples in TypeScript's types."""
    run(INSTALLED / "node_modules/.bin/openapi-typescript", OPENAPI, "--output", tmp_path / "api.ts")
    lines = ['import type { components, paths } from "./api";', 'type Schemas = components["schemas"];']
    for contract in CONTRACTS:
        for number, example in enumerate(contract.examples):
            name = type_name(contract)
            lines.append(f'export const {name}{number}: Schemas["{name}"] = {json.dumps(example)};')
    lines.append('type Answer = paths["/calls/{requestId}"]["get"]["responses"]["200"]["content"]["application/json"];')
    lines.append("export const answer: Answer = RequestReport0;")
    (tmp_path / "use.ts").write_text("\n".join(lines))
    return tmp_path


def test_typescript_accepts_every_example(typescript: Path) -> None:
    tsc(typescript / "use.ts", PROJECT / "examples/contracts.ts")


def test_typescript_refuses_what_the_contract_does(typescript: Path) -> None:
    use = typescript / "use.ts"
    use.write_text(use.read_text() + '\nexport const wrong: Schemas["CallRequest"] = { phoneNumber: 15005550100 };\n')

    with pytest.raises(AssertionError, match="number"):
        tsc(use)


def tsc(*files: Path) -> None:
    run(INSTALLED / "node_modules/.bin/tsc", "--strict", "--noEmit", "--target", "es2022", *files)
