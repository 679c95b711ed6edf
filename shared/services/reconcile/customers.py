"""Compare our customers with their companies at Codat."""

from contextlib import suppress
from functools import partial
from http import HTTPStatus

from shared.domain import errors
from shared.domain.connections import Connection, Status, with_abandoned_link, with_connector
from shared.domain.customers import Company, Customer, Deletion, Profile, company_name, merge_tags
from shared.domain.timestamps import timestamp_of
from shared.services.connection_state import record_change, sync_connection
from shared.services.customers import find_out_creation
from shared.services.deletion import close_company, finish_deletion
from shared.services.profile import send_profile
from shared.services.reconcile.context import ReconcileContext, Results

MAX_PLAUSIBLE_DELETIONS = 5
"""If Codat lacks more companies of a batch, they are only deleted if it returns another company of ours."""


def reconcile_customers(customer_ids: list[str], context: ReconcileContext, results: Results) -> None:
    # The table is read before Codat, so that Codat's answer is certainly newer.
    customers = [
        (customer, context.connections.of_company(customer.company_id))
        for customer in context.customers.find_many(customer_ids)
    ]
    tagged = _tagged_companies(customer_ids, context)
    context.require_quota()
    missing: list[Customer] = []
    for customer, connections in customers:
        with results.collect_error():
            # The tag filter lags behind, and a tag can be removed by hand, so other companies are read by their id.
            company = tagged.get(customer.company_id) or context.codat.company(customer.company_id)
            if company is None:
                missing.append(customer)
                continue
            results.counts["companies"] += 1
            _compare_connections(customer, connections, company, context, results)
            _compare_profile(customer, company, context, results)
    is_doubtful = len(missing) > MAX_PLAUSIBLE_DELETIONS and not results.counts["companies"]
    with results.collect_error():
        if is_doubtful and not _returns_own_company(context):
            raise errors.NotReconciled(
                f"Codat returns none of the {len(missing)} companies of this batch and no other customer's company. "
                "No customer was deleted. Check the API key."
            )
        for customer in missing:
            with results.collect_error():
                close_company(customer.company_id, customer.customer_id, context)
                results.counts.update(companies=1, companiesDeleted=1, drift=1)
    for customer_id in context.customers.unfinished(customer_ids):
        # These errors mean that another process is working on it, or that a request may still be running at Codat.
        with results.collect_error(), suppress(errors.CreationInProgress, errors.DeletionInProgress):
            _finish_unfinished(customer_id, context, results)


def _tagged_companies(customer_ids: list[str], context: ReconcileContext) -> dict[str, Company]:
    """Return the companies of these customers by their ids, as far as Codat's tag filter returns them."""
    try:
        companies = context.codat.companies_of(customer_ids)
    except errors.CodatError as error:
        is_client_error = HTTPStatus.BAD_REQUEST <= (error.status or 0) < HTTPStatus.INTERNAL_SERVER_ERROR
        is_refused = is_client_error and not error.had_no_effect  # 401 and 429 concern every request
        if not (is_refused or isinstance(error, errors.CodatInvalidResponse)):
            raise
        return {}  # one of the ids may cause the error, so each company is read by its id
    return {company.company_id: company for company in companies}


def _returns_own_company(context: ReconcileContext) -> bool:
    """Return whether Codat's first page of companies contains one of ours."""
    companies, _ = context.codat.companies(1)
    tagged = (company.company_id for company in companies if company.tagged_customer_id)
    return any(context.customers.ownership(company_id).owner for company_id in tagged)


def _compare_connections(
    customer: Customer, connections: list[Connection], company: Company, context: ReconcileContext, results: Results
) -> None:
    stored = {connection.connection_id: connection for connection in connections if not connection.is_deleted}
    deleted = {connection.connection_id for connection in connections if connection.is_deleted}
    listed = {update.connection_id: update for update in company.connections}
    for connection_id in sorted({*stored, *listed} - deleted):
        with results.collect_error():
            before = stored.get(connection_id)
            after = sync_connection(
                connection_id, customer, context, listed=listed.get(connection_id), stored=before, event_type="found"
            )
            if after is None:
                continue
            is_drift = before is None or (before.status, before.customer_id) != (after.status, after.customer_id)
            results.counts.update(connections=1, drift=int(is_drift))
            if after.status is Status.PENDING_AUTH and context.platforms.needs_connector(after.source.platform_key):
                # The connection may have been stored while the list of platforms was missing.
                after = record_change(after, with_connector, context)
            abandoned_before = timestamp_of(context.now() - context.abandoned_after)
            after = record_change(after, partial(with_abandoned_link, before=abandoned_before), context)
            results.counts["abandoned"] += int(after.abandoned_at is not None)
    if company.unparseable_connections:
        message = f"Company {company.company_id} has connections that can't be parsed."
        results.errors.append(errors.CodatInvalidResponse(message))


def _compare_profile(customer: Customer, company: Company, context: ReconcileContext, results: Results) -> None:
    """Send the profile if Codat's differs. All tags are compared: a late PATCH can bring a removed tag back."""
    if not customer.sync_pending:
        if _has_profile(company, customer):
            return
        current = context.codat.company(company.company_id)  # Codat's lists lag behind
        if current is None or _has_profile(current, customer):
            return
    send_profile(customer, context)
    results.counts.update(contentResent=1, drift=1)


def _has_profile(company: Company, customer: Customer) -> bool:
    tags = merge_tags(customer.profile, customer.existing_tags)
    expected = Profile(company_name(customer.profile, customer.customer_id), customer.profile.description, tags)
    return company.profile == expected and company.tagged_customer_id == customer.customer_id


def _finish_unfinished(customer_id: str, context: ReconcileContext, results: Results) -> None:
    """Finish a creation or deletion whose process crashed."""
    begun = context.customers.begin_deletion(customer_id, context.lease_request(), resume=True)
    if isinstance(begun, Deletion):
        finish_deletion(begun, context)
        results.counts.update(deletionsFinished=1, drift=1)
    elif begun is not None:
        find_out_creation(begun, context)
        results.counts.update(creationsFinished=1, drift=1)
