"""What is deployed, and how much of it: the content of each layer and function as `sam build` leaves it.

python -m benchmarks.package
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.sam import build


@dataclass(frozen=True)
class Package:
    """The bytes of a layer or a function, unzipped and zipped, and of what in it is byte code."""

    bytes: int
    zipped_bytes: int
    byte_code_bytes: int
    files: int


def measure() -> dict[str, Package]:
    """Each layer and each function, by its logical id."""
    return {folder.name: _package(folder) for folder in sorted(build().iterdir()) if folder.is_dir()}


def _package(folder: Path) -> Package:
    files = [path for path in folder.rglob("*") if path.is_file()]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    sizes = {path: path.stat().st_size for path in files}
    byte_code = sum(size for path, size in sizes.items() if path.suffix == ".pyc")
    return Package(sum(sizes.values()), packed.tell(), byte_code, len(files))


def table(found: Mapping[str, Package]) -> Table:
    """The sizes in KB."""
    shown = Table("part", "KB", "KB zipped", "KB of byte code", "files")
    for name, each in found.items():
        kilobytes = [f"{size / 1000:,.0f}" for size in (each.bytes, each.zipped_bytes, each.byte_code_bytes)]
        shown.add_row(name, *kilobytes, str(each.files))
    return shown


if __name__ == "__main__":
    Console().print(table(measure()))
