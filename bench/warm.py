"""`make bench BENCH=warm`: measure the CPU time of a warm webhook against the same work written bare.

The bare handler checks the signature with the same library, and sends the same two requests to DynamoDB. The two
processes take turns, one invocation each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.model import percentile
from bench.subjects import ARTIFACT, Process, bare_webhook, build, functions, prepare_peers, running_doubles

WARM_UP = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.warm", description=__doc__)
    parser.add_argument("--invocations", type=int, default=500)
    parser.add_argument("--artifact", type=Path, help="folder of an existing build to measure, instead of building")
    options = parser.parse_args()
    if options.artifact:
        prepare_peers()
    else:
        build()
    artifact = (options.artifact or ARTIFACT).resolve()
    with running_doubles() as url:
        processes = [Process(functions(artifact, url)[0]), Process(bare_webhook(artifact, url))]
        for _ in range(WARM_UP):
            for process in processes:
                process.invoke()
        rounds = [[process.invoke() for process in processes] for _ in range(options.invocations)]
        for process in processes:
            process.end()
    own, bare = zip(*rounds, strict=True)
    print("| | p50 ms | p99 ms |\n| --- | --- | --- |")
    for name, values in (("codat_webhook", own), ("written bare", bare)):
        print(f"| {name} | {percentile(values, 50):.2f} | {percentile(values, 99):.2f} |")
    ratios = [percentile(own, percent) / percentile(bare, percent) for percent in (50, 99)]
    print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
