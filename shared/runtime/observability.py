"""Logs and metrics: JSON lines through Powertools, with the ids of the call and never a body, a link URL or a secret.

Keys are kept per thread, since the stack on one machine serves requests concurrently in one process.
"""

import logging

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

logger = Logger(location=None, use_rfc3339=True)

# httpx logs every request's URL at INFO, botocore whole answers at DEBUG: the secret among them.
for talkative in ("boto3", "botocore", "httpcore", "httpx", "urllib3"):
    logging.getLogger(talkative).setLevel(logging.WARNING)


class Telemetry:
    def count(self, metric: str, **dimensions: str) -> None:
        with single_metric(metric, MetricUnit.Count, 1) as counted:
            for name, value in dimensions.items():
                counted.add_dimension(name, value)

    def measure(self, metric: str, value: float) -> None:
        with single_metric(metric, MetricUnit.Count, value):
            pass

    def measure_seconds(self, metric: str, seconds: float) -> None:
        with single_metric(metric, MetricUnit.Seconds, seconds):
            pass

    def warn(self, message: str, **keys: object) -> None:
        logger.warning(message, extra=keys)

    def note(self, **ids: str | None) -> None:
        logger.thread_safe_append_keys(**ids)
