"""Invitations of a customer that is being deleted."""

from uuid import uuid4

import pytest

from shared.domain.errors import CompanyGone
from shared.domain.invitations import Invitation, hash_of
from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.invitations import Invitations
from shared.store.table import Table, put
from tests.integration.store.conftest import NOW


@pytest.mark.parametrize("pointer", [None, {"customerId": "acme", "ended": True}, {"customerId": "other"}])
def test_no_invitation_is_added_without_the_customers_company(table: Table, pointer: dict[str, object] | None) -> None:
    """GIVEN a deletion that has begun THEN an invitation would outlive it."""
    company_id = str(uuid4())
    if pointer:
        table.write(put({**keys.attributes(keys.company(company_id)), **pointer}))
    at = timestamp_of(NOW)
    with pytest.raises(CompanyGone):
        Invitations(table).add(Invitation("i-1", "acme", company_id, None, hash_of(company_id), at, at), NOW)
    assert table.query(*keys.invitations(company_id)) == []
