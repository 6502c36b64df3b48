"""Write files that hold people's data."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[IO[bytes]]:
    """A file that only its owner can read, and that is there as a whole or not at all.

    Raises:
        FileExistsError: When there is such a file, and it isn't to be replaced.
    """
    if not force:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".calls-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink()
            raise
    except BaseException:
        if not force:
            with suppress(FileNotFoundError):
                path.unlink()
        raise
