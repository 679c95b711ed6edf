"""Our own customers, compared with what Codat has of them."""

from collections.abc import Iterable
from http import HTTPStatus

from shared.domain.connections import Connection
from shared.domain.customers import Company, Customer, Profile, company_name, merge_tags
from shared.domain.errors import (
    CodatError,
    CodatInvalidResponse,
    CreationInProgress,
    DeletionInProgress,
    NoCompanyVisible,
)
from shared.domain.timestamps import timestamp_of
from shared.services.connection_state import record_abandoned, sync_connection
from shared.services.customers import find_out_creation
from shared.services.deletion import close_company, finish_deletion
from shared.services.profile import send_profile
from shared.services.reconcile.context import Counts, ErrorCollector, ReconcileContext

MAX_PLAUSIBLE_DELETIONS = 5
"""If more companies of one batch are missing, Codat has to show at least one other of ours before any is deleted."""


def reconcile_customers(customer_ids: list[str], context: ReconcileContext) -> Counts:
    counts = Counts()
    # Read before Codat is asked, so that Codat's answer is certainly newer.
    customers = [
        (customer, context.connections.of_company(customer.company_id))
        for customer in context.customers.find_many(customer_ids)
    ]
    tagged = _tagged_companies(customer_ids, context)
    context.require_quota()
    errors = ErrorCollector(counts)
    visible: list[tuple[Customer, list[Connection], Company]] = []
    missing: list[Customer] = []
    for customer, connections in customers:
        with errors:
            # The tag filter lags, and a tag can be removed by hand: what it doesn't return is read by its id.
            company = tagged.get(customer.company_id) or context.codat.company(customer.company_id)
            if company is None:
                missing.append(customer)
            else:
                visible.append((customer, connections, company))
    for customer, connections, company in visible:
        with errors:
            _compare(customer, connections, company, context, counts, errors)
    with errors:
        if len(missing) > MAX_PLAUSIBLE_DELETIONS and not visible and not _shows_one_of_ours(context):
            raise NoCompanyVisible(len(missing))
        for customer in missing:
            with errors:
                close_company(customer.company_id, customer.customer_id, context)
                counts.update(companies=1, companiesDeleted=1, drift=1)
    _finish_unfinished(context.customers.unfinished(customer_ids), context, counts, errors)
    errors.raise_errors()
    return counts


def _tagged_companies(customer_ids: list[str], context: ReconcileContext) -> dict[str, Company]:
    """Return the companies of these customers by their ids, as far as Codat's tag filter returns them."""
    try:
        companies = context.codat.companies_of(customer_ids)
    except CodatError as error:
        is_client_error = HTTPStatus.BAD_REQUEST <= (error.status or 0) < HTTPStatus.INTERNAL_SERVER_ERROR
        is_refused = is_client_error and not error.had_no_effect  # 401 and 429 concern every request
        if not (is_refused or isinstance(error, CodatInvalidResponse)):
            raise
        return {}  # one of the ids may be the cause, and must not hide the others
    return {company.company_id: company for company in companies}


def _shows_one_of_ours(context: ReconcileContext) -> bool:
    """Return whether Codat's first page of companies contains one of ours."""
    companies = context.codat.companies(1, 100).companies
    return any(
        context.customers.ownership(company.company_id).owner for company in companies if company.tagged_customer_id
    )


def _compare(  # noqa: PLR0917  # one customer, as read and as Codat has it
    customer: Customer,
    connections: list[Connection],
    company: Company,
    context: ReconcileContext,
    counts: Counts,
    errors: ErrorCollector,
) -> None:
    counts["companies"] += 1
    stored = {connection.connection_id: connection for connection in connections if not connection.is_deleted}
    deleted = {connection.connection_id for connection in connections if connection.is_deleted}
    listed = {snapshot.connection_id: snapshot for snapshot in company.connections}
    for connection_id in sorted({*stored, *listed} - deleted):
        with errors:
            before = stored.get(connection_id)
            after = sync_connection(
                connection_id, customer, context, listed=listed.get(connection_id), stored=before, event_type="found"
            )
            if after is None:
                continue
            counts["connections"] += 1
            if before is None or (before.status, before.customer_id) != (after.status, after.customer_id):
                counts["drift"] += 1
            _report_abandoned(after, context, counts)
    if company.unparseable_connections:
        errors.add(CodatInvalidResponse(f"Company {company.company_id} has connections that can't be parsed."))
    _compare_profile(customer, company, context, counts)


def _compare_profile(customer: Customer, company: Company, context: ReconcileContext, counts: Counts) -> None:
    """Send the profile if Codat has another one. All tags are compared: a late PATCH can bring a removed one back."""
    if not customer.sync_pending:
        if _has_profile(company, customer):
            return
        # Codat's lists lag behind.
        current = context.codat.company(company.company_id)
        if current is None or _has_profile(current, customer):
            return
    send_profile(customer, context)
    counts.update(contentResent=1, drift=1)


def _has_profile(company: Company, customer: Customer) -> bool:
    tags = merge_tags(customer.profile, customer.existing_tags)
    expected = Profile(company_name(customer.profile, customer.customer_id), customer.profile.description, tags)
    actual = Profile(company.name, company.description, company.tags)
    return actual == expected and company.tagged_customer_id == customer.customer_id


def _report_abandoned(connection: Connection, context: ReconcileContext, counts: Counts) -> None:
    before = timestamp_of(context.now() - context.abandoned_after)
    if connection.is_abandoned(before=before):
        counts["abandoned"] += 1
        if connection.abandoned_at is None:
            record_abandoned(connection, before, context)


def _finish_unfinished(
    customer_ids: Iterable[str], context: ReconcileContext, counts: Counts, errors: ErrorCollector
) -> None:
    """Continue the creations and deletions whose process crashed."""
    for customer_id in customer_ids:
        with errors:
            try:
                _finish(customer_id, context, counts)
            except (CreationInProgress, DeletionInProgress):
                continue  # another process is doing it, or its outcome can't be known yet


def _finish(customer_id: str, context: ReconcileContext, counts: Counts) -> None:
    if deletion := context.customers.resume_deletion(customer_id, context.lease_request()):
        finish_deletion(deletion, context)
        counts.update(deletionsFinished=1, drift=1)
    elif lease := context.customers.take_over_creation(customer_id, context.lease_request()):
        find_out_creation(lease, context)
        counts.update(creationsFinished=1, drift=1)
