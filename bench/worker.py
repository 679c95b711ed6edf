"""One Lambda of the reconcile in a process of its own, so that its memory is nobody else's.

`python -m bench.worker plan` runs the plan, `… work` works the queue off. The last line on stderr is what came of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from local.aws.event_sources import queue_sources, schedule_event, scheduled_functions
from local.aws.queue_runner import QueueRunner
from local.gateway.invocation import invoke_and_wait, load_handlers
from local.template import Template


def main(part: str) -> dict[str, Any]:
    template = Template.load()
    handlers = load_handlers(template)
    imported = _peak_mebibytes()
    if part == "plan":
        [function] = scheduled_functions(template)
        invoke_and_wait(template.functions[function], handlers[function], schedule_event())
        return {"imported": imported, "peak": _peak_mebibytes()}
    [source] = queue_sources(template)
    # One at a time, as an instance of a Lambda works.
    runner = QueueRunner(
        boto3.client("sqs"),
        replace(source, concurrency=1),
        os.environ["RECONCILE_QUEUE_URL"],
        lambda event: invoke_and_wait(template.functions[source.function], handlers[source.function], event),
    )
    found: Counter[str] = Counter()
    messages, early = 0, 0.0
    for answer in runner.drain():
        messages += 1
        found.update((answer or {}).get("found", {}))
        early = early or _peak_mebibytes()
    return {"imported": imported, "first": early, "peak": _peak_mebibytes(), "messages": messages, "found": found}


def _peak_mebibytes() -> float:
    # Not getrusage's: that one is at least what the parent had, which the child shared until its exec.
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])), file=sys.stderr)
