"""Earlier versions of companies, for lists with a lag."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from codat_simulator.models import Company

_MAX_CHANGES = 100_000


@dataclass(frozen=True)
class _Change:
    at: datetime
    company_id: str
    before: Company | None


class History:
    """An undo log of the last 100,000 changes. Callers hold the state's lock."""

    def __init__(self) -> None:
        self._changes: deque[_Change] = deque(maxlen=_MAX_CHANGES)

    def record(self, at: datetime, company_id: str, before: Company | None) -> None:
        """Copy a company before a change. `before` is None if the change creates the company."""
        if before is not None:
            before = replace(before, connections={c.id: replace(c) for c in before.connections.values()})
        self._changes.append(_Change(at, company_id, before))

    def rewind(self, companies: Mapping[str, Company], at_time: datetime) -> dict[str, Company]:
        """Return the companies by id as they were at `at_time`, oldest first."""
        earlier = dict(companies)
        for change in reversed(self._changes):
            if change.at <= at_time:
                break
            if change.before is None:
                earlier.pop(change.company_id, None)
            else:
                earlier[change.company_id] = change.before
        return {company.id: company for company in sorted(earlier.values(), key=lambda company: company.number)}

    def clear(self) -> None:
        self._changes.clear()
