"""The page of an invitation in each of its states, on a running stack."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from codat_simulator.faults import Fault

from shared.domain.invitations import Invitation, hash_of, new_token
from shared.domain.timestamps import timestamp_of
from shared.store.invitations import Invitations
from shared.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from codat_simulator.server import CodatServer
    from playwright.sync_api import Page

    from local.running import Stack

STATES = ("ready", "choice", "connected", "expired", "revoked", "unknown", "unknown-platform", "unavailable")


@dataclass(frozen=True, slots=True)
class InvitationPages:
    """A customer whose invitations are in all states."""

    api: httpx.Client
    stack: Stack
    codat: CodatServer

    def show(self, state: str, page: Page) -> None:
        """Open the page in this state."""
        if state == "unavailable":
            with self._codat_down():
                page.goto(self.invite(platformKey="qhyg"))
                page.get_by_role("button").click()
                page.get_by_role("button", name="Try again").wait_for()
        else:
            page.goto(self.url(state))

    def url(self, state: str) -> str:
        urls: dict[str, Callable[[], str]] = {
            "ready": lambda: self.invite(platformKey="qhyg"),
            "choice": self.invite,
            "connected": self._connected,
            "expired": lambda: self._stored(platform_key=None, days=-1),
            "revoked": self._revoked,
            "unknown": lambda: f"{self.stack.url}/connect/{new_token()}",
            "unknown-platform": lambda: self._stored(platform_key="none", days=7),
        }
        return urls[state]()

    def customer(self) -> str:
        """Create a customer, and return its id."""
        customer_id = f"c-{uuid4()}"
        self._call("POST", "/customers", {"customerId": customer_id, "name": "Bloom & Daughters Ltd"})
        return customer_id

    def invite(self, **body: Any) -> str:
        url: str = self._call("POST", f"/customers/{self.customer()}/invitations", body)["url"]
        return url

    def _connected(self) -> str:
        customer_id = self.customer()
        path = f"/customers/{customer_id}"
        connection = self._call("POST", f"{path}/connections", {"platformKey": "qhyg"})
        self.codat.state.link(connection["companyId"], connection["connectionId"])
        self.codat.wait_idle()
        return str(self._call("POST", f"{path}/invitations", {})["url"])

    def _stored(self, *, platform_key: str | None, days: int) -> str:
        """Store an invitation as no call creates it, which expires in `days`."""
        customer = self._call("GET", f"/customers/{self.customer()}")
        token, now = new_token(), datetime.now(UTC)
        invitation = Invitation(
            invitation_id=str(uuid4()),
            customer_id=customer["customerId"],
            company_id=customer["companyId"],
            platform_key=platform_key,
            token_hash=hash_of(token),
            created_at=timestamp_of(now - timedelta(days=8)),
            expires_at=timestamp_of(now + timedelta(days=days)),
        )
        Invitations(Table(self.stack.dynamodb, self.stack.table_name)).add(invitation, now)
        return f"{self.stack.url}/connect/{token}"

    def _revoked(self) -> str:
        path = f"/customers/{self.customer()}/invitations"
        invitation = self._call("POST", path, {})
        self.api.delete(f"{path}/{invitation['invitationId']}").raise_for_status()
        return str(invitation["url"])

    @contextmanager
    def _codat_down(self) -> Iterator[None]:
        fault = self.codat.faults.add(Fault(kind="status", status=503, path="/companies/*/connections"))
        try:
            yield
        finally:
            self.codat.faults.remove(fault)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        document: dict[str, Any] = self.api.request(method, path, json=body).raise_for_status().json()
        return document
