"""Healing what webhooks did not tell: the table and Codat compared, in two walks of messages.

`ours` goes through our own listing and asks Codat for those companies; `strays` goes through Codat's pages for
companies that carry our tag and are nobody's here. All messages are queued at once and few are worked on at a time;
each is idempotent, and what a batch holds is all that is in memory.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.services.ours import heal_ours
from shared.services.ports import Codat, Customers, Queue
from shared.services.strays import find_strays
from shared.services.walk import PAGE_SIZE, Found, World


def plan(*, customers: Customers, codat: Codat, queue: Queue) -> int:
    """Queues both walks; the number of messages."""
    return queue.send(_messages(customers, codat))


def _messages(customers: Customers, codat: Codat) -> Iterator[Mapping[str, Any]]:
    for batch in codat.fitting(customers.all_ids()):
        yield {"walk": "ours", "customerIds": batch}
    for page in range(1, -(-codat.company_count() // PAGE_SIZE) + 1):
        yield {"walk": "strays", "page": page}


def work_on(message: Mapping[str, Any], world: World) -> Found:
    """Does one message's part, and says what it found. Raises what stopped it; repeated, it does the rest."""
    if message["walk"] == "ours":
        return heal_ours(message["customerIds"], world)
    return find_strays(message["page"], world)
