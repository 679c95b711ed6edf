"""Which API keys may create and delete: another Codat client's key is valid, and shows nothing of ours."""

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
from shared.store.api_keys import ApiKeys
from shared.store.table import Table
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, dropped, lost, passed_on, responds
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, reconcile

ANOTHER_KEY = "the-api-key-of-another-client"


@contextmanager
def api_key(app: App, key: str) -> Iterator[None]:
    """The deployment's secret holds this one meanwhile."""
    secrets, secret_id = boto3.client("secretsmanager"), app.stack.template.physical_id("CodatSecret")
    before = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
    secrets.put_secret_value(SecretId=secret_id, SecretString=json.dumps(json.loads(before) | {"apiKey": key}))
    clear_caches()
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=secret_id, SecretString=before)
        clear_caches()


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
        ("PATCH", ""),
    ],
)
def test_a_call_says_whose_fault_it_is(app: App, monkeypatch: pytest.MonkeyPatch, method: str, path: str) -> None:
    """502 codat-rejected-credentials; the same call under the right key does what it says."""
    linked = app.linked(app.customer()["customerId"])
    url = f"/customers/{linked['customerId']}" + path.format(**linked)
    body = (
        {"platformKey": "qhyg"} if path == "/connections" else {"name": "Bank of Mary"} if method == "PATCH" else None
    )
    with another_client(app, monkeypatch):
        answer = app.http.request(method, url, json=body)
    assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected-credentials"), answer.text
    assert "make trust-api-key" in answer.json()["detail"]
    if path or method == "PATCH":
        assert app.read(linked)["status"] == "Linked"
    assert app.http.request(method, url, json=body).status_code in {200, 204}
    assert len(app.codat.state.companies()) == bool(path or method == "PATCH")


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


NEW = "a-new-api-key-of-ours"


def fingerprints(app: App) -> set[str]:
    return {item["sk"] for item in app.items("APIKEYS") if item["sk"].startswith("KEY#")}


def forget_all_but(app: App, key: str) -> None:
    """The client's other keys are deleted at Codat."""
    app.codat.api_keys = (key,)


@pytest.mark.parametrize("path", ["/customers", "/customers/{customerId}/connections"])
def test_an_untrusted_key_creates_nothing(app: App, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """GIVEN another client's key THEN 502 that says what to do, and neither company nor connection is made there."""
    customer = app.customer()
    body = {"customerId": "c-new", "name": "Bank of Dave"} if path == "/customers" else {"platformKey": "qhyg"}
    with another_client(app, monkeypatch) as other:
        answer = app.post(path.format(**customer), body)
        assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected-credentials")
        assert "make trust-api-key" in answer.json()["detail"]
        assert [company.name for company in other.state.companies()] == ["Theirs"]
        assert app.items("CUSTOMER#c-new") == []
    assert app.post(path.format(**customer), body).status_code == 201


def test_an_untrusted_key_ends_no_unfinished_creation(
    app: App, clock: Clock, codat_wire: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a company whose creation was not answered WHEN it is looked for under another client's key THEN that it
    isn't found proves nothing: neither DELETE nor a reconcile forgets the creation, and the right key finds it.
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
    """GIVEN a company that another client's key shows THEN it is not taken, by call or by reconcile."""
    app.customer()
    with another_client(app, monkeypatch) as other, adopting_orphans():
        [theirs] = other.state.companies()
        body = {"customerId": "c-new", "name": "Bank of Dave", "companyId": theirs.id}
        assert app.post("/customers", body).json()["type"] == "codat-rejected-credentials"
        reconcile(app)
        assert (theirs.name, theirs.tags) == ("Theirs", {"uid": "theirs"})
    assert app.get("/customers/theirs").status_code == 404


def test_the_first_key_is_trusted_once_codat_accepts_it(app: App) -> None:
    """GIVEN a new deployment with a mistyped key THEN it is not trusted, and the right one is afterwards."""
    app.start_afresh()
    with api_key(app, "mistyped"):
        assert app.post("/customers", {"customerId": "c-1", "name": "x"}).json()["type"] == "codat-rejected-credentials"
        assert app.items("APIKEYS") == []
    app.customer()
    assert len(fingerprints(app)) == 1


def test_a_new_key_is_proved_by_the_old_one_beside_it(app: App) -> None:
    """GIVEN one customer, whose company was deleted in the portal WHEN the key was rotated and the old one still exists
    THEN the customer can be deleted at once.
    """
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    with rotated(app):
        assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204
    assert len(fingerprints(app)) == 2


def test_a_new_key_is_proved_by_a_company_of_ours(app: App) -> None:
    """GIVEN a rotated key, and the old one deleted THEN a company with a pointer here, which it shows, proves it."""
    app.customer()
    with rotated(app):
        forget_all_but(app, NEW)
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
def test_every_call_records_the_proof_that_it_finds(app: App, method: str, path: str) -> None:
    """GIVEN a rotated key WHEN Codat answers 404 to its first call THEN the key is proved, and trusted from then on."""
    linked = app.linked(app.customer()["customerId"])
    lose_webhooks(app)
    app.codat.state.delete_company(linked["companyId"])
    body = {"PATCH": {"name": "Renamed"}, "POST": {"platformKey": "qhyg"} if path == "/connections" else None}
    with rotated(app):
        url = f"/customers/{linked['customerId']}" + path.format(**linked)
        answer = app.http.request(method, url, json=body.get(method))
    assert answer.status_code in {204, 404, 409}, answer.text
    assert len(fingerprints(app)) == 2


def test_a_new_key_that_proves_nothing_is_refused_until_it_is_confirmed(app: App) -> None:
    """GIVEN no company left to show, and the old key deleted THEN 502; after the operator's confirmation 201."""
    customer = app.customer()
    lose_webhooks(app)
    app.codat.state.delete_company(customer["companyId"])
    with rotated(app):
        forget_all_but(app, NEW)
        answer = app.http.delete(f"/customers/{customer['customerId']}")
        assert (answer.status_code, answer.json()["type"]) == (502, "codat-rejected-credentials")
        table = Table(app.stack.dynamodb, app.stack.table_name)
        ApiKeys(table).trust(api_key_fingerprint(NEW), "confirmed by the operator", datetime.now(UTC))
        assert app.http.delete(f"/customers/{customer['customerId']}").status_code == 204


def test_no_key_is_stored_or_logged(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """The list of API keys contains the keys themselves."""
    app.customer()
    with rotated(app):
        app.customer()
    output = capsys.readouterr()
    for key in (NEW, app.stack.settings.codat_api_key):
        assert key not in str(app.items())
        assert key not in output.out + output.err


def test_a_list_of_keys_that_codat_does_not_give_is_no_proof(app: App, codat_wire: Proxy) -> None:
    """GIVEN an API key that may not list keys THEN a company of ours proves it as well."""
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


def test_a_gateways_200_proves_no_key(app: App, codat_wire: Proxy) -> None:
    """GIVEN a key that Codat does not know, and a gateway that answers 200 THEN the key is not trusted."""
    customer = app.customer()

    def welcome(exchange: Exchange) -> None:
        (responds(200, b"<html>Welcome</html>") if exchange.method == "GET" else passed_on)(exchange)

    codat_wire.always(welcome)
    with api_key(app, "mistyped"):
        answer = app.http.delete(f"/customers/{customer['customerId']}")
    assert answer.status_code == 502
    assert len(fingerprints(app)) == 1


def test_the_two_first_keys_of_a_deployment_are_one(app: App) -> None:
    """Two functions that hold different keys can't both trust theirs as the first."""
    app.start_afresh()
    keys = ApiKeys(Table(app.stack.dynamodb, app.stack.table_name))
    now = datetime.now(UTC)
    assert [keys.trust_first(key, now) for key in ("one", "two", "one")] == [True, False, True]
    assert keys.trusted() == {"one"}
