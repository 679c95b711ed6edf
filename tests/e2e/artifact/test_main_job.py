"""The main job through what `make package` builds: every function started as Lambda starts it, on its real events.

Gateway, stream, queue and schedule are those of the stack on one machine, by the routes and sources of the built
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
from local.settings import LocalSettings, new_webhook_secret
from local.stack import Stack, running_stack
from local.template import Template
from tests.conftest import App
from tests.dynamodb_local import dynamodb_local_is_asked_for, running_dynamodb_local
from tests.e2e.artifact.emulator import Emulator, emulators
from tests.e2e.artifact.make import BUILD, make
from tests.infrastructure.disclosure.plugin import disclosed
from tests.payloads import webhook

# What Lambda gives to every function, and where AWS is on one machine.
GIVEN = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *ENDPOINT_VARIABLES)


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
            dynamodb_endpoint=parts.enter_context(running_dynamodb_local()) if dynamodb_local_is_asked_for() else None,
            port=0,
        )
        template = Template.load(BUILD / "template.yaml")
        running = parts.enter_context(running_stack(settings, template=template, handlers=functions))
        given = {name: os.environ[name] for name in GIVEN}
        deployed = Template.load(BUILD / "template.yaml", parameters={"CodatBaseUrl": running.codat_url})
        for name, function in functions.items():
            parts.enter_context(function.running({**given, **deployed.functions[name].environment}))
        yield running


def test_main_job_through_every_built_function(app: App, functions: dict[str, Emulator]) -> None:
    """GIVEN the artifact WHEN a customer goes through all of its life THEN every function plays its part in it."""
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
    assert app.http.patch(path, json={"name": "Bank of Mary"}).json()["name"] == "Bank of Mary"
    app.codat.wait_idle()

    lost = app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    app.codat.faults.remove(lost)
    assert app.read(connection)["status"] == "Unlinked"
    reconciled = app.post("/_local/reconcile")
    assert reconciled.status_code == 200, reconciled.text
    found = reconciled.json()
    assert (found["companies"], found["drift"], found["failed"]) == (1, 1, 0)
    assert app.read(connection)["status"] == "Linked"

    assert app.http.delete(path).status_code == 204
    assert app.get(path).status_code == 404
    app.codat.wait_idle()

    details = {event["detail-type"]: event["detail"] for event in app.stack.events()}
    assert details["customer.created"]["customerId"] == customer_id
    assert details["connection.updated"]["connectionId"] == connection["connectionId"]
    assert "customer.deleted" in details
    assert [name for name, function in functions.items() if not function.answers] == []

    private = {app.stack.settings.codat_api_key: "the API key", "Bank of Dave": "a name", "Bank of Mary": "a name"}
    assert {name: found for name, one in functions.items() if (found := disclosed(one.log(), private))} == {}


def test_metrics_tell_the_stacks_apart(app: App, functions: dict[str, Emulator]) -> None:
    """Without its variable Powertools takes a name of its own, and the metrics and alarms of all stacks are one."""
    app.customer()
    app.stack.events()
    for name in ("CreateCompanyFunction", "PublishChangesFunction"):
        [*_, metric] = [line for line in functions[name].log().splitlines() if '"_aws"' in line]
        assert json.loads(metric)["service"] == "codat-customers"
