"""Invitations, each as two items: by its token's hash, to open it, and by its id in the company's partition."""

from datetime import datetime, timedelta

from shared.domain.errors import CompanyGone, TooManyInvitations
from shared.domain.invitations import MAX_OPEN, Invitation
from shared.domain.timestamps import datetime_of, timestamp_of
from shared.store import keys
from shared.store.attributes import Item
from shared.store.customers import owned_pointer
from shared.store.table import ABSENT, MAX_WRITES, Condition, ConditionFailed, Table, check, delete, put

KEPT_AFTER_EXPIRY = timedelta(days=30)
"""For this time after its expiry time, the page says that the invitation has expired or was revoked."""

_EXISTS = Condition("attribute_exists(pk)")


class Invitations:
    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, invitation: Invitation, now: datetime) -> None:
        """Store a new invitation. Raises TooManyInvitations, and CompanyGone if the customer is being deleted."""
        company = check(keys.company(invitation.company_id), owned_pointer(invitation.customer_id))
        items = [put(item) for item in _items(invitation)]
        while True:  # each conflict is another invitation, until the limit is reached
            version, open_invitations = self._read(invitation.company_id, now)
            if len(open_invitations) >= MAX_OPEN:
                raise TooManyInvitations(invitation.customer_id, MAX_OPEN)
            # Without the count's version, concurrent calls would each see a free place, and exceed the limit.
            unchanged = Condition("version = :before", {":before": version}) if version else ABSENT
            count = {**keys.attributes(keys.invitations_version(invitation.company_id)), "version": version + 1}
            try:
                self._table.write(company, put(count, unchanged), *items)
            except ConditionFailed as failure:
                if failure.index == 0:
                    raise CompanyGone(invitation.customer_id) from failure
            else:
                return

    def open_of_company(self, company_id: str, now: datetime) -> list[Invitation]:
        """Return the open invitations, oldest first."""
        _, open_invitations = self._read(company_id, now)
        return sorted(open_invitations, key=lambda invitation: (invitation.created_at, invitation.invitation_id))

    def _read(self, company_id: str, now: datetime) -> tuple[int, list[Invitation]]:
        """Return the version of the company's count, and its open invitations."""
        version, invitations = 0, []
        for item in self._table.query(*keys.invitations(company_id)):
            if "version" in item:
                version = int(item["version"])
            else:
                invitations.append(_invitation(item))
        return version, [invitation for invitation in invitations if invitation.is_open(timestamp_of(now))]

    def find(self, company_id: str, invitation_id: str, now: datetime) -> Invitation | None:
        return self._get(keys.invitation(company_id, invitation_id), now)

    def find_by_hash(self, token_hash: str, now: datetime) -> Invitation | None:
        """Return the invitation, also one that has expired or was revoked."""
        return self._get(keys.invitation_token(token_hash), now)

    def _get(self, key: tuple[str, str], now: datetime) -> Invitation | None:
        item = self._table.get(key)
        # DynamoDB removes an item up to some days after its time.
        return _invitation(item) if item is not None and now.timestamp() < item["expiresAt"] else None

    def save(self, invitation: Invitation) -> None:
        """Store a change, unless the invitation was deleted with its customer: it must not come back."""
        self._table.try_write(*(put(item, _EXISTS) for item in _items(invitation)))

    def erase(self, company_id: str) -> None:
        """Delete all invitations of an ended company, so that none can be opened."""
        pk, prefix = keys.invitations(company_id)
        while items := self._table.query_page(pk, prefix, limit=MAX_WRITES // 2)[0]:
            own = [(item["pk"], item["sk"]) for item in items]
            by_hash = [keys.invitation_token(item["tokenHash"]) for item in items if "tokenHash" in item]
            self._table.write(*map(delete, [*by_hash, *own]))


def _items(invitation: Invitation) -> list[Item]:
    attributes = {
        "invitationId": invitation.invitation_id,
        "customerId": invitation.customer_id,
        "companyId": invitation.company_id,
        "platformKey": invitation.platform_key,
        "tokenHash": invitation.token_hash,
        "createdAt": invitation.created_at,
        "validUntil": invitation.expires_at,
        "revoked": invitation.is_revoked or None,
        "expiresAt": int((datetime_of(invitation.expires_at) + KEPT_AFTER_EXPIRY).timestamp()),
    }
    item_keys = (
        keys.invitation_token(invitation.token_hash),
        keys.invitation(invitation.company_id, invitation.invitation_id),
    )
    return [{**keys.attributes(key), **attributes} for key in item_keys]


def _invitation(item: Item) -> Invitation:
    return Invitation(
        invitation_id=item["invitationId"],
        customer_id=item["customerId"],
        company_id=item["companyId"],
        platform_key=item.get("platformKey"),
        token_hash=item["tokenHash"],
        created_at=item["createdAt"],
        expires_at=item["validUntil"],
        is_revoked=bool(item.get("revoked")),
    )
