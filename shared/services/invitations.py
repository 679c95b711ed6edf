"""Invite a person who is not in the app to connect a customer's platform.

The app gets a URL, and sends it by e-mail, for example. Opening it changes nothing, so mail scanners do no harm.
Following it creates the connection if there is none, and fetches a fresh link from Codat. That link goes to the person
alone: it is neither stored nor logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_fixed

from shared.domain import errors
from shared.domain.connections import Status
from shared.domain.customers import Customer
from shared.domain.invitations import Invitation, hash_of, new_token
from shared.domain.platforms import Platform
from shared.domain.timeline import INVITATION, Actor
from shared.domain.timestamps import timestamp_of
from shared.services.connections import create_connection, excludes
from shared.services.context import CodatContext, Context
from shared.services.links import require_link
from shared.services.platforms import available_platform, available_platforms
from shared.services.profile import get_customer

MAX_WAIT = 10.0
"""Seconds to wait for another call that creates the same connection: people press a button twice."""


@dataclass(frozen=True, slots=True)
class OpenedInvitation:
    """What the page of an open invitation shows."""

    customer_name: str = field(repr=False)
    platforms: tuple[Platform, ...]
    """The invitation's platform, or those to choose from. Empty if nothing is left to connect."""
    linked_platform: str | None
    """The name of the platform that was connected last, of those that the invitation is for."""


def create_invitation(
    customer_id: str, platform_key: str | None, days: int, context: CodatContext
) -> tuple[Invitation, str]:
    """Return a new invitation and its token, which can't be returned again.

    Raises CustomerNotFound, CompanyGone, UnknownPlatform and TooManyInvitations, and Codat's errors if a platform is
    named and no list of platforms is stored.
    """
    customer = get_customer(customer_id, context)
    if platform_key is not None:
        available_platform(platform_key, context)
    now, token = context.now(), new_token()
    invitation = Invitation(
        invitation_id=context.new_id(),
        customer_id=customer_id,
        company_id=customer.company_id,
        platform_key=platform_key,
        token_hash=hash_of(token),
        created_at=timestamp_of(now),
        expires_at=timestamp_of(now + timedelta(days=days)),
    )
    context.invitations.add(invitation, now)
    context.telemetry.note(invitation_id=invitation.invitation_id)
    _count("created", context)
    return invitation, token


def open_invitations(customer_id: str, context: Context) -> list[Invitation]:
    """Return the customer's open invitations, oldest first. Raises CustomerNotFound."""
    return context.invitations.open_of_company(get_customer(customer_id, context).company_id, context.now())


def revoke_invitation(customer_id: str, invitation_id: str, context: Context) -> None:
    """Revoke the invitation, unless it is revoked. Raises CustomerNotFound, InvitationNotFound."""
    company_id = get_customer(customer_id, context).company_id
    invitation = context.invitations.find(company_id, invitation_id, context.now())
    if invitation is None:
        raise errors.InvitationNotFound(customer_id, invitation_id)
    if not invitation.is_revoked:
        context.invitations.save(replace(invitation, is_revoked=True))


def open_invitation(token: str, context: CodatContext) -> OpenedInvitation:
    """Return what the page shows. It changes nothing.

    Raises InvitationUnknown, InvitationExpired or InvitationRevoked; UnknownPlatform or NoPlatformAvailable if its
    platform, or every platform, is no longer available; and Codat's errors if no list of platforms is stored.
    """
    invitation, customer = _require_open(token, context)
    return _counted(_opened(_offered(invitation, context), customer, context), context)


def follow_invitation(token: str, platform_key: str | None, context: CodatContext) -> str | OpenedInvitation:
    """Return a fresh link from Codat, for the invitation's platform or else for `platform_key`.

    Return what the page shows if the platform is connected already, or if `platform_key` is not available. Raises the
    errors of `open_invitation`, CreationInProgress, and Codat's errors, after which a repeated call completes.
    """
    invitation, customer = _require_open(token, context)
    context = replace(context, actor=Actor(INVITATION, invitation.invitation_id))
    offered = _offered(invitation, context)
    chosen = [platform for platform in offered if platform.key == (invitation.platform_key or platform_key)]
    opened = _opened(chosen or offered, customer, context)
    if not chosen or not opened.platforms:
        return _counted(opened, context)
    link_url = _fresh_link(customer, chosen[0], context)
    # It may have been revoked meanwhile.
    _, customer = _require_open(token, context)
    if link_url is None:
        return _counted(_opened(chosen, customer, context), context)
    _count("followed", context)
    return link_url


def _fresh_link(customer: Customer, platform: Platform, context: CodatContext) -> str | None:
    """Return a fresh link to connect the platform; None if Codat shows a linked connection in its place."""
    # Another call may be creating the connection.
    retrying = Retrying(
        retry=retry_if_exception_type(errors.CreationInProgress),
        wait=wait_fixed(0.5),
        stop=stop_before_delay(min(MAX_WAIT, context.codat.seconds_left())),
        reraise=True,
    )
    try:
        result = retrying(create_connection, customer.customer_id, platform, context)
    except (errors.CompanyGone, errors.CustomerNotFound) as error:
        raise _unknown(context) from error
    except errors.AccountingConnectionExists:
        return None
    return None if result.connection.status is Status.LINKED else require_link(result.link_url)


def _require_open(token: str, context: Context) -> tuple[Invitation, Customer]:
    """Return the invitation with its active customer. Raises InvitationUnknown, …Expired or …Revoked."""
    invitation = context.invitations.find_by_hash(hash_of(token), context.now())
    if invitation is None:
        raise _unknown(context)
    context.telemetry.note(customer_id=invitation.customer_id, invitation_id=invitation.invitation_id)
    if invitation.is_revoked:
        _count("revoked", context)
        raise errors.InvitationRevoked("The invitation was revoked.")
    if not invitation.is_open(context.timestamp()):
        _count("expired", context)
        raise errors.InvitationExpired("The invitation has expired.")
    customer = context.customers.find(invitation.customer_id)
    # A customer that was created again under the same id has another company.
    if customer is None or customer.company_id != invitation.company_id:
        raise _unknown(context)
    context.telemetry.note(company_id=customer.company_id)
    return invitation, customer


def _unknown(context: Context) -> errors.InvitationUnknown:
    _count("unknown", context)
    return errors.InvitationUnknown("There is no such invitation, or its customer was deleted.")


def _offered(invitation: Invitation, context: CodatContext) -> list[Platform]:
    """Return the platforms that the invitation is for. Raises UnknownPlatform or NoPlatformAvailable."""
    if invitation.platform_key is not None:
        return [available_platform(invitation.platform_key, context)]
    platforms = available_platforms(context)
    if not platforms:
        raise errors.NoPlatformAvailable
    return platforms


def _opened(platforms: Sequence[Platform], customer: Customer, context: Context) -> OpenedInvitation:
    """Return what the page shows of an invitation for these platforms."""
    connections = context.connections.of_company(customer.company_id)
    linked = [connection for connection in connections if connection.status is Status.LINKED]
    excluding = [connection for connection in linked if any(excludes(connection.source, each) for each in platforms)]
    last = max(excluding, key=lambda connection: connection.linked_at or "", default=None)
    return OpenedInvitation(
        customer_name=customer.profile.name,
        platforms=tuple(each for each in platforms if not any(excludes(other.source, each) for other in excluding)),
        linked_platform=None if last is None else last.source.platform_name,
    )


def _count(outcome: str, context: Context) -> None:
    context.telemetry.count("Invitation", outcome=outcome)


def _counted(opened: OpenedInvitation, context: Context) -> OpenedInvitation:
    _count("opened" if opened.platforms else "connected", context)
    return opened
