"""`make bench BENCH=cold`: measure the cold starts of the built functions, as Lambda runs them.

Each run is a fresh process of Lambda's Python that can import one built function and its layer alone. Measured is CPU
time, of the init phase (the import of the handler) and of the first invocation, against instant doubles of AWS and
Codat. The functions and their peers take turns, and the medians are reported. docs/performance.md explains the model.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.model import ColdStart
from bench.subjects import (
    ARTIFACT,
    Process,
    Subject,
    build,
    functions,
    peers,
    prepare_peers,
    requests_since_last_call,
    running_doubles,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = 512
MEMORY_SIZES = (256, 512, 1024, 1769)


@dataclass(slots=True)
class Measured:
    runs: list[ColdStart] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)

    @property
    def median(self) -> ColdStart:
        """The medians of both phases."""
        return ColdStart(median(run.init for run in self.runs), median(run.first_invocation for run in self.runs))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cold_starts", description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="of each function and peer")
    parser.add_argument("--artifact", type=Path, help="folder of an existing build to measure, instead of building")
    parser.add_argument("--only", nargs="+", metavar="FUNCTION", help="measure these functions alone, and the peers")
    parser.add_argument("--memory", action="store_true", help="also report duration and cost by memory size")
    parser.add_argument("--modules", type=Path, metavar="FILE", help="write each function's imported modules as JSON")
    options = parser.parse_args()
    if options.artifact:
        prepare_peers()
    else:
        build()
    with running_doubles() as url:
        subjects = functions((options.artifact or ARTIFACT).resolve(), url)
        if options.only:
            subjects = [subject for subject in subjects if subject.name in options.only]
        subjects = [*peers(url), *subjects]
        measured = measure(subjects, options.runs, url)
    print("\n".join(cold_start_table(subjects, measured)))
    if options.memory:
        print("\n".join(["", *memory_table(subjects, measured)]))
    if options.modules:
        modules = {name: result.modules for name, result in measured.items()}
        options.modules.write_text(json.dumps(modules, indent=1))
        print("\n".join(["", *module_table(measured)]))
    return 0


def measure(subjects: Sequence[Subject], runs: int, url: str) -> dict[str, Measured]:
    """Measure the subjects in turns, in a random order each time, so that a busy machine affects all of them alike."""
    measured = {subject.name: Measured() for subject in subjects}
    for run in range(runs + 1):
        for subject in random.sample(subjects, len(subjects)):
            requests_since_last_call(url)
            process = Process(subject)
            cold_start = ColdStart(process.init, process.invoke())
            result = measured[subject.name]
            result.modules = process.end()
            result.requests = requests_since_last_call(url)
            if run:  # the first run fills the disk cache
                result.runs.append(cold_start)
    return measured


def cold_start_table(subjects: Sequence[Subject], measured: dict[str, Measured]) -> list[str]:
    floor = measured["floor"].median
    rows = []
    for subject in subjects:
        own = measured[subject.name].median
        guide = measured[subject.peer].median.duration(MEMORY) if subject.peer else None
        rows.append(
            [
                subject.name,
                f"{own.init:.0f}",
                f"{own.first_invocation:.0f}",
                f"{own.sum:.0f}",
                f"{own.sum / floor.sum:.2f}",
                f"{own.duration(MEMORY):.0f}",
                f"{own.duration(MEMORY) / floor.duration(MEMORY):.2f}",
                "" if guide is None else f"{own.duration(MEMORY) / guide:.2f}",
                ", ".join(f"{service} {count}" for service, count in measured[subject.name].requests.items()),
            ]
        )
    header = ["init ms", "first invocation ms", "sum ms", "x floor", f"cold start at {MEMORY} MB, ms", "x floor"]
    return _table(["", *header, "x the guide's way", "requests"], rows)


def memory_table(subjects: Sequence[Subject], measured: dict[str, Measured]) -> list[str]:
    rows = [
        [
            subject.name,
            *(
                f"{own.duration(memory):.0f} ms, ${own.dollars(memory) * 1_000_000:.2f}"
                for memory in MEMORY_SIZES
                for own in [measured[subject.name].median]
            ),
        ]
        for subject in subjects
    ]
    return _table(["cold start, and cost of a million", *(f"{memory} MB" for memory in MEMORY_SIZES)], rows)


def module_table(measured: dict[str, Measured]) -> list[str]:
    rows = []
    for name, result in measured.items():
        packages = Counter(module.partition(".")[0] for module in result.modules)
        largest = ", ".join(f"{package} {count}" for package, count in packages.most_common(12))
        rows.append([name, str(len(result.modules)), largest])
    return _table(["", "modules", "packages with the most"], rows)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
