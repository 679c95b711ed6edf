"""Customers: a lease becomes a customer and a pointer, both or neither."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.customers import CREATION_TAG, Company, Customer, Deletion, Ownership, Profile, adopter_digest
from shared.domain.errors import CompanyTaken, CreationInProgress, DeletionInProgress, InvalidQuery
from shared.domain.leases import CreationLease
from shared.domain.timestamps import timestamp_of
from shared.store import keys, paging
from shared.store.customers import DISCARDED_LIFETIME, Customers
from shared.store.leases import Leases
from shared.store.table import Table, delete
from tests.integration.faults.proxy import Proxy, lost, passed_on
from tests.integration.store.conftest import NOW, lease_request

PROFILE = Profile("Bank of Dave", None, {"region": "us"})
FIRST_VERSION = round(NOW.timestamp() * 1000)


@pytest.fixture
def customers(table: Table) -> Customers:
    return Customers(table)


@pytest.fixture
def customer_id() -> str:
    return f"c-{uuid4()}"


def acquire(
    customers: Customers,
    customer_id: str,
    company_id: str | None = None,
    *,
    after: float = 0.0,
    lease: float = 30.0,
    profile_unset: bool = False,
) -> CreationLease:
    request = lease_request(after=after, lease=lease)
    acquired = customers.acquire(customer_id, PROFILE, request, company_id, profile_unset=profile_unset)
    assert isinstance(acquired, CreationLease)
    return acquired


def test_a_lease_is_no_customer_yet(customers: Customers, customer_id: str) -> None:
    """The customer doesn't exist before its company."""
    acquire(customers, customer_id)
    assert customers.find(customer_id) is None


def test_an_activated_lease_is_a_customer(customers: Customers, customer_id: str, table: Table) -> None:
    """With the profile that was requested, listed by its shard, and its company points to it."""
    company_id = str(uuid4())
    tags = {CREATION_TAG: "creation-1"}
    customer = customers.activate(acquire(customers, customer_id), company_id, NOW, tags)
    at = timestamp_of(NOW)
    assert customer == Customer(customer_id, company_id, PROFILE, at, at, FIRST_VERSION, existing_tags=tags)
    assert not customer.sync_pending
    assert customers.find(customer_id) == customer
    assert customers.acquire(customer_id, Profile("Other"), lease_request()) == customer
    pointer = table.get(keys.company(company_id))
    assert pointer is not None
    assert pointer["customerId"] == customer_id
    item = table.get(keys.customer(customer_id))
    assert item is not None
    assert item["customerShard"] == keys.shard(keys.CUSTOMERS, customer_id)
    assert "idempotencyKey" not in item


def test_a_company_belongs_to_one_customer(customers: Customers, customer_id: str) -> None:
    """Another customer's company is refused, and nothing is written."""
    company_id, other = str(uuid4()), f"c-{uuid4()}"
    customers.activate(acquire(customers, other), company_id, NOW, {})
    with pytest.raises(CompanyTaken):
        customers.activate(acquire(customers, customer_id), company_id, NOW, {})
    assert customers.find(customer_id) is None


def test_a_lost_lease_is_not_activated(customers: Customers, customer_id: str) -> None:
    """GIVEN a successor THEN activating is refused while it works, and returns its customer after that."""
    slow = acquire(customers, customer_id, lease=5)
    successor = acquire(customers, customer_id, after=6)
    with pytest.raises(CreationInProgress) as refused:
        customers.activate(slow, str(uuid4()), NOW + timedelta(seconds=10), {})
    assert refused.value.retry_after == 26
    done = customers.activate(successor, str(uuid4()), NOW, {})
    assert customers.activate(slow, str(uuid4()), NOW, {}) == done


def test_activating_survives_a_lost_answer(shaky: Table, wire: Proxy, customer_id: str) -> None:
    """The repeated transaction reports the success of the first."""
    customers = Customers(shaky)
    lease = acquire(customers, customer_id)
    wire.next(lost)
    customer = customers.activate(lease, str(uuid4()), NOW, {})
    assert customers.find(customer_id) == customer


def active(customers: Customers, customer_id: str, *, after: timedelta = timedelta(0)) -> Customer:
    return customers.activate(acquire(customers, customer_id), str(uuid4()), NOW + after, {CREATION_TAG: "creation-1"})


def deletion(customers: Customers, customer_id: str, *, after: float = 0.0) -> Deletion:
    begun = customers.begin_deletion(customer_id, lease_request(after=after))
    assert isinstance(begun, Deletion)
    return begun


def changed(customer: Customer, name: str) -> Customer:
    return replace(customer, profile=Profile(name), version=customer.version + 1, confirmed_profile=customer.profile)


def test_a_version_starts_at_the_millisecond_of_the_creation_and_grows_by_one(
    customers: Customers, customer_id: str, table: Table
) -> None:
    """So a customer that is created again is above every version of the first one, its deletion included."""
    created = active(customers, customer_id, after=timedelta(microseconds=5_400))
    assert created.version == FIRST_VERSION + 5
    assert customers.change(changed(created, "First"), created)
    before_deletion = customers.find(customer_id)
    assert before_deletion is not None
    assert before_deletion.version == created.version + 1
    deletion(customers, customer_id)
    item = table.get(keys.customer(customer_id))
    assert item is not None
    assert item["version"] == created.version + 2
    customers.delete(created.company_id, customer_id, NOW)
    again = active(customers, customer_id, after=timedelta(milliseconds=8))
    assert again.version == FIRST_VERSION + 8


def test_a_change_needs_the_version_it_was_made_from(customers: Customers, customer_id: str) -> None:
    """The second of two changes to one version is refused, and so is marking what is not the newest as synced."""
    before = active(customers, customer_id)
    first = changed(before, "First")
    assert customers.change(first, before)
    assert not customers.change(changed(before, "Second"), before)
    assert not customers.change(replace(before, confirmed_profile=None), before)
    assert customers.find(customer_id) == first
    assert first.sync_pending
    assert customers.change(replace(first, confirmed_profile=None), first)
    assert customers.find(customer_id) == replace(first, confirmed_profile=None)


def test_what_codat_confirmed_last_is_kept_beside_a_change(customers: Customers, customer_id: str) -> None:
    """The whole profile, for a change that Codat rejects."""
    before = active(customers, customer_id)
    assert customers.change(changed(before, "First"), before)
    stored = customers.find(customer_id)
    assert stored is not None
    assert (stored.profile, stored.confirmed_profile) == (Profile("First"), PROFILE)


def test_a_deletion_refuses_others_until_its_lease_ends(customers: Customers, customer_id: str) -> None:
    """Creating, changing and another deletion are refused; after that, another deletion continues it."""
    before = active(customers, customer_id)
    first = deletion(customers, customer_id)
    assert first.company_id == before.company_id
    assert customers.find(customer_id) is None
    assert customers.unfinished([customer_id]) == [customer_id]
    assert not customers.change(changed(before, "Late"), before)
    for attempt in (
        lambda: customers.acquire(customer_id, PROFILE, lease_request(after=10)),
        lambda: customers.begin_deletion(customer_id, lease_request(after=10)),
    ):
        with pytest.raises(DeletionInProgress) as refused:
            attempt()
        assert refused.value.retry_after == 20
    successor = deletion(customers, customer_id, after=31)
    assert successor.owner != first.owner
    customers.release_deletion(first)
    with pytest.raises(DeletionInProgress):
        customers.begin_deletion(customer_id, lease_request(after=32))
    customers.release_deletion(successor)
    last = deletion(customers, customer_id, after=32)
    customers.delete(before.company_id, customer_id, NOW)
    customers.release_deletion(last)
    assert customers.begin_deletion(customer_id, lease_request(after=33)) is None


def test_unfinished_creations_and_deletions_are_listed(customers: Customers, customer_id: str) -> None:
    """An active customer, and an id that is not in use, are not."""
    creating, deleting = f"c-{uuid4()}", f"c-{uuid4()}"
    acquire(customers, creating)
    active(customers, deleting)
    deletion(customers, deleting)
    active(customers, customer_id)
    unfinished = customers.unfinished([customer_id, creating, deleting, f"c-{uuid4()}"])
    assert sorted(unfinished) == sorted([creating, deleting])


def test_only_a_deletion_that_was_begun_is_resumed(customers: Customers, customer_id: str) -> None:
    """GIVEN a customer, perhaps created again since WHEN its deletion is resumed THEN none is begun."""
    assert customers.begin_deletion(customer_id, lease_request(), resume=True) is None
    before = active(customers, customer_id)
    assert customers.begin_deletion(customer_id, lease_request(), resume=True) is None
    assert customers.find(customer_id) == before
    deletion(customers, customer_id)
    with pytest.raises(DeletionInProgress):
        customers.begin_deletion(customer_id, lease_request(after=10), resume=True)
    successor = customers.begin_deletion(customer_id, lease_request(after=31), resume=True)
    assert isinstance(successor, Deletion)
    assert successor.company_id == before.company_id


def test_a_deleted_customer_leaves_a_tombstone_of_its_company(
    customers: Customers, customer_id: str, table: Table
) -> None:
    """Without personal data; the company can't become a customer's again, the id can."""
    gone = active(customers, customer_id)
    deletion(customers, customer_id)
    customers.close_company(gone.company_id, customer_id)
    assert customers.ownership(gone.company_id) == Ownership(customer_id, has_ended=True)
    for _ in range(2):
        customers.delete(gone.company_id, customer_id, NOW)
        assert table.get(keys.customer(customer_id)) is None
        assert customers.ownership(gone.company_id) == Ownership(None, has_ended=True)
    with pytest.raises(CompanyTaken):
        customers.activate(acquire(customers, customer_id), gone.company_id, NOW, {})


def test_deleting_an_old_company_leaves_the_new_customer(customers: Customers, customer_id: str) -> None:
    """GIVEN a customer that was created again WHEN a late event about its first company comes THEN it stays."""
    old = active(customers, customer_id)
    deletion(customers, customer_id)
    customers.delete(old.company_id, customer_id, NOW)
    again = active(customers, customer_id)
    customers.delete(old.company_id, customer_id, NOW)
    assert customers.find(customer_id) == again


@pytest.mark.parametrize("resume", [True, False])
def test_an_unfinished_creation_is_taken_over_before_it_is_deleted(
    customers: Customers, customer_id: str, *, resume: bool
) -> None:
    """Codat may have a company of it, so a deletion can't begin. Its lease is acquired instead."""
    assert customers.begin_deletion(customer_id, lease_request(), resume=resume) is None
    crashed = acquire(customers, customer_id, lease=5)
    with pytest.raises(CreationInProgress):
        customers.begin_deletion(customer_id, lease_request(after=1), resume=resume)
    successor = customers.begin_deletion(customer_id, lease_request(after=6), resume=resume)
    assert isinstance(successor, CreationLease)
    assert successor.idempotency_key == crashed.idempotency_key
    customers.activate(successor, str(uuid4()), NOW, {})
    deletion(customers, customer_id)


def test_beginning_a_deletion_survives_a_lost_answer(shaky: Table, wire: Proxy, customer_id: str) -> None:
    """The repeated write finds its own owner."""
    customers = Customers(shaky)
    active(customers, customer_id)
    wire.next(passed_on, lost)
    deletion(customers, customer_id)


def test_customers_page_by_page(customers: Customers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each customer once."""
    monkeypatch.setattr(paging, "QUERY_LIMIT", 2)
    expected = {active(customers, f"c-{uuid4()}").customer_id for _ in range(7)}
    listed: list[str] = []
    cursor = None
    while True:
        page, cursor = customers.page(3, cursor)
        listed += [customer.customer_id for customer in page]
        if cursor is None:
            break
    assert len(listed) == len(set(listed))
    assert expected <= set(listed)
    assert expected <= set(customers.all_ids())
    assert customers.has_any()
    with pytest.raises(InvalidQuery):
        customers.page(3, "nonsense")


def test_closing_a_deleted_company_brings_no_name_back(customers: Customers, table: Table, customer_id: str) -> None:
    """Two processes may close one company, and the slower may crash after its first step."""
    company_id = str(uuid4())
    customers.activate(acquire(customers, customer_id), company_id, NOW, {})
    customers.close_company(company_id, customer_id)
    customers.delete(company_id, customer_id, NOW)
    tombstone = table.get(keys.company(company_id))
    customers.close_company(company_id, customer_id)
    assert tombstone is not None
    assert table.get(keys.company(company_id)) == tombstone
    assert "customerId" not in tombstone


def test_a_company_that_has_ended_belongs_to_no_customer_again(customers: Customers, customer_id: str) -> None:
    """Not even to its own customer, if the answer to the creation comes late."""
    lease, company_id = acquire(customers, customer_id), str(uuid4())
    customers.close_company(company_id, customer_id)
    with pytest.raises(CompanyTaken):
        customers.activate(lease, company_id, NOW, {})
    assert customers.ownership(company_id) == Ownership(customer_id, has_ended=True)
    assert customers.find(customer_id) is None


# Adoptions


def company_at_codat(company_id: str, name: str = "Dave's bank") -> Company:
    return Company(company_id, None, Profile(name, "of Burnley", {"plan": "gold"}))


BEFORE: dict[str, Any] = {"name": "Dave's bank", "description": "of Burnley", "tags": {"plan": "gold"}}


def test_a_reserved_company_is_refused_to_others_and_shown_to_no_webhook(
    customers: Customers, customer_id: str
) -> None:
    """The lease keeps what the company was before, also if it is reserved again after a change."""
    company_id = str(uuid4())
    lease = customers.reserve(acquire(customers, customer_id, company_id, lease=5), company_at_codat(company_id), NOW)
    assert customers.ownership(company_id) == Ownership(customer_id, is_reserved=True)
    assert customers.ownership(company_id).owner is None
    with pytest.raises(CompanyTaken):
        customers.reserve(acquire(customers, f"c-{uuid4()}", company_id), company_at_codat(company_id), NOW)
    successor = customers.begin_deletion(customer_id, lease_request(after=5))
    assert isinstance(successor, CreationLease)
    with pytest.raises(CreationInProgress):
        customers.reserve(lease, company_at_codat(company_id), NOW)
    again = customers.reserve(successor, company_at_codat(company_id, "Changed"), NOW)
    assert again.payload["before"] == BEFORE


def test_an_adoption_that_reconcile_began_has_no_profile_yet(customers: Customers, customer_id: str) -> None:
    """The app has not set it."""
    company_id = str(uuid4())
    lease = acquire(customers, customer_id, company_id, profile_unset=True)
    assert lease.payload["adoptedCompanyId"] == company_id
    customers.activate(lease, company_id, NOW, {"plan": "gold"})
    stored = customers.find(customer_id)
    assert stored is not None
    assert (stored.profile_unset, stored.existing_tags) == (True, {"plan": "gold"})


def test_a_discarded_adoption_gives_the_company_free(customers: Customers, customer_id: str, table: Table) -> None:
    """Another customer can have it at once. For a while the pointer keeps what the company was."""
    company_id = str(uuid4())
    lease = customers.reserve(acquire(customers, customer_id, company_id), company_at_codat(company_id), NOW)
    customers.discard_adoption(lease, NOW)
    assert table.get(keys.customer(customer_id)) is None
    pointer = table.get(keys.company(company_id))
    assert pointer is not None
    assert pointer["expiresAt"] == int((NOW + DISCARDED_LIFETIME).timestamp())
    assert customers.ownership(company_id) == Ownership(
        discarded={**BEFORE, "adopter": adopter_digest(company_id, customer_id)}
    )
    other = f"c-{uuid4()}"
    customers.activate(acquire(customers, other, company_id), company_id, NOW, {})
    assert customers.ownership(company_id) == Ownership(other)


def test_nothing_is_kept_of_a_discarded_adoption_by_the_customer_in_the_tag(
    customers: Customers, customer_id: str, table: Table
) -> None:
    """The company has its tag before and after: no late request can be recognised by it."""
    company_id = str(uuid4())
    tagged = replace(company_at_codat(company_id), tagged_customer_id=customer_id)
    lease = customers.reserve(acquire(customers, customer_id, company_id), tagged, NOW)
    customers.discard_adoption(lease, NOW)
    assert table.get(keys.customer(customer_id)) is None
    assert table.get(keys.company(company_id)) is None


def test_a_lost_adoption_is_not_discarded(customers: Customers, customer_id: str) -> None:
    """GIVEN a successor THEN its lease and its reservation stay."""
    company_id = str(uuid4())
    slow = customers.reserve(acquire(customers, customer_id, company_id, lease=5), company_at_codat(company_id), NOW)
    assert customers.begin_deletion(customer_id, lease_request(after=5)) is not None
    customers.discard_adoption(slow, NOW)
    assert customers.unfinished([customer_id]) == [customer_id]
    assert customers.ownership(company_id) == Ownership(customer_id, is_reserved=True)


def test_an_adoption_without_a_reservation_is_discarded(customers: Customers, customer_id: str, table: Table) -> None:
    """GIVEN a company that is another customer's THEN only the lease ends."""
    company_id, other = str(uuid4()), f"c-{uuid4()}"
    customers.activate(acquire(customers, other, company_id), company_id, NOW, {})
    customers.discard_adoption(acquire(customers, customer_id, company_id), NOW)
    assert table.get(keys.customer(customer_id)) is None
    assert customers.ownership(company_id) == Ownership(other)
    # The same with a lease that was discarded before: nothing changes.
    Leases(table).discard(acquire(customers, customer_id, company_id))
    assert customers.ownership(company_id) == Ownership(other)


def test_a_lost_pointer_is_restored(customers: Customers, customer_id: str, table: Table) -> None:
    """Unless the company is another customer's by now, or deleted."""
    customer = active(customers, customer_id)
    table.write(delete(keys.company(customer.company_id)))
    assert customers.ownership(customer.company_id) == Ownership()
    assert customers.restore_pointer(customer)
    assert customers.ownership(customer.company_id) == Ownership(customer_id)
    customers.close_company(customer.company_id, customer_id)
    assert not customers.restore_pointer(customer)
    other = active(customers, f"c-{uuid4()}")
    assert not customers.restore_pointer(replace(customer, company_id=other.company_id))
    assert customers.ownership(other.company_id) == Ownership(other.customer_id)
