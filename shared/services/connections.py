"""Create, reuse, read, unlink and delete a customer's connections."""

from dataclasses import dataclass, field, replace

from shared.domain import errors
from shared.domain.connections import (
    Connection,
    ConnectionList,
    Precedence,
    Source,
    Status,
    StatusUpdate,
    stamp,
    time_of,
)
from shared.domain.customers import Customer
from shared.domain.leases import CreationLease
from shared.domain.platforms import ACCOUNTING, Platform
from shared.domain.timestamps import CLOCK_TOLERANCE, datetime_of, timestamp_of
from shared.services.connection_state import record_deletion, record_update, sync_connections
from shared.services.context import CodatContext, Context
from shared.services.creation import IdempotentCreation
from shared.services.platforms import other_names, require_enabled
from shared.services.profile import get_customer


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    connection: Connection
    link_url: str = field(repr=False)
    """Empty if Codat answered with an empty link."""
    created: bool


def create_connection(customer_id: str, platform: Platform, context: CodatContext) -> ConnectionResult:
    """Return the customer's connection to the platform, existing or created, with a fresh link.

    Raises CustomerNotFound, CompanyGone, AccountingConnectionExists if another accounting platform is linked,
    UnknownPlatform if Codat no longer has it enabled, CreationInProgress while another call creates the connection, and
    Codat's errors, after which a repeated call completes.
    """
    customer = get_customer(customer_id, context)
    company_id = customer.company_id
    lease = context.connections.acquire(company_id, platform.key, context.lease_request())
    try:
        result = _reuse(customer, platform, context)
    except errors.CodatCustomersError as error:
        (context.leases.discard if lease.last_sent_at is None else context.leases.release)(lease)
        if isinstance(error, errors.CodatNotFound):
            raise errors.CompanyGone(customer_id) from error
        raise
    if result is not None:
        context.leases.discard(lease)
        return result

    def reread(earlier: StatusUpdate) -> StatusUpdate | None:
        """Read the connection by its id: lists lag behind, and a replayed link may be used. None if it is deleted."""
        try:
            return context.codat.connection(company_id, earlier.connection_id)
        except errors.CodatNotFound:
            return None

    creation = IdempotentCreation(
        lease,
        context,
        send=lambda held: context.codat.create_connection(company_id, platform.key, held.idempotency_key),
        find_existing=lambda: next(filter(None, map(reread, _candidates(customer, platform, lease, context))), None),
        verify=reread,
    )
    try:
        created = creation.run()
    except (errors.CodatNotFound, errors.CodatRejected) as error:
        # The company may be deleted, or the platform no longer enabled in Codat's portal.
        if isinstance(error, errors.CodatNotFound) and not context.codat.has_company(company_id):
            raise errors.CompanyGone(customer_id) from error
        require_enabled(platform, context)
        raise
    context.telemetry.note(connection_id=created.connection_id)
    # This creation caused the connection, even if a look-up found it after a lost answer.
    stamped = stamp(time_of(created.stamp), Precedence.OUR_CHANGE)
    connection = record_update(
        replace(_with_platform(created, platform), stamp=stamped),
        context,
        customer_id=customer_id,
        event_type="created",
        stored=None,
        ended=creation.lease,
        link_issued=True,
    )
    context.telemetry.count("ConnectionCreated")
    return ConnectionResult(connection, created.link_url, created=True)


def _candidates(
    customer: Customer, platform: Platform, lease: CreationLease, context: CodatContext
) -> list[StatusUpdate]:
    """Return the listed connections that an unanswered request may have created, Linked ones first, then the oldest.

    A connection without a key is among them if no other enabled platform has its name, and it is at most five minutes
    older than the first request.
    """
    connections = context.connections.of_company(customer.company_id)
    stored = {each.connection_id: each.source for each in connections if each.source.platform_key}
    earliest = timestamp_of(datetime_of(lease.payload["requestedAt"]) - CLOCK_TOLERANCE)

    def is_candidate(listed: StatusUpdate) -> bool:
        source = stored.get(listed.connection_id, listed.source)
        return is_on(source, platform) or (listed.created_at >= earliest and _may_be_on(source, platform, context))

    candidates = filter(is_candidate, _listed(customer, platform, context).updates)
    return sorted(candidates, key=lambda listed: (listed.status is not Status.LINKED, listed.created_at))


def _reuse(customer: Customer, platform: Platform, context: CodatContext) -> ConnectionResult | None:
    """Return the existing connection to the platform with a fresh link; None if there is none."""
    existing = sync_connections(_listed(customer, platform, context), customer, context, event_type="found")
    on_platform = [connection for connection in existing if is_on(connection.source, platform)]
    for other in existing:
        if other.status is Status.LINKED and excludes(other.source, platform) and other not in on_platform:
            raise errors.AccountingConnectionExists(other.source.platform_name, other.connection_id)
    for connection in sorted(on_platform, key=lambda connection: connection.status is not Status.LINKED):
        context.telemetry.note(connection_id=connection.connection_id)
        try:
            reused, answer = read_from_codat(connection, context, link_issued=True, platform=platform)
        except errors.ConnectionIsDeleted:
            continue
        return ConnectionResult(reused, answer.link_url, created=False)
    return None


def _listed(customer: Customer, platform: Platform, context: CodatContext) -> ConnectionList:
    """Return Codat's list. Raises CodatInvalidResponse if a connection that may be to this platform can't be parsed."""
    listed = context.codat.connections(customer.company_id)
    if any(_may_be_on(source, platform, context) for _, source in listed.unparseable):
        raise errors.CodatInvalidResponse("A connection that can't be parsed may be to the same platform.")
    return listed


def is_on(source: Source, platform: Platform) -> bool:
    """Return whether the source is this platform; by its name if Codat left out the key, as its contract allows."""
    return source.platform_key == platform.key or (not source.platform_key and source.platform_name == platform.name)


def excludes(source: Source, platform: Platform) -> bool:
    """Return whether the source is this platform, or both are accounting platforms: one is linked at a time."""
    return is_on(source, platform) or platform.source_type == source.source_type == ACCOUNTING


def _may_be_on(source: Source, platform: Platform, context: CodatContext) -> bool:
    """Return whether the source is this platform; without a key, whether its type and name allow that."""
    if source.platform_key or source.source_type not in {"", platform.source_type}:
        return source.platform_key == platform.key
    return source.platform_name not in other_names(platform, context)


def _with_platform(answer: StatusUpdate, platform: Platform) -> StatusUpdate:
    """Set the requested key if Codat left out the key."""
    key = answer.source.platform_key or platform.key
    return replace(answer, source=replace(answer.source, platform_key=key))


def unlink_connection(customer_id: str, connection_id: str, context: CodatContext) -> Connection:
    """Unlink the connection and return it, also if it is Unlinked already. Codat decides: the stored state may be old.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted, ConnectionNotLinked for another status, and
    Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        raise errors.ConnectionIsDeleted(connection_id)
    try:
        answer = context.codat.unlink(stored.company_id, connection_id)
    except errors.CodatNotFound as error:
        record_deletion(stored, context)
        raise errors.ConnectionIsDeleted(connection_id) from error
    except errors.CodatRejected as rejection:
        connection, answer = read_from_codat(stored, context)
        if answer.status is Status.LINKED:
            raise
        if answer.status is not Status.UNLINKED:
            raise errors.ConnectionNotLinked(connection_id, str(answer.status)) from rejection
        return connection
    unlinked = replace(answer, status=Status.UNLINKED)  # that is what Codat accepted, whatever its answer shows
    connection = record_update(unlinked, context, customer_id=customer_id, event_type="unlinked", stored=stored)
    if connection.is_deleted:
        raise errors.ConnectionIsDeleted(connection_id)
    return connection


def read_from_codat(
    stored: Connection, context: CodatContext, *, link_issued: bool = False, platform: Platform | None = None
) -> tuple[Connection, StatusUpdate]:
    """Read the connection from Codat and store it. Return it, and Codat's answer with a fresh link.

    Set `link_issued` if the link is returned to the API's caller. `platform` is used if Codat leaves out the key.
    Raises ConnectionIsDeleted and Codat's errors.
    """
    try:
        answer = context.codat.connection(stored.company_id, stored.connection_id)
    except errors.CodatNotFound as error:
        record_deletion(stored, context)
        raise errors.ConnectionIsDeleted(stored.connection_id) from error
    update = _with_platform(answer, platform) if platform is not None else answer
    connection = record_update(
        update, context, customer_id=stored.customer_id, event_type="read", stored=stored, link_issued=link_issued
    )
    if connection.is_deleted:
        raise errors.ConnectionIsDeleted(stored.connection_id)
    return connection, answer


def find_connection(customer_id: str, connection_id: str, context: Context) -> Connection:
    """Return the stored connection, even if it is deleted. Raises CustomerNotFound, ConnectionNotFound."""
    connection = context.connections.find(get_customer(customer_id, context).company_id, connection_id)
    if connection is None or connection.is_placeholder:
        raise errors.ConnectionNotFound(customer_id, connection_id)
    return connection


def delete_connection(customer_id: str, connection_id: str, context: CodatContext) -> None:
    """Delete the connection, unless it is deleted. Raises CustomerNotFound, ConnectionNotFound and Codat's errors."""
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        return
    try:
        deleted_at = context.codat.delete_connection(stored.company_id, connection_id)
    except errors.CodatNotFound:
        deleted_at = None  # it was deleted elsewhere, or by a first attempt of this call whose answer was lost
    record_deletion(stored, context, deleted_at=deleted_at, event_type="deleted")
