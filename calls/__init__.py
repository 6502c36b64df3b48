"""`calls`, the operators' command: place calls, see their outcomes, and fix what needs a person.

operations   what can be done with a deployed stack: values in, values out, nothing printed
pages        pages for a browser, of the values that operations return
cli          the command line: options, confirmation, rendering

`cli` imports `pages` and `operations`, `pages` imports `operations`, and `operations` imports the layer that the
functions share, so each rule is written once.
No function imports this package.
"""

import tomllib
from pathlib import Path


def version() -> str:
    """The version of this clone."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])
