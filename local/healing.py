"""A webhook that never arrives, and the reconcile that finds what it would have said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.steps import OK, Steps

if TYPE_CHECKING:
    from collections.abc import Callable


class Healing(Steps):
    def walk(self, company_id: str, connection_id: str, lose: Callable[[], int]) -> None:
        """For a connection that was linked once and is not now. `lose` withdraws consent at the platform with
        Codat's webhooks dropped, and returns how many were.

        Raises StepFailedError at the first step that isn't as it should be.
        """
        self.company_id, self.connection_id = company_id, connection_id
        self._reconnect()
        self._lose(lose)
        self._reconcile()
        self._read_the_bus()

    def _reconnect(self) -> None:
        self._begin("The customer wants it back: the app asks for a fresh link")
        link_url = self._link_of(self._checked(self._call("POST", f"{self._connection}/link", None), OK))
        self._follow(link_url)
        self._await("Codat's webhook makes it Linked again", {"connection.reconnected"}, "Linked")

    def _lose(self, lose: Callable[[], int]) -> None:
        self._begin("The platform withdraws consent, and Codat's webhook about it is lost")
        lost = lose()
        self._observer.lost(lost)
        self._true(lost > 0, "no webhook was lost")
        self._state_is("Linked")

    def _reconcile(self) -> None:
        self._begin("Reconcile compares every stored state with Codat's")
        found = self._checked(self._call("POST", "/_local/reconcile", None), OK)
        self._equal("failed", found.get("failed"), 0)
        self._true(found.get("drift", 0) > 0, "no drift was found")
        self._state_is("Deauthorized")

    def _read_the_bus(self) -> None:
        self._begin("All of it was told on the event bus, where the app listens")
        response = self._api.get("/_local/events")
        ours = [event for event in response.json() if event["detail"].get("customerId") == self.customer_id]
        self._observer.bus(ours)
        statuses = [event["detail"].get("status") for event in ours]
        self._equal("the last status on the bus", statuses[-1:], ["Deauthorized"])
        self._true("Unlinked" in statuses, "the bus was never told of Unlinked")
