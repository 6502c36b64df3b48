"""botocore as the layer has it finds every endpoint and operation that the original botocore finds, in any version."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
import pytest

from local.sam import ROOT, build

AS_IT_CAME = Path(botocore.__file__).parent
LAYER = ROOT / ".aws-sam/build/DependenciesLayer/python"

# What the list of endpoints has for a service, in every variant; and what a client makes of it with the rules in the
# service's own folder.
FIND = """
import botocore, json, sys
from itertools import product
from botocore.session import Session

asked = json.load(sys.stdin)
session = Session()
resolver = session._get_internal_component("endpoint_resolver")
found = {}
for service, region, dual, fips in product(asked["services"], asked["regions"], (False, True), (False, True)):
    try:
        endpoint = resolver.construct_endpoint(service, region, use_dualstack_endpoint=dual, use_fips_endpoint=fips)
    except Exception as error:
        endpoint = error
    found[f"{service} {region} {dual} {fips}"] = repr(endpoint)
for service, region in product(asked["services"], asked["some"]):
    client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="s")
    found[f"{service} {region}"] = f"{client.meta.endpoint_url} {client.meta.region_name}"
print(json.dumps({"botocore": botocore.__file__, "found": found}))
"""


def kept_services() -> list[str]:
    (line,) = re.findall(r"^SERVICES := (.+)$", (ROOT / "layers/dependencies/Makefile").read_text(), re.MULTILINE)
    return str(line).split()


def endpoints_found(asked: dict[str, Any], *path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        input=json.dumps(asked),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert Path(answer["botocore"]).is_relative_to(path[0] if path else AS_IT_CAME)
    return dict(answer["found"])


def test_each_service_is_where_it_was_in_every_region_of_every_partition() -> None:
    build()
    partitions = json.loads((AS_IT_CAME / "data/endpoints.json").read_text())["partitions"]
    asked = {
        "services": kept_services(),
        # One that is in no list is found by its partition's rule.
        "regions": [*(region for partition in partitions for region in partition["regions"]), "eu-north-9"],
        "some": [min(partition["regions"]) for partition in partitions],
    }

    before, after = endpoints_found(asked), endpoints_found(asked, LAYER)

    assert after == before
    assert len(before) > 1000


@pytest.mark.parametrize("file", ["_retry.json", "partitions.json", "sdk-default-configuration.json"])
def test_what_is_in_no_services_folder_stays(file: str) -> None:
    assert (build() / "DependenciesLayer/python/botocore/data" / file).read_bytes() == (
        AS_IT_CAME / "data" / file
    ).read_bytes()


MODELS = [
    file.relative_to(AS_IT_CAME)
    for service in kept_services()
    for file in AS_IT_CAME.glob(f"data/{service}/*/*.json.gz")
]


def differences(before: Any, after: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that was changed or removed, with its name. What was added counts as a change."""
    if isinstance(before, dict) and isinstance(after, dict) and after.keys() <= before.keys():
        for key, value in before.items():
            yield from differences(value, after.get(key), key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from differences(one, other)
    elif before != after:
        yield name, before


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_services_description_lacks_only_its_documentation(model: Path) -> None:
    build()
    before = json.loads(gzip.decompress((AS_IT_CAME / model).read_bytes()))
    after = json.loads((LAYER / "botocore" / model.with_suffix("")).read_text())

    # A member with that name is no text.
    assert all(name == "documentation" and isinstance(value, str) for name, value in differences(before, after))


def test_a_client_reads_no_documentation_and_decompresses_nothing() -> None:
    data = build() / "DependenciesLayer/python/botocore/data"

    assert not [*data.rglob("*.gz")]
    for file in data.rglob("service-2.json"):
        assert '"documentation":"' not in file.read_text()


def test_only_the_kept_services_are_described() -> None:
    data = build() / "DependenciesLayer/python/botocore/data"

    assert {path.name for path in data.iterdir() if path.is_dir()} == {*kept_services()}
    for partition in json.loads((data / "endpoints.json").read_text())["partitions"]:
        assert partition["services"].keys() <= {*kept_services()}


def test_the_installed_package_is_left_alone() -> None:
    # uv links files from its cache: what is written into one is written into every environment on this machine.
    built = build() / "DependenciesLayer/python/botocore/data/endpoints.json"
    installed = AS_IT_CAME / "data/endpoints.json"

    assert not built.samefile(installed)
    assert installed.stat().st_size > 10 * built.stat().st_size
