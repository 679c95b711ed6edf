"""The main job for one customer: create, connect, authorise, unlink."""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.steps import OK, Steps

if TYPE_CHECKING:
    from typing import Any

_CREATED = 201
UNAUTHORIZED = 401


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
        self._forge()
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

    def _forge(self) -> None:
        self._begin("A stranger claims that it was deleted, and is refused")
        response = self._api.post("/webhooks/codat", json=self._deletion(), headers=_forged_headers())
        self._tell_webhooks()
        self._equal("answer to a forged webhook", response.status_code, UNAUTHORIZED)
        self._state_is("Linked")

    def _deletion(self) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "eventType": "connection.deleted",
            "generatedDate": datetime.now(UTC).isoformat(),
            "payload": {
                "referenceCompany": {"id": self.company_id, "tags": {"uid": self.customer_id}},
                "connection": {
                    "id": self.connection_id,
                    "integrationKey": self.platform.key,
                    "platformName": self.platform.name,
                    "sourceType": "Accounting",
                    "status": "Linked",
                    "created": datetime.now(UTC).isoformat(),
                },
            },
        }

    def _unlink(self) -> None:
        self._begin("The app unlinks")
        response = self._call("POST", f"{self._connection}/unlink", None)
        self._is_ours(self._checked(response, OK), "Unlinked")


def _forged_headers() -> dict[str, str]:
    """All that a real delivery has, but for a secret to sign it with."""
    signature = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "webhook-id": f"msg_{secrets.token_hex(12)}",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": f"v1,{signature}",
    }
