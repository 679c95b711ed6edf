"""A customer with a company for the webhooks of these tests: webhooks of other companies are ignored."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.customers import Profile
from shared.domain.leases import CreationLease, LeaseRequest
from shared.store.customers import Customers
from shared.store.table import Table
from tests.conftest import App
from tests.integration.webhook_security.posting import COMPANY_ID


@pytest.fixture(autouse=True)
def customer_with_company(app: App) -> None:
    customers, now = Customers(Table(app.stack.dynamodb, app.stack.table_name)), datetime.now(UTC)
    request = LeaseRequest(now, timedelta(seconds=30), "owner", "idempotency key", "creation")
    lease = customers.acquire("c-1", Profile("Bank of Dave"), request)
    assert isinstance(lease, CreationLease)
    customers.activate(lease, COMPANY_ID, now, {})
