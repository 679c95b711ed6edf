"""Conditional writes, transactions and reads."""

from typing import Any
from uuid import uuid4

import pytest

from shared.domain.errors import StoreUnavailable
from shared.store.table import ABSENT, Condition, ConditionFailed, Table, delete, put
from tests.integration.faults.proxy import Proxy, responds


def item(**attributes: Any) -> dict[str, Any]:
    return {"pk": f"p-{uuid4()}", "sk": "s", **attributes}


def key(of: dict[str, Any]) -> tuple[str, str]:
    return of["pk"], of["sk"]


def test_an_item_is_read_as_it_was_written(table: Table) -> None:
    """Text, numbers, bytes and nested maps come back as they were; None is left out."""
    written = item(text="", number=7, raw=b"\x00\xff", tags={"a": ""}, nothing=None)
    table.write(put(written))
    assert table.get(key(written)) == {name: value for name, value in written.items() if value is not None}
    assert table.get(("missing", "s")) is None


def test_a_put_under_an_existing_key_is_refused(table: Table) -> None:
    """The error contains the existing item, which stays."""
    first = item(by="first")
    table.write(put(first, ABSENT))
    with pytest.raises(ConditionFailed) as failure:
        table.write(put({**first, "by": "second"}, ABSENT))
    assert (failure.value.index, failure.value.existing) == (0, first)
    assert table.get(key(first)) == first


def test_delete_under_a_condition(table: Table) -> None:
    """An item is deleted only if the condition holds."""
    written = item(leaseOwner="me")
    table.write(put(written))
    with pytest.raises(ConditionFailed) as failure:
        table.write(delete(key(written), Condition("leaseOwner = :owner", {":owner": "you"})))
    assert failure.value.existing == written
    table.write(delete(key(written), Condition("leaseOwner = :owner", {":owner": "me"})))
    assert table.get(key(written)) is None
    with pytest.raises(ConditionFailed) as failure:
        table.write(delete(key(written), Condition("leaseOwner = :owner", {":owner": "me"})))
    assert failure.value.existing is None


@pytest.mark.parametrize("conflict", [0, 1, 2])
def test_a_transaction_is_all_or_nothing(table: Table, conflict: int) -> None:
    """The error contains the index of the write that failed, and the existing item."""
    items = [item(n=n) for n in range(3)]
    table.write(put({**items[conflict], "n": "old"}))
    with pytest.raises(ConditionFailed) as failure:
        table.write(*(put(each, ABSENT) for each in items))
    assert failure.value.index == conflict
    assert failure.value.existing == {**items[conflict], "n": "old"}
    assert [table.get(key(each)) is not None for each in items] == [n == conflict for n in range(3)]


def test_a_transaction_puts_and_deletes(table: Table) -> None:
    old, new = item(), item()
    table.write(put(old))
    table.write(put(new, ABSENT), delete(key(old), Condition("attribute_exists(pk)")))
    assert (table.get(key(old)), table.get(key(new))) == (None, new)


def test_a_batch_returns_the_items_that_exist(table: Table) -> None:
    first, second, missing = item(), item(), item()
    table.write(put(first))
    table.write(put(second))
    assert table.get_many([key(first), key(second), key(missing)]) == {key(first): first, key(second): second}
    assert table.get_many([key(missing)]) == {}


def test_a_query_reads_every_page(table: Table) -> None:
    """GIVEN more than the 1 MB of a page THEN all items with the prefix are returned, in order."""
    pk = f"p-{uuid4()}"
    for n in range(4):
        table.write(put({"pk": pk, "sk": f"A#{n}", "padding": "x" * 350_000}))
    table.write(put({"pk": pk, "sk": "B#0"}))
    assert [each["sk"] for each in table.query(pk, "A#")] == ["A#0", "A#1", "A#2", "A#3"]


def cancelled(*codes: str, **existing: Any) -> Any:
    """Respond as DynamoDB does to a transaction that it cancelled."""
    reasons = [
        {"Code": code, **({"Item": existing} if code == "ConditionalCheckFailed" and existing else {})}
        for code in codes
    ]
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    return responds(400, {"__type": kind, "Message": message, "CancellationReasons": reasons})


@pytest.mark.parametrize(
    "reason",
    ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_transaction_cancelled_for_a_transient_reason_is_retried(
    shaky: Table, wire: Proxy, reason: str, place: int
) -> None:
    """A conflict or throttling, of either write."""
    first, second = item(), item()
    reasons = ["None", "None"]
    reasons[place] = reason
    wire.next(cancelled(*reasons), cancelled(*reasons))
    shaky.write(put(first, ABSENT), put(second, ABSENT))
    assert (shaky.get(key(first)), shaky.get(key(second))) == (first, second)


@pytest.mark.parametrize("place", [0, 1])
def test_a_failed_condition_outweighs_a_conflict_beside_it(shaky: Table, wire: Proxy, place: int) -> None:
    """The transaction is not retried, and the error contains the index of that write."""
    reasons = ["TransactionConflict", "TransactionConflict"]
    reasons[place] = "ConditionalCheckFailed"
    wire.next(cancelled(*reasons, pk={"S": "p"}, sk={"S": "s"}))
    with pytest.raises(ConditionFailed) as failure:
        shaky.write(put(item(), ABSENT), put(item(), ABSENT))
    assert (failure.value.index, failure.value.existing) == (place, {"pk": "p", "sk": "s"})
    assert wire.seen == ["TransactWriteItems"]


@pytest.mark.parametrize("reason", ["ValidationError", "ItemCollectionSizeLimitExceeded", "AccessDenied", "None"])
def test_a_transaction_cancelled_for_a_lasting_reason_fails_at_once(shaky: Table, wire: Proxy, reason: str) -> None:
    """A retry would change nothing."""
    wire.next(cancelled("None", reason))
    with pytest.raises(StoreUnavailable):
        shaky.write(put(item()), put(item()))
    assert wire.seen == ["TransactWriteItems"]
