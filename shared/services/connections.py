"""A customer's connections: ensured, read, unlinked."""

from dataclasses import dataclass, field, replace

from shared.domain.connections import Connection, Observed, Rank, Status, stamp_of_answer
from shared.domain.customers import Customer
from shared.domain.errors import (
    AccountingConnectionExists,
    CodatCustomersError,
    CodatNotFound,
    CodatRejected,
    CompanyGone,
    ConnectionIsDeleted,
    ConnectionNotFound,
    ConnectionNotLinked,
)
from shared.domain.pages import Page
from shared.domain.platforms import Platform
from shared.domain.timeline import TimelineEntry
from shared.services.creation import Creation
from shared.services.existence import customer_or_refuse, hear_gone
from shared.services.ports import Call, Claims, Codat, Connections, Customers
from shared.services.register import hear, hear_deleted, hear_read


@dataclass(frozen=True, slots=True)
class LinkedUp:
    connection: Connection
    link_url: str = field(repr=False)
    created: bool


def create_connection(
    customer_id: str,
    platform: Platform,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    claims: Claims,
    codat: Codat,
) -> LinkedUp:
    """A connection of the customer to the platform with a fresh link, an existing one where there is one.

    Raises CustomerNotFound, CompanyGone, AccountingConnectionExists where another platform is linked,
    CreationInProgress where another call is at it, and Codat's errors, after which the same call, repeated, completes.
    """
    customer = customer_or_refuse(customer_id, customers)
    call.telemetry.note(company_id=customer.company_id)
    reused = _reuse(customer, platform, call=call, connections=connections, codat=codat)
    if reused is not None:
        # Whoever died between creating it and writing it down has left a claim that nobody needs any more.
        if abandoned := connections.abandoned_claim(customer.company_id, platform.key, call.now()):
            claims.drop(abandoned)
        return reused
    claim = connections.claim(customer.company_id, platform.key, call.terms())
    # Looked at again under the claim: whoever held it before may have finished between the look and the claim.
    try:
        reused = _reuse(customer, platform, call=call, connections=connections, codat=codat)
    except CodatCustomersError:
        claims.release(claim)
        raise
    if reused is not None:
        claims.drop(claim)
        return reused

    def look_up() -> Observed | None:
        found = [one for one in codat.connections(customer.company_id) if one.source.platform_key == platform.key]
        return min(found, key=lambda one: (one.status is not Status.LINKED, one.created_at), default=None)

    def confirm(replayed: Observed) -> Observed | None:
        """The link of a replayed answer may have been used."""
        try:
            return codat.connection(customer.company_id, replayed.connection_id)
        except CodatNotFound:
            return None

    creation = Creation(
        claim,
        lambda key: codat.create_connection(customer.company_id, platform.key, key),
        look_up,
        confirm,
        claims=claims,
        call=call,
    )
    try:
        observed = creation.run(codat.seconds_left)
    except CodatNotFound as missing:
        # The company, or the platform: one that is not switched on in Codat's portal.
        if codat.company(customer.company_id) is None:
            raise CompanyGone(customer_id) from missing
        raise
    call.telemetry.note(connection_id=observed.connection_id)
    connection = hear(
        observed.report(customer.company_id, stamp_of_answer(observed.at, Rank.OUR_CHANGE, None, call.new_id())),
        customer_id=customer_id,
        happening="created",
        call=call,
        connections=connections,
        known=None,
        ended=creation.claim,
    )
    call.telemetry.count("ConnectionCreated")
    link_url = observed.link_url or codat.connection(customer.company_id, observed.connection_id).link_url
    return LinkedUp(connection, link_url or "", created=True)


def _reuse(
    customer: Customer, platform: Platform, *, call: Call, connections: Connections, codat: Codat
) -> LinkedUp | None:
    existing = [one for one in connections.of_company(customer.company_id) if not one.is_deleted]
    for one in existing:
        if (
            one.status is Status.LINKED
            and one.source.source_type == platform.source_type
            and one.source.platform_key != platform.key
        ):
            raise AccountingConnectionExists(one.source.platform_name, one.connection_id)
    same = [one for one in existing if one.source.platform_key == platform.key]
    for one in sorted(same, key=lambda one: one.status is not Status.LINKED):
        call.telemetry.note(connection_id=one.connection_id)
        try:
            observed = codat.connection(one.company_id, one.connection_id)
        except CodatNotFound:
            hear_gone(one, customer, call=call, connections=connections, codat=codat)
            continue
        connection = hear_read(observed, one, call=call, connections=connections)
        if not connection.is_deleted:
            return LinkedUp(connection, observed.link_url or "", created=False)
    return None


def unlink_connection(
    customer_id: str,
    connection_id: str,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    codat: Codat,
) -> Connection:
    """The connection, unlinked. Codat is always asked: what is stored may be behind.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted, ConnectionNotLinked and Codat's errors.
    """
    customer, known = find_connection(customer_id, connection_id, customers=customers, connections=connections)
    call.telemetry.note(company_id=known.company_id)
    if known.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    try:
        observed = codat.unlink(known.company_id, connection_id)
    except CodatNotFound as gone:
        hear_gone(known, customer, call=call, connections=connections, codat=codat)
        raise ConnectionIsDeleted(connection_id) from gone
    except CodatRejected as refusal:
        return _as_codat_has_it(known, customer, refusal, call=call, connections=connections, codat=codat)
    answer = observed.report(known.company_id, stamp_of_answer(observed.at, Rank.OUR_CHANGE, known, call.new_id()))
    return hear(
        replace(answer, status=Status.UNLINKED),
        customer_id=customer_id,
        happening="unlinked",
        call=call,
        connections=connections,
        known=known,
    )


def _as_codat_has_it(
    known: Connection,
    customer: Customer,
    refusal: CodatRejected,
    *,
    call: Call,
    connections: Connections,
    codat: Codat,
) -> Connection:
    """Codat refused to unlink: the connection as it is there decides what that means."""
    connection, observed = ask_for(known, customer, call=call, connections=connections, codat=codat)
    if observed.status is Status.LINKED:
        raise refusal
    if observed.status is not Status.UNLINKED:
        raise ConnectionNotLinked(known.connection_id, observed.status) from refusal
    return connection


def ask_for(
    known: Connection, customer: Customer, *, call: Call, connections: Connections, codat: Codat
) -> tuple[Connection, Observed]:
    """The connection as Codat has it now, stored, and Codat's answer with its fresh link.

    Raises ConnectionIsDeleted where Codat has it no more, and Codat's errors.
    """
    try:
        observed = codat.connection(known.company_id, known.connection_id)
    except CodatNotFound as gone:
        hear_gone(known, customer, call=call, connections=connections, codat=codat)
        raise ConnectionIsDeleted(known.connection_id) from gone
    return hear_read(observed, known, call=call, connections=connections), observed


def read_connection(
    customer_id: str, connection_id: str, *, customers: Customers, connections: Connections
) -> Connection:
    """The connection, also when it was deleted. Raises CustomerNotFound, ConnectionNotFound."""
    _, connection = find_connection(customer_id, connection_id, customers=customers, connections=connections)
    return connection


def find_connection(
    customer_id: str, connection_id: str, *, customers: Customers, connections: Connections
) -> tuple[Customer, Connection]:
    """The connection with its customer. Raises as `read_connection`."""
    customer = customer_or_refuse(customer_id, customers)
    connection = connections.find(customer.company_id, connection_id)
    if connection is None or not connection.is_heard:
        raise ConnectionNotFound(customer_id, connection_id)
    return customer, connection


def delete_connection(
    customer_id: str,
    connection_id: str,
    *,
    call: Call,
    customers: Customers,
    connections: Connections,
    codat: Codat,
) -> None:
    """Revokes the connection and removes it at Codat; fine where it is gone already.

    Raises CustomerNotFound, ConnectionNotFound and Codat's errors.
    """
    customer, known = find_connection(customer_id, connection_id, customers=customers, connections=connections)
    call.telemetry.note(company_id=known.company_id)
    if known.is_deleted:
        return
    try:
        deleted_at = codat.delete_connection(known.company_id, connection_id)
    except CodatNotFound:
        # Gone already, or by a first try of this call whose answer was lost.
        hear_gone(known, customer, happening="deleted", call=call, connections=connections, codat=codat)
        return
    hear_deleted(known, deleted_at, Rank.OUR_CHANGE, "deleted", call=call, connections=connections)


def connection_timeline(
    customer_id: str,
    connection_id: str,
    limit: int,
    cursor: str | None,
    *,
    customers: Customers,
    connections: Connections,
) -> Page[TimelineEntry]:
    """Newest first. Raises CustomerNotFound, ConnectionNotFound, InvalidQuery."""
    connection = read_connection(customer_id, connection_id, customers=customers, connections=connections)
    return connections.timeline(connection, limit, cursor)
