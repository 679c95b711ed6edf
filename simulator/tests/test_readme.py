"""The examples of README.md work."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return


@pytest.mark.skipif(shutil.which("jq") is None, reason="the examples need jq")
def test_examples(tmp_path: Path) -> None:
    """GIVEN the README's command and receiver WHEN its calls run THEN they show what the README says."""
    receiver_port = free_port()
    text = README.read_text().replace("127.0.0.1:4000", f"127.0.0.1:{free_port()}")
    text = text.replace("127.0.0.1:3000", f"127.0.0.1:{receiver_port}").replace("3000)", f"{receiver_port})")
    command, *calls = blocks("sh", text)
    port = re.findall(r"127\.0\.0\.1:(\d+)", blocks("text", text)[0])[0]
    arguments = shlex.split(command.splitlines()[1].replace("4000", port))
    assert arguments[0] == "codat-simulator"
    (code,) = blocks("python", text)
    receiver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with (
        receiver,
        subprocess.Popen(
            [sys.executable, "-m", "codat_simulator", *arguments[1:]], stdout=subprocess.PIPE, text=True
        ) as simulator,
    ):
        try:
            assert simulator.stdout is not None
            assert receiver.stdout is not None
            assert "".join(simulator.stdout.readline() for _ in range(5)) == blocks("text", text)[0]
            wait_for(receiver_port)
            output = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(calls)],
                env={**os.environ, "no_proxy": "127.0.0.1"},
                cwd=tmp_path,
                check=True,
                capture_output=True,
                text=True,
                timeout=20,
            ).stdout
            # The company of the last example has an event of its own, which may come before the others' last one.
            events = {receiver.stdout.readline().decode().strip() for _ in range(5)}
        finally:
            simulator.kill()
            receiver.kill()

    assert "QuickBooks Online is connected" in (tmp_path / "link-result.html").read_text()
    linked, fault_id, status = output.splitlines()
    assert (linked, bool(fault_id), status) == ("Linked", True, "503")
    names = ("company.created", "connection.created", "connection.connected", "read.completed.initial")
    assert events == {f"verified: {name}" for name in names}
