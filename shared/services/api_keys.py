"""Which API keys this deployment trusts, and how a new one proves itself.

Another Codat client's API key is a valid one. Under it a creation would make a company that we can't see later, and
every company of ours is a 404, as if it was deleted. So an API key has to show that it is this deployment's.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.errors import CodatRejectedCredentials

if TYPE_CHECKING:
    from shared.codat.client import Codat
    from shared.store.api_keys import ApiKeys
    from shared.store.customers import Customers

MAX_SAMPLE = 5
"""Companies of ours that an unknown API key is asked to show."""


class ApiKeyTrust:
    """Fingerprints that are trusted once stay so: `trusted` is kept across invocations."""

    def __init__(
        self, api_keys: "ApiKeys", customers: "Customers", now: Callable[[], datetime], trusted: set[str]
    ) -> None:
        self._api_keys = api_keys
        self._customers = customers
        self._now = now
        self._trusted = trusted

    def require(self, codat: "Codat", company_id: str | None) -> None:
        """Raise CodatRejectedCredentials unless the API key in use is trusted, or proves itself now.

        It does if Codat lists a trusted key beside it, or if it shows a company that has a pointer here: `company_id`,
        or one of a few others. The first key of a new deployment is trusted as soon as Codat accepts it.
        """
        fingerprint = codat.api_key_fingerprint()
        if fingerprint in self._trusted:
            return
        trusted = self._api_keys.trusted()
        if fingerprint not in trusted and not self._prove(fingerprint, trusted, codat, company_id):
            error = CodatRejectedCredentials(
                "The Codat API key in the secret is not trusted: it shows none of this deployment's companies. Nothing "
                "was created or deleted. If it is another Codat client's key, store the right one with "
                "`make rotate-api-key`. If it is right, confirm it with `make trust-api-key`."
            )
            error.had_no_effect = True
            raise error
        self._trusted.add(fingerprint)

    def _prove(self, fingerprint: str, trusted: frozenset[str], codat: "Codat", company_id: str | None) -> bool:
        if not trusted and not self._customers.has_any():
            codat.company_count()  # a mistyped key must not become the first
            return self._api_keys.trust_first(fingerprint, self._now())
        proof = None
        if trusted & codat.listed_fingerprints():
            proof = "listed beside a trusted key"
        elif self._shows_one_of_ours(codat, company_id):
            proof = "shows a company of ours"
        if proof is not None:
            self._api_keys.trust(fingerprint, proof, self._now())
        return proof is not None

    def _shows_one_of_ours(self, codat: "Codat", company_id: str | None) -> bool:
        if company_id is not None and self._customers.ownership(company_id).customer_id and codat.can_read(company_id):
            return True
        sample = self._customers.page(MAX_SAMPLE, None).items
        return any(codat.can_read(customer.company_id) for customer in sample if customer.company_id != company_id)
