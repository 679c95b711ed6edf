"""What CloudWatch does with an alarm's definition, as far as the template's alarms use it.

Anything else raises NotImplementedError. Sources:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation-window.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from functools import cache, partial
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

STACK = "codat-customers"
MINUTE = 60
MORE_PERIODS = (0, 3)
"""Periods before the evaluated ones from which CloudWatch takes data points if some are missing.

It does not document their number. An alarm that fires has to fire with none, and one that doesn't, with some.
"""
_SETTINGS = {
    *("AlarmActions", "OKActions", "AlarmDescription", "ComparisonOperator", "DatapointsToAlarm", "Dimensions"),
    "EvaluationPeriods",
    *("ExtendedStatistic", "MetricName", "Metrics", "Namespace", "Period", "Statistic", "Threshold"),
    "TreatMissingData",
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}


class Metric(NamedTuple):
    """CloudWatch keeps values apart by the namespace, the name and all dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


class Metrics:
    """The values of all metrics, by the minute since the start of the situation."""

    def __init__(self) -> None:
        self._values: dict[Metric, list[tuple[int, float]]] = defaultdict(list)
        self.minutes = 0
        """The length of the situation."""

    def put(self, minute: int, namespace: str, name: str, value: float, **dimensions: str) -> None:
        self._values[Metric(namespace, name, frozenset(dimensions.items()))].append((minute, value))
        self.minutes = max(self.minutes, minute + 1)

    def put_output(self, minute: int, output: str) -> None:
        """Put the values of the lines in CloudWatch's embedded metric format, which a function wrote."""
        for line in output.splitlines():
            document: dict[str, Any] = json.loads(line) if line.startswith('{"_aws"') else {}
            for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
                for names in group["Dimensions"]:
                    dimensions = {name: document[name] for name in names}
                    for metric in group["Metrics"]:
                        for value in document[metric["Name"]]:
                            self.put(minute, group["Namespace"], metric["Name"], value, **dimensions)

    def between(self, metric: Metric, start: int, end: int) -> list[float]:
        """Return the values in `[start, end)`."""
        return [value for minute, value in self._values.get(metric, ()) if start <= minute < end]

    def describe(self, selected: Iterable[Metric]) -> str:
        """Return the values by minute, for the message of a failed test."""
        return "; ".join(
            f"{metric.name}{[value for name, value in sorted(metric.dimensions) if value != STACK]} "
            + ", ".join(f"{minute}: {value:g}" for minute, value in self._values[metric])
            for metric in selected
            if metric in self._values
        )


class Alarm:
    """An alarm of the transformed template."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        if unsupported := set(definition) - _SETTINGS:
            raise NotImplementedError(f"{unsupported} of an alarm")
        self._breaches = _COMPARISONS[definition["ComparisonOperator"]]
        self._threshold = float(definition["Threshold"])
        self._periods = int(definition["EvaluationPeriods"])
        self._to_alarm = int(definition.get("DatapointsToAlarm", self._periods))
        self._missing = definition["TreatMissingData"]
        if "Metrics" in definition:
            [expression] = [query for query in definition["Metrics"] if "Expression" in query]
            if expression["Expression"] != "SUM(METRICS())":
                raise NotImplementedError(expression["Expression"])
            queries = [query["MetricStat"] for query in definition["Metrics"] if "MetricStat" in query]
            self._queries = [(_metric(query["Metric"]), query["Stat"]) for query in queries]
            [period] = {query["Period"] for query in queries}
        else:
            statistic = definition.get("Statistic") or definition["ExtendedStatistic"]
            self._queries = [(_metric(definition), statistic)]
            period = definition["Period"]
        self.period = int(period) // MINUTE
        """In minutes."""

    @property
    def metrics(self) -> list[Metric]:
        return [metric for metric, _ in self._queries]

    def fires(self, metrics: Metrics, *, since: int = 0) -> bool:
        """Return whether the alarm is in ALARM at some minute after `since`, until a period after the situation.

        By default CloudWatch evaluates it each minute, over a window that ends there. Raises Uncertain if the result is
        another one for periods that begin at full hours, or if older data points replace missing ones.
        """
        last = metrics.minutes + self.period
        sliding, aligned = range(since + 1, last + 1), range(self.period, last + self.period, self.period)
        # Windows overlap.
        point_before = cache(partial(self._point, metrics))
        states = {
            any(self._is_in_alarm(point_before, end, more) for end in ends if end > since)
            for ends in (sliding, aligned)
            for more in MORE_PERIODS
        }
        if len(states) > 1:
            raise Uncertain(metrics.describe(self.metrics))
        return states.pop()

    def _is_in_alarm(self, point_before: Callable[[int], float | None], end: int, more: int) -> bool:
        """Evaluate the periods before `end`. Older data points replace missing ones, as far as there are any."""
        points = [point_before(end - period * self.period) for period in range(self._periods + more)]
        existing = [point for point in points if point is not None][: self._periods]
        breaching = sum(self._breaches(point, self._threshold) for point in existing)
        if self._missing == "breaching":
            breaching += self._periods - len(existing)
        elif self._missing != "notBreaching":
            raise NotImplementedError(self._missing)
        return breaching >= self._to_alarm

    def _point(self, metrics: Metrics, end: int) -> float | None:
        """Return the data point of the period before `end`. Metrics without one are left out of a sum."""
        points = [
            statistic_of(values, statistic)
            for metric, statistic in self._queries
            if (values := metrics.between(metric, end - self.period, end))
        ]
        return sum(points) if points else None


class Uncertain(Exception):
    """Whether the alarm fires depends on what CloudWatch does not promise."""


def statistic_of(values: list[float], statistic: str) -> float:
    functions: dict[str, Callable[[list[float]], float]] = {
        "Average": lambda values: sum(values) / len(values),
        "Maximum": max,
        "Minimum": min,
        "SampleCount": len,
        "Sum": sum,
    }
    if statistic in functions:
        return functions[statistic](values)
    if not statistic.startswith("p"):
        raise NotImplementedError(statistic)
    return sorted(values)[max(ceil(float(statistic[1:]) / 100 * len(values)) - 1, 0)]


def _metric(definition: Mapping[str, Any]) -> Metric:
    dimensions: Iterable[Mapping[str, Any]] = definition["Dimensions"]
    return Metric(
        definition["Namespace"],
        definition["MetricName"],
        frozenset((dimension["Name"], resolved(dimension["Value"])) for dimension in dimensions),
    )


def resolved(value: Any) -> str:
    """Return a dimension's value. A reference to a resource becomes its logical id and the attribute."""
    match value:
        case str():
            return value
        case {"Ref": "AWS::StackName"}:
            return STACK
        case {"Fn::Sub": str(text)}:
            return text.replace("${AWS::StackName}", STACK)
        case {"Fn::If": ["OwnsTable", own, _]}:
            return resolved(own)
        case {"Ref": str(resource)}:
            return resource
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
    raise NotImplementedError(value)
