"""Compare the table with Codat, and repair the effects of lost webhooks.

`customers` compares our customers with their companies. `orphans` searches Codat's pages for companies that carry our
tag but have no customer. All messages are queued at once and processed a few at a time; each is idempotent.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.services.reconcile.context import PAGE_SIZE, Counts, ReconcileContext
from shared.services.reconcile.customers import reconcile_customers
from shared.services.reconcile.orphans import reconcile_orphans

if TYPE_CHECKING:
    from shared.codat.client import Codat
    from shared.messaging.queue import Queue
    from shared.store.customers import Customers

__all__ = ["Counts", "ReconcileContext", "plan", "process"]


def plan(customers: "Customers", codat: "Codat", queue: "Queue", *, adopt_ours: bool = False) -> int:
    """Queue all messages and return their number. With `adopt_ours`, orphans that this service created are adopted."""

    def messages() -> Iterator[Mapping[str, Any]]:
        for batch in codat.batches(customers.all_ids()):
            yield {"kind": "customers", "customerIds": batch}
        for page in range(1, -(-codat.company_count() // PAGE_SIZE) + 1):
            yield {"kind": "orphans", "page": page, "adoptOurs": adopt_ours}

    return queue.send(messages())


def process(message: Mapping[str, Any], context: ReconcileContext) -> Counts:
    """Process a message and return its counts. After an error, a repeated message continues where it stopped."""
    if message["kind"] == "customers":
        return reconcile_customers(message["customerIds"], context)
    return reconcile_orphans(message["page"], context, adopt_ours=message["adoptOurs"])
