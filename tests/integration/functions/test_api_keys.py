"""Trusted API keys: the key of another Codat client is valid, but shows none of our companies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import boto3
import pytest
from codat_simulator.faults import Fault
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings
from codat_simulator.state import CompanyChange

from local.stack import clear_caches
from shared.codat.transport import api_key_fingerprint
from shared.runtime.secrets import secrets
from shared.store.api_keys import ApiKeys
from shared.store.table import Table
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, dropped, lost, passed_on, responds
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, reconcile

ANOTHER_KEY = "the-api-key-of-another-client"
NEW_KEY = "a-new-api-key-of-ours"

# Waits between the attempts of a request take no time.
pytestmark = pytest.mark.usefixtures("clock")


@contextmanager
def api_key(app: App, key: str) -> Iterator[None]:
    """Run the block with this key in the deployment's secret."""
    manager, secret_id = boto3.client("secretsmanager"), app.stack.template.physical_id("CodatSecret")
    before = manager.get_secret_value(SecretId=secret_id)["SecretString"]
    manager.put_secret_value(SecretId=secret_id, SecretString=json.dumps(json.loads(before) | {"apiKey": key}))
    clear_caches()
    try:
        yield
    finally:
        manager.put_secret_value(SecretId=secret_id, SecretString=before)
        clear_caches()


@contextmanager
def another_client(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[CodatServer]:
    """Run the block with the key of another client, which has a company too."""
    with CodatServer(Settings(api_keys=(ANOTHER_KEY,))) as other, monkeypatch.context() as patched:
        other.state.create_company(CompanyChange(name="Theirs", tags={"uid": "theirs"}))
        patched.setenv("CODAT_BASE_URL", other.base_url)
        with api_key(app, ANOTHER_KEY):
            yield other


@contextmanager
def rotated(app: App) -> Iterator[None]:
    """Run the block with a new key of the same client."""
    app.codat.api_keys = (*app.codat.api_keys, NEW_KEY)
    with api_key(app, NEW_KEY):
        yield


def fingerprints(app: App) -> set[str]:
    return {item["sk"] for item in app.items("APIKEYS") if item["sk"].startswith("KEY#")}


def delete_all_keys_but(app: App, key: str) -> None:
    """Delete the client's other keys at Codat."""
    app.codat.api_keys = (key,)


@pytest.mark.parametrize("customers", [1, 7])
def test_reconcile_with_another_clients_key_changes_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch, customers: int
) -> None:
    """GIVEN another client's key THEN the batch fails; with the right key nothing has changed."""
    linked = [app.linked(app.customer()["customerId"]) for _ in range(customers)]
    with another_client(app, monkeypatch):
        counts = reconcile(app)
    assert counts["failed"] == 1
    assert counts["drift"] == 0
    assert [app.read(connection)["status"] for connection in linked] == ["Linked"] * customers
    assert reconcile(app)["drift"] == 0


def test_an_unfinished_deletion_stays_unfinished(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN another client's key THEN the deletion stays in the table; otherwise the company would remain at Codat."""
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
        ("PATCH", ""),
    ],
)
def test_a_call_with_another_clients_key_is_rejected(
    app: App, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """THEN 502 codat-rejected-credentials; the same call with the right key succeeds."""
    linked = app.linked(app.customer()["customerId"])
    url = f"/customers/{linked['customerId']}" + path.format(**linked)
    body = (
        {"platformKey": "qhyg"} if path == "/connections" else {"name": "Bank of Mary"} if method == "PATCH" else None
    )
    with another_client(app, monkeypatch):
        response = app.http.request(method, url, json=body)
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials"), response.text
    assert "make trust-api-key" in response.json()["detail"]
    if path or method == "PATCH":
        assert app.read(linked)["status"] == "Linked"
    assert app.http.request(method, url, json=body).status_code in {200, 204}
    assert len(app.codat.state.companies()) == bool(path or method == "PATCH")


def test_after_a_rotation_deletions_at_codat_are_recorded(app: App) -> None:
    """GIVEN a new key of ours THEN a 404 for a connection counts if Codat shows its company, and a 404 for a company
    counts if Codat shows any other company of ours.
    """
    linked, gone = app.linked(app.customer()["customerId"]), app.customer()
    lose_webhooks(app)
    app.codat.state.delete_connection(linked["companyId"], linked["connectionId"])
    app.codat.state.delete_company(gone["companyId"])
    with rotated(app):
        link = f"/customers/{linked['customerId']}/connections/{linked['connectionId']}/link"
        assert app.post(link).json()["type"] == "connection-deleted"
        counts = reconcile(app)
    assert (counts["companiesDeleted"], counts["failed"]) == (1, 0)
    assert app.get(f"/customers/{gone['customerId']}").status_code == 404


def test_after_a_rotation_a_page_of_codats_companies_proves_the_key(app: App) -> None:
    """GIVEN no other active customer, but a company of ours that is being deleted THEN that company proves the key."""
    gone, deleting = app.customer(), app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{deleting['customerId']}")
    lose_webhooks(app)
    app.codat.state.delete_company(gone["companyId"])
    with rotated(app):
        assert reconcile(app)["companiesDeleted"] == 1


def test_after_a_rotation_a_deletion_of_a_missing_company_is_finished(app: App) -> None:
    """GIVEN an unfinished deletion whose company is gone THEN another company of ours proves the key."""
    app.customer()
    deleting = app.customer()
    app.codat.faults.add(Fault(kind="status", status=403, method="DELETE", times=1))
    app.http.delete(f"/customers/{deleting['customerId']}")
    lose_webhooks(app)
    app.codat.state.delete_company(deleting["companyId"])
    with rotated(app):
        counts = reconcile(app)
    assert (counts["deletionsFinished"], counts["failed"]) == (1, 0)
    assert app.items(f"CUSTOMER#{deleting['customerId']}") == []


def test_if_codat_shows_no_company_no_customer_is_deleted(app: App) -> None:
    """GIVEN six customers whose companies are all missing THEN the batch fails, because Codat may have an outage; once
    Codat shows a company of ours, the customers are deleted.
    """
    customers = [app.customer() for _ in range(6)]
    lose_webhooks(app)
    for customer in customers:
        app.codat.state.delete_company(customer["companyId"])
    assert reconcile(app)["failed"] == 1
    assert {app.get(f"/customers/{customer['customerId']}").status_code for customer in customers} == {200}
    app.codat.state.create_company(CompanyChange(name="Restored", tags={"uid": app.customer()["customerId"]}))
    assert reconcile(app)["companiesDeleted"] == 6


@pytest.mark.parametrize("path", ["/customers", "/customers/{customerId}/connections"])
def test_an_untrusted_key_creates_nothing(app: App, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """GIVEN another client's key THEN 502 with the command to run, and no company or connection is created there."""
    customer = app.customer()
    body = {"customerId": "c-new", "name": "Bank of Dave"} if path == "/customers" else {"platformKey": "qhyg"}
    with another_client(app, monkeypatch) as other:
        response = app.post(path.format(**customer), body)
        assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
        assert "make trust-api-key" in response.json()["detail"]
        assert [company.name for company in other.state.companies()] == ["Theirs"]
        assert app.items("CUSTOMER#c-new") == []
    assert app.post(path.format(**customer), body).status_code == 201


def test_an_untrusted_key_discards_no_unfinished_creation(
    app: App, clock: Clock, codat_wire: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN an unanswered creation WHEN another client's key doesn't show its company THEN neither DELETE nor reconcile
    discards the creation; with the right key DELETE deletes the company.
    """
    app.customer("c-0")

    def unanswered(exchange: Exchange) -> None:
        (lost if exchange.operation == "POST /companies" else dropped)(exchange)

    codat_wire.always(unanswered)
    assert app.post("/customers", {"customerId": "c-1", "name": "Bank of Dave"}).status_code in {502, 504}
    codat_wire.heal()
    clock.advance(600)
    with another_client(app, monkeypatch):
        assert app.http.delete("/customers/c-1").json()["type"] == "codat-rejected-credentials"
        reconcile(app)
        assert app.items("CUSTOMER#c-1")
    assert app.http.delete("/customers/c-1").status_code == 204
    assert [company.tags["uid"] for company in app.codat.state.companies()] == ["c-0"]


def test_an_untrusted_key_adopts_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a company that another client's key shows THEN neither a call nor reconcile adopts it."""
    app.customer()
    with another_client(app, monkeypatch) as other, adopting_orphans():
        [theirs] = other.state.companies()
        body = {"customerId": "c-new", "name": "Bank of Dave", "companyId": theirs.id}
        assert app.post("/customers", body).json()["type"] == "codat-rejected-credentials"
        reconcile(app)
        assert (theirs.name, theirs.tags) == ("Theirs", {"uid": "theirs"})
    assert app.get("/customers/theirs").status_code == 404


def test_the_first_key_is_trusted_once_codat_accepts_it(app: App) -> None:
    """GIVEN a new deployment with a mistyped key THEN it is not trusted; the right key is, once Codat accepts it."""
    app.start_afresh(is_new=True)
    with api_key(app, "mistyped"):
        assert app.post("/customers", {"customerId": "c-1", "name": "x"}).json()["type"] == "codat-rejected-credentials"
        assert app.items("APIKEYS") == []
    app.customer()
    assert len(fingerprints(app)) == 1


def test_a_new_key_is_proved_by_the_old_key_in_codats_list(app: App) -> None:
    """GIVEN a single customer, whose company was deleted in the portal WHEN the key was rotated and the old key still
    exists THEN the customer can be deleted at once.
    """
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    with rotated(app):
        assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204
    assert len(fingerprints(app)) == 2


def test_a_new_key_is_proved_by_a_company_of_ours(app: App) -> None:
    """GIVEN a rotated key, and the old key deleted THEN a company of a customer of ours proves the new key."""
    app.customer()
    with rotated(app):
        delete_all_keys_but(app, NEW_KEY)
        app.customer()
    assert len(fingerprints(app)) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/connections"),
        ("POST", "/connections/{connectionId}/link"),
        ("POST", "/connections/{connectionId}/unlink"),
        ("DELETE", "/connections/{connectionId}"),
    ],
)
def test_every_call_records_a_proof_of_the_key(app: App, method: str, path: str) -> None:
    """GIVEN a rotated key WHEN Codat answers its first call with 404 THEN the key is proved and stored as trusted."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    body = {"PATCH": {"name": "Renamed"}, "POST": {"platformKey": "qhyg"} if path == "/connections" else None}
    with rotated(app):
        url = f"/customers/{linked['customerId']}" + path.format(**linked)
        response = app.http.request(method, url, json=body.get(method))
    assert response.status_code in {204, 404, 409}, response.text
    assert len(fingerprints(app)) == 2


def test_a_new_key_without_proof_is_rejected_until_the_operator_confirms_it(app: App) -> None:
    """GIVEN no company left at Codat, and the old key deleted THEN DELETE is 502; after the confirmation it is 204."""
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    with rotated(app):
        delete_all_keys_but(app, NEW_KEY)
        response = app.http.delete(f"/customers/{customer['customerId']}")
        assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
        table = Table(app.stack.dynamodb, app.stack.table_name)
        ApiKeys(table).trust(api_key_fingerprint(NEW_KEY), "confirmed by the operator", datetime.now(UTC))
        assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204


def test_no_key_is_stored_or_logged(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """Codat's list of API keys contains the keys themselves."""
    app.customer()
    with rotated(app):
        app.customer()
    output = capsys.readouterr()
    for key in (NEW_KEY, app.stack.settings.codat_api_key):
        assert key not in str(app.items())
        assert key not in output.out + output.err


def test_a_key_that_may_not_list_keys_is_proved_by_a_company(app: App, codat_wire: Proxy) -> None:
    """GIVEN an API key that Codat answers with 403 for its list of keys THEN a company of ours proves it."""
    app.customer()

    def without_list(exchange: Exchange) -> None:
        if exchange.operation == "GET /apiKeys":
            responds(403, {"statusCode": 403, "service": "PublicApi", "error": "Forbidden"})(exchange)
        else:
            passed_on(exchange)

    codat_wire.always(without_list)
    with rotated(app):
        app.customer()
    assert len(fingerprints(app)) == 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_key_that_may_not_list_keys_has_no_other_proof(app: App, codat_wire: Proxy, status: int) -> None:
    """GIVEN no company left at Codat THEN 502 with the command to run, and the customer stays."""
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    refusal = {"statusCode": status, "service": "PublicApi", "error": "Refused"}

    def without_list(exchange: Exchange) -> None:
        (responds(status, refusal) if exchange.operation == "GET /apiKeys" else passed_on)(exchange)

    codat_wire.always(without_list)
    with rotated(app):
        response = app.http.delete(f"/customers/{customer['customerId']}")
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
    assert "make trust-api-key" in response.json()["detail"]
    assert app.items(f"CUSTOMER#{customer['customerId']}")


def test_an_outage_is_not_reported_as_distrust(app: App, codat_wire: Proxy) -> None:
    """GIVEN no customer, and a 503 for Codat's list of keys THEN codat-unavailable; afterwards the call succeeds."""

    def without_list(exchange: Exchange) -> None:
        (responds(503, b"") if exchange.operation == "GET /apiKeys" else passed_on)(exchange)

    customer = {"customerId": "after-an-outage", "name": "Bank of Dave"}
    codat_wire.always(without_list)
    with rotated(app):
        response = app.post("/customers", customer)
        assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
        codat_wire.heal()
        assert app.post("/customers", customer).status_code == 201


def test_a_gateways_200_proves_no_key(app: App, codat_wire: Proxy) -> None:
    """GIVEN an invalid key, and a gateway that answers 200 THEN the key is not trusted."""
    customer = app.customer()

    def welcome(exchange: Exchange) -> None:
        (responds(200, b"<html>Welcome</html>") if exchange.method == "GET" else passed_on)(exchange)

    codat_wire.always(welcome)
    with api_key(app, "mistyped"):
        response = app.http.delete(f"/customers/{customer['customerId']}")
    assert response.status_code == 502
    assert len(fingerprints(app)) == 1


def test_only_one_key_is_trusted_as_the_first(app: App) -> None:
    """GIVEN two functions with different keys THEN only the first key is trusted as the deployment's first."""
    app.start_afresh(is_new=True)
    keys = ApiKeys(Table(app.stack.dynamodb, app.stack.table_name))
    now = datetime.now(UTC)
    assert [keys.trust_first(key, now) for key in ("a", "b", "a")] == [True, False, True]
    assert keys.trusted() == {"a"}


def test_a_mistyped_key_that_is_corrected_is_not_trusted(app: App) -> None:
    """GIVEN a new deployment whose process has cached a mistyped key WHEN the secret is corrected THEN the right key is
    trusted.
    """
    app.start_afresh(is_new=True)
    with api_key(app, "mistyped"):
        assert secrets().api_key() == "mistyped"
        right = app.stack.settings.codat_api_key
        secret_id = app.stack.template.physical_id("CodatSecret")
        content = json.dumps({"apiKey": right, "webhookSecrets": app.stack.settings.webhook_secrets})
        boto3.client("secretsmanager").put_secret_value(SecretId=secret_id, SecretString=content)
        assert app.get("/platforms").status_code == 200
        assert fingerprints(app) == {f"KEY#{api_key_fingerprint(right)}"}
        app.customer()
