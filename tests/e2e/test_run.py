"""`make run` as a developer meets it: a process that serves until Ctrl-C."""

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
    ours = {"CODAT_BASE_URL", "CODAT_API_KEY", "CODAT_WEBHOOK_SECRETS", "AWS_ENDPOINT_URL_DYNAMODB", "LOGS"}
    return {**{name: value for name, value in os.environ.items() if name not in ours}, "PORT": "0", **variables}


@contextmanager
def running(**variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and what it said until it was ready."""
    with subprocess.Popen(
        COMMAND,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            yield process, said
        finally:
            process.kill()


def first_curl(said: str) -> list[str]:
    match = re.search(r"^ +(curl .*)$", said, re.MULTILINE)
    assert match, said
    return shlex.split(match.group(1))


def test_it_serves_until_ctrl_c() -> None:
    """GIVEN `make run` WHEN the printed curl is pasted THEN a customer is made; Ctrl-C ends it all with 0."""
    with running() as (process, said):
        command = first_curl(said)
        answer = httpx.post(
            command[2],
            content=command[command.index("-d") + 1],
            headers=dict([command[command.index("-H") + 1].split(": ")]),
            timeout=20,
        )
        assert answer.status_code == 201, answer.text
        url = command[2].removesuffix("/customers")
        assert httpx.get(f"{url}/customers/acme").json()["customerId"] == "acme"
        assert "codat-customers" in httpx.get(f"{url}/_local/").text
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert re.search(r"201 +POST /customers", rest)
    assert "Traceback" not in rest
    assert '"message"' not in rest  # the functions' JSON is in the log


def test_sigterm_ends_it_alike_and_logs_can_be_shown() -> None:
    """A supervisor's signal is no crash; LOGS=1 brings the functions' JSON to the console."""
    with running(LOGS="1") as (process, said):
        httpx.get(first_curl(said)[2].removesuffix("/customers") + "/platforms", timeout=20).raise_for_status()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0, rest
    assert '"route":"GET /platforms"' in rest


def test_another_codat_is_named_and_its_secret_missed() -> None:
    """GIVEN CODAT_BASE_URL without CODAT_WEBHOOK_SECRETS THEN it says that webhooks will be refused."""
    with running(CODAT_BASE_URL="http://127.0.0.1:9", CODAT_API_KEY="theirs") as (_, said):
        assert "http://127.0.0.1:9" in said
        assert "CODAT_WEBHOOK_SECRETS is not set" in said


def refused(**variables: str) -> str:
    done = subprocess.run(
        COMMAND, env=environment(**variables), capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    """What to do about it is said as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(PORT=str(port))
    assert f"PORT {port}" in message
    assert "make run" in message


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "abc"), ("CODAT_BASE_URL", "https://api.codat.io"), ("CODAT_WEBHOOK_SECRETS", "x")]
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str) -> None:
    """Before anything is started."""
    assert name in refused(**{name: value})
