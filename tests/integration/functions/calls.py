"""Calls and settings that tests of several functions share."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from codat_simulator.faults import Fault
from codat_simulator.models import Company
from codat_simulator.state import CompanyChange

from shared.runtime.settings import read
from tests.conftest import App


def reconcile(app: App) -> dict[str, Any]:
    """Run a whole reconcile and return its counts."""
    response = app.post("/_local/reconcile")
    assert response.status_code == 200, response.text
    counts: dict[str, Any] = response.json()
    return counts


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Run the block with `AdoptOrphans` switched on."""
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ADOPT_ORPHANS", "true")
            read.cache_clear()
            yield
    finally:
        read.cache_clear()


def adopted_orphan(app: App, customer_id: str) -> Company:
    """Create an orphaned company and let reconcile adopt it."""
    company = app.codat.state.create_company(CompanyChange(name="By hand", tags={"uid": customer_id}))
    with adopting_orphans():
        assert reconcile(app)["straysAdopted"] == 1
    return company


def lose_webhooks(app: App) -> None:
    """Drop every webhook from now on."""
    app.codat.wait_idle()
    app.codat.faults.add(Fault(kind="webhook-drop"))


def matches_codat(app: App, customer_id: str) -> bool:
    """Return whether the table has the same connections and statuses as Codat."""
    customer = app.get(f"/customers/{customer_id}").json()
    at_codat = app.codat.state.company(customer["companyId"]).connections.values()
    return {connection["connectionId"]: connection["status"] for connection in customer["connections"]} == {
        connection.id: connection.status for connection in at_codat
    }


def measured(output: str) -> dict[tuple[str, ...], list[float]]:
    """Return the values of each metric in the logs, by its name and its dimensions other than `service`."""
    values: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for line in output.splitlines():
        document: dict[str, Any] = json.loads(line) if line.startswith('{"_aws"') else {}
        for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert group["Namespace"] == "CodatCustomers"
            [names] = group["Dimensions"]
            assert document["service"] == "codat-customers"
            dimensions = [document[name] for name in names if name != "service"]
            for metric in group["Metrics"]:
                values[metric["Name"], *dimensions] += document[metric["Name"]]
    return values
