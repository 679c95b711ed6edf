"""The page of an invitation: what the invited person, mail scanners and strangers get."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from codat_simulator.faults import Fault

from shared.bootstrap.stores import platform_cache
from shared.domain.invitations import new_token
from shared.runtime.observability import logger
from shared.runtime.settings import read
from tests.concurrently import concurrently
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Exchange, Proxy, before_the_answer
from tests.integration.functions.calls import lose_webhooks, measured, reconcile
from tests.integration.functions.test_api_keys import another_client, fingerprints, rotated
from tests.integration.functions.test_invitations import URL, invite, stored
from tests.intensity import examples
from tests.payloads import api_event

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def customer(app: App) -> dict[str, Any]:
    customer = app.customer("acme")
    app.get("/platforms")
    return customer


def heading(response: httpx.Response) -> str:
    [title] = re.findall(r"<h1>(.*?)</h1>", response.text)
    return unescape(title)


def outcomes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the outcomes that were counted, without those of the app's calls."""
    return [name[1] for name in measured(capsys.readouterr().out) if name[0] == "Invitation" and name[1] != "created"]


def connections(app: App) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = app.get("/customers/acme/connections").json()["connections"]
    return listed


# Opening


def test_opening_it_many_times_consumes_nothing(app: App) -> None:
    """GIVEN scanners, with GET and HEAD and parameters of mailers THEN nothing changes, here or at Codat."""
    url = invite(app, platformKey="qhyg")["url"]
    before = app.items()
    app.codat.wait_idle()
    app.codat.calls.clear()
    for _ in range(3):
        shown = app.http.get(url, params={"utm_source": "mail", "platformKey": "gbol"})
        assert (shown.status_code, heading(shown)) == (200, "Connect QuickBooks Online")
        assert "accounting data of Bank of Dave" in shown.text
        head = app.http.head(url, headers={"sec-purpose": "prefetch"})
        assert (head.status_code, head.text) == (200, "")
    assert app.items() == before
    assert app.codat.calls.count() == 0


def test_the_page_is_private(app: App) -> None:
    """THEN no cache, search engine, frame, script or other server gets it, and no address leaks by a referrer."""
    shown = app.http.get(invite(app, platformKey="qhyg")["url"])
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["x-robots-tag"] == "noindex, nofollow"
    policy = dict(part.strip().split(" ", 1) for part in shown.headers["content-security-policy"].split(";"))
    assert policy.pop("style-src").startswith("'sha256-")
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "form-action": f"'self' https: {app.stack.codat_url}",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert "<script" not in shown.text
    assert set(re.findall(r'(?:src|href)="([^"]*)"', shown.text)) == {"data:,"}


def test_without_a_platform_the_person_chooses(app: App) -> None:
    shown = app.http.get(invite(app)["url"])
    assert heading(shown) == "Which software do you use?"
    listed = {platform["platformKey"] for platform in app.get("/platforms").json()["platforms"]}
    assert offered(shown) == listed


def test_platforms_logos_are_shown_if_the_deployment_wants_that(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.open_invitation import app as function  # noqa: PLC0415  # it needs a running stack

    url = invite(app, platformKey="qhyg")["url"]
    monkeypatch.setenv("SHOW_PLATFORM_LOGOS", "true")
    monkeypatch.setenv("APP_NAME", "Pay & Co")
    monkeypatch.setenv("APP_LOGO_URL", "https://cdn.example.com/logo.png")
    for cached in (read, function._design):
        cached.cache_clear()
    try:
        shown = app.http.get(url)
        assert 'src="https://static.codat.io/' in shown.text
        assert '<img src="https://cdn.example.com/logo.png" alt="Pay &amp; Co">' in shown.text
        policy = shown.headers["content-security-policy"]
        assert "img-src data: https://cdn.example.com https://static.codat.io;" in policy
    finally:
        monkeypatch.undo()
        for cached in (read, function._design):
            cached.cache_clear()


def test_a_platform_on_the_customers_computer_needs_a_connector(app: App) -> None:
    assert "install a connector" in app.http.get(invite(app, platformKey="pqsw")["url"]).text


# Following


def test_following_leads_to_a_fresh_link(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN three openings by a scanner THEN the person gets a link that works, and then a page that says connected."""
    url = invite(app, platformKey="qhyg")["url"]
    for _ in range(3):
        app.http.get(url)
    followed = app.http.post(url)
    assert (followed.status_code, followed.text) == (303, "")
    assert followed.headers["referrer-policy"] == "no-referrer"
    assert followed.headers["cache-control"] == "no-store"
    assert followed.headers["location"].startswith(app.stack.codat_url)
    assert "is connected" in httpx.post(followed.headers["location"], data={"action": "authorize"}).text
    app.codat.wait_idle()
    [connection] = connections(app)
    assert (connection["platformKey"], connection["status"]) == ("qhyg", "Linked")
    for method in ("GET", "POST"):
        again = app.http.request(method, url)
        assert (again.status_code, heading(again)) == (200, "QuickBooks Online is connected")
    assert outcomes(capsys) == ["opened", "followed", "connected"]


def test_a_link_that_was_used_does_not_end_the_invitation(app: App) -> None:
    """GIVEN a link that was opened once, or is over a day old THEN the invitation gives another one."""
    url = invite(app, platformKey="qhyg")["url"]
    first, second = (app.http.post(url).headers["location"] for _ in range(2))
    assert first != second
    assert [httpx.get(first).status_code for _ in range(2)] == [200, 410]
    assert httpx.get(second).status_code == 200
    assert httpx.get(app.http.post(url).headers["location"]).status_code == 200
    assert len(connections(app)) == 1


def test_the_timeline_names_the_invitation(app: App) -> None:
    invitation = invite(app, platformKey="qhyg")
    app.http.post(invitation["url"])
    app.codat.wait_idle()
    [connection] = connections(app)
    [created] = [
        event
        for event in app.get(f"/customers/acme/connections/{connection['connectionId']}/events").json()["events"]
        if event["eventType"] == "created"
    ]
    assert (created["actor"], created["actorId"]) == ("invitation", invitation["invitationId"])


def test_an_existing_connection_is_reused(app: App) -> None:
    """GIVEN a pending connection, later a revoked one THEN following authorises or reconnects it."""
    connection = app.connection("acme")
    url = invite(app, platformKey="qhyg")["url"]
    httpx.post(app.http.post(url).headers["location"], data={"action": "authorize"})
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Linked"
    app.codat.state.revoke(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    httpx.post(app.http.post(url).headers["location"], data={"action": "authorize"})
    app.codat.wait_idle()
    assert app.read(connection)["status"] == "Linked"


def test_the_chosen_platform_is_followed(app: App) -> None:
    url = invite(app)["url"]
    assert app.http.post(url, data={"platformKey": "gbol"}).status_code == 303
    assert [connection["platformKey"] for connection in connections(app)] == ["gbol"]


@pytest.mark.parametrize("form", [None, {"platformKey": ""}, {"platformKey": "none"}, {"other": "qhyg"}])
def test_without_an_available_platform_the_choice_is_shown_again(app: App, form: dict[str, str] | None) -> None:
    shown = app.http.post(invite(app)["url"], data=form)
    assert (shown.status_code, heading(shown)) == (200, "Which software do you use?")
    assert connections(app) == []


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"platformKey=" + b"q" * 100_000, b"&" * 100_000, b"{}"],
    ids=["bytes", "long", "many", "json"],
)
def test_any_other_body_is_ignored(app: App, content: bytes) -> None:
    """GIVEN an invitation for a platform THEN the form doesn't matter: another platform can't be chosen."""
    url = invite(app, platformKey="qhyg")["url"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert app.http.post(url, content=content, headers=form).status_code == 303
    assert app.http.post(url, data={"platformKey": "gbol"}).status_code == 303
    assert [connection["platformKey"] for connection in connections(app)] == ["qhyg"]


@pytest.mark.parametrize("platform_key", ["gbol", None])
def test_another_linked_accounting_platform_is_named(app: App, platform_key: str | None) -> None:
    """A customer has one linked accounting platform at a time."""
    app.linked("acme")
    url = invite(app, platformKey=platform_key)["url"]
    for response in (app.http.get(url), app.http.post(url, data={"platformKey": "gbol"})):
        assert (response.status_code, heading(response)) == (200, "QuickBooks Online is connected")
    assert len(connections(app)) == 1


@pytest.mark.parametrize("platform_key", ["gbol", "qhyg"])
def test_a_lost_webhook_does_not_hide_that_it_is_connected(app: App, platform_key: str) -> None:
    """GIVEN a stored state that is behind Codat's THEN following reads Codat's and says connected."""
    connection = app.connection("acme")
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    url = invite(app, platformKey=platform_key)["url"]
    response = app.http.post(url)
    assert (response.status_code, heading(response)) == (200, "QuickBooks Online is connected")


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that sets the parameters of platforms."""

    def change(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        read.cache_clear()

    yield change
    monkeypatch.undo()
    read.cache_clear()


def test_a_bank_stands_beside_a_linked_accounting_platform(app: App, parameters: Callable[..., None]) -> None:
    app.linked("acme")
    parameters(SOURCE_TYPES="Accounting,Banking")
    url = invite(app, platformKey="plad")["url"]
    shown = app.http.get(url)
    assert (shown.status_code, heading(shown)) == (200, "Connect Plaid")
    assert "bank accounts and transactions" in shown.text
    assert "is connected" not in shown.text
    assert app.http.post(url).status_code == 303


def offered(response: httpx.Response) -> set[str]:
    return set(re.findall(r'name="platformKey" value="(\w+)"', response.text))


def authorise(response: httpx.Response, app: App) -> None:
    assert response.status_code == 303
    httpx.post(response.headers["location"], data={"action": "authorize"})
    app.codat.wait_idle()


def test_without_a_platform_a_second_one_can_be_connected(app: App, parameters: Callable[..., None]) -> None:
    """GIVEN two source types, and a choice of both THEN the page names what is connected, and offers what is left."""
    parameters(SOURCE_TYPES="Accounting,Banking", PLATFORM_KEYS="qhyg,gbol,plad")
    url = invite(app)["url"]
    assert offered(app.http.get(url)) == {"qhyg", "gbol", "plad"}
    authorise(app.http.post(url, data={"platformKey": "qhyg"}), app)
    shown = app.http.get(url)
    assert (heading(shown), offered(shown)) == ("Connect Plaid", {"plad"})
    assert "QuickBooks Online is connected. You can connect other software too." in shown.text
    for pressed_on_an_old_page in ("qhyg", "gbol"):
        assert heading(app.http.post(url, data={"platformKey": pressed_on_an_old_page})) == (
            "QuickBooks Online is connected"
        )
    authorise(app.http.post(url, data={"platformKey": "plad"}), app)
    for method in ("GET", "POST"):
        response = app.http.request(method, url)
        assert (response.status_code, heading(response), offered(response)) == (200, "Plaid is connected", set())


def test_a_linked_bank_is_named_and_not_offered_again(app: App, parameters: Callable[..., None]) -> None:
    """GIVEN a choice of which the bank is linked THEN pressing its button on an old page says so."""
    parameters(SOURCE_TYPES="Accounting,Banking", PLATFORM_KEYS="qhyg,gbol,plad")
    url = invite(app)["url"]
    authorise(app.http.post(url, data={"platformKey": "plad"}), app)
    shown = app.http.get(url)
    assert (heading(shown), offered(shown)) == ("Which software do you use?", {"qhyg", "gbol"})
    assert "Plaid is connected." in shown.text
    response = app.http.post(url, data={"platformKey": "plad"})
    assert (response.status_code, heading(response)) == (200, "Plaid is connected")


def test_a_linked_bank_without_its_platform_key_is_recognised_by_name(
    app: App, parameters: Callable[..., None], customer: dict[str, Any]
) -> None:
    """GIVEN a connection from Codat's hosted page, and Codat leaves out its key THEN its platform isn't offered."""
    parameters(SOURCE_TYPES="Accounting,Banking")
    app.codat.serializer.omit_integration_key = True
    connection = app.codat.state.create_connection(customer["companyId"], "plad")
    app.codat.state.link(customer["companyId"], connection.id)
    app.codat.wait_idle()
    assert [each["platformKey"] for each in connections(app)] == [""]
    assert heading(app.http.get(invite(app, platformKey="plad")["url"])) == "Plaid is connected"
    assert "plad" not in offered(app.http.get(invite(app)["url"]))


def test_codat_shows_a_bank_as_linked_and_the_table_does_not(app: App, parameters: Callable[..., None]) -> None:
    """GIVEN a lost webhook THEN choosing the bank, which the page still offers, says that it is connected."""
    parameters(SOURCE_TYPES="Accounting,Banking")
    connection = app.connection("acme", "plad")
    app.codat.faults.add(Fault(kind="webhook-drop"))
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    url = invite(app)["url"]
    assert "plad" in offered(app.http.get(url))
    response = app.http.post(url, data={"platformKey": "plad"})
    assert (response.status_code, heading(response)) == (200, "Plaid is connected")


def test_a_single_offered_bank_is_connected(app: App, parameters: Callable[..., None]) -> None:
    parameters(SOURCE_TYPES="Banking", PLATFORM_KEYS="plad")
    url = invite(app)["url"]
    assert heading(app.http.get(url)) == "Connect Plaid"
    authorise(app.http.post(url, data={"platformKey": "plad"}), app)
    for method, form in (("GET", None), ("POST", None), ("POST", {"platformKey": "plad"})):
        response = app.http.request(method, url, data=form)
        assert (response.status_code, heading(response)) == (200, "Plaid is connected")


def test_linked_accounting_does_not_end_an_invitation_for_banks(app: App, parameters: Callable[..., None]) -> None:
    app.linked("acme")
    parameters(SOURCE_TYPES="Banking")
    url = invite(app)["url"]
    shown = app.http.get(url)
    assert "plad" in offered(shown)
    assert "is connected" not in shown.text
    authorise(app.http.post(url, data={"platformKey": "plad"}), app)
    assert {each["platformKey"] for each in connections(app) if each["status"] == "Linked"} == {"qhyg", "plad"}


# Links that stay the same


def test_it_works_without_one_time_links(app: App, codat_wire: Proxy) -> None:
    """GIVEN a Codat client whose links are stable, with parameters THEN the browser gets that link, unchanged."""

    def without_otp(exchange: Exchange) -> None:
        answer = exchange.forward()
        exchange.answer(replace(answer, body=re.sub(rb"\?otp=[^\"]+", b"?theme=a%20b&x=1", answer.body)))

    codat_wire.always(without_otp)
    url = invite(app, platformKey="qhyg")["url"]
    links = [app.http.post(url).headers["location"] for _ in range(2)]
    [connection] = connections(app)
    path = f"/companies/{connection['companyId']}/connections/{connection['connectionId']}/start"
    assert links == [f"{app.stack.codat_url}{path}?theme=a%20b&x=1"] * 2


# Ended invitations


def test_expired(app: App, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN its end THEN 410, until DynamoDB may remove it; after that 404."""
    url = invite(app, platformKey="qhyg", expiresInDays=1)["url"]
    clock.advance(DAY - 60)
    assert app.http.get(url).status_code == 200
    clock.advance(61)
    for method in ("GET", "POST", "HEAD"):
        response = app.http.request(method, url)
        assert response.status_code == 410
        assert response.text == "" if method == "HEAD" else heading(response) == "This invitation has expired"
        assert "Dave" not in response.text
    clock.advance(timedelta(days=30).total_seconds())
    assert app.http.get(url).status_code == 404
    assert connections(app) == []
    assert outcomes(capsys) == ["opened", "expired", "unknown"]


def test_removed_by_the_ttl(app: App, clock: Clock) -> None:
    """GIVEN that DynamoDB has removed one item or both THEN 404."""
    url = invite(app, expiresInDays=1)["url"]
    clock.advance(32 * DAY)
    for item in stored(app):
        app.stack.dynamodb.delete_item(
            TableName=app.stack.table_name, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
        )
        assert app.http.get(url).status_code == 404
    assert app.get(URL).json() == {"invitations": []}


def test_revoked(app: App, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """THEN it ends at once, and stays revoked until 30 days after its expiry time; after that 404."""
    invitation = invite(app, platformKey="qhyg", expiresInDays=1)
    app.http.get(invitation["url"])
    app.http.delete(f"{URL}/{invitation['invitationId']}")
    for method in ("GET", "POST"):
        response = app.http.request(method, invitation["url"])
        assert (response.status_code, heading(response)) == (410, "This invitation was withdrawn")
    clock.advance(31 * DAY - 60)
    assert heading(app.http.get(invitation["url"])) == "This invitation was withdrawn"
    clock.advance(61)
    assert app.http.get(invitation["url"]).status_code == 404
    assert connections(app) == []
    assert outcomes(capsys) == ["opened", "revoked", "unknown"]


def test_a_link_of_codats_ends_with_its_connection(app: App) -> None:
    """GIVEN a link that was fetched before the revocation THEN it stays valid until the connection is deleted."""
    invitation = invite(app, platformKey="qhyg")
    first, second = (app.http.post(invitation["url"]).headers["location"] for _ in range(2))
    app.http.delete(f"{URL}/{invitation['invitationId']}")
    assert httpx.get(first).status_code == 200
    [connection] = connections(app)
    assert app.http.delete(f"/customers/acme/connections/{connection['connectionId']}").status_code == 204
    assert httpx.get(second).status_code in {404, 410}


def test_revoked_while_a_link_is_fetched(app: App, codat_wire: Proxy) -> None:
    """GIVEN a revocation before Codat's answer arrives THEN the person gets no link."""
    invitation = invite(app, platformKey="qhyg")
    path = f"{URL}/{invitation['invitationId']}"

    def revoke() -> None:
        assert app.http.delete(path).status_code == 204

    codat_wire.always(before_the_answer("POST", revoke))
    response = app.http.post(invitation["url"])
    assert (response.status_code, heading(response)) == (410, "This invitation was withdrawn")


def test_deleted_while_a_link_is_fetched(app: App, codat_wire: Proxy, customer: dict[str, Any]) -> None:
    """GIVEN a deletion of the company before Codat's answer arrives THEN the person gets no link."""
    url = invite(app, platformKey="qhyg")["url"]

    def delete() -> None:
        codat_wire.heal()
        assert app.http.delete("/customers/acme").status_code == 204

    codat_wire.always(before_the_answer("POST", delete))
    assert app.http.post(url).status_code == 404
    assert all("expiresAt" in item for item in app.items(f"COMPANY#{customer['companyId']}"))
    assert app.get("/customers").json()["customers"] == []


@pytest.mark.parametrize("deleted_by", ["the app", "Codat", "Codat, and its webhook is lost"])
def test_the_customer_is_deleted(app: App, customer: dict[str, Any], deleted_by: str) -> None:
    """THEN it ends at once, nothing of it stays, and it doesn't work for a later customer with the same id."""
    urls = [invite(app, platformKey="qhyg")["url"] for _ in range(3)]
    if deleted_by == "the app":
        assert app.http.delete("/customers/acme").status_code == 204
    elif deleted_by == "Codat":
        app.codat.state.delete_company(customer["companyId"])
        app.codat.wait_idle()
    else:
        lose_webhooks(app)
        app.codat.state.delete_company(customer["companyId"])
        assert reconcile(app)["companiesDeleted"] == 1
    assert stored(app) == []
    assert not [item for item in app.items() if "INVITATION" in item["pk"] + item["sk"]]
    app.customer("acme")
    for url in urls:
        assert [app.http.request(method, url).status_code for method in ("GET", "POST")] == [404, 404]


def test_the_customer_is_being_deleted(app: App) -> None:
    """GIVEN a deletion that Codat refuses for now THEN the invitation doesn't work any more, and none can be added."""
    url = invite(app, platformKey="qhyg")["url"]
    app.codat.faults.add(Fault(kind="status", status=503, method="DELETE"))
    assert app.http.delete("/customers/acme").status_code == 502
    assert app.http.get(url).status_code == 404
    assert app.http.post(url).status_code == 404
    assert app.post(URL, {}).status_code == 404


# Codat fails


def test_codat_is_down(app: App) -> None:
    """THEN the page is shown, and following says to try again; later it works."""
    url = invite(app, platformKey="qhyg")["url"]
    fault = app.codat.faults.add(Fault(kind="status", status=503))
    assert app.http.get(url).status_code == 200
    response = app.http.post(url)
    assert (response.status_code, heading(response)) == (502, "Please try again in a moment")
    assert '<form method="get">' in response.text
    app.codat.faults.remove(fault)
    assert app.http.post(url).status_code == 303
    assert len(connections(app)) == 1


def test_codat_limits_the_rate(app: App) -> None:
    url = invite(app, platformKey="qhyg")["url"]
    app.codat.faults.add(Fault(kind="status", status=429, retry_after=60))
    response = app.http.post(url)
    assert (response.status_code, response.headers["retry-after"]) == (429, "60")
    assert heading(response) == "Please try again in a moment"


@pytest.mark.parametrize("platform_key", ["qhyg", None])
def test_no_platform_of_the_invitation_is_available(
    app: App, parameters: Callable[..., None], capsys: pytest.CaptureFixture[str], platform_key: str | None
) -> None:
    """GIVEN a platform that was removed, or that none is left THEN the page doesn't say to try again, and no opening is
    counted.
    """
    url = invite(app, platformKey=platform_key)["url"]
    parameters(PLATFORM_KEYS="gbol" if platform_key else "none")
    for method in ("GET", "HEAD", "POST"):
        response = app.http.request(method, url)
        assert response.status_code == 422
        assert response.text == "" if method == "HEAD" else "<form" not in response.text
    assert heading(app.http.get(url)) == "This software is not available any more"
    assert outcomes(capsys) == []


def test_another_clients_api_key_creates_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a secret with another client's key THEN the person may try again, and the operator's alarm is raised."""
    url = invite(app, platformKey="qhyg")["url"]
    with another_client(app, monkeypatch) as other:
        response = app.http.post(url)
        assert (response.status_code, heading(response)) == (502, "Please try again in a moment")
        assert [company.connections for company in other.state.companies()] == [{}]
    assert app.http.post(url).status_code == 303


def test_a_rotated_api_key_becomes_trusted(app: App) -> None:
    url = invite(app, platformKey="qhyg")["url"]
    with rotated(app):
        assert app.http.post(url).status_code == 303
    assert len(fingerprints(app)) == 2


def test_the_list_of_platforms_is_fetched_if_none_is_stored(app: App) -> None:
    """GIVEN a lost list, and no Codat THEN the person may try again; with Codat the choice is shown."""
    url = invite(app)["url"]
    for item in app.items("PLATFORMS"):
        key = {"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
        app.stack.dynamodb.delete_item(TableName=app.stack.table_name, Key=key)
    platform_cache.cache_clear()
    fault = app.codat.faults.add(Fault(kind="status", status=503))
    assert app.http.get(url).status_code == 502
    app.codat.faults.remove(fault)
    assert heading(app.http.get(url)) == "Which software do you use?"
    assert app.items("PLATFORMS")


# Strangers


@pytest.mark.parametrize("change", ["tampered", "truncated", "over-long", "in another case", "very long", "not ASCII"])
def test_other_tokens_are_unknown(app: App, capsys: pytest.CaptureFixture[str], change: str) -> None:
    url = invite(app, platformKey="qhyg")["url"]
    base, _, token = url.rpartition("/")
    other = {
        "tampered": token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:],
        "truncated": token[:-1],
        "over-long": token + "A",
        "in another case": token.swapcase(),
        "very long": "A" * 5000,
        "not ASCII": "%C3%A9%ED%A0%80%00",
    }[change]
    for method in ("GET", "HEAD", "POST"):
        assert app.http.request(method, f"{base}/{other}").status_code == 404
    assert heading(app.http.get(f"{base}/{other}")) == "This invitation doesn't exist"
    assert outcomes(capsys) == ["unknown"]
    assert app.http.get(url).status_code == 200


def test_many_random_tokens_change_nothing_but_a_metric(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN many requests THEN they are counted; the table, Codat and the log stay as they are."""
    before, base, count = app.items(), f"{app.stack.url}/connect/", examples(100)
    app.codat.wait_idle()
    app.stack.events()
    app.codat.calls.clear()
    capsys.readouterr()
    assert {app.http.get(base + new_token()).status_code for _ in range(count)} == {404}
    output = capsys.readouterr().out
    assert measured(output) == {("Invitation", "unknown"): [1.0] * count}
    assert len(output.splitlines()) == count
    assert app.items() == before
    assert app.codat.calls.count() == 0


def test_neither_the_token_nor_the_link_is_logged(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN success, refusals and a bug THEN no line of any logger contains the URL's token, or Codat's link."""
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    monkeypatch.setattr(logger.registered_handler, "stream", lines)
    logging.getLogger().addHandler(handler)
    try:
        invitation = invite(app, platformKey="qhyg")
        url, token = invitation["url"], invitation["url"].rpartition("/")[2]
        app.http.get(url)
        link = app.http.post(url).headers["location"]
        app.codat.faults.add(Fault(kind="status", status=500))
        app.http.post(url)
        with monkeypatch.context() as patched:
            patched.setattr("functions.open_invitation.app.open_invitation", None)
            assert app.http.get(url).status_code == 500
        app.http.delete(f"{URL}/{invitation['invitationId']}")
        app.http.get(url)
    finally:
        logging.getLogger().removeHandler(handler)
    assert "unexpected error" in lines.getvalue()
    for secret in (token, link, urlsplit(link).query):
        assert secret not in lines.getvalue()


# Races


def test_a_button_that_is_pressed_twice_creates_one_connection(app: App) -> None:
    """GIVEN several POSTs at once THEN each leads to Codat, with one connection."""
    url = invite(app, platformKey="qhyg")["url"]
    responses = concurrently(*[partial(app.http.post, url) for _ in range(4)])
    assert [response.status_code for response in responses] == [303] * 4
    app.codat.wait_idle()
    assert len(connections(app)) == 1
    [company] = app.codat.state.companies()
    assert len(company.connections) == 1


# The deployed events


def test_gateway_events(app: App) -> None:
    """GIVEN events as API Gateway sends them, a form in base64 included THEN the answers are the same."""
    from tests.handlers import handler  # noqa: PLC0415
    from tests.integration.faults.context import Context  # noqa: PLC0415

    created = handler("create_connection")(api_event("create_invitation", customerId="acme"), Context())
    assert created["statusCode"] == 201
    host = "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/connect/"
    [token] = re.findall(rf'"url": "{re.escape(host)}([\w-]+)"', created["body"])
    listed = handler("read_customers")(api_event("list_invitations", customerId="acme"), Context())
    assert listed["statusCode"] == 200
    shown = handler("open_invitation")(api_event("show_invitation", token=token), Context())
    assert shown["statusCode"] == 200
    followed = handler("open_invitation")(api_event("follow_invitation", token=token), Context())
    assert followed["statusCode"] == 303
    assert [connection["platformKey"] for connection in connections(app)] == ["gbol"]
    [invitation_id] = re.findall(r'"invitationId": "([\w-]+)"', listed["body"])
    event = api_event("revoke_invitation", customerId="acme", invitationId=invitation_id)
    assert handler("delete_customer")(event, Context())["statusCode"] == 204
