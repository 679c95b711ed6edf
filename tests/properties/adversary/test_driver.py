"""Every promise under a seeded adversary. `make soak SECONDS=1800` runs new seeds, `make soak SEED=7` replays one.

TRACE=1 writes a trace to standard error.
"""

import os
import sys
import time
from collections import Counter
from itertools import count

import pytest

from tests.conftest import App
from tests.properties.adversary.driver import drive

SECONDS = float(os.environ.get("SECONDS", "10"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
SEED = os.environ.get("SEED")
MIN_SEEDS = 3
"""Between them they have a restore, an adoption of orphans and distorted documents."""


def test_every_promise_holds(app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run seed after seed for the given time, and at least three."""
    totals: Counter[str] = Counter()
    ends_at = time.monotonic() + SECONDS
    seeds = [int(SEED)] if SEED else count(FIRST_SEED)
    for seed in seeds:
        totals += drive(app, seed, monkeypatch)
        totals["seeds"] += 1
        if totals["seeds"] >= MIN_SEEDS and time.monotonic() > ends_at:
            break
    with capsys.disabled():
        sys.stdout.write("".join(f"\n{number:>9}  {name}" for name, number in sorted(totals.items())) + "\n")
