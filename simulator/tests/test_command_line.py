"""`python -m codat_simulator` runs on its own."""

import signal
import socket
import subprocess
import sys

import httpx


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "codat_simulator", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_until_interrupted() -> None:
    arguments = ["--company-limit", "0", "--list-lag", "2.5", "--omit-integration-key"]
    with run(*arguments, "--fault", "kind=status,method=GET,path=/companies,times=1") as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        url, authorization = words[3], " ".join(words[5:7]).removesuffix(")")
        # The last line is written once Ctrl-C is waited for.
        while "Ctrl-C" not in process.stdout.readline():
            pass
        with httpx.Client(base_url=url, headers={"Authorization": authorization}, trust_env=False) as client:
            statuses = [client.get("/companies").status_code for _ in range(2)]
            limited = client.post("/companies", json={"name": "None is allowed"}).status_code
            settings = client.get("/_control/settings").json()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=10)

    assert (statuses, limited) == ([503, 200], 402)
    assert settings == {"listLag": 2.5, "omitIntegrationKey": True}
    assert (process.returncode, complaints) == (0, "")


def test_wrong_fault_is_explained() -> None:
    with run("--fault", "kind=earthquake") as process:
        _, complaints = process.communicate(timeout=10)

    assert process.returncode == 2
    assert "argument --fault: kind: " in complaints
    assert "'webhook-reorder'" in complaints


def test_a_port_that_is_taken_is_explained() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with run("--port", str(port)) as process:
            _, complaints = process.communicate(timeout=10)

    assert process.returncode == 1
    assert complaints == f"Port {port} is taken. Choose another one: --port {port + 1}\n"
