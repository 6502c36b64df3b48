"""Leave of botocore's data only what the named services need: python trim_botocore.py DATA_FOLDER SERVICE...

botocore describes over 400 services, in 25 MB. Which endpoint each has in which region is in one file of 1.3 MB,
which every cold start reads; of that, the kept services' part is a fiftieth. Partitions, regions and the rules for what
is listed nowhere stay as they are.

Four fifths of what describes a service are its documentation, which every new client would decompress and parse, and
only a person reads. What is left is stored as botocore parses it: not compressed, without indentation.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any


def trim(data: Path, services: set[str]) -> None:
    """Remove from botocore's data folder what is of other services than these, and the documentation of these."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in services:
            shutil.rmtree(folder)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: service for name, service in partition["services"].items() if name in services}
    _replace(file, file, endpoints)
    for packed in data.glob("*/*/*.json.gz"):
        content = json.loads(gzip.decompress(packed.read_bytes()))
        _replace(packed, packed.with_suffix(""), without_documentation(content))


def without_documentation(model: Any) -> Any:
    """A model without its texts for people. A member that is called `documentation` stays: its value is no text."""
    match model:
        case dict():
            return {
                name: without_documentation(value)
                for name, value in model.items()
                if name != "documentation" or not isinstance(value, str)
            }
        case list():
            return [without_documentation(value) for value in model]
        case _:
            return model


def _replace(old: Path, new: Path, content: Any) -> None:
    # A new file: uv may have linked the old one to its cache, and so to every environment that it made from there.
    old.unlink()
    new.write_text(json.dumps(content, separators=(",", ":")))


def main(folder: str, *services: str) -> None:
    """Trim, unless botocore is not as this expects it."""
    data = Path(folder)
    if missing := {name for name in services if not (data / name).is_dir()}:
        raise SystemExit(f"botocore has no {', '.join(sorted(missing))}")
    trim(data, set(services))


if __name__ == "__main__":
    main(*sys.argv[1:])
