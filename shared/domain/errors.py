"""Everything that can go wrong, as one tree.

    CodatCustomersError
    ├── Refused                          the caller must change something, or wait
    │   ├── CustomerNotFound
    │   ├── CustomerConflict             the id is taken by other content
    │   ├── CreationInProgress           retry_after
    │   ├── DeletionInProgress           retry_after
    │   ├── CompanyTaken                 the company belongs to another customer
    │   ├── CompanyUnknown               Codat has no such company
    │   ├── CompanyGone                  the customer's company was deleted
    │   ├── TooManyTags                  with those that an adopted company had before
    │   ├── InvalidQuery                 a query parameter
    │   ├── UnknownPlatform
    │   ├── ConnectionNotFound
    │   ├── AccountingConnectionExists   another platform is linked
    │   ├── ConnectionNotLinked
    │   └── ConnectionIsDeleted
    ├── CodatError                       correlation_id, retryable
    │   ├── CodatRejectedCredentials     401, 403
    │   ├── CodatAccountLimit            402
    │   ├── CodatNotFound                404
    │   ├── CodatBusy                    409: a request with this idempotency key still runs
    │   ├── CodatRejected                any other 4xx
    │   ├── CodatRateLimited             429; retry_after
    │   └── CodatUnavailable             5xx
    │       ├── CodatTimedOut            no answer: the work may have been done
    │       └── CodatMadeNoSense         an answer that is not what Codat's contract says
    ├── StoreUnavailable                 DynamoDB is throttled or out of reach
    ├── SecretsUnavailable               the secret can't be read
    ├── QueueUnavailable                 SQS is out of reach
    ├── QuotaReserved                    what is left of Codat's quota is kept for the app's own calls
    ├── NobodyThere                      Codat knows none of a batch's companies: is it another client's API key?
    ├── PartlyReconciled                 some of a batch could not be compared
    ├── NotAuthentic                     reason; a webhook that nobody vouches for
    └── Unreadable                       an authentic webhook that the code does not understand

Messages are shown to callers: they name ids and what to change, never a secret or a link URL.
"""

from collections.abc import Mapping


class CodatCustomersError(Exception):
    """The root: anything else that is raised is a bug."""


class Refused(CodatCustomersError):
    retry_after: int | None = None
    """Whole seconds after which the same call can succeed; None where waiting changes nothing."""


class CustomerNotFound(Refused):
    def __init__(self, customer_id: str) -> None:
        super().__init__(f"There is no customer {customer_id}. Create it with POST /customers.")


class CustomerConflict(Refused):
    def __init__(self, customer_id: str, fields: list[str]) -> None:
        super().__init__(
            f"Customer {customer_id} already exists with another {' and '.join(fields)}. "
            f"Send the same content, or change the customer with PATCH /customers/{customer_id}."
        )


class CreationInProgress(Refused):
    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(f"{what} is being created. Repeat this call in {retry_after} s.")
        self.retry_after = retry_after


class DeletionInProgress(Refused):
    def __init__(self, customer_id: str, retry_after: int) -> None:
        super().__init__(f"Customer {customer_id} is being deleted. Repeat this call in {retry_after} s.")
        self.retry_after = retry_after


class CompanyTaken(Refused):
    def __init__(self, company_id: str) -> None:
        super().__init__(f"Company {company_id} already belongs to another customer.")


class CompanyUnknown(Refused):
    def __init__(self, company_id: str) -> None:
        super().__init__(f"Codat has no company {company_id}.")


class CompanyGone(Refused):
    def __init__(self, customer_id: str) -> None:
        super().__init__(
            f"The company of customer {customer_id} was deleted at Codat. The customer goes with Codat's webhook or "
            f"the next reconcile, or at once with DELETE /customers/{customer_id}; then it can be created again."
        )


class TooManyTags(Refused):
    def __init__(self, kept: int) -> None:
        super().__init__(f"The company keeps {kept} tags of its own, and Codat takes ten: leave some out.")


class InvalidQuery(Refused):
    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.parameter = parameter


class UnknownPlatform(Refused):
    def __init__(self, key: str, on_offer: Mapping[str, str]) -> None:
        offer = ", ".join(f"{key} ({name})" for key, name in on_offer.items())
        super().__init__(f"'{key}' is not a platform on offer. On offer: {offer}.")
        self.on_offer = on_offer


class ConnectionNotFound(Refused):
    def __init__(self, customer_id: str, connection_id: str) -> None:
        super().__init__(f"Customer {customer_id} has no connection {connection_id}.")


class AccountingConnectionExists(Refused):
    def __init__(self, platform_name: str, connection_id: str) -> None:
        super().__init__(
            f"{platform_name} is linked by connection {connection_id}, and a customer has one accounting "
            "platform at a time. Unlink or delete that connection first."
        )


class ConnectionNotLinked(Refused):
    def __init__(self, connection_id: str, status: str) -> None:
        super().__init__(f"Connection {connection_id} is {status}: only a Linked one can be unlinked.")


class ConnectionIsDeleted(Refused):
    def __init__(self, connection_id: str) -> None:
        super().__init__(f"Connection {connection_id} was deleted and cannot come back. Create a new connection.")


class CodatError(CodatCustomersError):
    retryable = False
    """Whether the same request, sent again, can succeed without anybody changing anything."""

    retry_after: int | None = None
    """Whole seconds, where Codat said so."""

    def __init__(self, message: str, *, correlation_id: str | None = None) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id


class CodatRejectedCredentials(CodatError):
    def __init__(self, message: str, *, refreshed: bool = False, correlation_id: str | None = None) -> None:
        super().__init__(message, correlation_id=correlation_id)
        self.retryable = refreshed
        """True where the credentials were another's by now, and have just been read again."""


class CodatAccountLimit(CodatError):
    pass


class CodatNotFound(CodatError):
    pass


class CodatRejected(CodatError):
    pass


class CodatBusy(CodatError):
    retryable = True


class CodatRateLimited(CodatError):
    retryable = True

    def __init__(self, message: str, *, retry_after: int, correlation_id: str | None = None) -> None:
        super().__init__(message, correlation_id=correlation_id)
        self.retry_after = retry_after


class CodatUnavailable(CodatError):
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        fingerprint: str | None = None,
        retry_after: int | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(message, correlation_id=correlation_id)
        self.retry_after = retry_after
        self.fingerprint = fingerprint
        """Tells one answer of Codat's from another; None where the request may still run: there was no answer, or it
        came from a gateway in front of Codat.
        """


class CodatTimedOut(CodatUnavailable):
    pass


class CodatMadeNoSense(CodatUnavailable):
    pass


class StoreUnavailable(CodatCustomersError):
    pass


class SecretsUnavailable(CodatCustomersError):
    pass


class QueueUnavailable(CodatCustomersError):
    pass


class QuotaReserved(CodatCustomersError):
    def __init__(self, remaining: int) -> None:
        super().__init__(f"{remaining} requests are left of Codat's quota; they are kept for callers.")


class NobodyThere(CodatCustomersError):
    def __init__(self, companies: int) -> None:
        super().__init__(
            f"Codat knows none of {companies} companies; is the API key another client's? Nothing was ended."
        )


class PartlyReconciled(CodatCustomersError):
    def __init__(self, failures: int, first: str, found: Mapping[str, int]) -> None:
        super().__init__(f"{failures} could not be reconciled; the first: {first}")
        self.found = found
        """What was found, and healed, of the others."""


class NotAuthentic(CodatCustomersError):
    def __init__(self, reason: str) -> None:
        super().__init__("The webhook's signature could not be verified.")
        self.reason = reason
        """A word for the metric; the sender is not told which check failed."""


class Unreadable(CodatCustomersError):
    """The message says what was not understood, without quoting the body."""
