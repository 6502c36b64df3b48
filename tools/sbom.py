"""The software bill of materials of what runs on Lambda, in CycloneDX 1.6.

    python -m tools.sbom    prints it

It names each package of layers/dependencies/requirements.txt with its version, its licence and the hashes of the files
that may be installed.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "layers/dependencies/requirements.txt"

_ENTRY = re.compile(r"^([a-z0-9._-]+)==([^ ]+)((?: +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT": "MIT",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""Names in the metadata of packages, and the SPDX expression for each."""


@dataclass(frozen=True)
class Package:
    """A package of the layer."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def licence(self) -> str:
        """Its licence as an SPDX expression, or what its metadata say.

        Read from the package that is installed here, which is of the same version.
        """
        metadata = distribution(self.name).metadata
        if expression := metadata.get("License-Expression"):
            return str(expression)
        classifiers = [each.removeprefix(_CLASSIFIER) for each in metadata.get_all("Classifier", [])]
        names = [each for each in classifiers if each in _SPDX] or [str(metadata.get("License", "not named"))]
        return " OR ".join(_SPDX.get(name, name) for name in names)


def packages() -> Iterator[Package]:
    """The packages that the layer holds."""
    entries = re.sub(r" *\\\n +", " ", REQUIREMENTS.read_text())
    for name, version, hashes in _ENTRY.findall(entries):
        yield Package(name, version, tuple(re.findall(r"sha256:([0-9a-f]+)", hashes)))


def document() -> dict[str, Any]:
    """The bill of materials."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{each.name}@{each.version}",
                "purl": f"pkg:pypi/{each.name}@{each.version}",
                "name": each.name,
                "version": each.version,
                "licenses": [{"expression": each.licence}],
                "hashes": [{"alg": "SHA-256", "content": content} for content in each.hashes],
            }
            for each in packages()
        ],
    }


if __name__ == "__main__":
    print(json.dumps(document(), indent=2))
