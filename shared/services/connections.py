"""A customer's connections: created or reused, read, unlinked."""

from dataclasses import dataclass, field, replace

from shared.domain.connections import Connection, ConnectionSnapshot, Precedence, Source, Status, stamp_of_answer
from shared.domain.customers import Customer
from shared.domain.errors import (
    AccountingConnectionExists,
    CodatCustomersError,
    CodatInvalidResponse,
    CodatNotFound,
    CodatRejected,
    CompanyGone,
    ConnectionIsDeleted,
    ConnectionNotFound,
    ConnectionNotLinked,
)
from shared.domain.leases import CreationLease
from shared.domain.pages import Page
from shared.domain.platforms import ACCOUNTING, PLATFORM_NAMES, Platform
from shared.domain.timeline import TimelineEntry
from shared.domain.timestamps import CLOCK_TOLERANCE, datetime_of, timestamp_of
from shared.services.connection_state import (
    record_deletion,
    record_missing,
    record_snapshot,
    record_update,
    sync_connection,
)
from shared.services.context import CodatContext, Context
from shared.services.creation import IdempotentCreation
from shared.services.profile import get_customer


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    connection: Connection
    link_url: str = field(repr=False)
    created: bool


def create_connection(customer_id: str, platform: Platform, context: CodatContext) -> ConnectionResult:
    """Return the customer's connection to the platform with a fresh link; an existing connection if there is one.

    Codat's list decides that, read under the lease and merged with the table. Raises CustomerNotFound, CompanyGone,
    AccountingConnectionExists if another platform is linked, CreationInProgress while another call is doing it, and
    Codat's errors, after which the same call, repeated, completes.
    """
    customer = get_customer(customer_id, context)
    lease = context.connections.acquire(customer.company_id, platform.key, context.lease_request())
    try:
        result = _reuse(customer, platform, context)
    except CodatCustomersError as error:
        unused = lease.last_sent_at is None
        (context.leases.discard if unused else context.leases.release)(lease)
        if isinstance(error, CodatNotFound):
            raise CompanyGone(customer_id) from error
        raise
    if result is not None:
        context.leases.discard(lease)
        return result

    def find_existing() -> ConnectionSnapshot | None:
        candidates = _candidates(customer, platform, lease, context)
        return next(filter(None, map(read_again, candidates)), None)

    def read_again(snapshot: ConnectionSnapshot) -> ConnectionSnapshot | None:
        """Return the connection as it is now: a list lags, and the link of a replayed answer may have been used."""
        try:
            return context.codat.connection(customer.company_id, snapshot.connection_id)
        except CodatNotFound:
            return None

    creation = IdempotentCreation(
        lease,
        context,
        send=lambda lease: context.codat.create_connection(customer.company_id, platform.key, lease.idempotency_key),
        find_existing=find_existing,
        verify=read_again,
    )
    try:
        snapshot = creation.run()
    except CodatNotFound as error:
        # The company, or the platform: one that is not enabled in Codat's portal.
        if not context.codat.has_company(customer.company_id):
            raise CompanyGone(customer_id) from error
        raise
    context.telemetry.note(connection_id=snapshot.connection_id)
    stamped = stamp_of_answer(snapshot.at, Precedence.OUR_CHANGE, None, context.new_id())
    connection = record_update(
        _with_platform(snapshot, platform).update(customer.company_id, stamped),
        context,
        customer_id=customer_id,
        event_type="created",
        stored=None,
        ended=creation.lease,
        link_issued=True,
    )
    context.telemetry.count("ConnectionCreated")
    link_url = snapshot.link_url or context.codat.connection(customer.company_id, snapshot.connection_id).link_url
    return ConnectionResult(connection, link_url or "", created=True)


def _candidates(
    customer: Customer, platform: Platform, lease: CreationLease, context: CodatContext
) -> list[ConnectionSnapshot]:
    """Return the listed connections that an unanswered request may have created, the best first.

    A connection without a key and with an unknown name is one of them, unless it is older than the first request.
    """
    stored = {each.connection_id: each.source for each in context.connections.of_company(customer.company_id)}
    earliest = timestamp_of(datetime_of(lease.payload["requestedAt"]) - CLOCK_TOLERANCE)

    def is_candidate(snapshot: ConnectionSnapshot) -> bool:
        known = stored.get(snapshot.connection_id)
        source = known if known is not None and known.platform_key else snapshot.source
        return _is_on(source, platform) or (snapshot.created_at >= earliest and _may_be_on(source, platform))

    candidates = filter(is_candidate, _listed(customer, platform, context))
    return sorted(candidates, key=lambda snapshot: (snapshot.status is not Status.LINKED, snapshot.created_at))


def _reuse(customer: Customer, platform: Platform, context: CodatContext) -> ConnectionResult | None:
    """Return the existing connection to the platform, with a fresh link; None if there is none.

    Raises AccountingConnectionExists, CodatNotFound if the company is gone, and Codat's other errors.
    """
    existing = _existing_connections(customer, platform, context)
    on_platform = [connection for connection in existing if _is_on(connection.source, platform)]
    for connection in existing:
        if (
            platform.source_type == connection.source.source_type == ACCOUNTING
            and connection.status is Status.LINKED
            and connection not in on_platform
        ):
            raise AccountingConnectionExists(connection.source.platform_name, connection.connection_id)
    for connection in sorted(on_platform, key=lambda connection: connection.status is not Status.LINKED):
        context.telemetry.note(connection_id=connection.connection_id)
        try:
            reused, snapshot = read_from_codat(connection, context, link_issued=True, platform=platform)
        except ConnectionIsDeleted:
            continue
        if not reused.is_deleted:
            return ConnectionResult(reused, snapshot.link_url or "", created=False)
    return None


def _existing_connections(customer: Customer, platform: Platform, context: CodatContext) -> list[Connection]:
    """Return the company's connections, oldest first, after storing what Codat's list shows differently."""
    # Read before Codat is asked, so that Codat's answer is certainly newer.
    stored = {
        connection.connection_id: connection for connection in context.connections.of_company(customer.company_id)
    }
    listed = {snapshot.connection_id: snapshot for snapshot in _listed(customer, platform, context)}
    synced = [
        sync_connection(
            connection_id,
            customer,
            context,
            listed=listed.get(connection_id),
            stored=stored.get(connection_id),
            event_type="found",
        )
        for connection_id in sorted({*stored, *listed})
    ]
    existing = [connection for connection in synced if connection is not None and not connection.is_deleted]
    return sorted(existing, key=lambda connection: (connection.created_at, connection.connection_id))


def _listed(customer: Customer, platform: Platform, context: CodatContext) -> list[ConnectionSnapshot]:
    """Return Codat's list. Raises CodatInvalidResponse if a connection that may be to this platform can't be parsed."""
    answer = context.codat.connections(customer.company_id)
    if any(_may_be_on(source, platform) for source in answer.unparseable):
        raise CodatInvalidResponse("A connection of the company can't be parsed, and may be to the same platform.")
    return answer.snapshots


def _is_on(source: Source, platform: Platform) -> bool:
    """Return whether the source is this platform; by its name if Codat left out the key, as its contract allows."""
    return source.platform_key == platform.key or (not source.platform_key and source.platform_name == platform.name)


def _may_be_on(source: Source, platform: Platform) -> bool:
    """Return whether the source is this platform, or has no key, and neither name nor type of another one."""
    if source.platform_key or source.source_type not in {"", platform.source_type}:
        return source.platform_key == platform.key
    return source.platform_name not in PLATFORM_NAMES - {platform.name}


def _with_platform(snapshot: ConnectionSnapshot, platform: Platform) -> ConnectionSnapshot:
    """Return the snapshot with the requested key, if Codat left out the key."""
    key = snapshot.source.platform_key or platform.key
    return replace(snapshot, source=replace(snapshot.source, platform_key=key))


def unlink_connection(customer_id: str, connection_id: str, context: CodatContext) -> Connection:
    """Unlink the connection and return it. Codat is always asked, because the stored state may be behind.

    Raises CustomerNotFound, ConnectionNotFound, ConnectionIsDeleted, ConnectionNotLinked and Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        raise ConnectionIsDeleted(connection_id)
    try:
        snapshot = context.codat.unlink(stored.company_id, connection_id)
    except CodatNotFound as error:
        record_missing(stored, context)
        raise ConnectionIsDeleted(connection_id) from error
    except CodatRejected as rejection:
        return _after_rejected_unlink(stored, rejection, context)
    answer = snapshot.update(
        stored.company_id, stamp_of_answer(snapshot.at, Precedence.OUR_CHANGE, stored, context.new_id())
    )
    return record_update(
        replace(answer, status=Status.UNLINKED), context, customer_id=customer_id, event_type="unlinked", stored=stored
    )


def _after_rejected_unlink(stored: Connection, rejection: CodatRejected, context: CodatContext) -> Connection:
    """Read the connection that Codat refused to unlink: its present status decides what that means."""
    connection, snapshot = read_from_codat(stored, context)
    if snapshot.status is Status.LINKED:
        raise rejection
    if snapshot.status is not Status.UNLINKED:
        raise ConnectionNotLinked(stored.connection_id, snapshot.status) from rejection
    return connection


def read_from_codat(
    stored: Connection, context: CodatContext, *, link_issued: bool = False, platform: Platform | None = None
) -> tuple[Connection, ConnectionSnapshot]:
    """Read the connection at Codat and store it. Returns it, and Codat's answer with its fresh link.

    `link_issued` says that the caller receives that link; `platform` stands in if Codat leaves out the key. Raises
    ConnectionIsDeleted if Codat has it no more, and Codat's errors.
    """
    try:
        snapshot = context.codat.connection(stored.company_id, stored.connection_id)
    except CodatNotFound as error:
        record_missing(stored, context)
        raise ConnectionIsDeleted(stored.connection_id) from error
    if platform is not None:
        snapshot = _with_platform(snapshot, platform)
    connection = record_snapshot(
        snapshot,
        context,
        company_id=stored.company_id,
        customer_id=stored.customer_id,
        stored=stored,
        link_issued=link_issued,
    )
    return connection, snapshot


def find_connection(customer_id: str, connection_id: str, context: Context) -> Connection:
    """Return the stored connection, also a deleted one. Raises CustomerNotFound, ConnectionNotFound."""
    customer = get_customer(customer_id, context)
    connection = context.connections.find(customer.company_id, connection_id)
    if connection is None or connection.is_placeholder:
        raise ConnectionNotFound(customer_id, connection_id)
    return connection


def delete_connection(customer_id: str, connection_id: str, context: CodatContext) -> None:
    """Revoke the connection and remove it at Codat; fine if it is gone already.

    Raises CustomerNotFound, ConnectionNotFound and Codat's errors.
    """
    stored = find_connection(customer_id, connection_id, context)
    if stored.is_deleted:
        return
    try:
        deleted_at = context.codat.delete_connection(stored.company_id, connection_id)
    except CodatNotFound:
        # Gone already, or deleted by a first attempt of this call whose answer was lost.
        record_missing(stored, context, event_type="deleted")
        return
    record_deletion(stored, deleted_at, Precedence.OUR_CHANGE, context, event_type="deleted")


def connection_timeline(
    customer_id: str, connection_id: str, limit: int, cursor: str | None, context: Context
) -> Page[TimelineEntry]:
    """Return the history, newest first. Raises CustomerNotFound, ConnectionNotFound, InvalidQuery."""
    connection = find_connection(customer_id, connection_id, context)
    return context.connections.timeline(connection, limit, cursor)
