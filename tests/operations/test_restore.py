"""What a table has lost is brought back from one that was restored beside it, and nothing else is touched."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from operations.restore import main
from shared.store.table import Table
from tests.conftest import App
from tests.functions.test_reconcile import lose_webhooks, reconcile


@pytest.fixture
def restored(app: App) -> Iterator[str]:
    """A table's name, as DynamoDB restores one: with the keys of ours."""
    dynamodb, name = app.stack.dynamodb, f"restored-{uuid4()}"
    there = dynamodb.describe_table(TableName=app.stack.table_name)["Table"]
    dynamodb.create_table(
        TableName=name,
        KeySchema=there["KeySchema"],
        AttributeDefinitions=[one for one in there["AttributeDefinitions"] if one["AttributeName"] in {"pk", "sk"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    dynamodb.delete_table(TableName=name)


def test_what_was_lost_is_back_and_the_rest_as_it_was(
    app: App, restored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN one customer lost, one changed and one deleted since THEN the first is back, with its connection and
    timeline, the second is as it is now, and a reconcile ends the third again.
    """
    lost = app.linked(app.customer()["customerId"])
    changed, deleted = app.customer(), app.customer()
    for item in app.stack.dynamodb.scan(TableName=app.stack.table_name)["Items"]:
        app.stack.dynamodb.put_item(TableName=restored, Item=item)
    timeline = app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json()
    app.http.patch(f"/customers/{changed['customerId']}", json={"name": "Bank of Mary"})
    app.http.delete(f"/customers/{deleted['customerId']}")
    app.codat.wait_idle()
    Table(app.stack.dynamodb, app.stack.table_name).delete_many(
        (item["pk"], item["sk"])
        for pk in (f"CUSTOMER#{lost['customerId']}", f"COMPANY#{lost['companyId']}")
        for item in app.items(pk)
    )
    capsys.readouterr()

    assert main({"TABLE_NAME": app.stack.table_name, "FROM": restored}) == 0

    shown = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]
    assert shown[-1] == f"{4 + len(timeline['events'])} items were missing, and are back. Now run a reconcile."
    assert app.read(lost) == lost
    assert app.get(f"/customers/{lost['customerId']}/connections/{lost['connectionId']}/events").json() == timeline
    assert app.get(f"/customers/{changed['customerId']}").json()["name"] == "Bank of Mary"
    lose_webhooks(app)
    assert reconcile(app)["companiesDeleted"] == 1
    assert app.get(f"/customers/{deleted['customerId']}").status_code == 404
    assert main({"TABLE_NAME": app.stack.table_name, "FROM": restored}) == 0


@pytest.mark.parametrize("environment", [{}, {"TABLE_NAME": "t"}, {"TABLE_NAME": "t", "FROM": "t"}])
def test_it_asks_for_what_it_needs(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two tables, and not the same."""
    assert main(environment) == 2
    assert "make restore TABLE_NAME=" in capsys.readouterr().err


def test_a_table_that_is_not_there_is_said_so(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line."""
    assert main({"TABLE_NAME": app.stack.table_name, "FROM": "nowhere"}) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "ResourceNotFoundException" in line
