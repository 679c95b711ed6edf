"""The main job for one customer: create, connect, authorise, unlink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.steps import OK, Steps

if TYPE_CHECKING:
    from typing import Any

_CREATED = 201


class Journey(Steps):
    def __init__(self, *parts: Any, name: str, **options: Any) -> None:
        """As `Steps`, and the customer's name."""
        super().__init__(*parts, **options)
        self._name = name

    def walk(self) -> None:
        """Raises StepFailedError at the first step that isn't as it should be."""
        self._create_customer()
        link_url = self._connect()
        self._follow(link_url)
        self._await("Codat's webhook makes it Linked", {"connection.connected"}, "Linked")
        self._unlink()
        self._await("Codat confirms, and it stays Unlinked", {"connection.disconnected"}, "Unlinked")

    def _create_customer(self) -> None:
        self._begin("The app creates its customer's Codat company")
        body = {"customerId": self.customer_id, "name": self._name}
        response = self._call("POST", "/customers", body)
        customer = self._checked(response, _CREATED)
        self._equal("Location", response.headers.get("location"), f"/customers/{self.customer_id}")
        self._equal("customerId", customer.get("customerId"), self.customer_id)
        self._equal("connections", customer.get("connections"), [])
        self.company_id = str(customer.get("companyId") or "")
        self._true(bool(self.company_id), "the answer has no companyId")

    def _connect(self) -> str:
        self._begin(f"The app connects {self.platform.name} and gets the customer's link")
        response = self._call("POST", f"{self._customer}/connections", {"platformKey": self.platform.key})
        connection = self._checked(response, _CREATED)
        self._is_ours(connection, "PendingAuth")
        self._equal("nextAction", connection.get("nextAction"), self.platform.next_action)
        self.connection_id = str(connection["connectionId"])
        return self._link_of(connection)

    def _unlink(self) -> None:
        self._begin("The app unlinks")
        response = self._call("POST", f"{self._connection}/unlink", None)
        self._is_ours(self._checked(response, OK), "Unlinked")
