"""An index of companies by tag, used by queries that contain an equality."""

from collections.abc import Iterable

from codat_simulator import query
from codat_simulator.models import Company


class TagIndex:
    """Companies by tag and value.

    Clients read tens of thousands of companies in batches of `uid=a||uid=b||...`. Without the index, each batch
    would read every company.
    """

    def __init__(self) -> None:
        self._companies: dict[tuple[str, str], dict[str, Company]] = {}

    def add(self, company: Company) -> None:
        for tag in company.tags.items():
            self._companies.setdefault(tag, {})[company.id] = company

    def remove(self, company: Company) -> None:
        for tag in company.tags.items():
            companies = self._companies.get(tag, {})
            companies.pop(company.id, None)
            if not companies:
                self._companies.pop(tag, None)

    def select(self, expression: query.Expression, companies: Iterable[Company]) -> list[Company]:
        """Return the matching companies, oldest first. `companies` is read only if the index can't be used."""
        candidates = self._candidates(expression)
        if candidates is not None:
            companies = sorted(candidates.values(), key=lambda company: company.number)
        return [company for company in companies if expression.holds(company.tags.get)]

    def _candidates(self, expression: query.Expression) -> dict[str, Company] | None:
        """Return a superset of the matching companies, or None if only a full scan can find them."""
        if isinstance(expression, query.Term):
            is_equality = expression.operator == "="
            return self._companies.get((expression.name, expression.value), {}) if is_equality else None
        parts = [self._candidates(part) for part in expression.parts]
        indexed = [part for part in parts if part is not None]
        if isinstance(expression, query.All):
            return min(indexed, key=len, default=None)
        if len(indexed) < len(parts):
            return None
        return {company_id: company for part in indexed for company_id, company in part.items()}
