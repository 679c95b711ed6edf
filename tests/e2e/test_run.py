"""`make run`: a process that serves until Ctrl-C."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

COMMAND = [sys.executable, "-m", "local.run"]


def environment(**variables: str) -> dict[str, str]:
    unset = {"CODAT_BASE_URL", "CODAT_API_KEY", "CODAT_WEBHOOK_SECRETS", "AWS_ENDPOINT_URL_DYNAMODB", "LOGS"}
    return {**{name: value for name, value in os.environ.items() if name not in unset}, "PORT": "0", **variables}


@contextmanager
def running(**variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process and its output until it is ready."""
    with subprocess.Popen(
        COMMAND,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            output = ""
            for line in process.stdout:
                output += line
                if "Ctrl-C" in line:
                    break
            yield process, output
        finally:
            process.kill()


def curls(output: str) -> list[list[str]]:
    commands = re.findall(r"^ +(curl .*)$", output, re.MULTILINE)
    assert commands, output
    return [shlex.split(command) for command in commands]


def first_curl(output: str) -> list[str]:
    return curls(output)[0]


def run_curl(command: list[str]) -> httpx.Response:
    if "-d" not in command:
        return httpx.get(command[2], timeout=20)
    headers = dict([command[command.index("-H") + 1].split(": ")])
    return httpx.post(command[2], content=command[command.index("-d") + 1], headers=headers, timeout=20)


def test_it_serves_until_ctrl_c() -> None:
    """WHEN the three printed lines are run THEN a customer is created and connected. Ctrl-C ends the process with 0."""
    with running() as (process, output):
        create, connect, read = curls(output)
        assert run_curl(create).status_code == 201
        assert run_curl(connect).json()["status"] == "PendingAuth"
        assert run_curl(read).json()["connections"][0]["platformName"] == "QuickBooks Online"
        url = create[2].removesuffix("/customers")
        assert "codat-customers" in httpx.get(f"{url}/", follow_redirects=True).text
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert re.search(r"201 +POST /customers", rest)
    assert "Traceback" not in rest
    assert '"message"' not in rest  # the functions' logs are in the file


def test_sigterm_ends_it_and_logs_1_prints_the_logs() -> None:
    """The exit code is 0. LOGS=1 prints the functions' JSON."""
    with running(LOGS="1") as (process, output):
        httpx.get(first_curl(output)[2].removesuffix("/customers") + "/platforms", timeout=20).raise_for_status()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert '"route":"GET /platforms"' in rest


def test_another_codat_without_webhook_secrets_gets_a_warning() -> None:
    """GIVEN CODAT_BASE_URL without CODAT_WEBHOOK_SECRETS THEN it warns that webhooks will be rejected."""
    with running(CODAT_BASE_URL="http://127.0.0.1:9", CODAT_API_KEY="key") as (_, output):
        assert "http://127.0.0.1:9" in output
        assert "CODAT_WEBHOOK_SECRETS is not set" in output


def error_of(**variables: str) -> str:
    process = subprocess.run(
        COMMAND, env=environment(**variables), capture_output=True, text=True, timeout=20, check=False
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    return process.stderr


@contextmanager
def free_port_before_a_server() -> Iterator[int]:
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1] - 1
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue  # another test's
            yield port
            return
    raise AssertionError("no two neighbouring ports are free")


def test_a_port_in_use_is_an_error_with_its_number() -> None:
    """The message suggests another port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        message = error_of(PORT=str(port))
    assert f"PORT {port}" in message
    assert "make run" in message


def test_the_simulated_codat_has_the_next_port() -> None:
    """GIVEN it is in use THEN the message names it. Otherwise Codat listens there."""
    with free_port_before_a_server() as port:
        assert f"PORT {port + 1} " in error_of(PORT=str(port))
    with running(PORT=str(port)) as (_, output):
        assert f"http://127.0.0.1:{port + 1}  the simulator" in output


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "abc"), ("CODAT_BASE_URL", "https://api.codat.io"), ("CODAT_WEBHOOK_SECRETS", "x")]
)
def test_an_invalid_variable_is_an_error_with_its_name(name: str, value: str) -> None:
    """It is reported before the stack starts."""
    assert name in error_of(**{name: value})
