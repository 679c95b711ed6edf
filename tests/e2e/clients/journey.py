"""The rest of the journey with the generated client. docs/calling.md's example, before it, has created the customer.

The test writes both into one file: `client` and the imports are the example's.
"""
# mypy: ignore-errors

import time

from codat_customers_client.api.connections import (
    create_access_token,
    create_connection,
    create_connection_link,
    create_customer_link,
    delete_connection,
    get_connection,
    list_connections,
    list_connections_of_customer,
    list_timeline,
    unlink_connection,
)
from codat_customers_client.api.customers import change_customer, delete_customer, get_customer, list_customers
from codat_customers_client.api.invitations import create_invitation, list_invitations, revoke_invitation
from codat_customers_client.api.platforms import list_platforms
from codat_customers_client.models import (
    AccountingConnectionExistsProblem,
    ChangedCustomer,
    CustomerConflictProblem,
    CustomerNotFoundProblem,
    InvalidQueryProblem,
    ListConnectionsStatus,
    NewConnection,
    NewInvitation,
    NextAction,
    Status,
    ValidationErrorProblem,
)

acme = {"client": client, "customer_id": "acme"}
assert isinstance(answer, Customer), answer
assert get_customer.sync(**acme).name == "Acme Ltd"
assert [customer.customer_id for customer in list_customers.sync(client=client, limit=10).customers] == ["acme"]
assert list_customers.sync(client=client, company_id=answer.company_id).customers == [answer]

conflict = create_customer.sync(client=client, body=NewCustomer(customer_id="acme", name="Brook Ltd"))
assert isinstance(conflict, CustomerConflictProblem), conflict
assert (conflict.type_, conflict.status) == ("customer-conflict", 409)
invalid = create_customer.sync(client=client, body=NewCustomer(customer_id="a b", name="Brook Ltd"))
assert isinstance(invalid, ValidationErrorProblem), invalid
assert invalid.errors[0].field == "customerId"
assert isinstance(get_customer.sync(client=client, customer_id="brook"), CustomerNotFoundProblem)
assert isinstance(list_connections.sync(client=client), InvalidQueryProblem)

assert create_customer_link.sync(**acme).link_url.startswith("http")
assert create_access_token.sync(**acme).token_type == "Bearer"
assert "qhyg" in {platform.platform_key for platform in list_platforms.sync(client=client).platforms}
created = create_connection.sync(**acme, body=NewConnection(platform_key="qhyg"))
assert (created.status, created.next_action) == (Status.PENDINGAUTH, NextAction.AUTHORIZE)
httpx.post(created.link_url, data={"action": "authorize"}).raise_for_status()
ids = {**acme, "connection_id": created.connection_id}
while (connection := get_connection.sync(**ids)).status is not Status.LINKED:
    time.sleep(0.1)
assert connection.linked_at is not None
assert connection.linked_at.tzinfo is not None
listed = list_connections.sync(client=client, status=ListConnectionsStatus.LINKED).connections
assert [each.connection_id for each in listed] == [created.connection_id]
assert list_connections.sync(client=client, attention="true").connections == []
assert isinstance(
    create_connection.sync(**acme, body=NewConnection(platform_key="gbol")), AccountingConnectionExistsProblem
)
assert unlink_connection.sync(**ids).next_action is NextAction.RECONNECT
assert create_connection_link.sync(**ids).issued_at.tzinfo is not None
assert "unlinked" in {entry.event_type for entry in list_timeline.sync(**ids).events}
invitation = create_invitation.sync(**acme, body=NewInvitation(expires_in_days=14))
assert (invitation.platform_key, "/connect/" in invitation.url) == (None, True)
assert [each.invitation_id for each in list_invitations.sync(**acme).invitations] == [invitation.invitation_id]
assert revoke_invitation.sync_detailed(**acme, invitation_id=invitation.invitation_id).status_code == 204
assert change_customer.sync(**acme, body=ChangedCustomer(name="Acme Group")).name == "Acme Group"
assert len(list_connections_of_customer.sync(**acme).connections) == 1
assert delete_connection.sync_detailed(**ids).status_code == 204
assert delete_customer.sync_detailed(**acme).status_code == 204
print("complete")
