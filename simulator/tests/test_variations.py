"""Variations that Codat's contract allows: lists with a lag, and connections without `integrationKey`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings
from receiver import Receiver

Json = dict[str, Any]

LAG = 5.0


@pytest.fixture
def catch_up(codat: CodatServer) -> Callable[[], None]:
    """Let lists lag; the function advances Codat's clock until they contain every change so far."""
    codat.state.list_lag = LAG
    return lambda: codat.clock.advance(timedelta(seconds=LAG))


def names(api: httpx.Client, **query: str) -> list[str]:
    return [row["name"] for row in api.get("/companies", params=query).json()["results"]]


def statuses(api: httpx.Client, company: Json) -> list[str]:
    return [row["status"] for row in api.get(f"/companies/{company['id']}/connections").json()["results"]]


def test_new_company_appears_in_lists_later(api: httpx.Client, company: Json, catch_up: Callable[[], None]) -> None:
    assert (names(api), names(api, tags="uid=customer-1")) == ([], [])
    assert api.get(f"/companies/{company['id']}").status_code == 200
    assert statuses(api, company) == []

    catch_up()

    assert (names(api), names(api, tags="uid=customer-1")) == (["Bank of Dave"], ["Bank of Dave"])


def test_lag_applies_to_changes_before_it_is_set(api: httpx.Client, codat: CodatServer) -> None:
    api.post("/companies", json={"name": "Before"})
    codat.state.list_lag = LAG

    assert names(api) == []

    codat.state.list_lag = 0
    assert names(api) == ["Before"]


def test_changed_company_is_listed_as_it_was(api: httpx.Client, company: Json, catch_up: Callable[[], None]) -> None:
    catch_up()
    api.patch(f"/companies/{company['id']}", json={"name": "Renamed", "tags": {"uid": "customer-2"}})

    assert names(api, tags="uid=customer-1") == ["Bank of Dave"]
    assert names(api, tags="uid=customer-2") == []
    assert names(api, query="name=Renamed") == []
    assert api.get(f"/companies/{company['id']}").json()["name"] == "Renamed"

    catch_up()

    assert names(api, tags="uid=customer-2") == ["Renamed"]
    assert names(api, tags="uid=customer-1") == []


def test_deleted_company_stays_in_lists_at_its_place(api: httpx.Client, catch_up: Callable[[], None]) -> None:
    first, *_ = [api.post("/companies", json={"name": f"Company {number}"}).json() for number in range(3)]
    catch_up()
    api.delete(f"/companies/{first['id']}")

    assert names(api) == ["Company 0", "Company 1", "Company 2"]
    assert api.get(f"/companies/{first['id']}").status_code == 404
    assert api.get(f"/companies/{first['id']}/connections").status_code == 404

    catch_up()

    assert names(api) == ["Company 1", "Company 2"]


@pytest.mark.usefixtures("receiver")
def test_connections_are_listed_as_they_were(
    api: httpx.Client, codat: CodatServer, company: Json, connection: Json, catch_up: Callable[[], None]
) -> None:
    ids = company["id"], connection["id"]
    path = f"/companies/{ids[0]}/connections/{ids[1]}"
    assert statuses(api, company) == []
    changes: list[tuple[Callable[[], object], str, str]] = [
        (lambda: codat.state.cancel(*ids), "PendingAuth", "PendingAuth"),
        (lambda: codat.state.link(*ids), "PendingAuth", "Linked"),
        (lambda: codat.state.revoke(*ids), "Linked", "Deauthorized"),
        (lambda: codat.state.link(*ids), "Deauthorized", "Linked"),
        (lambda: api.patch(path, json={"status": "Unlinked"}), "Linked", "Unlinked"),
    ]
    for change, before, after in changes:
        catch_up()
        change()
        codat.wait_idle()

        assert statuses(api, company) == [before]
        (listed,) = api.get("/companies").json()["results"]
        assert [row["status"] for row in listed["dataConnections"]] == [before]
        assert api.get(path).json()["status"] == after
    catch_up()
    api.delete(path)

    assert statuses(api, company) == ["Unlinked"]
    assert api.get(path).status_code == 404
    catch_up()
    assert statuses(api, company) == []


def test_integration_key_is_left_out_of_answers_and_events(
    api: httpx.Client, codat: CodatServer, receiver: Receiver, company: Json
) -> None:
    codat.serializer.omit_integration_key = True
    path = f"/companies/{company['id']}/connections"

    created = api.post(path, json={"platformKey": "qhyg"}).json()
    codat.wait_idle()

    (listed,) = api.get("/companies").json()["results"]
    bodies = [
        created,
        api.get(f"{path}/{created['id']}").json(),
        *api.get(path).json()["results"],
        *listed["dataConnections"],
        receiver.received[-1].event["payload"]["connection"],
    ]
    assert len(bodies) == 5
    for body in bodies:
        assert "integrationKey" not in body
        assert body["platformName"] == "QuickBooks Online"


def test_server_starts_with_the_settings() -> None:
    with CodatServer(Settings(list_lag=LAG, omit_integration_key=True)) as codat:
        assert (codat.state.list_lag, codat.serializer.omit_integration_key) == (LAG, True)
        codat.state.list_lag, codat.serializer.omit_integration_key = 0, False

        codat.reset()

        assert (codat.state.list_lag, codat.serializer.omit_integration_key) == (LAG, True)
