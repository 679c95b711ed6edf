"""Compare the table with Codat, and repair the effects of lost webhooks.

`customers` compares our customers with their companies. `orphans` searches Codat's pages for companies that carry our
tag but have no customer. One message refreshes the list of platforms. All messages are queued at once and processed a
few at a time; each is idempotent.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.services.context import CodatContext
from shared.services.platforms import refresh_platforms
from shared.services.reconcile.context import ReconcileContext, Results
from shared.services.reconcile.customers import reconcile_customers
from shared.services.reconcile.orphans import reconcile_orphans

if TYPE_CHECKING:
    from shared.messaging.queue import Queue

__all__ = ["ReconcileContext", "plan", "process"]


def plan(queue: "Queue", context: CodatContext, *, adopt_ours: bool = False) -> int:
    """Queue all messages and return their number. With `adopt_ours`, orphans that this service created are adopted."""

    def messages() -> Iterator[Mapping[str, Any]]:
        yield {"kind": "platforms"}
        for batch in context.codat.batches(context.customers.all_ids()):
            yield {"kind": "customers", "customerIds": batch}
        for page in range(1, context.codat.company_pages() + 1):
            yield {"kind": "orphans", "page": page, "adoptOurs": adopt_ours}

    return queue.send(messages())


def process(message: Mapping[str, Any], context: ReconcileContext) -> Results:
    """Process a message. If there are errors, repeat it: it continues where it stopped."""
    results = Results()
    with results.collect_error():
        if message["kind"] == "customers":
            reconcile_customers(message["customerIds"], context, results)
        elif message["kind"] == "platforms":
            refresh_platforms(context)
        else:
            reconcile_orphans(message["page"], context, results, adopt_ours=message["adoptOurs"])
    return results
