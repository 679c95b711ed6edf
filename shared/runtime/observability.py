"""Logs and metrics as JSON lines. They contain ids, but no bodies, link URLs or secrets.

Log keys and metric values are kept per invocation, because the local stack serves requests concurrently in one process.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from time import time
from typing import Any

from aws_lambda_powertools import Logger

from shared.runtime import log_ids
from shared.runtime.clock import LambdaContext

logger = Logger(location=None, use_rfc3339=True, json_serializer=log_ids.serialize)

# At INFO httpx logs the URLs of requests. At DEBUG botocore logs whole answers, including the secret.
for library in ("boto3", "botocore", "httpcore", "httpx", "urllib3"):
    logging.getLogger(library).setLevel(logging.WARNING)

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
_Values = dict[tuple[str, str], float]
"""By name and unit."""

_metrics: ContextVar[dict[tuple[tuple[str, str], ...], _Values] | None] = ContextVar("metrics", default=None)
"""The invocation's values by dimensions, name and unit; None outside an invocation, where metrics are dropped."""

_is_cold = True


def observed(handler: Handler) -> Handler:
    """Add `function_request_id` (Lambda's) and `cold_start` to the handler's logs, and write its metrics at its end."""

    @wraps(handler)
    def observed_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        global _is_cold  # noqa: PLW0603  # set once in a process
        log_ids.invocation_customers.set(frozenset())
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(function_request_id=context.aws_request_id, cold_start=_is_cold)
        _is_cold = False
        kept = _metrics.set({})
        try:
            return handler(event, context)
        finally:
            _write_metrics()
            _metrics.reset(kept)

    return observed_handler


def _write_metrics() -> None:
    """Write the values in CloudWatch's embedded metric format: one line, or several if a dimension has several values.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    directives: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    for dimensions, values in (_metrics.get() or {}).items():
        properties: dict[str, Any] = {"service": os.environ.get("POWERTOOLS_SERVICE_NAME", ""), **dict(dimensions)}
        directive = {
            "Namespace": os.environ.get("POWERTOOLS_METRICS_NAMESPACE", ""),
            "Dimensions": [list(properties)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in values],
        }
        properties |= {name: [value] for (name, _), value in values.items()}
        for others, line in directives:
            if all(others.get(key, value) == value for key, value in properties.items()):
                others.update(properties)
                line.append(directive)
                break
        else:
            directives.append((properties, [directive]))
    for properties, line in directives:
        metadata = {"Timestamp": int(time() * 1000), "CloudWatchMetrics": line}
        sys.stdout.write(json.dumps({"_aws": metadata, **properties}) + "\n")


class Telemetry:
    def count(self, metric: str, **dimensions: str) -> None:
        self.count_many(metric, 1, **dimensions)

    def count_many(self, metric: str, amount: int, **dimensions: str) -> None:
        values, key = self._values(dimensions), (metric, "Count")
        values[key] = values.get(key, 0) + amount

    def measure(self, metric: str, value: float) -> None:
        self._values({})[metric, "Count"] = value

    def measure_seconds(self, metric: str, seconds: float) -> None:
        self._values({})[metric, "Seconds"] = seconds

    @staticmethod
    def _values(dimensions: dict[str, str]) -> _Values:
        metrics = _metrics.get()
        return {} if metrics is None else metrics.setdefault(tuple(dimensions.items()), {})

    def warn(self, message: str, **keys: object) -> None:
        logger.warning(message, extra=keys)

    def note(self, **ids: str | None) -> None:
        if customer_id := ids.get("customer_id"):
            log_ids.about_customers([customer_id])
        logger.thread_safe_append_keys(**ids)
