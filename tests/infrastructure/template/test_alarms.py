"""GIVEN a situation THEN an alarm fires, or doesn't.

Each row of SITUATIONS is a situation of one alarm. The project's own metrics are those that the functions write when
the situation happens to the stack on one machine, with the simulated Codat. AWS's metrics are those that AWS documents
for the situation. Both are evaluated by the definition of the alarm in the transformed template.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from codat_simulator.faults import Fault
from codat_simulator.state import CompanyChange

from local.settings import new_webhook_secret
from shared.bootstrap import changes
from shared.messaging.event_bus import EventBus
from shared.runtime import clock as runtime_clock
from tests.handlers import handler
from tests.infrastructure.template.alarm_model import STACK, Alarm, Metrics, Uncertain, statistic_of
from tests.infrastructure.template.deployed import properties
from tests.integration.faults.context import Context
from tests.integration.functions.calls import adopting_orphans, lose_webhooks, reconcile
from tests.payloads import webhook_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.conftest import App, Clock

HOUR, DAY = 60, 24 * 60
API = {"ApiId": "Api"}
STREAM = {"EventSourceMappingUUID": "PublishChangesSource"}
BUCKET = {"BucketName": "UnpublishedChanges", "StorageType": "AllStorageTypes"}


class World:
    """The stack and its metrics. `wait` moves the clock; what functions write is put at the minute they write it."""

    def __init__(self, app: App, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
        self.app = app
        self.metrics = Metrics()
        self.watched_since = 0
        self._clock = clock
        self._capsys = capsys
        app.stack.events()
        capsys.readouterr()
        self._start = clock.ahead

    @property
    def minute(self) -> int:
        return int((self._clock.ahead - self._start).total_seconds() // 60)

    def wait(self, minutes: float = 0) -> None:
        self.app.codat.wait_idle()
        self.app.stack.events()  # every change is published
        self.metrics.put_output(self.minute, self._capsys.readouterr().out)
        self._clock.advance(minutes * 60)
        self.metrics.minutes = max(self.metrics.minutes, self.minute)

    def watch(self) -> None:
        """Ignore alarms until now."""
        self.wait()
        self.watched_since = self.minute

    def remaining_quota(self) -> int:
        return int(self.app.codat.quota.headers()["X-Rate-Limit-Remaining"])

    def deliver(self, body: dict[str, Any], **signing: Any) -> int:
        """Post a webhook that was signed now, and return the status."""
        return self.app.deliver(body, at=runtime_clock.now(), **signing).status_code

    def create(self) -> str:
        """Create a customer, and return the type of the problem."""
        response = self.app.post("/customers", {"customerId": f"c-{uuid4()}", "name": "Bank of Dave"})
        return str(response.json()["type"])

    def aws(self, namespace: str, name: str, values: Iterable[tuple[int, float]], **dimensions: str) -> None:
        """Put a metric of AWS: pairs of minute and value."""
        for minute, value in values:
            self.metrics.put(minute, f"AWS/{namespace}", name, value, **dimensions)


def every(minutes: int, value: float = 1, *, until: int = DAY) -> list[tuple[int, float]]:
    return [(minute, value) for minute in range(0, until, minutes)]


# Calls and Codat.


def calls_succeed(world: World) -> None:
    for _ in range(3):
        world.app.linked(world.app.customer()["customerId"])
        world.wait(20)


def calls_meet_a_bug(number: int) -> Callable[[World], None]:
    def situation(world: World) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.delattr("shared.bootstrap.stores.context")
            for _ in range(number):
                assert world.app.get("/customers").json()["type"] == "internal-error"

    return situation


def codat_rejects_the_key(world: World) -> None:
    world.app.codat.faults.add(Fault(kind="status", status=401))
    assert world.create() == "codat-rejected-credentials"


def codat_limits_the_rate_of_a_call(world: World) -> None:
    world.app.customer()
    world.app.codat.quota.limit = 0
    assert world.create() == "codat-rate-limited"


def codat_limits_the_rate_of_a_call_with_a_quota(world: World) -> None:
    world.app.codat.quota.limit = 20
    while world.remaining_quota():
        world.app.codat.quota.take()
    assert world.create() == "codat-rate-limited"


def codat_limits_one_request(world: World) -> None:
    world.app.codat.faults.add(Fault(kind="status", status=429, retry_after=1, times=1))
    world.app.customer()


def codat_limits_one_request_every_two_hours(world: World) -> None:
    for _ in range(4):
        codat_limits_one_request(world)
        world.wait(2 * HOUR)


def codat_limits_two_requests_in_an_hour(world: World) -> None:
    for _ in range(2):
        codat_limits_one_request(world)
        world.wait(40)


def codat_limits_the_rate_of_a_reconcile(world: World) -> None:
    """Its messages are retried by the queue, and no call fails."""
    world.app.customer()
    world.app.codat.faults.add(Fault(kind="status", status=429, retry_after=1, times=2))
    reconcile(world.app)


def quota_is_at(percent: float) -> Callable[[World], None]:
    def situation(world: World) -> None:
        world.app.codat.quota.limit = 1000
        while world.remaining_quota() > percent * 10:
            world.app.codat.quota.take()
        world.app.codat.faults.add(Fault(kind="webhook-drop"))
        world.app.post("/customers", {"customerId": f"c-{uuid4()}", "name": "Bank of Dave"})

    return situation


def codat_has_two_companies(world: World) -> None:
    customer_id = f"o-{uuid4()}"
    for name in ("By hand", "By hand again"):
        world.app.codat.state.create_company(CompanyChange(name=name, tags={"uid": customer_id}))
    with adopting_orphans():
        reconcile(world.app)


def codat_has_one_company(world: World) -> None:
    world.app.codat.state.create_company(CompanyChange(name="By hand", tags={"uid": f"o-{uuid4()}"}))
    with adopting_orphans():
        reconcile(world.app)


# Webhooks.


def webhooks_with_a_wrong_secret(*minutes: int) -> Callable[[World], None]:
    """Attempts of deliveries at these minutes."""

    def situation(world: World) -> None:
        for minute in minutes:
            world.wait(minute - world.minute)
            assert world.deliver({}, secret=new_webhook_secret()) == 401
        world.wait(HOUR)

    return situation


def a_flood_of_unsigned_webhooks(world: World) -> None:
    for _ in range(3):
        for _ in range(100):
            assert world.app.http.post("/webhooks/codat", json={}).status_code == 401
        world.wait(2)


def a_webhook_cant_be_parsed(world: World) -> None:
    assert world.deliver({"eventType": "connection.created"}) == 204


def webhooks_that_are_late(*minutes: int, by: int) -> Callable[[World], None]:
    """Events that are stored at these minutes, `by` minutes after they happened."""

    def situation(world: World) -> None:
        connection = world.app.connection(world.app.customer()["customerId"])
        world.watch()
        start = world.minute
        world.metrics = Metrics()
        for number, minute in enumerate(minutes):
            world.wait(start + minute - world.minute)
            happened = runtime_clock.now() - timedelta(minutes=by)
            name = ("connection.connected", "connection.disconnected.deauthorized")[number % 2]
            event = webhook_about(
                name,
                company_id=connection["companyId"],
                connection_id=connection["connectionId"],
                generatedDate=happened.isoformat(),
            )
            assert world.deliver(event) == 204
        world.wait(HOUR)

    return situation


def webhooks_are_lost(changes: int) -> Callable[[World], None]:
    """Customers link, and only reconcile notices it."""

    def situation(world: World) -> None:
        connections = [world.app.connection(world.app.customer()["customerId"]) for _ in range(changes)]
        lose_webhooks(world.app)
        for connection in connections:
            world.app.codat.state.link(connection["companyId"], connection["connectionId"])
        world.wait(12 * HOUR)
        assert reconcile(world.app)["drift"] == changes

    return situation


def a_webhook_a_day_is_lost(world: World) -> None:
    for _ in range(4):
        webhooks_are_lost(1)(world)
        world.app.codat.faults.clear()
        world.wait(12 * HOUR)


def days_without_webhooks(world: World) -> None:
    """Twenty linked customers change nothing."""
    for _ in range(20):
        world.app.linked(world.app.customer()["customerId"])
    world.watch()
    for _ in range(2):
        world.wait(DAY)
        reconcile(world.app)


def reconcile_runs_daily(world: World) -> None:
    reconcile(world.app)
    world.watch()
    for _ in range(3):
        world.wait(DAY)
        reconcile(world.app)


def reconcile_stops_running(world: World) -> None:
    reconcile(world.app)
    world.watch()
    world.wait(31 * HOUR)


# Changes.


def the_event_bus_fails(*, attempts: int) -> Callable[[World], None]:
    """Lambda retries a change every two minutes."""

    def situation(world: World) -> None:
        customer_id = world.app.customer()["customerId"]
        world.wait()
        key = {"pk": {"S": f"CUSTOMER#{customer_id}"}, "sk": {"S": "CUSTOMER"}}
        item = world.app.stack.dynamodb.get_item(TableName=world.app.stack.table_name, Key=key)["Item"]
        record = {"eventName": "INSERT", "dynamodb": {"Keys": key, "NewImage": item, "SequenceNumber": "1"}}
        no_server = boto3.client(
            "events", endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1})
        )
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(changes, "event_bus", lambda: EventBus(no_server, "default"))
            for _ in range(attempts):
                assert handler("publish_changes")({"Records": [record]}, Context())["batchItemFailures"]
                world.wait(2)
        assert handler("publish_changes")({"Records": [record]}, Context())["batchItemFailures"] == []
        world.wait(HOUR)

    return situation


def changes_are_given_up(metric: str) -> Callable[[World], None]:
    return lambda world: world.aws("Lambda", metric, [(7, 1)], **STREAM)


def changes_are_retried(world: World) -> None:
    """A batch failed five times, and was published then."""
    world.aws("Lambda", "PolledEventCount", every(1, until=HOUR), **STREAM)
    world.aws("Lambda", "FailedInvokeEventCount", every(1, until=5), **STREAM)
    world.aws("Lambda", "InvokedEventCount", every(1, until=6), **STREAM)


def the_bucket_has(objects: int) -> Callable[[World], None]:
    """S3 reports the number once a day, at midnight."""
    return lambda world: world.aws("S3", "NumberOfObjects", every(DAY, objects, until=3 * DAY), **BUCKET)


def changes_wait(minutes: int) -> Callable[[World], None]:
    """The oldest change in the stream is this old, for half an hour."""
    return lambda world: world.aws(
        "Lambda", "IteratorAge", every(1, minutes * 60_000, until=30), FunctionName="PublishChangesFunction"
    )


# AWS: the API, functions, queues.


def calls_fail(*minutes: int) -> Callable[[World], None]:
    """Ten calls an hour for six hours; those at these minutes fail. API Gateway reports each call."""

    def situation(world: World) -> None:
        for minute in sorted({*range(0, 6 * HOUR, 6), *minutes}):
            failed = minutes.count(minute)
            world.aws("ApiGateway", "Count", [(minute, max(failed, 1))], **API)
            world.aws("ApiGateway", "5xx", [(minute, failed)], **API)
            world.aws("ApiGateway", "4xx", [(minute, 0)], **API)

    return situation


def webhooks_are_rejected(world: World) -> None:
    for name, value in {"Count": 50, "4xx": 50, "5xx": 0}.items():
        world.aws("ApiGateway", name, every(1, value, until=HOUR), **API)


def function_crashes(function: str, *minutes: int) -> Callable[[World], None]:
    """Lambda reports every invocation, with 1 if it raised an error, timed out or ran out of memory."""

    def situation(world: World) -> None:
        world.aws("Lambda", "Errors", every(10, 0), FunctionName=function)
        world.aws("Lambda", "Errors", [(minute, 1) for minute in minutes], FunctionName=function)

    return situation


def webhooks_are_throttled(values: list[tuple[int, float]]) -> Callable[[World], None]:
    return lambda world: world.aws("Lambda", "Throttles", values, FunctionName="CodatWebhookFunction")


def writes_are_throttled(world: World) -> None:
    world.aws("DynamoDB", "WriteThrottleEvents", every(1, 2, until=15), TableName="Table")


def dead_letters(queue: str, number: int) -> Callable[[World], None]:
    name, values = "ApproximateNumberOfMessagesVisible", every(5, number, until=HOUR)
    return lambda world: world.aws("SQS", name, values, QueueName=f"{queue}.QueueName")


class Row(NamedTuple):
    alarm: str
    name: str
    situation: Callable[[World], None]
    fires: bool


FIRES, QUIET = True, False
SITUATIONS = [
    Row("RateLimited", "a call fails with 429", codat_limits_the_rate_of_a_call, FIRES),
    Row("RateLimited", "two requests in an hour get 429", codat_limits_two_requests_in_an_hour, FIRES),
    Row("RateLimited", "two requests of a reconcile get 429", codat_limits_the_rate_of_a_reconcile, FIRES),
    Row(
        "RateLimited",
        "a request every two hours gets 429, and is repeated",
        codat_limits_one_request_every_two_hours,
        QUIET,
    ),
    Row("RateLimited", "calls succeed", calls_succeed, QUIET),
    Row("LowQuota", "15 percent are left", quota_is_at(15), FIRES),
    Row("LowQuota", "nothing is left", codat_limits_the_rate_of_a_call_with_a_quota, FIRES),
    Row("LowQuota", "30 percent are left", quota_is_at(30), QUIET),
    Row("RejectedCredentials", "Codat answers 401", codat_rejects_the_key, FIRES),
    Row("RejectedCredentials", "calls succeed", calls_succeed, QUIET),
    Row("DuplicateCompanies", "two companies for an id", codat_has_two_companies, FIRES),
    Row("DuplicateCompanies", "one company for an id", codat_has_one_company, QUIET),
    Row("UnreadableWebhooks", "a signed webhook without fields", a_webhook_cant_be_parsed, FIRES),
    Row("UnreadableWebhooks", "all webhooks can be parsed", calls_succeed, QUIET),
    Row("RefusedWebhooks", "three an hour with a wrong secret", webhooks_with_a_wrong_secret(0, 20, 40, 60, 80), FIRES),
    Row(
        "RefusedWebhooks",
        "one with a wrong secret, which Codat repeats",
        webhooks_with_a_wrong_secret(0, 0, 0, 5, 35),
        FIRES,
    ),
    Row("RefusedWebhooks", "one with a wrong secret", webhooks_with_a_wrong_secret(0), QUIET),
    Row("RefusedWebhooks", "one an hour with a wrong secret", webhooks_with_a_wrong_secret(0, 60, 120, 180), QUIET),
    Row("RefusedWebhooks", "a flood of unsigned ones", a_flood_of_unsigned_webhooks, QUIET),
    Row("RefusedWebhooks", "all webhooks are signed", calls_succeed, QUIET),
    Row("WebhooksStopped", "three changes without webhooks", webhooks_are_lost(3), FIRES),
    Row("WebhooksStopped", "one lost webhook", webhooks_are_lost(1), QUIET),
    Row("WebhooksStopped", "one lost webhook a day", a_webhook_a_day_is_lost, QUIET),
    Row("WebhooksStopped", "days without changes and webhooks", days_without_webhooks, QUIET),
    Row("LateWebhooks", "three an hour, ten minutes late", webhooks_that_are_late(20, 40, 60, by=10), FIRES),
    Row("LateWebhooks", "two in an hour, ten minutes late", webhooks_that_are_late(20, 45, by=10), FIRES),
    Row("LateWebhooks", "one, ten minutes late", webhooks_that_are_late(20, by=10), QUIET),
    Row("LateWebhooks", "three an hour in time", webhooks_that_are_late(20, 40, 60, by=0), QUIET),
    Row("ReconcileNotRun", "none for 31 hours", reconcile_stops_running, FIRES),
    Row("ReconcileNotRun", "one a day", reconcile_runs_daily, QUIET),
    Row("ReconcileDeadLetters", "a message", dead_letters("ReconcileDeadLetters", 1), FIRES),
    Row("ReconcileDeadLetters", "no message", dead_letters("ReconcileDeadLetters", 0), QUIET),
    Row("AppWebhookDeadLetters", "an event", dead_letters("AppWebhookDeadLetters", 1), FIRES),
    Row("AppWebhookDeadLetters", "no event", dead_letters("AppWebhookDeadLetters", 0), QUIET),
    Row("UnpublishedChanges", "the bus fails for 20 minutes", the_event_bus_fails(attempts=10), FIRES),
    Row("UnpublishedChanges", "the bus fails for two minutes", the_event_bus_fails(attempts=2), QUIET),
    Row("GivenUpChanges", "a change is stored", changes_are_given_up("OnFailureDestinationDeliveredEventCount"), FIRES),
    Row("GivenUpChanges", "a change is lost", changes_are_given_up("DroppedEventCount"), FIRES),
    Row("GivenUpChanges", "a change is retried", changes_are_retried, QUIET),
    Row("StoredChanges", "an object", the_bucket_has(1), FIRES),
    Row("StoredChanges", "empty again", the_bucket_has(0), QUIET),
    Row("StoredChanges", "never an object", lambda _: None, QUIET),
    Row("ChangesBehind", "by 20 minutes", changes_wait(20), FIRES),
    Row("ChangesBehind", "by 5 minutes", changes_wait(5), QUIET),
    Row("ServerErrors", "a burst of five", calls_fail(100, 100, 101, 101, 102), FIRES),
    Row("ServerErrors", "a burst of three in a minute", calls_fail(100, 100, 100), FIRES),
    Row("ServerErrors", "each of ten calls an hour", calls_fail(*range(120, 240, 6)), FIRES),
    Row("ServerErrors", "one an hour", calls_fail(*range(0, 360, 60)), QUIET),
    Row("ServerErrors", "one in total", calls_fail(100), QUIET),
    Row("ServerErrors", "webhooks are rejected", webhooks_are_rejected, QUIET),
    Row("FunctionErrors", "a message of a reconcile fails twice", function_crashes("ReconcileFunction", 5, 35), FIRES),
    Row(
        "FunctionErrors",
        "planning fails with both retries",
        function_crashes("PlanReconcileFunction", 15, 16, 18),
        FIRES,
    ),
    Row("FunctionErrors", "publishing fails", function_crashes("PublishChangesFunction", *range(20, 30)), FIRES),
    Row("FunctionErrors", "one crash", function_crashes("ReconcileFunction", 5), QUIET),
    Row("ReleaseErrors", "a new version can't be started", function_crashes(f"{STACK}-codat-webhook", 5, 5, 5), FIRES),
    Row("ReleaseErrors", "a new version can't publish", function_crashes(f"{STACK}-publish-changes", 5, 5, 5), FIRES),
    Row("ReleaseErrors", "one timeout a minute", function_crashes(f"{STACK}-create-company", 5, 6, 7), QUIET),
    Row("ReleaseBugs", "three calls meet a bug", calls_meet_a_bug(3), FIRES),
    Row("ReleaseBugs", "one call meets a bug", calls_meet_a_bug(1), QUIET),
    Row("Throttles", "20 webhooks in ten minutes", webhooks_are_throttled(every(1, 2, until=10)), FIRES),
    Row("Throttles", "writes for a quarter of an hour", writes_are_throttled, FIRES),
    Row("Throttles", "one webhook an hour", webhooks_are_throttled(every(HOUR)), QUIET),
]


@pytest.mark.parametrize(
    "row", SITUATIONS, ids=[f"{row.alarm}: {row.name} -> {'fires' if row.fires else 'quiet'}" for row in SITUATIONS]
)
def test_alarms(
    app: App,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    template: dict[str, Any],
    record_property: Callable[[str, object], None],
    *,
    row: Row,
) -> None:
    world = World(app, clock, capsys)
    row.situation(world)
    world.wait()
    alarm = Alarm(properties(template, "AWS::CloudWatch::Alarm")[f"{row.alarm}Alarm"])
    record_property("metrics", world.metrics.describe(alarm.metrics))
    assert alarm.fires(world.metrics, since=world.watched_since) == row.fires, world.metrics.describe(alarm.metrics)


def test_every_alarm_has_a_situation_in_which_it_fires_and_one_in_which_it_does_not(template: dict[str, Any]) -> None:
    alarms = {name.removesuffix("Alarm") for name in properties(template, "AWS::CloudWatch::Alarm")}
    for fires in (FIRES, QUIET):
        assert {row.alarm for row in SITUATIONS if row.fires == fires} == alarms


def test_the_stream_emits_the_metrics_of_given_up_changes(template: dict[str, Any]) -> None:
    """Lambda emits them only if the event source mapping asks for them."""
    [source] = [
        source
        for name, source in properties(template, "AWS::Lambda::EventSourceMapping").items()
        if name == STREAM["EventSourceMappingUUID"]
    ]
    assert source["MetricsConfig"] == {"Metrics": ["EventCount"]}


# The model itself.

COUNTER = {
    "Namespace": "N",
    "MetricName": "M",
    "Dimensions": [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}],
    "Statistic": "Sum",
    "Period": 300,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 2,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "TreatMissingData": "notBreaching",
}


def counted(*minutes: int, **dimensions: str) -> Metrics:
    metrics = Metrics()
    for minute in minutes:
        metrics.put(minute, "N", "M", 1, **(dimensions or {"service": STACK}))
    return metrics


@pytest.mark.parametrize(
    ("changes", "minutes", "fires"),
    [
        ({}, (0, 0, 5, 5), True),
        ({}, (0, 0, 10, 10), True),
        ({}, (0, 0), False),
        ({}, (0, 5), False),
        ({"DatapointsToAlarm": 3}, (0, 0, 5, 5), False),
        ({"DatapointsToAlarm": 3}, (0, 0, 5, 5, 10, 10), True),
        ({"TreatMissingData": "breaching"}, (), True),
        ({"Statistic": "Maximum"}, (0, 0, 5, 5), False),
        ({"ComparisonOperator": "LessThanThreshold"}, (0, 0, 5, 5), False),
        ({"ComparisonOperator": "LessThanThreshold"}, (0, 5), True),
    ],
)
def test_an_alarm_counts_the_breaching_periods(
    changes: dict[str, Any], minutes: tuple[int, ...], *, fires: bool
) -> None:
    assert Alarm(COUNTER | changes).fires(counted(*minutes)) == fires


def test_dimensions_have_to_match_exactly() -> None:
    """CloudWatch does not add up the values of other dimensions."""
    alarm = Alarm(COUNTER | {"EvaluationPeriods": 1, "DatapointsToAlarm": 1})
    assert alarm.fires(counted(0, 0))
    assert not alarm.fires(counted(0, 0, service="another"))
    assert not alarm.fires(counted(0, 0, service=STACK, reason="mismatch"))
    assert not alarm.fires(counted(0, 0, reason="mismatch"))


def test_what_cloudwatch_does_not_promise_is_no_result() -> None:
    """Three events may be in one period or in two, and an old period may replace one without data."""
    alarm = Alarm(COUNTER | {"EvaluationPeriods": 1, "DatapointsToAlarm": 1})
    with pytest.raises(Uncertain):
        alarm.fires(counted(4, 5))
    with pytest.raises(Uncertain):
        Alarm(COUNTER | {"EvaluationPeriods": 2}).fires(counted(0, 0, 12, 12))


def test_percentiles_are_of_the_values_in_the_period() -> None:
    values = [float(value) for value in range(1, 11)]
    assert statistic_of(values, "p90") == 9
    assert statistic_of([400.0], "p90") == 400
    assert statistic_of(values, "Average") == 5.5
    assert statistic_of(values, "SampleCount") == 10


@pytest.mark.parametrize(
    "changes", [{"Statistic": "tm90"}, {"EvaluateLowSampleCountPercentile": "ignore"}, {"TreatMissingData": "ignore"}]
)
def test_what_the_model_lacks_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        Alarm(COUNTER | changes).fires(counted(0))
