"""The main job with the artifact of `make package`: every function runs as on Lambda, with real events.

Gateway, stream, queue and schedule are those of the local stack, with the routes and event sources of the built
template.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from codat_simulator.faults import Fault

from local.aws.moto_server import ENDPOINT_VARIABLES
from local.running import Stack
from local.settings import LocalSettings, new_webhook_secret
from local.stack import running_stack
from local.template import Template
from tests.conftest import App
from tests.dynamodb_local import dynamodb_local_is_asked_for, running_dynamodb_local
from tests.e2e.artifact.emulator import Emulator, emulators
from tests.e2e.artifact.make import BUILD, make
from tests.infrastructure.disclosure.plugin import disclosed
from tests.payloads import webhook

# The variables that Lambda sets for every function, and the endpoints of AWS's substitutes.
LAMBDA_VARIABLES = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    *ENDPOINT_VARIABLES,
)


@pytest.fixture(scope="module")
def functions(built: dict[str, Any]) -> dict[str, Emulator]:
    make(".ric/.synced")
    return emulators(Template.load(BUILD / "template.yaml").functions, built, BUILD)


@pytest.fixture(scope="module")
def stack(functions: dict[str, Emulator]) -> Iterator[Stack]:
    with ExitStack() as parts:
        settings = LocalSettings(
            codat_api_key="test-api-key-that-must-never-be-logged",
            webhook_secrets=(new_webhook_secret(),),
            one_time_links=True,
            dynamodb_endpoint=parts.enter_context(running_dynamodb_local()) if dynamodb_local_is_asked_for() else None,
            port=0,
        )
        template = Template.load(BUILD / "template.yaml")
        running = parts.enter_context(running_stack(settings, template=template, handlers=functions))
        lambda_variables = {name: os.environ[name] for name in LAMBDA_VARIABLES}
        deployed = Template.load(BUILD / "template.yaml", parameters={"CodatBaseUrl": running.codat_url})
        for name, function in functions.items():
            parts.enter_context(function.running({**lambda_variables, **deployed.functions[name].environment}))
        yield running


def test_main_job_through_every_built_function(app: App, functions: dict[str, Emulator]) -> None:
    """GIVEN the artifact WHEN a customer is created, connected, invited and deleted THEN every function has run."""
    customer_id = app.customer()["customerId"]
    path = f"/customers/{customer_id}"

    connection = app.connection(customer_id)
    assert connection["status"] == "PendingAuth"
    assert httpx.post(connection["linkUrl"], data={"action": "authorize"}).is_success
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Linked"

    assert app.deliver(webhook("connection.deleted"), secret=new_webhook_secret()).status_code == 401

    connection_path = f"{path}/connections/{connection['connectionId']}"
    assert "otp=" in app.post(f"{connection_path}/link").json()["linkUrl"]
    assert app.post(f"{connection_path}/unlink").json()["status"] == "Unlinked"
    url = app.post(f"{path}/invitations", {"platformKey": "qhyg"}).json()["url"]
    assert "Connect QuickBooks Online" in app.http.get(url).text
    assert "otp=" in app.http.post(url).headers["location"]
    assert app.http.patch(path, json={"name": "Bank of Mary"}).json()["name"] == "Bank of Mary"
    app.codat.wait_idle()

    fault = app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    app.codat.faults.remove(fault)
    assert app.read(connection)["status"] == "Unlinked"
    reconciled = app.post("/_local/reconcile")
    assert reconciled.status_code == 200, reconciled.text
    counts = reconciled.json()
    assert (counts["companies"], counts["drift"], counts["failed"]) == (1, 1, 0)
    assert app.read(connection)["status"] == "Linked"

    assert app.http.delete(path).status_code == 204
    assert app.get(path).status_code == 404
    app.codat.wait_idle()

    details = {event["detail-type"]: event["detail"] for event in app.stack.events()}
    assert details["customer.created"]["customerId"] == customer_id
    assert details["connection.updated"]["connectionId"] == connection["connectionId"]
    assert "customer.deleted" in details
    assert [name for name, function in functions.items() if not function.invocations] == []

    private = {app.stack.settings.codat_api_key: "the API key", "Bank of Dave": "a name", "Bank of Mary": "a name"}
    disclosures = {name: disclosed(function.log(), private) for name, function in functions.items()}
    assert not any(disclosures.values()), disclosures


def test_metrics_contain_the_stacks_name(app: App, functions: dict[str, Emulator]) -> None:
    """With Powertools' default name the metrics and alarms of all stacks would be mixed."""
    app.customer()
    app.stack.events()
    for name in ("CreateCompanyFunction", "PublishChangesFunction"):
        [*_, metric] = [line for line in functions[name].log().splitlines() if '"_aws"' in line]
        assert json.loads(metric)["service"] == "codat-customers"
