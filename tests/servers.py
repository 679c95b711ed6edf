"""Servers that run as child processes of a test, on loopback ports."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

_START_TIMEOUT = 30.0
# The shell waits for the end of its standard input, and so ends the server also if the tests are killed.
_UNTIL_STDIN_ENDS = '"$@" & read _; kill $!; wait'


@contextmanager
def running_server(
    command: Sequence[str | Path], port: int, *, cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Run a server until the context ends; yield the file with its output.

    `environment` replaces this process's environment. Raises RuntimeError with the output if the server doesn't start.
    """
    with NamedTemporaryFile() as log:
        process = subprocess.Popen(
            ["sh", "-c", _UNTIL_STDIN_ENDS, "sh", *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        output = Path(log.name)
        try:
            if not _listens(port):
                raise RuntimeError(f"{command[0]} did not start:\n{output.read_text(errors='replace')}")
            yield output
        finally:
            process.communicate()


def free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        # All sockets stay open until the last is bound, so that the ports differ.
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def _listens(port: int) -> bool:
    end = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
