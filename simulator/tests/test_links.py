"""The pages behind link URLs."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings

Json = dict[str, Any]


def status(api: httpx.Client, connection: Json, company: Json) -> str:
    read = api.get(f"/companies/{company['id']}/connections/{connection['id']}").json()
    return str(read["status"])


def form_action(page: httpx.Response) -> str:
    return page.text.partition('<form method="post" action="')[2].partition('"')[0]


def test_person_authorises(api: httpx.Client, browser: httpx.Client, company: Json, connection: Json) -> None:
    page = browser.get(connection["linkUrl"])
    assert "QuickBooks Online" in page.text

    done = browser.post(form_action(page), data={"action": "authorize"})

    assert done.status_code == 200
    assert "QuickBooks Online is connected" in done.text
    assert status(api, connection, company) == "Linked"


def test_program_authorises_without_the_page(
    api: httpx.Client, browser: httpx.Client, company: Json, connection: Json
) -> None:
    assert browser.post(connection["linkUrl"], data={"action": "authorize"}).status_code == 200
    assert status(api, connection, company) == "Linked"


def test_stable_link_can_be_opened_again(
    api: httpx.Client, browser: httpx.Client, codat: CodatServer, company: Json, connection: Json
) -> None:
    """GIVEN one-time links are off THEN opening a URL doesn't use it up, and each read returns the same URL."""
    codat.links.one_time = False
    path = f"/companies/{company['id']}/connections/{connection['id']}"
    url = api.get(path).json()["linkUrl"]
    assert api.get(path).json()["linkUrl"] == url

    pages = [browser.get(url).status_code for _ in range(2)]
    codat.clock.advance(timedelta(days=2))
    done = browser.post(form_action(browser.get(url)), data={"action": "authorize"})

    assert (pages, done.status_code) == ([200, 200], 200)
    assert status(api, connection, company) == "Linked"


def test_person_cancels(api: httpx.Client, browser: httpx.Client, company: Json, connection: Json) -> None:
    assert browser.post(connection["linkUrl"], data={"action": "cancel"}).status_code == 200

    read = api.get(f"/companies/{company['id']}/connections/{connection['id']}").json()
    assert read["status"] == "PendingAuth"
    (error,) = read["dataConnectionErrors"]
    assert (error["statusCode"], error["statusText"]) == ("403", "User cancelled linking")


def test_link_works_once(browser: httpx.Client, connection: Json) -> None:
    assert browser.get(connection["linkUrl"]).status_code == 200

    assert browser.get(connection["linkUrl"]).status_code == 410
    assert browser.post(connection["linkUrl"], data={"action": "authorize"}).status_code == 410


def test_page_works_once(browser: httpx.Client, connection: Json) -> None:
    action = form_action(browser.get(connection["linkUrl"]))
    browser.post(action, data={"action": "cancel"})

    assert browser.post(action, data={"action": "authorize"}).status_code == 410


def test_link_expires_after_a_day(browser: httpx.Client, codat: CodatServer, connection: Json) -> None:
    codat.clock.advance(timedelta(days=1, seconds=1))

    assert browser.get(connection["linkUrl"]).status_code == 410


@pytest.mark.parametrize("otp", ["", "x", "1.2.3", "\u00e9.\u00e9.\u00e9"])
def test_forged_link_does_not_open(browser: httpx.Client, connection: Json, otp: str) -> None:
    path = connection["linkUrl"].partition("?")[0]

    assert browser.get(path, params={"otp": otp}).status_code == 410


def test_link_of_another_connection_does_not_open(
    api: httpx.Client, browser: httpx.Client, company: Json, connection: Json
) -> None:
    other = api.post(f"/companies/{company['id']}/connections", json={"platformKey": "gbol"}).json()
    token = connection["linkUrl"].partition("?")[2]

    assert browser.get(other["linkUrl"].partition("?")[0] + "?" + token).status_code == 410


def test_every_read_returns_a_new_link(
    api: httpx.Client, browser: httpx.Client, company: Json, connection: Json
) -> None:
    browser.get(connection["linkUrl"])

    again = api.get(f"/companies/{company['id']}/connections/{connection['id']}").json()

    assert again["linkUrl"] != connection["linkUrl"]
    assert browser.get(again["linkUrl"]).status_code == 200


def test_second_accounting_platform_is_rejected(
    api: httpx.Client, browser: httpx.Client, codat: CodatServer, company: Json, connection: Json
) -> None:
    codat.state.link(company["id"], connection["id"])
    path = f"/companies/{company['id']}/connections"
    xero = api.post(path, json={"platformKey": "gbol"}).json()
    bank = api.post(path, json={"platformKey": "dfxm"}).json()

    rejected = browser.post(xero["linkUrl"], data={"action": "authorize"})

    assert rejected.status_code == 409
    assert "already connected to QuickBooks Online" in rejected.text
    assert status(api, xero, company) == "PendingAuth"
    assert browser.post(bank["linkUrl"], data={"action": "authorize"}).status_code == 200


def test_hosted_link_offers_the_accounting_platforms(api: httpx.Client, browser: httpx.Client, company: Json) -> None:
    page = browser.get(company["redirect"])
    assert "Sage Intacct" in page.text
    assert "Basiq" not in page.text

    link_page = browser.post(form_action(page), data={"platformKey": "knfz"})
    browser.post(form_action(link_page), data={"action": "authorize"})

    (connection,) = api.get(f"/companies/{company['id']}").json()["dataConnections"]
    assert (connection["integrationKey"], connection["status"]) == ("knfz", "Linked")
    assert browser.get(company["redirect"]).status_code == 410


def test_accounting_platform_revokes(
    api: httpx.Client, browser: httpx.Client, codat: CodatServer, company: Json, connection: Json
) -> None:
    codat.state.link(company["id"], connection["id"])
    page = browser.get("/platform")
    assert "Bank of Dave" in page.text

    assert browser.post(form_action(page)).status_code == 200

    assert status(api, connection, company) == "Deauthorized"
    assert browser.post(form_action(page)).status_code == 409


def test_unknown_action_does_not_use_the_link(browser: httpx.Client, connection: Json) -> None:
    assert browser.post(connection["linkUrl"], data={"action": "smile"}).status_code == 400
    assert browser.get(connection["linkUrl"]).status_code == 200


def test_names_are_escaped_in_pages(api: httpx.Client, browser: httpx.Client) -> None:
    company = api.post("/companies", json={"name": "Ampers & sons"}).json()

    assert "Ampers &amp; sons" in browser.get(company["redirect"]).text


@pytest.fixture
def redirecting() -> Iterator[CodatServer]:
    with CodatServer(Settings(return_redirect="https://app.example.com/linked?from=codat")) as server:
        yield server


def test_person_is_sent_back_to_the_app(redirecting: CodatServer) -> None:
    with httpx.Client(base_url=redirecting.base_url, trust_env=False) as client:
        client.headers["Authorization"] = redirecting.authorization
        company = client.post("/companies", json={"name": "Returning"}).json()
        connection = client.post(f"/companies/{company['id']}/connections", json={"platformKey": "qhyg"}).json()

        response = client.post(connection["linkUrl"], data={"action": "authorize"})

    assert response.status_code == 303
    target = httpx.URL(response.headers["Location"])
    assert (target.host, target.params["from"], target.params["companyId"]) == (
        "app.example.com",
        "codat",
        company["id"],
    )
