"""The API keys that a deployment trusts, and the proofs by which a new key becomes trusted.

A key of another Codat client is valid, but it can't see our companies. With it, creations would make companies that we
can't find later, and every company of ours would look deleted. So a key must prove that it is this deployment's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.errors import CodatRejectedCredentials

if TYPE_CHECKING:
    from shared.codat.client import Codat
    from shared.store.api_keys import ApiKeys
    from shared.store.customers import Customers

MAX_SAMPLE = 5
"""Companies of ours that are read with an unknown API key."""


@dataclass(frozen=True, slots=True)
class ApiKeyTrust:
    api_keys: "ApiKeys"
    customers: "Customers"
    now: Callable[[], datetime]
    trusted: set[str]
    """A cache of fingerprints, kept across invocations."""

    def require(self, codat: "Codat", company_id: str | None) -> None:
        """Raise CodatRejectedCredentials unless the API key in use is trusted, or becomes so by a proof.

        The proof is that it can read a company that has a pointer here, `company_id` or one of a sample, or that Codat
        lists a trusted key beside it. Raises Codat's errors if neither can be found out, and StoreUnavailable. A new
        deployment trusts the first key that Codat accepts.
        """
        if codat.api_key_fingerprint() in self.trusted:
            return
        trusted = self.api_keys.trusted()
        if codat.api_key_fingerprint() not in trusted and not self._prove(trusted, codat, company_id):
            raise CodatRejectedCredentials(
                "The Codat API key in the secret is not trusted: it can't read this deployment's companies. Nothing "
                "was created or deleted. If it is another Codat client's key, store the right one with "
                "`make rotate-api-key MANUAL=1`. If it is right, confirm it with `make trust-api-key`.",
                had_no_effect=True,
            )
        self.trusted.add(codat.api_key_fingerprint())

    def _prove(self, trusted: frozenset[str], codat: "Codat", company_id: str | None) -> bool:
        """Return whether a proof was found, and store it.

        The fingerprint is that of the last request's key: after a 401 the key is read again.
        """
        if not trusted and not self.customers.has_any():
            codat.company_pages()  # raises if Codat rejects the key, so that a mistyped one is not trusted
            return self.api_keys.trust_first(codat.api_key_fingerprint(), self.now())
        # The list comes second, so that it isn't needed if Codat fails to return it.
        if self._can_read_own_company(codat, company_id):
            proof = "can read a company of ours"
        elif trusted & codat.listed_fingerprints():
            proof = "listed beside a trusted key"
        else:
            return False
        self.api_keys.trust(codat.api_key_fingerprint(), proof, self.now())
        return True

    def _can_read_own_company(self, codat: "Codat", company_id: str | None) -> bool:
        if company_id is not None and self.customers.ownership(company_id).customer_id and codat.can_read(company_id):
            return True
        sample, _ = self.customers.page(MAX_SAMPLE, None)
        return any(codat.can_read(customer.company_id) for customer in sample if customer.company_id != company_id)
