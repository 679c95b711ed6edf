"""The errors of the project, as one tree.

    CodatCustomersError
    ├── Refused                          the caller must change something, or wait; see the classes
    ├── CodatError                       correlation_id, retryable, is_answer, had_no_effect
    │   ├── CodatRejectedCredentials     401, 403, or an untrusted API key
    │   ├── CodatAccountLimit            402
    │   ├── CodatNotFound                404
    │   ├── CodatBusy                    409: a request with this idempotency key is still running
    │   ├── CodatRejected                any other 4xx
    │   ├── CodatRateLimited             429; retry_after
    │   └── CodatUnavailable             5xx, or an error from a gateway in front of Codat
    │       ├── CodatTimedOut            no response: Codat may have done the work
    │       └── CodatInvalidResponse     a response that breaks Codat's contract
    ├── StoreUnavailable                 DynamoDB throttles or can't be reached
    ├── SecretsUnavailable               Secrets Manager can't be read
    ├── QueueUnavailable                 SQS can't be reached
    ├── NotReconciled                    a batch that the queue retries
    ├── NotAuthentic                     reason; a webhook without a valid signature
    └── UnparseableEvent                 an authentic webhook that can't be parsed; does not quote its body

Any other exception is a bug. Callers receive the messages: they contain ids and the required change, but no secret and
no link URL.
"""

from collections.abc import Mapping

_NO_PLATFORM = (
    "No platform is available. Enable one in Codat's portal, and check the parameters PlatformKeys and SourceTypes."
)


class CodatCustomersError(Exception): ...


class Refused(CodatCustomersError):
    retry_after: int | None = None
    """Whole seconds after which the same call can succeed; None if waiting does not help."""
    field: str | None = None
    """The field or query parameter that has to change."""


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
    def __init__(self, subject: str, retry_after: int) -> None:
        super().__init__(f"{subject} is being created. Repeat this call in {retry_after} s.")
        self.retry_after = retry_after


class DeletionInProgress(Refused):
    def __init__(self, customer_id: str, retry_after: int) -> None:
        super().__init__(f"Customer {customer_id} is being deleted. Repeat this call in {retry_after} s.")
        self.retry_after = retry_after


class CompanyTaken(Refused):
    def __init__(self, company_id: str) -> None:
        super().__init__(f"Company {company_id} already belongs to another customer.")


class CompanyUnknown(Refused):
    field = "companyId"

    def __init__(self, company_id: str) -> None:
        super().__init__(f"Codat has no company {company_id}. Send the id of an existing company.")


class CompanyGone(Refused):
    def __init__(self, customer_id: str) -> None:
        super().__init__(
            f"The company of customer {customer_id} was deleted at Codat. Codat's webhook or the next reconcile "
            f"deletes the customer. To create it again at once, call DELETE /customers/{customer_id} first."
        )


class TooManyTags(Refused):
    field = "tags"

    def __init__(self, existing: int) -> None:
        super().__init__(f"The company keeps {existing} existing tags, and Codat allows ten. Send fewer tags.")


class InvalidQuery(Refused):
    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(f"{parameter}: {detail}")
        self.field = parameter


class UnknownPlatform(Refused):
    field = "platformKey"

    def __init__(self, key: str, available: Mapping[str, str]) -> None:
        names = ", ".join(f"{key} ({name})" for key, name in available.items())
        hint = f"Available: {names}." if names else _NO_PLATFORM
        super().__init__(f"'{key}' is not an available platform. {hint}")
        self.available = available


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
        super().__init__(f"Connection {connection_id} is {status}. Only a Linked connection can be unlinked.")


class ConnectionIsDeleted(Refused):
    def __init__(self, connection_id: str) -> None:
        super().__init__(f"Connection {connection_id} was deleted and cannot come back. Create a new connection.")


class InvitationNotFound(Refused):
    def __init__(self, customer_id: str, invitation_id: str) -> None:
        super().__init__(f"Customer {customer_id} has no invitation {invitation_id}.")


class TooManyInvitations(Refused):
    def __init__(self, customer_id: str, limit: int) -> None:
        super().__init__(
            f"Customer {customer_id} has {limit} open invitations, the most allowed. Revoke one with "
            f"DELETE /customers/{customer_id}/invitations/{{invitationId}}."
        )


class InvitationUnknown(Refused):
    """The person who opens an invitation sees a page in the app's words instead of the message."""


class NoPlatformAvailable(Refused):
    def __init__(self) -> None:
        super().__init__(_NO_PLATFORM)


class InvitationExpired(Refused): ...


class InvitationRevoked(Refused): ...


class CodatError(CodatCustomersError):
    status: int | None = None
    """HTTP status; None without a response."""
    retryable = False
    """True if the same request can succeed later without any change."""
    retry_after: int | None = None
    """Whole seconds, from Codat's `Retry-After`."""
    is_answer = False
    """True if Codat itself responded, so the request is no longer running."""

    def __init__(self, message: str, *, correlation_id: str | None = None, had_no_effect: bool = False) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id
        self.had_no_effect = had_no_effect
        """True if the request was refused before any work, or was not sent."""

    @property
    def answer_id(self) -> str | None:
        """Identify Codat's response, to recognise a replay; None without a correlation id, which alone is unique."""
        return f"{self.status}:{self.correlation_id}" if self.is_answer and self.correlation_id else None


class CodatRejectedCredentials(CodatError): ...


class CodatAccountLimit(CodatError): ...


class CodatNotFound(CodatError): ...


class CodatRejected(CodatError): ...


class CodatBusy(CodatError):
    retryable = True


class CodatRateLimited(CodatError):
    retryable = True


class CodatUnavailable(CodatError):
    retryable = True


class CodatTimedOut(CodatUnavailable): ...


class CodatInvalidResponse(CodatUnavailable): ...


class StoreUnavailable(CodatCustomersError): ...


class SecretsUnavailable(CodatCustomersError): ...


class QueueUnavailable(CodatCustomersError): ...


class NotReconciled(CodatCustomersError): ...


class NotAuthentic(CodatCustomersError):
    def __init__(self, reason: str) -> None:
        super().__init__("The webhook's signature could not be verified.")
        self.reason = reason
        """A word for the metric. The sender doesn't receive it."""


class UnparseableEvent(CodatCustomersError): ...
