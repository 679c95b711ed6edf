"""The API key of another Codat client is valid, and finds nothing of ours: nothing may end by it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest

from local.codat.faults import Fault
from local.codat.server import CodatServer
from local.codat.settings import Settings
from local.codat.state import CompanyChange
from local.stack import _forget_caches
from tests.conftest import App
from tests.functions.test_reconcile import lose_webhooks, reconcile

ANOTHER_KEY = "the-api-key-of-another-client"


@contextmanager
def api_key(app: App, key: str) -> Iterator[None]:
    """The deployment's secret holds this one meanwhile."""
    secrets, secret_id = boto3.client("secretsmanager"), app.stack.template.physical_id("CodatSecret")
    before = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
    secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(json.loads(before) | {"apiKey": key}))
    _forget_caches()
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=secret_id, SecretString=before)
        _forget_caches()


@contextmanager
def another_client(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodatServer]:
    """The key is another client's, who has a company too."""
    with CodatServer(Settings(api_keys=(ANOTHER_KEY,))) as other, monkeypatch.context() as patched:
        other.state.create_company(CompanyChange(name="Theirs", tags={"uid": "theirs"}))
        patched.setenv("CODAT_BASE_URL", other.base_url)
        with api_key(app, ANOTHER_KEY):
            yield other


@contextmanager
def rotated(app: App) -> Iterator[None]:
    """The key is a new one of the same client."""
    app.codat.api_keys = (*app.codat.api_keys, "a-new-api-key-of-ours")
    with api_key(app, "a-new-api-key-of-ours"):
        yield


@pytest.mark.parametrize("customers", [1, 7])
def test_a_reconcile_ends_nothing(app: App, monkeypatch: pytest.MonkeyPatch, customers: int) -> None:
    """GIVEN another client's key THEN the batch fails, loudly; under the right one all is as it was."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(customers)]
    with another_client(app, monkeypatch):
        found = reconcile(app)
    assert found["failed"] == 1
    assert found["drift"] == 0
    assert [app.read(one)["status"] for one in linked] == ["Linked"] * customers
    assert reconcile(app)["drift"] == 0


def test_an_unfinished_deletion_stays_unfinished(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the company would live on, and nobody would know of it."""
    customer = app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{customer['customerId']}")
    with another_client(app, monkeypatch):
        assert reconcile(app)["failed"] == 1
    assert app.items(f"CUSTOMER#{customer['customerId']}")
    assert reconcile(app)["deletionsFinished"] == 1
    assert app.codat.state.companies() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", ""),
        ("POST", "/connections"),
        ("POST", "/connections/{connectionId}/link"),
        ("POST", "/connections/{connectionId}/unlink"),
        ("DELETE", "/connections/{connectionId}"),
    ],
)
def test_a_call_says_whose_fault_it_is(app: App, monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    """502 codat-rejected-credentials; the same call under the right key does what it says."""
    linked = app.linked(app.customer()["customerId"])
    url = f"/customers/{linked['customerId']}" + path.format(**linked)
    body = {"platformKey": "qhyg"} if path == "/connections" else None
    with another_client(app, monkeypatch):
        answer = app.http.request(method, url, json=body)
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected-credentials"), answer.text
    assert linked["companyId"] in answer.json()["detail"]
    if path:
        assert app.read(linked)["status"] == "Linked"
    assert app.http.request(method, url, json=body).status_code in {200, 204}
    assert len(app.codat.state.companies()) == bool(path)


def test_after_a_rotation_what_is_gone_ends(app: App) -> None:
    """GIVEN a new key of ours THEN a connection's 404 counts where Codat shows its company, and a company's where it
    shows any other of ours.
    """
    kept, gone = app.linked(app.customer()["customerId"]), app.customer()
    lose_webhooks(app)
    app.codat.state.delete_connection(kept["companyId"], kept["connectionId"])
    app.codat.state.delete_company(gone["companyId"])
    with rotated(app):
        link = f"/customers/{kept['customerId']}/connections/{kept['connectionId']}/link"
        assert app.post(link).json()["type"] == "connection-deleted"
        found = reconcile(app)
    assert (found["companiesDeleted"], found["failed"]) == (1, 0)
    assert app.get(f"/customers/{gone['customerId']}").status_code == 404


def test_after_a_rotation_a_page_of_codats_companies_proves_the_key(app: App) -> None:
    """GIVEN no other customer in the batch, but a company of ours that is being deleted."""
    gone, deleting = app.customer(), app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{deleting['customerId']}")
    lose_webhooks(app)
    app.codat.state.delete_company(gone["companyId"])
    with rotated(app):
        assert reconcile(app)["companiesDeleted"] == 1


def test_after_a_rotation_a_deletion_that_codat_did_meanwhile_is_finished(app: App) -> None:
    """GIVEN an unfinished deletion whose company is gone THEN another company of ours, shown, is proof enough."""
    app.customer()
    deleting = app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{deleting['customerId']}")
    lose_webhooks(app)
    app.codat.state.delete_company(deleting["companyId"])
    with rotated(app):
        found = reconcile(app)
    assert (found["deletionsFinished"], found["failed"]) == (1, 0)
    assert app.items(f"CUSTOMER#{deleting['customerId']}") == []


def test_a_reconcile_notes_the_key(app: App) -> None:
    """Once it has shown the company, its 404 alone ends the customer."""
    customer = app.customer()
    before = app.stack.events()
    with rotated(app):
        assert reconcile(app)["drift"] == 0
        lose_webhooks(app)
        app.codat.state.delete_company(customer["companyId"])
        assert app.stack.events() == before
        assert reconcile(app)["companiesDeleted"] == 1


def test_where_nobody_is_left_nobody_is_ended(app: App) -> None:
    """Six customers don't all lose their companies in a day: Codat may be ill."""
    customers = [app.customer() for _ in range(6)]
    lose_webhooks(app)
    for customer in customers:
        app.codat.state.delete_company(customer["companyId"])
    assert reconcile(app)["failed"] == 1
    assert {app.get(f"/customers/{one['customerId']}").status_code for one in customers} == {200}
    app.codat.state.create_company(CompanyChange(name="One that came back", tags={"uid": app.customer()["customerId"]}))
    assert reconcile(app)["companiesDeleted"] == 6
