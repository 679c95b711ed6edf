"""The first walk: our own customers, compared with what Codat says of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from shared.domain.connections import Connection, Observed, Rank, is_abandoned, says_otherwise, stamp
from shared.domain.customers import Company, Content, Customer, company_name
from shared.domain.errors import CodatMadeNoSense, CodatNotFound, DeletionInProgress, NobodyThere
from shared.domain.instants import instant_of
from shared.services.content import send_content
from shared.services.deletion import end_company, finish_deletion
from shared.services.existence import hear_gone
from shared.services.register import hear, hear_abandoned, hear_read
from shared.services.walk import PAGE_SIZE, Found, OneByOne, World, keep_quota

_SURELY_SOMEBODY = 5
"""That many customers of one batch don't all lose their companies in a day."""


def heal_ours(customer_ids: list[str], world: World) -> Found:
    found = Found()
    # Read before Codat is asked, so that Codat's answer is certainly the newer.
    ours = [
        (customer, world.connections.of_company(customer.company_id))
        for customer in world.customers.find_many(customer_ids)
    ]
    tagged = _tagged(customer_ids, world)
    keep_quota(world)
    one_by_one = OneByOne(found)
    there: list[tuple[Customer, list[Connection], Company]] = []
    gone: list[Customer] = []
    for customer, known in ours:
        with one_by_one:
            company = tagged.get(customer.company_id) or world.codat.company(customer.company_id)
            if company is None:
                gone.append(customer)
            else:
                there.append((customer, known, company))
    for customer, known, company in there:
        with one_by_one:
            _compare(customer, known, company, world, found)
    key_is_ours = cache(lambda: bool(there) or _shows_one_of_ours(world))
    doubtful = len(gone) > _SURELY_SOMEBODY or any(customer.key_id != world.codat.key_id for customer in gone)
    if doubtful and not key_is_ours():
        raise NobodyThere(len(gone))
    for customer in gone:
        with one_by_one:
            _end(customer, world, found)
    for customer_id in world.customers.being_deleted(customer_ids):
        with one_by_one:
            _finish_deletion(customer_id, key_is_ours, world, found)
    one_by_one.raise_failures()
    return found


def _tagged(customer_ids: list[str], world: World) -> dict[str, Company]:
    """The companies of these customers by their ids."""
    try:
        return {company.company_id: company for company in world.codat.companies_of(customer_ids)}
    except CodatMadeNoSense:
        # One of them may be the reason, and must not hide the others: each is asked for by its id.
        return {}


def _shows_one_of_ours(world: World) -> bool:
    """Whether Codat does, on its first page of companies: under another client's API key it has none of them."""
    companies, _ = world.codat.companies(1, PAGE_SIZE)
    return any(world.customers.ownership(one.company_id).customer_id for one in companies if one.customer_id)


def _compare(customer: Customer, known: list[Connection], company: Company, world: World, found: Found) -> None:
    found["companies"] += 1
    customer = _shown_by(world.codat.key_id, customer, world)
    _repair_connections(customer, known, company, world, found)
    _resend_content(customer, company, world, found)


def _shown_by(key_id: str, customer: Customer, world: World) -> Customer:
    """The customer, noted as one whose company this API key has shown."""
    if customer.key_id == key_id:
        return customer
    noted = replace(customer, key_id=key_id, version=customer.version + 1)
    # Where somebody was quicker, the next walk notes it.
    return noted if world.customers.change(noted, customer) else customer


def _end(customer: Customer, world: World, found: Found) -> None:
    end_company(
        customer.company_id,
        customer.customer_id,
        call=world.call,
        customers=world.customers,
        connections=world.connections,
    )
    found["companies"] += 1
    found["companiesDeleted"] += 1
    found["drift"] += 1


def _finish_deletion(customer_id: str, key_is_ours: Callable[[], bool], world: World, found: Found) -> None:
    """Goes on with a deletion whose process has died."""
    try:
        begun = world.customers.resume_deletion(customer_id, world.call.terms())
    except DeletionInProgress:
        return
    if begun is not None:
        finish_deletion(
            begun,
            call=world.call,
            customers=world.customers,
            connections=world.connections,
            codat=world.codat,
            key_is_ours=key_is_ours,
        )
        found["deletionsFinished"] += 1
        found["drift"] += 1


def _resend_content(customer: Customer, company: Company, world: World, found: Found) -> None:
    told = replace(customer.content, name=company_name(customer.content, customer.customer_id))
    there = Content(company.name, company.description, told.tags)
    untagged = any(company.tags.get(key) != value for key, value in told.tags.items())
    if customer.dirty or untagged or told != there or company.customer_id != customer.customer_id:
        send_content(customer, customers=world.customers, codat=world.codat)
        found["contentResent"] += 1
        found["drift"] += 1


def _repair_connections(
    customer: Customer, known: list[Connection], company: Company, world: World, found: Found
) -> None:
    there = {observed.connection_id: observed for observed in company.connections}
    for connection in known:
        if connection.is_deleted:
            continue
        found["connections"] += 1
        observed = there.get(connection.connection_id) or _asked_for(connection, world)
        foreign = connection.customer_id != customer.customer_id
        if observed is None:
            after = hear_gone(connection, customer, call=world.call, connections=world.connections, codat=world.codat)
        elif foreign or says_otherwise(observed, connection):
            ours = replace(connection, customer_id=customer.customer_id)
            after = hear_read(observed, ours, call=world.call, connections=world.connections)
        else:
            after = connection
        if foreign or after.status is not connection.status:
            found["drift"] += 1
        _report_abandoned(after, world, found)
    unknown = set(there) - {connection.connection_id for connection in known}
    for connection_id in sorted(unknown):
        found["connections"] += 1
        found["drift"] += 1
        _take_in(there[connection_id], company.company_id, customer.customer_id, world)


def _asked_for(connection: Connection, world: World) -> Observed | None:
    """What is absent from a list is asked for by its id before it counts as deleted."""
    try:
        return world.codat.connection(connection.company_id, connection.connection_id)
    except CodatNotFound:
        return None


def _take_in(observed: Observed, company_id: str, customer_id: str, world: World) -> None:
    hear(
        observed.report(company_id, stamp(observed.at, Rank.READ, world.call.new_id())),
        customer_id=customer_id,
        happening="found",
        call=world.call,
        connections=world.connections,
        known=None,
    )


def _report_abandoned(connection: Connection, world: World, found: Found) -> None:
    before = instant_of(world.call.now() - world.rules.abandoned_after)
    if is_abandoned(connection, before=before):
        found["abandoned"] += 1
        if connection.abandoned_at is None:
            hear_abandoned(connection, call=world.call, connections=world.connections)
