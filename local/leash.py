"""Child processes that cannot outlive their owner.

Between the owner and the command stands this file, run as a small process whose standard input the owner holds. When
that end closes, because the owner stopped it or died in any way, the command and all that it started end too.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 10.0


class Leash:
    """A running command and everything that it starts, in a process group of its own.

    Args:
        command: The program, by its path, and its arguments.
        environment: All of its environment variables.
        folder: Its working directory.
        log: The file to which its standard output and standard error are appended.
    """

    def __init__(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        with log.open("ab") as output:
            self._holder = subprocess.Popen(
                [sys.executable, "-I", __file__, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the command has not ended by itself."""
        return self._holder.poll() is None

    def stop(self) -> None:
        """End the command and all that it started, at once. May be called twice."""
        if self._holder.stdin is not None:
            self._holder.stdin.close()
        try:
            self._holder.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()


def main() -> None:
    """Run the command given by the arguments until it ends or the owner lets go."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_owner, args=(command.pid,), daemon=True).start()
    code = command.wait()
    _kill_group(command.pid)
    sys.exit(code)


def _end_with_owner(group: int) -> None:
    sys.stdin.buffer.read()
    _kill_group(group)


def _kill_group(group: int) -> None:
    # The group keeps its first process's id for as long as any process is left in it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
