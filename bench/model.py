"""The model of a cold start: from measured CPU time to the duration and the price at a memory size.

Lambda runs the init phase on a full processor, and an invocation on a share of one that grows with the memory. AWS
documents the share (1,769 MB are one processor) but not the full processor in the init phase, which is observed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MB_OF_ONE_PROCESSOR = 1769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
DOLLARS_PER_GB_SECOND = 0.0000133334
"""On arm64, without the price of the request: https://aws.amazon.com/lambda/pricing/. The init phase is billed, too."""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """CPU time in milliseconds."""

    init: float
    first_invocation: float

    @property
    def sum(self) -> float:
        return self.init + self.first_invocation

    def duration(self, memory: int) -> float:
        """Return the modelled milliseconds at this memory size in MB."""
        return self.init + self.first_invocation / min(1.0, memory / MB_OF_ONE_PROCESSOR)

    def dollars(self, memory: int) -> float:
        """Return the price of the duration. Lambda bills whole milliseconds."""
        return math.ceil(self.duration(memory)) / 1000 * memory / 1024 * DOLLARS_PER_GB_SECOND


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least this percentage of the values doesn't exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
