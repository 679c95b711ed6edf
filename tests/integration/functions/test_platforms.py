"""GET /platforms, and the platforms that a connection may be created for."""

from collections.abc import Callable
from typing import Any

import pytest
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from shared.bootstrap import codat, stores
from shared.runtime.settings import read
from tests.concurrently import concurrently
from tests.conftest import App, Clock
from tests.integration.faults.proxy import Behaviour, Exchange, Proxy, changed, passed_on, responds
from tests.integration.functions.calls import lose_webhooks, reconcile

ENABLED = ["pdvj", "akxx", "qhyg", "pqsw", "knfz", "fbrh", "gbol", "rwuv"]
FETCH = ("GET", "/integrations")
DAY = 86_400
Setting = Callable[[str, str], None]


@pytest.fixture
def setting(app: App, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets an environment variable of the functions."""
    assert app

    def change(name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        read.cache_clear()

    yield change
    monkeypatch.undo()
    read.cache_clear()


def change_xero(**fields: Any) -> Behaviour:
    """Change Xero's entry in Codat's answers."""

    def change(document: dict[str, Any]) -> None:
        for integration in document["results"]:
            if integration["key"] == "gbol":
                integration.update(fields)

    return changed("/integrations", change)


def restart() -> None:
    """Forget what the process knows, as a new process does."""
    stores.platform_cache.cache_clear()


def keys(app: App) -> list[str]:
    response = app.get("/platforms")
    assert response.status_code == 200, response.text
    return [platform["platformKey"] for platform in response.json()["platforms"]]


def connect(app: App, key: str, customer_id: str | None = None) -> tuple[int, dict[str, Any]]:
    customer_id = customer_id or app.customer()["customerId"]
    response = app.post(f"/customers/{customer_id}/connections", {"platformKey": key})
    return response.status_code, response.json()


def codat_is_down(app: App) -> None:
    app.codat.faults.add(Fault(kind="status", status=503, method="GET", path="/integrations"))


def test_enabled_platforms_are_listed(app: App) -> None:
    """THEN Codat's enabled accounting platforms, without its sandboxes."""
    platforms = app.get("/platforms").json()["platforms"]
    assert [platform["platformKey"] for platform in platforms] == ENABLED
    [desktop] = [platform for platform in platforms if platform["needsConnector"]]
    assert desktop == {
        "platformKey": "pqsw",
        "platformName": "QuickBooks Desktop",
        "sourceType": "Accounting",
        "logoUrl": app.codat.state.platforms["pqsw"].body()["logoUrl"],
        "needsConnector": True,
        "beta": False,
    }


def test_a_new_deployment_lists_platforms(app: App) -> None:
    """GIVEN an empty table THEN the first request fetches the list, and a later one does not."""
    app.start_afresh(is_new=True)
    assert keys(app) == ENABLED
    assert keys(app) == ENABLED
    restart()
    assert keys(app) == ENABLED
    assert app.codat.calls.count(*FETCH) == 1


@pytest.mark.parametrize(
    ("variables", "available"),
    [
        ({"PLATFORM_KEYS": "gbol,qhyg,zzzz"}, ["qhyg", "gbol"]),
        ({"SOURCE_TYPES": "Banking,Commerce"}, ["dfxm", "plad", "shpf"]),
        ({"SOURCE_TYPES": "BankFeed"}, ["bfed"]),
        ({"SOURCE_TYPES": "Accounting,Banking", "PLATFORM_KEYS": "qhyg,dfxm,shpf"}, ["qhyg", "dfxm"]),
        ({"ALLOW_SANDBOX": "true"}, [*ENABLED, "mqjo", "ndsk"]),
        ({"ALLOW_SANDBOX": "true", "PLATFORM_KEYS": "qhyg"}, ["qhyg", "mqjo", "ndsk"]),
        ({"PLATFORM_KEYS": "qhyg,mqjo"}, ["qhyg"]),
    ],
)
def test_parameters_restrict_the_platforms(
    app: App, setting: Setting, variables: dict[str, str], available: list[str]
) -> None:
    for name, value in variables.items():
        setting(name, value)
    assert keys(app) == available
    customer_id = app.customer()["customerId"]
    for key in {*ENABLED, "mqjo", "dfxm", "shpf"} - set(available):
        status, problem = connect(app, key, customer_id)
        assert (status, [platform["platformKey"] for platform in problem["platforms"]]) == (422, available)
    assert app.codat.calls.count(*FETCH) == 1


@pytest.mark.parametrize("key", ["pdvj", "akxx", "qhyg", "pqsw", "knfz"])
def test_from_creation_to_unlink(app: App, key: str) -> None:
    """THEN each platform of Codat's guide is connected, linked and unlinked."""
    customer_id = app.customer()["customerId"]
    connection = app.connection(customer_id, key)
    needs_connector = app.codat.state.platforms[key].offline
    assert connection["nextAction"] == ("install-connector" if needs_connector else "authorize")
    app.codat.state.link(connection["companyId"], connection["connectionId"])
    app.codat.wait_idle()
    linked = app.read(connection)
    assert (linked["status"], linked["platformKey"], linked["nextAction"]) == ("Linked", key, "none")
    path = f"/customers/{customer_id}/connections/{connection['connectionId']}"
    assert app.post(f"{path}/unlink").json()["status"] == "Unlinked"
    app.codat.wait_idle()
    assert app.get(path).json()["status"] == "Unlinked"


@pytest.mark.parametrize("key", ["dfxm", "shpf"])
def test_other_connections_work_beside_an_accounting_one(app: App, setting: Setting, key: str) -> None:
    """GIVEN a linked accounting connection THEN one of another kind is connected, listed, read and unlinked."""
    setting("SOURCE_TYPES", "Accounting,Banking,Commerce")
    customer_id = app.customer()["customerId"]
    accounting, other = app.linked(customer_id, "qhyg"), app.linked(customer_id, key)
    assert connect(app, "gbol", customer_id)[1]["type"] == "accounting-connection-exists"
    listed = app.get(f"/customers/{customer_id}/connections").json()["connections"]
    assert {(each["platformKey"], each["status"]) for each in listed} == {("qhyg", "Linked"), (key, "Linked")}
    path = f"/customers/{customer_id}/connections/{other['connectionId']}"
    assert app.post(f"{path}/unlink").json()["status"] == "Unlinked"
    app.codat.wait_idle()
    assert app.get(path).json()["status"] == "Unlinked"
    assert app.read(accounting)["status"] == "Linked"


def test_a_connector_is_asked_for_if_codat_says_so(app: App) -> None:
    """GIVEN another platform with a connector THEN its connections ask for it, also those from the hosted page."""
    app.codat.state.enable_platform("hbql")
    customer = app.customer()
    assert app.connection(customer["customerId"], "hbql")["nextAction"] == "install-connector"
    restart()
    made = app.codat.state.create_connection(customer["companyId"], "pqsw")
    app.codat.wait_idle()
    assert app.read({**customer, "connectionId": made.id})["nextAction"] == "install-connector"


def test_reconcile_adds_the_connector_if_the_list_was_missing(app: App) -> None:
    """GIVEN a connection from the hosted page before any list was stored THEN reconcile corrects its next action."""
    customer = app.customer()
    made = app.codat.state.create_connection(customer["companyId"], "pqsw")
    app.codat.wait_idle()
    connection = {**customer, "connectionId": made.id}
    assert app.read(connection)["nextAction"] == "authorize"
    assert keys(app) == ENABLED
    reconcile(app)
    assert app.read(connection)["nextAction"] == "install-connector"


def test_a_connection_of_an_adopted_company_asks_for_its_connector(app: App) -> None:
    assert keys(app) == ENABLED
    restart()
    company = app.codat.state.create_company(CompanyChange(name="By hand"))
    app.codat.state.create_connection(company.id, "pqsw")
    app.codat.wait_idle()
    adopted = app.post("/customers", {"customerId": "adopted", "name": "Bank of Dave", "companyId": company.id})
    assert [connection["nextAction"] for connection in adopted.json()["connections"]] == ["install-connector"]


def test_a_connection_that_reconcile_finds_asks_for_its_connector(app: App) -> None:
    keys(app)  # the list is stored: reconcile's message about it is processed beside the customer's
    customer = app.customer()
    lose_webhooks(app)
    made = app.codat.state.create_connection(customer["companyId"], "pqsw")
    reconcile(app)
    assert app.read({**customer, "connectionId": made.id})["nextAction"] == "install-connector"


# Unknown platforms


def test_a_disabled_platform_is_422(app: App) -> None:
    """THEN the answer names the platforms that are enabled, and no connection is created."""
    status, problem = connect(app, "pbtz")
    assert (status, problem["type"]) == (422, "unknown-platform")
    assert [platform["platformKey"] for platform in problem["platforms"]] == ENABLED
    assert "QuickBooks Online" in problem["detail"]
    assert app.codat.calls.count("POST", "/companies/*/connections") == 0


def test_a_platform_that_was_just_enabled_is_found(app: App, clock: Clock) -> None:
    """GIVEN a stored list WHEN a platform is enabled in the portal THEN the first request for it refreshes the list."""
    assert keys(app) == ENABLED
    app.codat.state.enable_platform("pbtz")
    clock.advance(61)
    assert connect(app, "pbtz")[0] == 201
    assert "pbtz" in keys(app)


def test_a_platform_that_was_just_disabled_is_422(app: App, clock: Clock) -> None:
    """GIVEN a list with the platform WHEN Codat rejects it THEN 422 with what is enabled now, and no lease remains."""
    customer_id = app.customer()["customerId"]
    assert keys(app) == ENABLED
    app.codat.state.enable_platform("qhyg", enabled=False)
    clock.advance(61)
    status, problem = connect(app, "qhyg", customer_id)
    assert (status, problem["type"]) == (422, "unknown-platform")
    assert "qhyg" not in keys(app)
    assert not [item for item in app.items() if item["sk"].startswith("CREATING#")]


def test_unknown_keys_refresh_once_a_minute(app: App, clock: Clock) -> None:
    """GIVEN a flood of unknown keys in several processes THEN Codat gets one request a minute."""
    customer_id = app.customer()["customerId"]
    for minute in range(1, 4):
        for number in range(10):
            assert connect(app, f"zz{number:02}", customer_id)[0] == 422
            restart()
            clock.advance(1)
        assert app.codat.calls.count(*FETCH) == minute
        clock.advance(60)


# The age of the list


def test_a_list_is_refreshed_after_a_day(app: App, clock: Clock) -> None:
    """THEN a list is served for a day, and a process reads the table again after five minutes."""
    assert keys(app) == ENABLED
    app.codat.state.enable_platform("pbtz")
    clock.advance(DAY - 60)
    assert keys(app) == ENABLED
    clock.advance(400)
    assert "pbtz" in keys(app)
    assert app.codat.calls.count(*FETCH) == 2


def test_an_old_list_serves_while_codat_is_down(app: App, clock: Clock, dynamodb_wire: Proxy) -> None:
    """THEN a process tries to refresh it once in five minutes, and reads no list from the table in between."""
    assert keys(app) == ENABLED
    clock.advance(DAY + 1)
    codat_is_down(app)
    assert keys(app) == ENABLED
    dynamodb_wire.seen.clear()
    assert keys(app) == ENABLED
    assert dynamodb_wire.seen == []


def test_a_process_notices_anothers_refresh_within_five_minutes(app: App, clock: Clock) -> None:
    assert keys(app) == ENABLED
    app.codat.state.enable_platform("pbtz")
    mine = stores.platform_cache()
    platforms, read_at = mine.platforms, mine.read_at
    reconcile(app)
    mine.platforms, mine.read_at = platforms, read_at
    assert keys(app) == ENABLED
    clock.advance(301)
    assert "pbtz" in keys(app)


def test_reconcile_refreshes_once(app: App) -> None:
    """GIVEN two customers WHEN reconcile runs THEN it fetches the list once."""
    assert keys(app) == ENABLED
    app.customer()
    app.customer()
    app.codat.state.enable_platform("pbtz")
    reconcile(app)
    assert app.codat.calls.count(*FETCH) == 2
    assert "pbtz" in keys(app)


def test_two_processes_refresh_an_old_list_once(app: App, clock: Clock) -> None:
    """THEN one of them fetches it, and the others serve what is stored."""
    assert keys(app) == ENABLED
    clock.advance(DAY + 60)
    restart()
    assert concurrently(*[lambda: keys(app)] * 4) == [ENABLED] * 4
    assert app.codat.calls.count(*FETCH) == 2


# Codat fails


@pytest.mark.parametrize("age", [0, DAY * 3])
def test_a_stored_list_serves_while_codat_is_down(app: App, clock: Clock, age: int) -> None:
    """GIVEN a fresh or an old list THEN platforms are listed and connected, and an unknown one is 422."""
    assert keys(app) == ENABLED
    codat_is_down(app)
    clock.advance(age)
    restart()
    assert keys(app) == ENABLED
    customer_id = app.customer()["customerId"]
    assert connect(app, "qhyg", customer_id)[0] == 201
    assert connect(app, "zzzz", customer_id)[0] == 422


@pytest.mark.usefixtures("clock")
def test_without_a_list_codats_error_is_returned(app: App) -> None:
    """GIVEN an empty table and Codat down THEN 502, and afterwards the next request works at once."""
    codat_is_down(app)
    response = app.get("/platforms")
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
    assert connect(app, "qhyg")[1]["type"] == "codat-unavailable"
    app.codat.faults.clear()
    assert keys(app) == ENABLED


@pytest.mark.parametrize("broken", [{"logoUrl": 5}, {"enabled": "yes"}, {"key": "a/b"}, {"name": 5}])
def test_a_malformed_platform_does_not_hide_the_others(app: App, codat_wire: Proxy, broken: dict[str, Any]) -> None:
    """GIVEN an integration that breaks Codat's contract THEN the others are listed, and it can't be connected."""
    codat_wire.always(change_xero(**broken))
    app.start_afresh(is_new=True)
    assert keys(app) == [key for key in ENABLED if key != "gbol"]
    status, problem = connect(app, "gbol")
    assert (status, problem["type"]) == (422, "unknown-platform")


@pytest.mark.usefixtures("clock")
def test_a_list_without_any_valid_platform_is_an_error(app: App, codat_wire: Proxy) -> None:
    """It must not replace the stored list."""

    def all_broken(exchange: Exchange) -> None:
        is_list = exchange.operation == "GET /integrations"
        (responds(200, {"results": [{"key": 5}], "totalResults": 1}) if is_list else passed_on)(exchange)

    codat_wire.always(all_broken)
    app.start_afresh(is_new=True)
    response = app.get("/platforms")
    assert (response.status_code, response.json()["type"]) == (502, "codat-unavailable")
    assert [item["sk"] for item in app.items("PLATFORMS")] in [[], ["REFRESH"]]


def test_a_rejected_api_key_is_reported(app: App) -> None:
    app.codat.api_keys = ("another",)
    response = app.get("/platforms")
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")


def test_an_untrusted_api_key_does_not_change_the_list(app: App) -> None:
    """GIVEN a customer and a key of another Codat client THEN 502 without a request for its platforms."""
    app.customer()
    app.codat.state.clear()
    for item in app.items("APIKEYS"):
        key = {name: {"S": item[name]} for name in ("pk", "sk")}
        app.stack.dynamodb.delete_item(TableName=app.stack.table_name, Key=key)
    codat.trusted_api_keys.cache_clear()
    response = app.get("/platforms")
    assert (response.status_code, response.json()["type"]) == (502, "codat-rejected-credentials")
    assert app.codat.calls.count(*FETCH) == 0
