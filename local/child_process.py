"""Child processes that cannot outlive their parent.

This file also runs as a small supervisor between the parent and the command. The parent holds the supervisor's
standard input. When that pipe closes, because the parent stopped the command or died in any way, the supervisor kills
the command and everything the command started.
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


class ChildProcess:
    """A running command and everything it starts, in a process group of its own.

    Args:
        command: The path of the program, and its arguments.
        environment: All of its environment variables.
        folder: Its working directory.
        log: The file that receives its standard output and standard error.
    """

    def __init__(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", __file__, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    def running(self) -> bool:
        """Whether the command is still running."""
        return self._supervisor.poll() is None

    def stop(self) -> None:
        """Kill the command and everything it started. Safe to call twice."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        try:
            self._supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()


def main() -> None:
    """Run the command in the arguments until it exits or standard input closes."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_kill_when_the_parent_is_gone, args=(command.pid,), daemon=True).start()
    code = command.wait()
    _kill_group(command.pid)
    sys.exit(code)


def _kill_when_the_parent_is_gone(group: int) -> None:
    sys.stdin.buffer.read()
    _kill_group(group)


def _kill_group(group: int) -> None:
    # The group keeps the id of its first process for as long as any process is left in it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
