"""The figures that docs/operations.md computes its costs from, counted on a customer who links."""

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
    """What DynamoDB and EventBridge bill, by the test's end; an item here is smaller than a unit, 1 KB."""
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
                    counted["reads"] += sum(len(asked["Keys"]) for asked in params["RequestItems"].values())
                case "PutEvents":
                    counted["events"] += len(params["Entries"])
        return make_api_call(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", counting)
    return counted


def test_what_a_customer_who_links_is_billed(app: App, billed: Counter[str]) -> None:
    """GIVEN a customer made, connected, linked and read, and nothing going wrong THEN it takes what is written down.

    Webhooks overtake answers or don't, so the counts differ a little; what is written down is the most.
    """
    app.customer()  # the first of a deployment, so that its API key is trusted
    app.stack.events()
    billed.clear()
    app.codat.calls.clear()
    app.linked(app.customer()["customerId"])
    app.stack.events()
    told = [delivery for delivery in app.codat.webhooks.deliveries if delivery.event_type in EVENT_TYPES]
    counted = {**billed, "requests": 3, "webhooks": len(told), "requests to Codat": app.codat.calls.count()}

    cost = section((ROOT / "docs/operations.md").read_text(), "Cost")
    written = {what: int(number) for what, number, *_ in rows(cost) if number.isdigit()}
    assert written.keys() == counted.keys()
    for what, number in written.items():
        assert number / 2 < counted[what] <= number, f"{what}: {counted[what]}"
