"""Faults of Codat, chosen by a seed."""

import random
from typing import Any

import pytest
from codat_simulator.faults import Fault

from shared.codat import transport

READ_SECONDS = 0.4
"""In place of 9, so that a slow Codat costs a test little time."""

KINDS: list[dict[str, Any]] = [
    *({"kind": "status", "status": status, "when": when} for status in (500, 503) for when in ("before", "after")),
    {"kind": "status", "status": 503, "cached": False},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "drop", "when": "before"},
    {"kind": "drop", "when": "after"},
    {"kind": "latency", "when": "before", "seconds": 1.5 * READ_SECONDS},
    {"kind": "latency", "when": "after", "seconds": 1.5 * READ_SECONDS},
]


def faults(seed: int, path: str) -> list[Fault]:
    """Return three random faults of creations under `path`, and one of reads. Each has a probability below 1."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    drawn = [
        Fault.model_validate(
            {**kind, "method": "POST", "path": path, "probability": 0.35, "seed": chance.randrange(2**31)}
        )
        for kind in chance.sample(KINDS, 3)
    ]
    return [*drawn, Fault.model_validate({**chance.choice(KINDS), "method": "GET", "probability": 0.1, "seed": seed})]


def shorten_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", READ_SECONDS)
