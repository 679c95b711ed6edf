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


def test_what_is_put_is_read(table: Table) -> None:
    """Text, numbers, bytes and nested maps come back as they were; None is left out."""
    written = item(text="", number=7, raw=b"\x00\xff", tags={"a": ""}, nothing=None)
    table.write(put(written))
    assert table.get(key(written)) == {name: value for name, value in written.items() if value is not None}
    assert table.get(("nobody", "s")) is None


def test_put_where_absent(table: Table) -> None:
    """The second is refused, is told what stands there, and changes nothing."""
    first = item(by="first")
    table.write(put(first, ABSENT))
    with pytest.raises(ConditionFailed) as failure:
        table.write(put({**first, "by": "second"}, ABSENT))
    assert (failure.value.index, failure.value.existing) == (0, first)
    assert table.get(key(first)) == first


def test_delete_under_a_condition(table: Table) -> None:
    """Only what is as expected goes."""
    written = item(leaseOwner="me")
    table.write(put(written))
    with pytest.raises(ConditionFailed) as failure:
        table.write(delete(key(written), Condition("leaseOwner = :who", {":who": "you"})))
    assert failure.value.existing == written
    table.write(delete(key(written), Condition("leaseOwner = :who", {":who": "me"})))
    assert table.get(key(written)) is None
    with pytest.raises(ConditionFailed) as failure:
        table.write(delete(key(written), Condition("leaseOwner = :who", {":who": "me"})))
    assert failure.value.existing is None


@pytest.mark.parametrize("stands", [0, 1, 2])
def test_a_transaction_is_all_or_nothing(table: Table, stands: int) -> None:
    """The write that failed is named, with what stood in its way; the others have not happened."""
    items = [item(n=n) for n in range(3)]
    table.write(put({**items[stands], "n": "old"}))
    with pytest.raises(ConditionFailed) as failure:
        table.write(*(put(one, ABSENT) for one in items))
    assert failure.value.index == stands
    assert failure.value.existing == {**items[stands], "n": "old"}
    found = [table.get(key(one)) for one in items]
    assert [one is not None for one in found] == [n == stands for n in range(3)]


def test_a_transaction_puts_and_deletes(table: Table) -> None:
    """Both at once."""
    old, new = item(), item()
    table.write(put(old))
    table.write(put(new, ABSENT), delete(key(old), Condition("attribute_exists(pk)")))
    assert (table.get(key(old)), table.get(key(new))) == (None, new)


def test_many_are_read_at_once(table: Table) -> None:
    """Those that exist."""
    one, other, missing = item(), item(), item()
    table.write(put(one))
    table.write(put(other))
    assert table.get_many([key(one), key(other), key(missing)]) == {key(one): one, key(other): other}
    assert table.get_many([key(missing)]) == {}


def test_a_query_reads_every_page(table: Table) -> None:
    """More than one answer of DynamoDB holds (1 MB), in order, and nothing beside the prefix."""
    pk = f"p-{uuid4()}"
    for n in range(4):
        table.write(put({"pk": pk, "sk": f"A#{n}", "padding": "x" * 350_000}))
    table.write(put({"pk": pk, "sk": "B#0"}))
    assert [found["sk"] for found in table.query(pk, "A#")] == ["A#0", "A#1", "A#2", "A#3"]


def cancelled(*codes: str, **found: Any) -> Any:
    """A cancelled transaction, as DynamoDB tells it."""
    reasons = [
        {"Code": code, **({"Item": found} if code == "ConditionalCheckFailed" and found else {})} for code in codes
    ]
    words = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    return responds(400, {"__type": kind, "Message": words, "CancellationReasons": reasons})


@pytest.mark.parametrize(
    "reason",
    ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_transaction_cancelled_for_the_moment_is_repeated(shaky: Table, wire: Proxy, reason: str, place: int) -> None:
    """A conflict or throttling of either write is nobody's fault, and over soon."""
    one, other = item(), item()
    reasons = ["None", "None"]
    reasons[place] = reason
    wire.next(cancelled(*reasons), cancelled(*reasons))
    shaky.write(put(one, ABSENT), put(other, ABSENT))
    assert (shaky.get(key(one)), shaky.get(key(other))) == (one, other)


@pytest.mark.parametrize("place", [0, 1])
def test_a_failed_condition_outweighs_a_conflict_beside_it(shaky: Table, wire: Proxy, place: int) -> None:
    """It is the answer: not repeated, and the write it belongs to is named."""
    reasons = ["TransactionConflict", "TransactionConflict"]
    reasons[place] = "ConditionalCheckFailed"
    wire.next(cancelled(*reasons, pk={"S": "p"}, sk={"S": "s"}))
    with pytest.raises(ConditionFailed) as failure:
        shaky.write(put(item(), ABSENT), put(item(), ABSENT))
    assert (failure.value.index, failure.value.existing) == (place, {"pk": "p", "sk": "s"})
    assert wire.seen == ["TransactWriteItems"]


@pytest.mark.parametrize("reason", ["ValidationError", "ItemCollectionSizeLimitExceeded", "AccessDenied", "None"])
def test_a_transaction_cancelled_for_good_is_told_at_once(shaky: Table, wire: Proxy, reason: str) -> None:
    """Repeating would change nothing."""
    wire.next(cancelled("None", reason))
    with pytest.raises(StoreUnavailable):
        shaky.write(put(item()), put(item()))
    assert wire.seen == ["TransactWriteItems"]
