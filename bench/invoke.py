"""Import a handler and invoke it for each event, as Lambda's runtime does. Measures the CPU time of both.

`python3.13 -S -P bench/invoke.py module.handler`, with the function and its layer alone on PYTHONPATH. Reads an event
from each line of stdin and writes a JSON line for the init phase, for each invocation, and for the modules at the end.
"""

import importlib
import json
import os
import sys
import time

TIMEOUT_SECONDS = 29


class LambdaContext:
    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    memory_limit_in_mb = "512"
    function_version = "1"

    def __init__(self) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.invoked_function_arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{self.function_name}"
        self._deadline = time.monotonic() + TIMEOUT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline - time.monotonic()) * 1000)


def main(handler_path: str) -> None:
    # Handlers print their logs to stdout, so the results get a copy of it, and the logs go to stderr.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def report(**values: object) -> None:
        results.write(json.dumps(values) + "\n")
        results.flush()

    module, _, name = handler_path.rpartition(".")
    before = set(sys.modules)
    started = time.process_time()
    handler = getattr(importlib.import_module(module), name)
    report(milliseconds=(time.process_time() - started) * 1000)
    for line in sys.stdin:
        event = json.loads(line)
        context = LambdaContext()
        started = time.process_time()
        response = handler(event, context)
        milliseconds = (time.process_time() - started) * 1000
        report(milliseconds=milliseconds, status=response["statusCode"])
    report(modules=sorted(set(sys.modules) - before))


if __name__ == "__main__":
    main(sys.argv[1])
