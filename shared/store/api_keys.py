"""The fingerprints of the API keys that this deployment trusts."""

from datetime import datetime

from shared.domain.timestamps import timestamp_of
from shared.store import keys
from shared.store.table import ABSENT, ConditionFailed, Table, put


class ApiKeys:
    def __init__(self, table: Table) -> None:
        self._table = table

    def trusted(self) -> frozenset[str]:
        items = self._table.query(*keys.api_key(""))
        return frozenset(item["sk"].removeprefix(keys.API_KEY_PREFIX) for item in items)

    def trust(self, fingerprint: str, proof: str, now: datetime) -> None:
        self._table.write(put(_item(fingerprint, proof, now)))

    def trust_first(self, fingerprint: str, now: datetime) -> bool:
        """Trust the first key of a new deployment. Return False if another key was first."""
        # Without the condition, two functions with different keys would both trust their own.
        first = {**keys.attributes(keys.FIRST_API_KEY), "fingerprint": fingerprint}
        try:
            self._table.write(put(first, ABSENT), put(_item(fingerprint, "first key of a new deployment", now)))
        except ConditionFailed as failure:
            return (failure.existing or {}).get("fingerprint") == fingerprint
        return True


def _item(fingerprint: str, proof: str, now: datetime) -> dict[str, str]:
    return {**keys.attributes(keys.api_key(fingerprint)), "proof": proof, "trustedAt": timestamp_of(now)}
