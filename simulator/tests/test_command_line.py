"""The command `codat-simulator`."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from codat_simulator.__main__ import main


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "codat_simulator", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    return capsys.readouterr().err


def test_command_serves_until_interrupted() -> None:
    arguments = ["--company-limit", "0", "--list-lag", "2.5", "--omit-integration-key", "--stable-links"]
    with running(*arguments, "--fault", "kind=status,method=GET,path=/companies,times=1") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().partition(":")[2].strip() for _ in range(5)]
        with httpx.Client(base_url=lines[0], headers={"Authorization": lines[1]}, trust_env=False) as client:
            statuses = [client.get("/companies").status_code for _ in range(2)]
            rejected = client.post("/companies", json={"name": "Beyond the limit"}).status_code
            settings = client.get("/_control/settings").json()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert (statuses, rejected) == ([503, 200], 402)
    assert settings == {"listLag": 2.5, "oneTimeLinks": False, "omitIntegrationKey": True}
    assert (process.returncode, errors) == (0, "")


def test_help_shows_an_example_the_controls_and_the_faults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])

    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: codat-simulator [options]")
    for part in ("codat-simulator --port 4000", "curl -H", "/platform", "/_control/clock", "webhook-reorder"):
        assert part in text


def test_invalid_fault_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    errors = usage_error(capsys, "--fault", "kind=earthquake")

    assert "argument --fault: kind: " in errors
    assert "'webhook-reorder'" in errors


@pytest.mark.parametrize("secret", ["abc", "whsec_YWJj", "whsec_%%%", "bG9jYWwtY29kYXQtd2ViaG9vay1zZWNyZXQ="])
def test_malformed_webhook_secret_is_explained(capsys: pytest.CaptureFixture[str], secret: str) -> None:
    errors = usage_error(capsys, "--webhook-secret", secret)

    assert "argument --webhook-secret: A webhook secret is whsec_ and the base64 of at least 24 bytes" in errors


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://x", "http://", "http://[", "http://x:99999"])
def test_malformed_webhook_url_is_explained(capsys: pytest.CaptureFixture[str], url: str) -> None:
    errors = usage_error(capsys, "--webhook-url", url)

    assert "argument --webhook-url: The URL must be an http or https address" in errors


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_port_out_of_range_is_explained(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert "argument --port: Input should be" in usage_error(capsys, "--port", port)


@pytest.mark.parametrize("option", ["--quota=-1", "--company-limit=-1", "--list-lag=nan", "--retry-scale=-1"])
def test_negative_number_is_a_usage_error(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert f"argument {option.partition('=')[0]}: Input should be" in usage_error(capsys, option)


def test_taken_port_is_explained() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as error:
            main(["--port", str(port)])

    assert error.value.code == f"Port {port} is taken. Choose another port, for example --port {port % 65_535 + 1}"
