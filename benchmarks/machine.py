"""What the figures were taken on."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

PACKAGES = ("aws-lambda-powertools", "boto3", "httpx", "pydantic")


@dataclass(frozen=True)
class Machine:
    """A machine, without its name."""

    processor: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]

    @classmethod
    def this(cls) -> Self:
        """The machine that this runs on. The packages are the layer's."""
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return cls(
            processor=models[0] if models else platform.machine(),
            cores=os.cpu_count() or 1,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            packages={name: version(name) for name in PACKAGES},
        )
