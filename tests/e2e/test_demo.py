"""`make demo` runs the main job, and fails if a result is wrong."""

import io
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import httpx
import pytest

from local.demo import scenario
from local.demo.__main__ import run_demo
from local.demo.printer import Printer, document_lines, shortened
from local.gateway.invocation import Handler, load_handlers
from local.settings import LocalSettings, new_webhook_secret
from local.stack import running_stack
from local.template import Template
from local.terminal import CACHE


def demo(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    unset = {"CODAT_BASE_URL", "CODAT_API_KEY", "CODAT_WEBHOOK_SECRETS", "AWS_ENDPOINT_URL_DYNAMODB", "LOGS"}
    environment = {**{name: value for name, value in os.environ.items() if name not in unset}, **variables}
    return subprocess.run(
        [sys.executable, "-m", "local.demo", *arguments],
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_the_main_job_succeeds_and_no_link_is_printed_or_logged() -> None:
    """GIVEN the real functions THEN every platform is linked and unlinked. Secrets and names are not logged."""
    secret = new_webhook_secret()
    process = demo(CODAT_API_KEY="key-that-must-never-be-logged", CODAT_WEBHOOK_SECRETS=secret)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    assert "state Linked, next action none" in process.stdout
    assert process.stdout.count("PendingAuth → Linked → Unlinked") == 4
    assert "webhook connection.connected       answered 204" in process.stdout
    assert "webhook connection.deleted         answered 401" in process.stdout
    assert process.stdout.count("GET http://127.0.0.1") == 3
    assert "otp=" not in process.stdout
    assert not re.search(r"/connect/[\w-]{10}", process.stdout)
    assert '"level"' not in process.stdout
    assert "\x1b[" not in process.stdout

    log = (CACHE / "demo.log").read_text()
    assert '"status":201' in log
    assert '"connection_id":' in log
    assert not re.search(r"/connect/\w", log)
    for private in ("otp=", "key-that-must", secret.removeprefix("whsec_"), "Bloom", "referenceCompany", "linkUrl"):
        assert private not in log


def test_the_main_job_succeeds_with_faults() -> None:
    """GIVEN faults at Codat THEN the states are the same."""
    process = demo("--faults")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Fault at Codat: kind=drop, when=after" in process.stdout
    assert "Faults that occurred at Codat" in process.stdout
    assert "webhook connection.connected       answered 401" in process.stdout
    assert process.stdout.count("PendingAuth → Linked → Unlinked") == 4


def test_it_needs_the_simulator() -> None:
    """GIVEN another Codat THEN the message names the variable to unset."""
    process = demo(CODAT_BASE_URL="https://api.codat.io")
    assert (process.returncode, process.stdout) == (2, "")
    assert "CODAT_BASE_URL" in process.stderr


@pytest.fixture(scope="module")
def handlers() -> dict[str, Handler]:
    """The functions' handlers, imported while a stack runs, because they build their clients then."""
    with running_stack(LocalSettings.from_environment({"PORT": "0"})):
        return load_handlers(Template.load())


Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(handler: Handler, change: Change) -> Handler:
    def handle(event: dict[str, Any], context: Any) -> Any:
        return change(handler(event, context))

    return handle


def with_body(**fields: Any) -> Change:
    return lambda result: {**result, "body": json.dumps({**json.loads(result["body"]), **fields})}


def with_status(status: int) -> Change:
    return lambda result: {**result, "statusCode": status}


@pytest.mark.parametrize(
    ("function", "change", "step", "reason"),
    [
        ("CreateCompanyFunction", with_status(200), "creates its customer's Codat company", "status is 200, not 201"),
        ("CreateCompanyFunction", with_body(companyId=""), "creates its customer's Codat company", "no companyId"),
        ("CreateConnectionFunction", with_body(linkUrl=None), "connects QuickBooks Online", "no linkUrl"),
        ("CreateConnectionFunction", with_body(status="Linked"), "connects QuickBooks Online", "'Linked'"),
        ("CodatWebhookFunction", with_status(500), "webhook makes it Linked", "is 500, not 204"),
        ("UnlinkConnectionFunction", with_body(status="Linked"), "The app unlinks", "'Linked', not 'Unlinked'"),
        ("ReadCustomersFunction", with_body(status="PendingAuth"), "webhook makes it Linked", "'PendingAuth'"),
        ("OpenInvitationFunction", with_status(410), "A mail scanner opens it", "is 410, not 200"),
    ],
)
def test_a_wrong_result_fails_with_the_name_of_its_step(
    handlers: dict[str, Handler], function: str, change: Change, step: str, reason: str
) -> None:
    """GIVEN a function with a wrong result THEN the demo prints the step, the reason and the log."""
    code, output = run({**handlers, function: changed(handlers[function], change)})
    assert code == 1
    failure = output[output.index("Failed at: ") :]
    assert step in failure
    assert reason in failure
    assert "the log" in failure


def test_a_webhook_that_doesnt_arrive_is_a_failure(
    handlers: dict[str, Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN dropped webhooks THEN the demo fails after a timeout."""
    monkeypatch.setattr(scenario, "_WEBHOOK_TIMEOUT_WITH_FAULTS", 0.3)
    code, output = run(handlers, faults=["kind=webhook-drop"])
    assert code == 1
    assert "no connection.connected arrived within" in output


def test_a_fault_that_doesnt_occur_is_a_failure(handlers: dict[str, Handler]) -> None:
    """GIVEN a fault of a path that is not called THEN the demo fails, because it has shown nothing."""
    code, output = run(handlers, faults=["kind=status,path=/nowhere"])
    assert code == 1
    assert "status of * /nowhere never occurred" in output


def test_an_accepted_forgery_is_a_failure(handlers: dict[str, Handler]) -> None:
    """GIVEN a webhook function that accepts everything THEN the demo fails, with and without faults."""
    receive = handlers["CodatWebhookFunction"]

    def accept(event: dict[str, Any], context: Any) -> Any:
        return {**receive(event, context), "statusCode": 204}

    for faults in ([], ["kind=webhook-wrong-secret,times=1"]):
        code, output = run({**handlers, "CodatWebhookFunction": accept}, faults)
        assert code == 1
        assert "the response to a forged webhook is 204, not 401" in output


def test_a_second_company_of_a_customer_is_a_failure(handlers: dict[str, Handler]) -> None:
    """GIVEN a function that creates another company for the same customer THEN the demo fails."""
    create = handlers["CreateCompanyFunction"]

    def create_two(event: dict[str, Any], context: Any) -> Any:
        result = create(event, context)
        create_company(json.loads(result["body"])["customerId"])
        return result

    code, output = run({**handlers, "CreateCompanyFunction": create_two})
    assert code == 1
    assert "One customer, one company" in output


def create_company(customer_id: str) -> None:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["CODAT_SECRET_ID"])
    key = json.loads(secret["SecretString"])["apiKey"]
    httpx.post(
        f"{os.environ['CODAT_BASE_URL']}/companies",
        json={"name": "Another", "tags": {"uid": customer_id}},
        headers={"authorization": "Basic " + b64encode(key.encode()).decode()},
    ).raise_for_status()


def run(handlers: Mapping[str, Handler], faults: list[str] | None = None) -> tuple[int, str]:
    """Run the demo with its first platform only."""
    output = io.StringIO()
    settings = LocalSettings.from_environment({"PORT": "0"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scenario, "PLATFORMS", scenario.PLATFORMS[:1])
        code = run_demo(settings, Printer(output), "the log", faults=faults or [], handlers=handlers)
    return code, output.getvalue()


def test_a_printed_link_has_no_token() -> None:
    """The query with the one-time token is removed, and the path is cut."""
    url = "https://link.codat.io/companies/3f0e/connections/77aa/start?otp=secret"
    assert shortened(url) == "https://link.codat.io/companies/3f0…"
    [_, line] = document_lines(json.dumps({"status": "PendingAuth", "linkUrl": url}).encode())
    assert "secret" not in line
