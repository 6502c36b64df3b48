import importlib.util
import os
import struct
import subprocess
from pathlib import Path

import pytest

from local.sam import ROOT, build

UNCHECKED_HASH = 0b01
LAYERS = ("DependenciesLayer", "OutboundCallsLayer")


@pytest.fixture(scope="module")
def built() -> Path:
    return build()


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_is_compiled_for_good(built: Path, layer: str) -> None:
    site = built / layer / "python"
    sources = list(site.rglob("*.py"))
    assert sources

    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        magic, flags = compiled[:4], struct.unpack("<I", compiled[4:8])[0]
        assert magic == importlib.util.MAGIC_NUMBER, source
        # Never compared with the source's time, which a layer's archive does not keep.
        assert flags == UNCHECKED_HASH, source


def test_compiled_modules_are_there_for_both_architectures(built: Path) -> None:
    site = built / "DependenciesLayer/python"
    names = {path.name for path in site.rglob("*.so")}

    x86_64 = {name for name in names if name.endswith("-x86_64-linux-gnu.so")}
    assert x86_64
    assert names - x86_64 == {name.replace("x86_64", "aarch64") for name in x86_64}


def test_the_layers_hold_packages_and_nothing_else(built: Path) -> None:
    assert {path.name for path in (built / "OutboundCallsLayer").iterdir()} == {"python"}
    assert {path.name for path in (built / "OutboundCallsLayer/python").iterdir()} == {"outbound_calls"}
    assert {path.name for path in (built / "DependenciesLayer").iterdir()} == {"python"}
    assert not (built / "DependenciesLayer/python/bin").exists()


def test_the_layers_have_all_that_a_policy_is_read_from(built: Path) -> None:
    code = (
        "from outbound_calls.policy.rules import Policy, resolve\n"
        "from outbound_calls.domain.recipients import Recipient\n"
        "from outbound_calls.policy.evaluation import Candidate, evaluate\n"
        "asked = Candidate('a/1', '+14165550123', 1_795_626_000.0)\n"
        "print(evaluate(asked, resolve(Policy(), 'canada'), Recipient(), asked.created_at).zones)"
    )
    layers = os.pathsep.join(str(built / layer / "python") for layer in LAYERS)
    done = subprocess.run(
        [ROOT / ".venv/lambda-runtime/bin/python", "-c", code],
        env={"PYTHONPATH": layers, "PYTHONTZPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "America/Toronto" in done.stdout, done.stderr
