"""Customers: a claim becomes a customer and a pointer, both or neither."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.domain.claims import Claim
from shared.domain.customers import Content, Customer, Deletion, Ownership
from shared.domain.errors import CompanyTaken, CreationInProgress, DeletionInProgress, InvalidQuery
from shared.domain.instants import instant_of
from shared.store import keys
from shared.store.customers import Customers
from shared.store.table import Table
from tests.faults.proxy import Proxy, lost, passed_on
from tests.store.conftest import NOW, terms

CONTENT = Content("Bank of Dave", None, {"region": "us"})


@pytest.fixture
def customers(table: Table) -> Customers:
    return Customers(table)


@pytest.fixture
def customer_id() -> str:
    return f"c-{uuid4()}"


def claim(customers: Customers, customer_id: str, *, after: float = 0.0, lease: float = 30.0) -> Claim:
    taken = customers.claim(customer_id, CONTENT, terms(after=after, lease=lease))
    assert isinstance(taken, Claim)
    return taken


def test_a_claim_is_no_customer_yet(customers: Customers, customer_id: str) -> None:
    """Nobody is found before the company exists."""
    claim(customers, customer_id)
    assert customers.find(customer_id) is None


def test_an_activated_claim_is_a_customer(customers: Customers, customer_id: str, table: Table) -> None:
    """With the content it was claimed with, listed by its shard, and its company points to it."""
    company_id = str(uuid4())
    customer = customers.activate(claim(customers, customer_id), company_id, NOW)
    version = round(NOW.timestamp() * 1000)
    assert customer == Customer(customer_id, company_id, CONTENT, instant_of(NOW), instant_of(NOW), version)
    assert customers.find(customer_id) == customer
    assert customers.claim(customer_id, Content("Other"), terms()) == customer
    pointer = table.get(keys.company(company_id))
    assert pointer is not None
    assert pointer["customerId"] == customer_id
    item = table.get(keys.customer(customer_id))
    assert item is not None
    assert item["customerShard"] == keys.customer_shard(customer_id)
    assert "idempotencyKey" not in item


def test_a_company_belongs_to_one_customer(customers: Customers, customer_id: str) -> None:
    """Another's company is refused, and nothing is written."""
    company_id, other = str(uuid4()), f"c-{uuid4()}"
    customers.activate(claim(customers, other), company_id, NOW)
    with pytest.raises(CompanyTaken):
        customers.activate(claim(customers, customer_id), company_id, NOW)
    assert customers.find(customer_id) is None


def test_who_lost_the_claim_does_not_activate_it(customers: Customers, customer_id: str) -> None:
    """The heir is at it: refused while it works, and given its customer once it is done."""
    slow = claim(customers, customer_id, lease=5)
    heir = claim(customers, customer_id, after=6)
    with pytest.raises(CreationInProgress) as refused:
        customers.activate(slow, str(uuid4()), NOW + timedelta(seconds=10))
    assert refused.value.retry_after == 26
    done = customers.activate(heir, str(uuid4()), NOW)
    assert customers.activate(slow, str(uuid4()), NOW) == done


def test_activating_outlives_a_lost_answer(shaky: Table, wire: Proxy, customer_id: str) -> None:
    """The repeated transaction says what came of the first."""
    customers = Customers(shaky)
    mine = claim(customers, customer_id)
    wire.next(lost)
    customer = customers.activate(mine, str(uuid4()), NOW)
    assert customers.find(customer_id) == customer


def active(customers: Customers, customer_id: str) -> Customer:
    return customers.activate(claim(customers, customer_id), str(uuid4()), NOW)


def deletion(customers: Customers, customer_id: str, *, after: float = 0.0) -> Deletion:
    begun = customers.begin_deletion(customer_id, terms(after=after))
    assert isinstance(begun, Deletion)
    return begun


def changed(customer: Customer, name: str) -> Customer:
    return replace(customer, content=Content(name), version=customer.version + 1, dirty=True)


def test_a_change_needs_the_version_it_was_made_from(customers: Customers, customer_id: str) -> None:
    """The second of two changes to one version is refused, and so is settling what is not the newest."""
    seen = active(customers, customer_id)
    first = changed(seen, "First")
    assert customers.change(first, seen)
    assert not customers.change(changed(seen, "Second"), seen)
    customers.settle(seen)
    assert customers.find(customer_id) == first
    customers.settle(first)
    assert customers.find(customer_id) == replace(first, dirty=False)


def test_a_deletion_stands_in_the_way_until_its_lease_is_over(customers: Customers, customer_id: str) -> None:
    """Of creating, changing and another deletion; whoever comes then goes on with it."""
    seen = active(customers, customer_id)
    first = deletion(customers, customer_id)
    assert first.company_id == seen.company_id
    assert customers.find(customer_id) is None
    assert list(customers.being_deleted([customer_id])) == [customer_id]
    assert not customers.change(changed(seen, "Late"), seen)
    for attempt in (
        lambda: customers.claim(customer_id, CONTENT, terms(after=10)),
        lambda: customers.begin_deletion(customer_id, terms(after=10)),
    ):
        with pytest.raises(DeletionInProgress) as refused:
            attempt()
        assert refused.value.retry_after == 20
    heir = deletion(customers, customer_id, after=31)
    assert heir.owner != first.owner
    customers.release_deletion(first)
    with pytest.raises(DeletionInProgress):
        customers.begin_deletion(customer_id, terms(after=32))
    customers.release_deletion(heir)
    deletion(customers, customer_id, after=32)


def test_only_a_deletion_that_was_begun_is_resumed(customers: Customers, customer_id: str) -> None:
    """GIVEN a customer, perhaps created again since WHEN its deletion is resumed THEN nothing is begun."""
    assert customers.resume_deletion(customer_id, terms()) is None
    seen = active(customers, customer_id)
    assert customers.resume_deletion(customer_id, terms()) is None
    assert customers.find(customer_id) == seen
    deletion(customers, customer_id)
    with pytest.raises(DeletionInProgress):
        customers.resume_deletion(customer_id, terms(after=10))
    heir = customers.resume_deletion(customer_id, terms(after=31))
    assert heir is not None
    assert heir.company_id == seen.company_id


def test_what_is_forgotten_leaves_a_tombstone_of_its_company(
    customers: Customers, customer_id: str, table: Table
) -> None:
    """Without personal data; the company can't become a customer's again, the id can."""
    gone = active(customers, customer_id)
    deletion(customers, customer_id)
    customers.end_company(gone.company_id, customer_id)
    assert customers.ownership(gone.company_id) == Ownership(customer_id, ended=True)
    for _ in range(2):
        customers.forget(gone.company_id, customer_id, NOW)
        assert table.get(keys.customer(customer_id)) is None
        assert customers.ownership(gone.company_id) == Ownership(None, ended=True)
    with pytest.raises(CompanyTaken):
        customers.activate(claim(customers, customer_id), gone.company_id, NOW)


def test_forgetting_an_old_company_leaves_the_new_customer(customers: Customers, customer_id: str) -> None:
    """A late event about the first company of a customer that was made again."""
    old = active(customers, customer_id)
    deletion(customers, customer_id)
    customers.forget(old.company_id, customer_id, NOW)
    again = active(customers, customer_id)
    customers.forget(old.company_id, customer_id, NOW)
    assert customers.find(customer_id) == again


def test_an_unfinished_creation_is_finished_before_it_is_deleted(customers: Customers, customer_id: str) -> None:
    """Its claim is taken over: there may be a company at Codat that nobody knows."""
    assert customers.begin_deletion(customer_id, terms()) is None
    dead = claim(customers, customer_id, lease=5)
    with pytest.raises(CreationInProgress):
        customers.begin_deletion(customer_id, terms(after=1))
    heir = customers.begin_deletion(customer_id, terms(after=6))
    assert isinstance(heir, Claim)
    assert heir.idempotency_key == dead.idempotency_key


def test_beginning_a_deletion_outlives_a_lost_answer(shaky: Table, wire: Proxy, customer_id: str) -> None:
    """The repeated write finds its own owner in its way."""
    customers = Customers(shaky)
    active(customers, customer_id)
    wire.next(passed_on, lost)
    deletion(customers, customer_id)


def test_customers_page_by_page(customers: Customers) -> None:
    """Each once, whatever the limit."""
    there = {active(customers, f"c-{uuid4()}").customer_id for _ in range(7)}
    found: list[str] = []
    cursor = None
    while True:
        page = customers.page(3, cursor)
        found += [one.customer_id for one in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == len(set(found))
    assert there <= set(found)
    assert there <= set(customers.all_ids())
    with pytest.raises(InvalidQuery):
        customers.page(3, "nonsense")


def test_ending_what_is_forgotten_brings_no_name_back(customers: Customers, table: Table, customer_id: str) -> None:
    """Two may end one company; the slower may die right after its first step, and nobody would clear up after it."""
    company_id = str(uuid4())
    customers.activate(claim(customers, customer_id), company_id, NOW)
    customers.end_company(company_id, customer_id)
    customers.forget(company_id, customer_id, NOW)
    tombstone = table.get(keys.company(company_id))
    customers.end_company(company_id, customer_id)
    assert tombstone is not None
    assert table.get(keys.company(company_id)) == tombstone
    assert "customerId" not in tombstone


def test_a_company_that_has_ended_is_nobodys_again(customers: Customers, customer_id: str) -> None:
    """Not even its own customer's, whose creation was answered late."""
    taken, company_id = claim(customers, customer_id), str(uuid4())
    customers.end_company(company_id, customer_id)
    with pytest.raises(CompanyTaken):
        customers.activate(taken, company_id, NOW)
    assert customers.ownership(company_id) == Ownership(customer_id, ended=True)
    assert customers.find(customer_id) is None
