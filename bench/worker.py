"""Run a Lambda of the reconcile in a separate process, to measure its memory.

`python -m bench.worker plan` runs the plan, and `python -m bench.worker work` empties the queue. The last line on
stderr is the result as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import boto3

from local.aws.reconcile import PLAN_FUNCTION, WORKER_FUNCTION, process_queue, schedule_event
from local.gateway.invocation import invoke_and_wait, load_handlers
from local.template import Template


def main(part: str) -> dict[str, Any]:
    template = Template.load()
    handlers = load_handlers(template)
    imported = _peak_mebibytes()
    if part == "plan":
        invoke_and_wait(template.functions[PLAN_FUNCTION], handlers[PLAN_FUNCTION], schedule_event())
        return {"imported": imported, "peak": _peak_mebibytes()}
    function, handler = template.functions[WORKER_FUNCTION], handlers[WORKER_FUNCTION]
    results = process_queue(
        boto3.client("sqs"),
        os.environ["RECONCILE_QUEUE_URL"],
        lambda event: invoke_and_wait(function, handler, event),
    )
    counts: Counter[str] = Counter()
    messages, first = 0, 0.0
    for result in results:
        messages += 1
        counts.update(result.get("found", {}))
        first = first or _peak_mebibytes()
    return {"imported": imported, "first": first, "peak": _peak_mebibytes(), "messages": messages, "counts": counts}


def _peak_mebibytes() -> float:
    # The value of getrusage includes the parent's memory, which the child shares until its exec.
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])), file=sys.stderr)
