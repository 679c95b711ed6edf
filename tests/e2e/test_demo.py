"""`make demo`: it shows the main job, and notices what isn't as it should be."""

import io
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import httpx
import pytest
from local.narration import document_lines, shortened

from local import steps
from local.demo import demonstrate
from local.gateway.invocation import Handler
from local.settings import LocalSettings, new_webhook_secret
from local.stack import load_handlers
from local.template import Template
from local.terminal import CACHE, Console


def demo(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = {"CODAT_BASE_URL", "CODAT_API_KEY", "CODAT_WEBHOOK_SECRETS", "AWS_ENDPOINT_URL_DYNAMODB", "LOGS"}
    environment = {**{name: value for name, value in os.environ.items() if name not in ours}, **variables}
    return subprocess.run(
        [sys.executable, "-m", "local.demo", *arguments],
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_the_main_job() -> None:
    """GIVEN the real functions THEN every platform is linked and unlinked, and no link can be taken from it."""
    secret = new_webhook_secret()
    done = demo(CODAT_API_KEY="key-that-must-never-be-logged", CODAT_WEBHOOK_SECRETS=secret)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "state Linked, next action none" in done.stdout
    assert done.stdout.count("PendingAuth → Linked → Unlinked") == 4
    assert "webhook connection.connected       answered 204" in done.stdout
    assert "webhook connection.deleted         answered 401" in done.stdout
    assert "otp=" not in done.stdout
    assert '"level"' not in done.stdout
    assert "\x1b[" not in done.stdout

    logged = (CACHE / "demo.log").read_text()
    assert '"status":201' in logged
    assert '"connection_id":' in logged
    for never in ("otp=", "key-that-must", secret.removeprefix("whsec_"), "Bloom", "referenceCompany", "linkUrl"):
        assert never not in logged


def test_the_main_job_under_faults() -> None:
    """GIVEN a Codat that fails on the way THEN the end is the same."""
    done = demo("--faults")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "What will go wrong at Codat" in done.stdout
    assert "What went wrong at Codat on the way" in done.stdout
    assert "webhook connection.connected       answered 401" in done.stdout
    assert done.stdout.count("PendingAuth → Linked → Unlinked") == 4


def test_it_needs_the_simulated_codat() -> None:
    """GIVEN another Codat THEN it refuses, and names what to do."""
    done = demo(CODAT_BASE_URL="https://api.codat.io")
    assert (done.returncode, done.stdout) == (2, "")
    assert "CODAT_BASE_URL" in done.stderr


Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(handler: Handler, change: Change) -> Handler:
    def handle(event: dict[str, Any], context: Any) -> Any:
        return change(handler(event, context))

    return handle


def with_body(**fields: Any) -> Change:
    return lambda answer: {**answer, "body": json.dumps({**json.loads(answer["body"]), **fields})}


def with_status(status: int) -> Change:
    return lambda answer: {**answer, "statusCode": status}


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
    ],
)
def test_what_is_not_as_it_should_be_fails_by_its_step(function: str, change: Change, step: str, reason: str) -> None:
    """GIVEN one function that answers wrongly THEN the demo fails and names the step."""
    handlers = load_handlers(Template.load())
    code, shown = demonstrated({**handlers, function: changed(handlers[function], change)})
    assert code == 1
    failed_at = shown[shown.index("Failed at: ") :]
    assert step in failed_at
    assert reason in failed_at
    assert "the log" in failed_at


def test_a_webhook_that_never_arrives_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN an event that gets no answer THEN the demo doesn't wait for ever."""
    monkeypatch.setattr(steps, "PATIENT_WEBHOOK_WITHIN", 0.3)
    code, shown = demonstrated(load_handlers(Template.load()), faults=["kind=webhook-drop"])
    assert code == 1
    assert "no connection.connected came within" in shown


def test_a_fault_that_never_strikes_is_noticed() -> None:
    """GIVEN nothing to get over THEN the walk under faults has shown nothing, and says so."""
    code, shown = demonstrated(load_handlers(Template.load()), faults=["kind=status,path=/nowhere"])
    assert code == 1
    assert "status of * /nowhere never struck" in shown


def test_a_forgery_that_is_let_in_is_noticed() -> None:
    """GIVEN a door that takes everything THEN the demo fails, with and without faults."""
    handlers = load_handlers(Template.load())
    hear = handlers["CodatWebhookFunction"]

    def credulous(event: dict[str, Any], context: Any) -> Any:
        return {**hear(event, context), "statusCode": 204}

    for faults in ([], ["kind=webhook-wrong-secret,times=1"]):
        code, shown = demonstrated({**handlers, "CodatWebhookFunction": credulous}, faults)
        assert code == 1
        assert "answer to a forged webhook is 204, not 401" in shown


def test_a_second_company_is_noticed() -> None:
    """GIVEN a function that makes another company for the same customer THEN the demo fails."""
    handlers = load_handlers(Template.load())
    create = handlers["CreateCompanyFunction"]

    def create_two(event: dict[str, Any], context: Any) -> Any:
        answer = create(event, context)
        codat_company_for(json.loads(answer["body"])["customerId"])
        return answer

    code, shown = demonstrated({**handlers, "CreateCompanyFunction": create_two})
    assert code == 1
    assert "One customer, one company" in shown


def codat_company_for(customer_id: str) -> None:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["CODAT_SECRET_ID"])
    key = json.loads(secret["SecretString"])["apiKey"]
    httpx.post(
        f"{os.environ['CODAT_BASE_URL']}/companies",
        json={"name": "Another", "tags": {"uid": customer_id}},
        headers={"authorization": "Basic " + b64encode(key.encode()).decode()},
    ).raise_for_status()


def demonstrated(handlers: Mapping[str, Handler], faults: list[str] | None = None) -> tuple[int, str]:
    shown = io.StringIO()
    settings = LocalSettings.from_environment({"PORT": "0"})
    code = demonstrate(settings, Console(shown), "the log", faults=faults or [], handlers=handlers)
    return code, shown.getvalue()


def test_a_shown_link_cannot_be_used() -> None:
    """Its query, which holds the one-time token, never shows; the rest only in part."""
    url = "https://link.codat.io/companies/3f0e/connections/77aa/start?otp=secret"
    assert shortened(url) == "https://link.codat.io/companies/3f0e/conn…"
    [_, line] = document_lines(json.dumps({"status": "PendingAuth", "linkUrl": url}).encode())
    assert "secret" not in line
