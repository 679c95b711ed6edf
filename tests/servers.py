"""Servers that a test starts as processes of their own, on ports of loopback."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

_STARTS_WITHIN = 30.0
# It reads until whoever started it is gone, however that ended: no server outlives the tests.
_UNTIL_STDIN_ENDS = '"$@" & read _; kill $!; wait'


@contextmanager
def running_server(
    command: Sequence[str | Path], port: int, *, cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """Until the context ends; gives the file of what it writes. Raises RuntimeError with that where it doesn't start.

    `environment` is all that it gets; None is this process's own.
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
        written = Path(log.name)
        try:
            if not _listens(port):
                raise RuntimeError(f"{command[0]} did not start:\n{written.read_text(errors='replace')}")
            yield written
        finally:
            process.communicate()


def free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        # All are held until the last is found, so that no two are the same.
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _listens(port: int) -> bool:
    end = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
