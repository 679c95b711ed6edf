"""What Codat may do to a caller, drawn from a seed."""

import random
from typing import Any

import pytest
from codat_simulator.faults import Fault

from shared.codat import transport

READ_SECONDS = 0.4
"""Instead of 9: a Codat that is slower than the caller's patience shall not take a test's."""

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
    """Three kinds for creating under `path`, and one for whatever else is asked; each strikes now and then."""
    chance = random.Random(seed)  # noqa: S311  # to repeat, not to protect
    drawn = [
        Fault.model_validate(
            {**kind, "method": "POST", "path": path, "probability": 0.35, "seed": chance.randrange(2**31)}
        )
        for kind in chance.sample(KINDS, 3)
    ]
    return [*drawn, Fault.model_validate({**chance.choice(KINDS), "method": "GET", "probability": 0.1, "seed": seed})]


def be_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", READ_SECONDS)
