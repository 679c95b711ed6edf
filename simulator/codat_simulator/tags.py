"""Which companies a tag query means, found by an index where one of its parts is an equality."""

from collections.abc import Iterable, Iterator

from codat_simulator import query
from codat_simulator.records import Company


class TagIndex:
    """Companies by (tag, value).

    `uid=a||uid=b||...` over tens of thousands of companies is how a whole estate is read in
    batches; without the index each batch would look at every company.
    """

    def __init__(self) -> None:
        self._companies: dict[tuple[str, str], dict[str, Company]] = {}

    def add(self, company: Company) -> None:
        for tag in company.tags.items():
            self._companies.setdefault(tag, {})[company.id] = company

    def remove(self, company: Company) -> None:
        for tag in company.tags.items():
            found = self._companies.get(tag, {})
            found.pop(company.id, None)
            if not found:
                self._companies.pop(tag, None)

    def select(self, expression: query.Expression, everyone: Iterable[Company]) -> list[Company]:
        """Those for whom the expression holds, oldest first."""
        candidates = self._candidates(expression)
        if candidates is not None:
            everyone = sorted(candidates.values(), key=lambda company: company.number)
        return list(_matching(expression, everyone))

    def _candidates(self, expression: query.Expression) -> dict[str, Company] | None:
        """A superset of the answer, or None where only a walk over everyone finds it."""
        if isinstance(expression, query.Term):
            if expression.operator != "=":
                return None
            return self._companies.get((expression.name, expression.value), {})
        found = [self._candidates(part) for part in expression.parts]
        known = [part for part in found if part is not None]
        if isinstance(expression, query.All):
            return min(known, key=len, default=None)
        if len(known) < len(found):
            return None
        return {company_id: company for part in known for company_id, company in part.items()}


def _matching(expression: query.Expression, companies: Iterable[Company]) -> Iterator[Company]:
    return (company for company in companies if expression.holds(company.tags.get))
