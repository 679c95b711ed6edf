"""Idempotent creation: each row of the table in `shared/services/creation.py`, on scripted responses.

The lease store works on a table of one item, and the responses pass the real transport. Only pauses, timeouts and the
tests advance the clock.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest

from shared import retrying as retrying_module
from shared.codat.transport import READ_SECONDS, Transport
from shared.domain.errors import (
    CodatAccountLimit,
    CodatError,
    CodatNotFound,
    CodatRateLimited,
    CodatRejected,
    CodatRejectedCredentials,
    CodatTimedOut,
    CodatUnavailable,
    CreationInProgress,
    SecretsUnavailable,
)
from shared.domain.leases import CreationLease, LeaseRequest
from shared.domain.timeline import CALLER, Actor
from shared.services import creation
from shared.services.context import CodatContext
from shared.services.creation import LOOKUP_LAG, MAX_RETRY_AFTER, MAX_RUN_TIME, SEND_WINDOW, IdempotentCreation
from shared.store.leases import RELEASED, Leases, lease_of
from tests.unit.codat.doubles import HTML, CountingTelemetry, Keys, error_document
from tests.unit.store.one_item_table import OneItemTable

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = ("CUSTOMER#c-1", "CUSTOMER")
ATTEMPTS = 4
"""In a call."""
PAUSE = 0.125
"""Seconds between two of them, in place of a random number."""
THING = "thing-1"
A_MOMENT = timedelta(milliseconds=100)

Reply = Callable[[], httpx.Response]


def created() -> httpx.Response:
    return httpx.Response(200, json={"id": THING})


def timed_out() -> httpx.Response:
    raise httpx.ReadTimeout("no answer")


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("no connection")


def refused(status: int = 402, correlation_id: str | None = "first") -> Reply:
    """Codat's own error document."""
    return lambda: httpx.Response(status, json=error_document(status, correlationId=correlation_id))


def gateway(status: int = 502, body: Any = HTML) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda: httpx.Response(status, content=content)


class Telemetry(CountingTelemetry):
    def __init__(self) -> None:
        super().__init__()
        self.takeovers = 0

    def count(self, metric: str, **dimensions: str) -> None:
        if metric == "CreationTakenOver":
            self.takeovers += 1
        else:
            super().count(metric, **dimensions)


@dataclass
class Scenario:
    """A creation over several calls. Each acquires the lease, and runs or finds out."""

    time: datetime = NOON
    table: OneItemTable = field(default_factory=OneItemTable)
    telemetry: Telemetry = field(default_factory=Telemetry)
    api_keys: Any = field(default_factory=Keys)
    existing: str | None = None
    """The result of a look-up."""
    is_gone: bool = False
    """True: the thing in a replayed response has been deleted."""
    sent: list[str] = field(default_factory=list)
    """The idempotency key of each request, in order."""
    look_ups: int = 0
    verified: list[str] = field(default_factory=list)
    held: CreationLease | None = None
    """The lease after the last call that returned."""
    replies: list[Reply] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: count(1))

    @property
    def leases(self) -> Leases:
        table: Any = self.table
        return Leases(table)

    @property
    def stored(self) -> CreationLease:
        """The lease as the next owner finds it."""
        assert self.table.item is not None
        return lease_of(self.table.item, "The thing")

    def pass_time(self, seconds: float | timedelta) -> None:
        self.time += seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)

    def run(self, *replies: Reply, seconds: float = 60.0) -> str | None:
        """Run a call for which Codat replies in this order."""
        return self._call(IdempotentCreation.run, replies, seconds)

    def find_out(self, *replies: Reply, seconds: float = 60.0) -> str | None:
        return self._call(IdempotentCreation.find_out, replies, seconds)

    def fail(self, expected: type[Exception], *replies: Reply, find_out: bool = False, **options: float) -> Any:
        """Return the error that the call raised."""
        with pytest.raises(expected) as raised:
            (self.find_out if find_out else self.run)(*replies, **options)
        assert type(raised.value) is expected
        return raised.value

    def _call(
        self, act: Callable[[IdempotentCreation[str]], str | None], replies: tuple[Reply, ...], seconds: float
    ) -> str | None:
        deadline = self.time + timedelta(seconds=seconds)
        idempotent_creation = self._creation(deadline)
        self.replies = list(replies)
        try:
            thing = act(idempotent_creation)
        finally:
            assert self.replies == [], "requests that were expected and not sent"
        self.held = idempotent_creation.lease
        return thing

    def _creation(self, deadline: datetime) -> IdempotentCreation[str]:
        def seconds_left() -> float:
            return (deadline - self.time).total_seconds()

        client = httpx.Client(base_url="https://codat.example", transport=httpx.MockTransport(self._reply))
        transport = Transport(client, self.api_keys, seconds_left, lambda: self.time, self.telemetry)

        def send(lease: CreationLease) -> str:
            answer = transport.send("POST", "things", json={}, idempotency_key=lease.idempotency_key)
            return str(json.loads(answer.body)["id"])

        codat: Any = transport
        nothing: Any = None
        telemetry: Any = self.telemetry
        context = CodatContext(
            actor=Actor(CALLER),
            telemetry=telemetry,
            now=lambda: self.time,
            new_id=self._new_id,
            customers=nothing,
            connections=nothing,
            invitations=nothing,
            platforms=nothing,
            seconds_left=seconds_left,
            leases=self.leases,
            codat=codat,
        )
        return IdempotentCreation(
            self.acquire(), context, send=send, find_existing=self._find_existing, verify=self._verify
        )

    def acquire(self, duration: timedelta = timedelta(seconds=32)) -> CreationLease:
        request = LeaseRequest(self.time, duration, self._new_id(), self._new_id(), self._new_id())
        lease = self.leases.acquire(KEY, {}, "The thing", request)
        assert isinstance(lease, CreationLease)
        return lease

    def _new_id(self) -> str:
        return f"id-{next(self._ids)}"

    def _reply(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["idempotency-key"]
        # The key is stored before it is used, so that a successor finds it.
        assert self.table.item is not None
        assert self.table.item["idempotencyKey"] == key
        self.sent.append(key)
        assert self.replies, "a request that was not expected"
        reply = self.replies.pop(0)
        if reply is timed_out:
            self.pass_time(READ_SECONDS)
        return reply()

    def _find_existing(self) -> str | None:
        self.look_ups += 1
        return self.existing

    def _verify(self, thing: str) -> str | None:
        self.verified.append(thing)
        return None if self.is_gone else thing


@pytest.fixture
def scenario(monkeypatch: pytest.MonkeyPatch) -> Scenario:
    scenario = Scenario()

    def without_sleep(*arguments: Any, **options: Any) -> Any:
        return retrying_module.retrying(*arguments, **options).copy(sleep=scenario.pass_time)

    monkeypatch.setattr(creation, "retrying", without_sleep)
    monkeypatch.setattr(retrying_module, "_full_jitter", lambda _state: PAUSE)
    return scenario


def test_a_first_success_is_no_replay(scenario: Scenario) -> None:
    """Without an earlier request, nothing is looked up or verified. The lease is still held."""
    assert scenario.run(created) == THING
    assert (len(scenario.sent), scenario.look_ups, scenario.verified) == (1, 0, [])
    assert scenario.held is not None
    assert (scenario.held.is_settled, scenario.held.last_sent_at) == (True, NOON)
    assert scenario.held.lease_until == NOON + timedelta(seconds=32)
    assert scenario.telemetry.takeovers == 0


# No answer, then an answer.


def test_a_success_after_a_timeout_may_be_a_replay(scenario: Scenario) -> None:
    """The request is repeated under its key after a look-up, and its result is verified."""
    assert scenario.run(timed_out, created) == THING
    assert len(set(scenario.sent)) == 1
    assert (scenario.look_ups, scenario.verified) == (1, [THING])
    assert scenario.held is not None
    assert scenario.held.is_settled


def test_an_existing_thing_is_not_created_again(scenario: Scenario) -> None:
    """GIVEN a request that worked, although its response was lost THEN no other request is sent."""
    error = scenario.fail(CodatTimedOut, *[timed_out] * 2, seconds=READ_SECONDS * 2 + 0.5)
    assert error.status is None
    assert (scenario.stored.is_settled, scenario.stored.lease_until) == (False, RELEASED)
    scenario.existing = THING
    assert scenario.run() == THING
    assert scenario.telemetry.takeovers == 1


def test_a_replayed_success_of_a_thing_that_was_deleted_since(scenario: Scenario) -> None:
    """The request is settled: after a look-up that counts, the thing is created under a new key."""
    scenario.is_gone = True
    error = scenario.fail(CreationInProgress, timed_out, created)
    assert error.retry_after == 5
    assert scenario.stored.is_settled
    scenario.pass_time(LOOKUP_LAG)
    assert scenario.run(created) == THING
    first, _, last = scenario.sent
    assert last != first
    # That answer is no replay.
    assert scenario.verified == [THING]


@pytest.mark.parametrize(
    ("replies", "seconds"),
    [
        # No correlation id, by which a replay could be recognized.
        ([timed_out, refused(correlation_id=None)], 60.0),
        # No time or no attempt left to send it again.
        ([timed_out, refused()], READ_SECONDS + PAUSE + 1.0),
        ([timed_out, timed_out, timed_out, refused()], 60.0),
        # Each time another answer: none is a replay.
        ([timed_out, refused(correlation_id="a"), refused(correlation_id="b"), refused(correlation_id="c")], 60.0),
    ],
    ids=["no correlation id", "no time", "no attempt", "another each time"],
)
def test_a_refusal_after_a_timeout_proves_nothing(scenario: Scenario, replies: list[Reply], seconds: float) -> None:
    """The first request may still be running: the lease is kept, and its key is sent again."""
    scenario.fail(CodatAccountLimit, *replies, seconds=seconds)
    assert (scenario.stored.is_settled, scenario.stored.lease_until) == (False, RELEASED)
    assert scenario.run(created) == THING
    assert len(set(scenario.sent)) == 1
    assert scenario.verified == [THING]


REFUSALS = {
    400: CodatRejected,
    402: CodatAccountLimit,
    403: CodatRejectedCredentials,
    404: CodatNotFound,
}


@pytest.mark.parametrize("status", REFUSALS)
def test_the_same_refusal_twice_is_a_replay(scenario: Scenario, status: int) -> None:
    """So it is the answer to the first request, which is no longer running: nothing was created."""
    scenario.fail(REFUSALS[status], timed_out, refused(status), refused(status))
    assert len(set(scenario.sent)) == 1
    assert scenario.table.item is None
    # The next call starts afresh.
    assert scenario.run(created) == THING
    assert scenario.sent[-1] != scenario.sent[0]
    assert scenario.verified == []


def test_a_look_up_outweighs_a_refusal(scenario: Scenario) -> None:
    """GIVEN a first request that worked WHEN the second is refused THEN the look-up returns the thing."""

    def refused_while_the_first_request_finishes() -> httpx.Response:
        scenario.existing = THING
        return refused()()

    assert scenario.run(timed_out, refused_while_the_first_request_finishes) == THING


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("correlation_id", ["first", None])
def test_a_refusal_at_once_is_final(scenario: Scenario, status: int, correlation_id: str | None) -> None:
    """Nothing was sent before: it is the answer to this request."""
    scenario.fail(REFUSALS[status], refused(status, correlation_id))
    assert scenario.table.item is None
    assert scenario.look_ups == 0


# 5xx as Codat's own document.


@pytest.mark.parametrize("correlation_id", ["first", None])
def test_an_error_at_codat_settles_the_request(scenario: Scenario, correlation_id: str | None) -> None:
    """It is not sent again. Once look-ups no longer lag behind it, the thing is created under a new key."""
    error = scenario.fail(CreationInProgress, refused(500, correlation_id))
    assert 1 <= error.retry_after <= 5
    assert (scenario.stored.is_settled, scenario.stored.last_sent_at) == (True, NOON)
    assert scenario.look_ups == 1
    scenario.time = NOON + timedelta(seconds=3)
    assert scenario.fail(CreationInProgress).retry_after == 2
    scenario.time = NOON + LOOKUP_LAG - A_MOMENT
    assert scenario.fail(CreationInProgress).retry_after == 1
    scenario.time = NOON + LOOKUP_LAG
    assert scenario.run(created) == THING
    first, second = scenario.sent
    assert first != second
    assert scenario.verified == []


def test_an_error_at_codat_may_have_worked(scenario: Scenario) -> None:
    """GIVEN a 500 after which the thing exists THEN the next call returns it."""
    scenario.fail(CreationInProgress, refused(500))
    scenario.existing = THING
    assert scenario.run() == THING


def test_an_error_at_codat_without_time_for_a_look_up(scenario: Scenario) -> None:
    """The error is raised as it is; the next call looks up."""
    scenario.fail(CodatUnavailable, refused(500), seconds=1.0)
    assert (scenario.stored.is_settled, scenario.stored.last_sent_at) == (True, NOON)
    assert scenario.look_ups == 0


def test_the_same_error_at_codat_twice_is_a_replay(scenario: Scenario) -> None:
    """After a timeout, a single 500 may belong to the second request while the first is still running."""
    scenario.fail(CreationInProgress, timed_out, refused(500), refused(500))
    assert scenario.stored.is_settled
    assert len(set(scenario.sent)) == 1
    scenario.pass_time(LOOKUP_LAG)
    assert scenario.run(created) == THING
    assert len(set(scenario.sent)) == 2


# A gateway's answers, and none at all.

SENT_UNDER_ONE_KEY = {
    "gateway's page": gateway(),
    "gateway's JSON": gateway(502, {"correlationId": "first", "service": "Gateway", "error": "Bad Gateway"}),
    "gateway's 4xx": gateway(402),
    "no answer": timed_out,
}


@pytest.mark.parametrize("reply", SENT_UNDER_ONE_KEY)
def test_an_unsettled_request_is_sent_again_under_its_key_for_a_minute(scenario: Scenario, reply: str) -> None:
    """After that it is only looked up, until no request under the key can be running any more."""
    assert timedelta(minutes=1) == SEND_WINDOW
    scenario.fail(CodatTimedOut if reply == "no answer" else CodatUnavailable, *[SENT_UNDER_ONE_KEY[reply]] * ATTEMPTS)
    assert scenario.time < NOON + SEND_WINDOW - A_MOMENT
    assert not scenario.stored.is_settled
    # Still within the minute.
    scenario.time = NOON + SEND_WINDOW - A_MOMENT
    scenario.fail(CodatUnavailable, gateway(), seconds=1.0)
    assert len(set(scenario.sent)) == 1
    last_sent_at = scenario.stored.last_sent_at
    assert last_sent_at == NOON + SEND_WINDOW - A_MOMENT
    # Past it.
    requests = len(scenario.sent)
    for seconds, retry_after in [(1, 30), (200, 30), (299.5, 1), (290, 10)]:
        scenario.time = last_sent_at + timedelta(seconds=seconds)
        look_ups = scenario.look_ups
        assert scenario.fail(CreationInProgress).retry_after == retry_after <= MAX_RETRY_AFTER
        assert scenario.look_ups == look_ups + 1
        assert (scenario.stored.is_settled, scenario.stored.last_sent_at) == (False, last_sent_at)
    assert len(scenario.sent) == requests
    # 5 minutes after the last request under it.
    scenario.time = last_sent_at + MAX_RUN_TIME
    assert scenario.run(created) == THING
    assert len(scenario.sent) == requests + 1
    assert scenario.sent[-1] != scenario.sent[0]
    assert scenario.verified == []


def test_an_unsettled_request_that_worked_is_looked_up_after_its_minute(scenario: Scenario) -> None:
    """No other request is sent."""
    scenario.fail(CodatUnavailable, *[gateway()] * ATTEMPTS)
    scenario.time = NOON + timedelta(minutes=2)
    scenario.existing = THING
    assert scenario.run() == THING


def test_a_minute_is_counted_from_the_issue_of_the_key(scenario: Scenario) -> None:
    """GIVEN a new key 5 minutes later THEN it is sent for a minute of its own."""
    scenario.fail(CodatUnavailable, *[gateway()] * ATTEMPTS)
    scenario.time += MAX_RUN_TIME
    issued = scenario.time
    scenario.fail(CodatUnavailable, *[gateway()] * ATTEMPTS)
    scenario.time = issued + SEND_WINDOW - A_MOMENT
    assert scenario.run(created) == THING
    assert len(set(scenario.sent)) == 2
    assert scenario.verified == [THING]


# 409.


def test_409_counts_as_a_send(scenario: Scenario) -> None:
    """Another request under the key is still running, with an unknown outcome."""
    error = scenario.fail(CreationInProgress, *[refused(409)] * ATTEMPTS)
    assert error.retry_after == 5
    assert not scenario.stored.is_settled
    assert scenario.stored.last_sent_at is not None
    assert NOON <= scenario.stored.last_sent_at <= scenario.time
    assert scenario.look_ups == ATTEMPTS - 1
    assert scenario.run(created) == THING
    assert len(set(scenario.sent)) == 1
    assert scenario.verified == [THING]


def test_409_twice_is_no_replay(scenario: Scenario) -> None:
    """GIVEN the same correlation id THEN it still settles nothing."""
    scenario.fail(CreationInProgress, timed_out, *[refused(409)] * (ATTEMPTS - 1))
    assert not scenario.stored.is_settled


# What comes before any work.


def test_401_with_a_refreshed_api_key_takes_a_new_idempotency_key(scenario: Scenario) -> None:
    """If it is the first request: Codat may replay its 401 under the old key."""
    scenario.api_keys = Keys("old", "new")
    assert scenario.run(refused(401), created) == THING
    first, second = scenario.sent
    assert first != second
    # Nothing was sent: there is nothing to look up, and no replay.
    assert (scenario.look_ups, scenario.verified) == (0, [])


def test_401_with_a_refreshed_api_key_keeps_the_key_of_an_unsettled_request(scenario: Scenario) -> None:
    """Under a new key, a second thing would be created."""
    scenario.api_keys = Keys("old", "new")
    assert scenario.run(timed_out, refused(401), created) == THING
    assert len(set(scenario.sent)) == 1
    assert scenario.verified == [THING]


def test_401_with_a_refreshed_api_key_after_a_settled_request(scenario: Scenario) -> None:
    """GIVEN a new key under which nothing was sent THEN it is replaced again. What a 500 may have made is looked up."""
    scenario.fail(CreationInProgress, refused(500))
    scenario.pass_time(LOOKUP_LAG)
    scenario.api_keys = Keys("old", "new")
    look_ups = scenario.look_ups
    assert scenario.run(refused(401), created) == THING
    assert len(set(scenario.sent)) == 3
    assert scenario.look_ups == look_ups + 2
    assert scenario.verified == []


@pytest.mark.parametrize("is_gateways", [True, False])
def test_401_with_the_same_api_key(scenario: Scenario, *, is_gateways: bool) -> None:
    """Final: the lease is discarded, unless an earlier request may still be running."""
    reply = gateway(401) if is_gateways else refused(401)
    scenario.fail(CodatRejectedCredentials, reply)
    assert scenario.table.item is None
    scenario.fail(CodatRejectedCredentials, timed_out, reply)
    assert not scenario.stored.is_settled


@pytest.mark.parametrize(
    ("reply", "error"),
    [(refused(429), CodatRateLimited), (gateway(429), CodatRateLimited), (unreachable, CodatUnavailable)],
    ids=["Codat's 429", "a gateway's 429", "no connection"],
)
def test_a_request_without_effect_does_not_count(scenario: Scenario, reply: Reply, error: type[CodatError]) -> None:
    """No look-up before the next attempt, and no lease after the last attempt."""
    assert scenario.run(reply, created) == THING
    assert (scenario.look_ups, scenario.verified) == (0, [])
    scenario.table.item = None
    scenario.fail(error, *[reply] * ATTEMPTS)
    assert scenario.look_ups == 0
    assert scenario.table.item is None
    # An earlier request without a response decides.
    scenario.fail(error, timed_out, *[reply] * (ATTEMPTS - 1))
    assert not scenario.stored.is_settled
    assert scenario.stored.last_sent_at is not None
    assert scenario.time - scenario.stored.last_sent_at > timedelta(0)
    assert scenario.run(created) == THING
    assert scenario.sent[-1] == scenario.sent[-2]


def test_without_the_secret_nothing_is_sent(scenario: Scenario) -> None:
    """The lease is discarded if nothing was sent, and otherwise kept."""

    class Unavailable(Keys):
        def api_key(self) -> str:
            raise SecretsUnavailable("down")

    scenario.fail(CodatTimedOut, timed_out, seconds=READ_SECONDS)
    scenario.api_keys = Unavailable()
    scenario.fail(SecretsUnavailable)
    assert not scenario.stored.is_settled
    scenario.table.item = None
    scenario.fail(SecretsUnavailable)
    assert scenario.table.item is None
    assert len(scenario.sent) == 1


# Other processes.


def test_the_request_of_a_crashed_owner_is_repeated(scenario: Scenario) -> None:
    """Within the minute, under its key and after a look-up. The response may be a replay."""
    crashed = scenario.acquire()
    scenario.time = crashed.lease_until
    assert scenario.run(created) == THING
    assert scenario.sent == [crashed.idempotency_key]
    assert (scenario.look_ups, scenario.verified) == (1, [THING])
    assert scenario.telemetry.takeovers == 1


def test_the_request_of_a_crashed_owner_is_looked_up_after_its_minute(scenario: Scenario) -> None:
    """Until 5 minutes after the end of its lease: it may have sent until then."""
    crashed = scenario.acquire()
    for moment in (NOON + SEND_WINDOW, crashed.lease_until + MAX_RUN_TIME - A_MOMENT):
        scenario.time = moment
        assert scenario.fail(CreationInProgress).retry_after >= 1
    scenario.time = crashed.lease_until + MAX_RUN_TIME
    assert scenario.run(created) == THING
    assert len(scenario.sent) == 1
    assert scenario.sent != [crashed.idempotency_key]


def test_a_lost_lease_is_not_changed(scenario: Scenario) -> None:
    """GIVEN a successor WHEN the key must be rotated THEN that fails, and no request is sent."""
    scenario.api_keys = Keys("old", "new")

    def refused_slowly() -> httpx.Response:
        scenario.pass_time(40)
        scenario.acquire()
        return refused(401)()

    scenario.fail(CreationInProgress, refused_slowly)
    assert len(scenario.sent) == 1
    assert scenario.stored.lease_until == NOON + timedelta(seconds=72)


# Finding out.


def test_finding_out_before_any_request(scenario: Scenario) -> None:
    """GIVEN a lease that was released before any request THEN nothing was created."""
    scenario.leases.release(scenario.acquire())
    assert scenario.find_out() is None
    assert (scenario.sent, scenario.look_ups) == ([], 0)


def test_finding_out_sends_nothing(scenario: Scenario) -> None:
    """GIVEN an unsettled request THEN it is looked up, and 5 minutes after the last send it was not created."""
    scenario.fail(CodatUnavailable, *[gateway()] * ATTEMPTS)
    last_sent_at = scenario.stored.last_sent_at
    assert last_sent_at is not None
    requests = len(scenario.sent)
    for moment in (scenario.time, NOON + SEND_WINDOW, last_sent_at + MAX_RUN_TIME - A_MOMENT):
        scenario.time = moment
        assert 1 <= scenario.fail(CreationInProgress, find_out=True).retry_after <= MAX_RETRY_AFTER
    scenario.time = last_sent_at + MAX_RUN_TIME
    assert scenario.find_out() is None
    assert len(scenario.sent) == requests


def test_finding_out_that_it_was_created(scenario: Scenario) -> None:
    """By a look-up."""
    scenario.fail(CodatUnavailable, *[gateway()] * ATTEMPTS)
    scenario.existing = THING
    assert scenario.find_out() == THING


def test_finding_out_after_a_settled_request(scenario: Scenario) -> None:
    """WHEN look-ups no longer lag and return nothing THEN nothing was created."""
    scenario.fail(CreationInProgress, refused(500))
    assert scenario.fail(CreationInProgress, find_out=True).retry_after <= 5
    scenario.pass_time(LOOKUP_LAG)
    assert scenario.find_out() is None
    assert len(scenario.sent) == 1


def test_finding_out_that_a_settled_request_worked(scenario: Scenario) -> None:
    """By a look-up."""
    scenario.fail(CreationInProgress, refused(500))
    scenario.existing = THING
    assert scenario.find_out() == THING


def test_finding_out_after_a_crash(scenario: Scenario) -> None:
    """GIVEN an owner that crashed THEN the look-up counts 5 minutes after the end of its lease."""
    crashed = scenario.acquire()
    scenario.time = NOON + SEND_WINDOW
    scenario.fail(CreationInProgress, find_out=True)
    scenario.time = crashed.lease_until + MAX_RUN_TIME
    assert scenario.find_out() is None
    assert scenario.sent == []


def test_a_creation_keeps_its_id(scenario: Scenario) -> None:
    """GIVEN failures, new keys and takeovers THEN the id that marks the thing at Codat stays the same."""
    crashed = scenario.acquire()
    scenario.time = crashed.lease_until + MAX_RUN_TIME
    scenario.fail(CreationInProgress, refused(500))
    scenario.pass_time(LOOKUP_LAG)
    scenario.run(created)
    assert scenario.held is not None
    assert scenario.held.creation_id == crashed.creation_id
    assert scenario.held.idempotency_key != crashed.idempotency_key
