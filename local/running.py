"""A running stack on this machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codat_simulator.server import CodatServer
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.aws.bus import Bus
    from local.aws.publisher import Publisher
    from local.aws.reconcile import Reconcile
    from local.settings import LocalSettings
    from local.template import Template

logger = logging.getLogger("local.stack")


@dataclass(frozen=True, slots=True)
class Stack:
    """`codat` is the simulator; None if the settings name another Codat."""

    url: str
    settings: LocalSettings
    template: Template
    codat_url: str
    codat: CodatServer | None
    dynamodb: DynamoDBClient
    bus: Bus
    publisher: Publisher
    reconcile: Reconcile

    @property
    def table_name(self) -> str:
        return self.template.physical_id("Table")

    def events(self) -> list[dict[str, Any]]:
        """Return the events on the bus, oldest first. Wait up to 10 s for those of earlier writes."""
        if not self.publisher.drain():
            logger.warning("Some writes are not published yet")
        return self.bus.events()
