"""Answers of Codat that the simulated Codat never sends.

A new status and an empty link break Codat's contract of today; the other answers are allowed by it.
"""

from collections.abc import Callable
from typing import Any

import pytest
from codat_simulator.state import CompanyChange

from shared.bootstrap import stores
from tests.conftest import App
from tests.integration.faults.proxy import Exchange, Proxy, changed, passed_on, responds
from tests.integration.functions.calls import reconcile
from tests.integration.functions.test_platforms import ENABLED, change_xero, keys, setting

__all__ = ["setting"]


def test_without_any_platform_the_problem_says_what_to_do(app: App, setting: Callable[[str, str], None]) -> None:
    """GIVEN parameters that leave no platform THEN 422 names the parameters."""
    setting("PLATFORM_KEYS", "none")
    path = f"/customers/{app.customer()['customerId']}/connections"
    problem = app.post(path, {"platformKey": "qhyg"}).json()
    assert problem["type"] == "unknown-platform"
    assert problem["detail"].endswith(
        "No platform is available. Enable one in Codat's portal, and check the parameters PlatformKeys and SourceTypes."
    )


@pytest.mark.parametrize("logo", [None, f"https://static.codat.io/logo.png?signature={'0' * 1500}"])
def test_a_platform_without_a_short_logo_is_listed(app: App, codat_wire: Proxy, logo: str | None) -> None:
    """GIVEN no logo, or one whose URL has 1,500 characters THEN the platform is available, without a logo."""
    codat_wire.always(change_xero(logoUrl=logo))
    app.start_afresh(is_new=True)
    platforms = {each["platformKey"]: each for each in app.get("/platforms").json()["platforms"]}
    assert list(platforms) == ENABLED
    assert platforms["gbol"]["logoUrl"] == ""


def test_a_platform_that_cannot_be_parsed_is_reported(
    app: App, codat_wire: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """GIVEN an integration without a name THEN a log line says that a platform is left out."""
    codat_wire.always(change_xero(name=None))
    app.start_afresh(is_new=True)
    assert "gbol" not in keys(app)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert (warning.message, vars(warning)["number"]) == ("platforms that can't be parsed", 1)


def test_a_platform_that_codat_lists_twice_is_listed_once(app: App, codat_wire: Proxy) -> None:
    def twice(document: dict[str, Any]) -> None:
        document["results"] *= 2
        document["totalResults"] *= 2

    codat_wire.always(changed("/integrations", twice))
    app.start_afresh(is_new=True)
    assert keys(app) == ENABLED


def test_a_list_without_its_entries_does_not_replace_the_platforms(app: App, codat_wire: Proxy) -> None:
    """GIVEN a page that omits `results`, as the contract allows, and says how many there are THEN the stored list
    stays.
    """
    assert keys(app) == ENABLED
    codat_wire.always(changed("/integrations", lambda document: document.pop("results")))
    reconcile(app)
    stores.platform_cache.cache_clear()
    assert keys(app) == ENABLED


def test_platforms_that_do_not_fit_into_an_item_are_listed(app: App, codat_wire: Proxy) -> None:
    """GIVEN 600 enabled integrations with logos of 700 characters, over DynamoDB's 400 KB THEN all are listed."""
    codat_wire.always(passed_on)
    template = {"enabled": True, "sourceType": "Accounting", "logoUrl": f"https://static.codat.io/{'0' * 700}.png"}
    letters = "abcdefghijklmnopqrstuvwxyz"
    results = [
        {**template, "key": f"{letters[n // 26]}{letters[n % 26]}xx", "name": f"Platform {n}"} for n in range(600)
    ]

    def many(document: dict[str, Any]) -> None:
        document["results"], document["totalResults"] = results, len(results)

    codat_wire.always(changed("/integrations", many))
    app.start_afresh(is_new=True)
    assert len(keys(app)) == len(results)


def test_a_connection_that_cannot_be_parsed_does_not_stop_another_kind(
    app: App, codat_wire: Proxy, setting: Callable[[str, str], None]
) -> None:
    """GIVEN a stored connection to a shop whose status is new to us THEN the accounting platform can be connected."""
    setting("SOURCE_TYPES", "Accounting,Commerce")
    customer_id = app.customer()["customerId"]
    shop = app.connection(customer_id, "shpf")

    def suspend(document: dict[str, Any]) -> None:
        for connection in document.get("results", [document]):
            if connection["id"] == shop["connectionId"]:
                connection["status"] = "Suspended"

    def suspended(exchange: Exchange) -> None:
        is_about_connections = "/connections" in exchange.path
        (changed(exchange.operation, suspend) if is_about_connections else passed_on)(exchange)

    codat_wire.always(suspended)
    response = app.post(f"/customers/{customer_id}/connections", {"platformKey": "qhyg"})
    assert response.status_code == 201, response.text


@pytest.mark.usefixtures("clock")
def test_a_connection_without_a_link_is_an_error(app: App, codat_wire: Proxy) -> None:
    """GIVEN an empty link from Codat THEN 502, as from `POST …/link`, and not a connection with an empty link."""
    pending = app.connection(app.customer()["customerId"])
    codat_wire.always(changed(f"/connections/{pending['connectionId']}", lambda document: document.update(linkUrl="")))
    response = app.post(f"/customers/{pending['customerId']}/connections", {"platformKey": "qhyg"})
    assert (response.status_code, response.json().get("type")) == (502, "codat-unavailable")


def test_orphans_are_found_on_short_pages(app: App, codat_wire: Proxy) -> None:
    """GIVEN a Codat that returns two companies a page THEN all orphans are counted, not only those of the first."""
    for number in range(5):
        app.codat.state.create_company(CompanyChange(name="By hand", tags={"uid": f"orphan-{number}"}))

    def two_a_page(exchange: Exchange) -> None:
        exchange.path = exchange.path.replace("pageSize=100", "pageSize=2")
        passed_on(exchange)

    codat_wire.always(two_a_page)
    assert reconcile(app)["strays"] == 5


def test_an_error_that_quotes_the_api_key_does_not_disclose_it(
    app: App, codat_wire: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """GIVEN a 401 of Codat whose text contains the key THEN neither the answer nor the log contains it."""
    key = app.stack.settings.codat_api_key
    text = f"The API key {key} is not valid"
    codat_wire.always(responds(401, {"statusCode": 401, "service": "Api", "error": text, "correlationId": "1"}))
    response = app.post("/customers", {"customerId": "c-1", "name": "Bank of Dave"})
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
    assert key not in response.text
    details = [vars(record)["detail"] for record in caplog.records if record.message == "refused"]
    assert details == ["Codat answered 401: The API key … is not valid"]
