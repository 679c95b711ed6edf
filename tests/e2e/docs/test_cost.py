"""Count the figures behind the costs in docs/operations.md, for one customer who links."""

from collections import Counter
from threading import Lock
from typing import Any

import pytest
from botocore.client import BaseClient

from shared.domain.events import EVENT_TYPES
from tests.conftest import App
from tests.e2e.docs.markdown import ROOT, rows, section

TRANSACTION = 2
"""DynamoDB bills each item of a transaction twice."""


@pytest.fixture
def billed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the units that DynamoDB and EventBridge bill; every item here is smaller than a unit, 1 KB."""
    counted: Counter[str] = Counter()
    lock = Lock()
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def counting(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        with lock:
            match operation:
                case "PutItem" | "DeleteItem":
                    counted["writes"] += 1
                case "TransactWriteItems":
                    counted["writes"] += TRANSACTION * len(params["TransactItems"])
                case "GetItem" | "Query":
                    counted["reads"] += 1
                case "BatchGetItem":
                    counted["reads"] += sum(len(request["Keys"]) for request in params["RequestItems"].values())
                case "PutEvents":
                    counted["events"] += len(params["Entries"])
        return make_api_call(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", counting)
    return counted


def test_the_figures_for_a_customer_who_links(app: App, billed: Counter[str]) -> None:
    """GIVEN a customer created, connected, linked and read, without failures THEN the figures are as documented.

    Webhooks can arrive before answers, so the counts differ a little; the documented figures are the maxima.
    """
    app.customer()  # the first of a deployment, so that its API key is trusted
    app.get("/platforms")  # so that the list is stored
    app.stack.events()
    billed.clear()
    app.codat.calls.clear()
    app.linked(app.customer()["customerId"])
    app.stack.events()
    webhooks = [delivery for delivery in app.codat.webhooks.deliveries if delivery.event_type in EVENT_TYPES]
    counted = {**billed, "requests": 3, "webhooks": len(webhooks), "requests to Codat": app.codat.calls.count()}

    cost = section((ROOT / "docs/operations.md").read_text(), "Cost")
    documented = {name: int(number) for name, number, *_ in rows(cost) if number.isdigit()}
    assert documented.keys() == counted.keys()
    for name, number in documented.items():
        assert number / 2 < counted[name] <= number, f"{name}: {counted[name]}"
