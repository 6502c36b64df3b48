"""Leave of botocore's data only what the named services need: python trim_botocore.py DATA_FOLDER SERVICE...

botocore describes over 400 services, in 25 MB. Which endpoint each has in which region stands in one file of 1.3 MB,
which every cold start reads; of that, the kept services' part is a fiftieth. Partitions, regions and the rules for what
is listed nowhere stay as they are, and so does all that is in no service's folder.
"""

import json
import shutil
import sys
from pathlib import Path


def trim(data: Path, services: set[str]) -> None:
    """Remove from botocore's data folder what is of other services than these."""
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in services:
            shutil.rmtree(folder)
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: service for name, service in partition["services"].items() if name in services}
    # A new file: uv may have linked the old one to its cache, and so to every environment that it made from there.
    file.unlink()
    file.write_text(json.dumps(endpoints, separators=(",", ":")))


def main(folder: str, *services: str) -> None:
    """Trim, unless botocore is not as this expects it."""
    data = Path(folder)
    if missing := {name for name in services if not (data / name).is_dir()}:
        raise SystemExit(f"botocore knows no {', '.join(sorted(missing))}")
    trim(data, set(services))


if __name__ == "__main__":
    main(*sys.argv[1:])
