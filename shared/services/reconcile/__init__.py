"""Comparing the table with Codat, and healing what lost webhooks left behind.

`customers` goes through our own customers and asks Codat for their companies; `orphans` goes through Codat's pages for
companies that carry our tag and have no customer here. All messages are queued at once, and few are processed at a
time. Each is idempotent, and one batch is all that is in memory.
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
    """Queue all messages, and return how many; `adopt_ours` adopts the orphans that this service created."""
    return queue.send(_messages(customers, codat, adopt_ours=adopt_ours))


def _messages(customers: "Customers", codat: "Codat", *, adopt_ours: bool) -> Iterator[Mapping[str, Any]]:
    for batch in codat.batches(customers.all_ids()):
        yield {"kind": "customers", "customerIds": batch}
    for page in range(1, -(-codat.company_count() // PAGE_SIZE) + 1):
        yield {"kind": "orphans", "page": page, "adoptOurs": adopt_ours}


def process(message: Mapping[str, Any], context: ReconcileContext) -> Counts:
    """Process one message and return what was compared. Raises what stopped it; repeated, it does the rest."""
    if message["kind"] == "customers":
        return reconcile_customers(message["customerIds"], context)
    return reconcile_orphans(message["page"], context, adopt_ours=message["adoptOurs"])
