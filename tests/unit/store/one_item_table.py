"""A table of one item, with the two conditions that leases use."""

from typing import TYPE_CHECKING

from shared.store.table import ABSENT, ConditionFailed, Write

if TYPE_CHECKING:
    from shared.store.attributes import Item


class OneItemTable:
    def __init__(self) -> None:
        self.item: Item | None = None

    def write(self, write: Write) -> None:
        condition, existing = write.condition, self.item
        if condition == ABSENT:
            holds = existing is None
        else:
            assert condition is not None
            assert condition.expression == "leaseOwner = :owner"
            holds = existing is not None and existing["leaseOwner"] == (condition.values or {})[":owner"]
        if not holds:
            raise ConditionFailed(0, existing)
        self.item = None if write.item is None else {n: value for n, value in write.item.items() if value is not None}

    def try_write(self, write: Write) -> bool:
        try:
            self.write(write)
        except ConditionFailed:
            return False
        return True
