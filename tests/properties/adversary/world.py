"""Everything around the functions, under the driver's control: Codat, the network, the clock, webhooks, API keys.

The handlers, use cases and stores are the real ones, and DynamoDB is a real server. What is replaced: Codat by the
double of `codat_double`, reached in process; the functions' clock, ids, waits and secrets; the queue of a reconcile.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID

import botocore.endpoint
import botocore.httpsession
import botocore.retries.standard
import httpx
import pytest
import standardwebhooks.webhooks
import tenacity
import tenacity.wait
from botocore.exceptions import ConnectionClosedError

from shared.bootstrap import codat, plan, stores, webhook
from shared.codat import transport
from shared.codat.transport import READ_SECONDS
from shared.domain.errors import CodatCustomersError
from shared.runtime import clock
from shared.runtime.secrets import CACHE_SECONDS
from shared.runtime.settings import read
from shared.services.platform_catalog import PlatformCache
from tests.conftest import App
from tests.payloads import api_event, signed
from tests.properties.adversary.codat_double import Arrival, Choices, Codat, Event, Failure, HttpRequest, Json, Kind
from tests.properties.adversary.scheduler import Crashed, Scheduler, Task, running_task

FUNCTION_SECONDS = {"plan_reconcile": 900.0, "reconcile": 300.0}
DEFAULT_FUNCTION_SECONDS = 29.0
RETRY_DELAYS = (5.0, 300.0, 1800.0, 7200.0)
MAX_LAG = 4.0
MAX_RUN_TIME = 240.0
REJECTED_NAME = "Rejected"
"""Codat rejects a PATCH whose name contains this."""
DISTORTIONS: dict[Kind, tuple[Json, ...]] = {
    "company": ({"created": 5}, {"name": None}, {"tags": ["plan"]}, {"dataConnections": 7}, {"id": None}),
    "connection": ({"status": "Paused"}, {"created": 5}, {"platformName": None}, {"sourceType": [1]}, {"id": 5}),
}
"""Fields that break the contract, so that the document can't be parsed."""


@dataclass
class Odds:
    """How likely each fault is, at each opportunity."""

    crash: float = 0.01
    codat: float = 0.25
    dynamodb: float = 0.01
    webhook: float = 0.3


CALM = Odds(crash=0, codat=0, dynamodb=0, webhook=0)


class World:
    def __init__(self, app: App, seed: int, *, adopts_orphans: bool) -> None:
        self.app = app
        self.random = Random(seed)  # noqa: S311  # to repeat, not to protect
        self.scheduler = Scheduler(self.random, datetime.now(UTC).replace(microsecond=0))
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.odds = CALM
        self.adopts_orphans = adopts_orphans
        # Its own stream: with `seed + 1` it would repeat the ids of the next seed.
        self.codat = Codat(now=self.now, random=Random(f"codat {seed}"))  # noqa: S311  # as above
        self.ours, self.theirs = self.codat.client("ours"), self.codat.client("theirs")
        self.theirs.create_company_by_hand("Theirs", {"uid": "c-0"})
        self.api_key = self.ours.create_api_key()
        self.their_key = self.theirs.create_api_key()
        self._secret = app.stack.settings.webhook_secrets[0]
        self._caches: dict[int, tuple[datetime, str]] = {}
        self._trusted: dict[int, set[str]] = {0: set(), 1: set()}
        self._platforms = {0: PlatformCache(), 1: PlatformCache()}
        self.queue: list[dict[str, Any]] = []
        self.lost: set[str] = set()
        """Customers and companies that the table has lost, whole or in part, until a restore is complete."""
        self.losses = 0
        self.adoptable: set[str] = set()
        """Companies that this service did not create, and that callers adopt."""
        self._faulted: set[Task] = set()
        self._distorted_share = 0.0
        self._ignore_case, self._ignore_empty_tags = (self.random.random() < 0.3 for _ in range(2))
        self._observing = ContextVar("observing", default=False)

    def now(self) -> datetime:
        return self.scheduler.now

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def violate(self, promise: str, detail: object) -> None:
        self.violations.append(f"{promise}: {detail}")

    def check(self, promise: str, holds: object, detail: object) -> None:
        self.counts["checks"] += 1
        if not holds:
            self.violate(promise, detail)

    def trace(self, what: str) -> None:
        """Write a line of the trace, if TRACE=1."""
        if os.environ.get("TRACE"):
            task = running_task()
            sys.stderr.write(f"{self.now():%H:%M:%S.%f} {task.name if task else '-'}: {what}\n")

    # The functions

    def invoke(self, handler: str, event: dict[str, Any]) -> Any:
        """Run a handler in the present task, with a Lambda's time from now on."""
        self.counts["calls"] += 1
        ends_at = self.now() + timedelta(seconds=FUNCTION_SECONDS.get(handler, DEFAULT_FUNCTION_SECONDS))
        if (task := running_task()) is not None:
            task.ends_at = ends_at
        context = SimpleNamespace(
            aws_request_id="00000000-0000-0000-0000-000000000000",
            function_name="driven",
            get_remaining_time_in_millis=lambda: max(0, int((ends_at - self.now()).total_seconds() * 1000)),
        )
        return import_module(f"functions.{handler}.app").handler(event, context)

    def call(self, handler: str, event: str, *, body: Any = None, **ids: str) -> tuple[int, dict[str, str], Any]:
        customer_id = ids.get("customerId") or (body or {}).get("customerId")
        is_lost = customer_id in self.lost
        response = self.invoke(handler, api_event(event, body=body, **ids))
        status, document = int(response["statusCode"]), json.loads(response["body"] or "null")
        self.trace(f"answered {status} {(document or {}).get('type', '')}")
        self.check("no internal error", status != 500, (event, ids, document))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.counts["calls answered 503"] += 1
            self.check("503 has a cause", is_lost or self._had_fault(), (event, customer_id, document))
        return status, response["headers"], document

    def _had_fault(self) -> bool:
        """Return whether a request to DynamoDB failed in this task."""
        return running_task() in self._faulted

    @contextmanager
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Put this world around the functions of this process."""
        world = self

        class MovedDatetime(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Self:
                moment = world.now() if tz is not None else world.now().replace(tzinfo=None)
                return cls.fromtimestamp(moment.timestamp(), tz)

        with monkeypatch.context() as patched:
            patched.setenv("ADOPT_ORPHANS", str(self.adopts_orphans).lower())
            read.cache_clear()
            real_send = botocore.httpsession.URLLib3Session.send
            patched.setattr(
                botocore.httpsession.URLLib3Session,
                "send",
                lambda session, request: self._dynamodb(partial(real_send, session), request),
            )
            patched.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=self.scheduler.pause))
            patched.setattr(
                botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda *_: self.random.uniform(0, 2)
            )
            http = httpx.Client(base_url="https://codat.test", transport=_Transport(self))
            patched.setattr(codat, "http", lambda: http)
            for module in (codat, webhook):
                patched.setattr(module, "secrets", lambda: _Secrets(self))
            patched.setattr(plan, "queue", lambda: SimpleNamespace(send=self._enqueue))
            patched.setattr(codat, "trusted_api_keys", lambda: self._trusted[self._instance()])
            patched.setattr(stores, "platform_cache", lambda: self._platforms[self._instance()])
            patched.setattr(stores, "uuid4", self._uuid4)
            patched.setattr(clock, "now", self.now)
            patched.setattr(transport, "monotonic", self._monotonic)
            patched.setattr(tenacity, "time", SimpleNamespace(monotonic=self._monotonic))
            patched.setattr(tenacity.nap, "time", SimpleNamespace(sleep=self.scheduler.pause))
            patched.setattr(tenacity.wait, "random", self.random)
            patched.setattr(standardwebhooks.webhooks, "datetime", MovedDatetime)
            yield
        read.cache_clear()

    def _instance(self) -> int:
        task = running_task()
        return 0 if task is None else task.instance

    def _monotonic(self) -> float:
        return self.now().timestamp()

    def _uuid4(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def _enqueue(self, messages: Any) -> int:
        queued = [json.loads(json.dumps(message)) for message in messages]
        self.queue.extend(queued)
        return len(queued)

    def current_api_key(self, *, refresh: bool = False) -> str:
        """Return the key as a warm Lambda has it cached."""
        instance = self._instance()
        read_at, key = self._caches.get(instance, (self.now() - timedelta(days=1), ""))
        if refresh or self.now() - read_at > timedelta(seconds=CACHE_SECONDS):
            key = self.api_key
            self._caches[instance] = (self.now(), key)
        return key

    def webhook_secret(self) -> str:
        return self._secret

    # The network

    def _io(self) -> None:
        """Let others run, or crash."""
        task = running_task()
        if task is None:
            return
        if self.chance(self.odds.crash if task.crash_odds is None else task.crash_odds):
            self.counts["crashes"] += 1
            self.trace("crashes")
            raise Crashed
        self.scheduler.pause()
        if self.now() > task.ends_at:
            self.counts["timeouts"] += 1
            raise Crashed  # Lambda ends it

    def _dynamodb(self, send: Any, request: Any) -> Any:
        task = running_task()
        if task is None or self._observing.get():
            return send(request)
        self._io()
        self._check_activation(task, request)
        if self.chance(self.odds.dynamodb):
            self.counts["faults"] += 1
            self._faulted.add(task)
            if self.chance(0.5):
                send(request)  # done, and the answer is lost
            raise ConnectionClosedError(endpoint_url=request.url)
        response = send(request)
        self._io()
        return response

    def exchange(self, request: httpx.Request) -> httpx.Response:
        """Carry one request to Codat and its answer back, or not."""
        sent = HttpRequest(
            method=request.method,
            path=request.url.path,
            query=dict(request.url.params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.read(),
        )
        choices = self._choices()
        self._io()
        fault = self._fault()
        key = sent.headers.get("idempotency-key")
        self.trace(f"{sent.method} {sent.path} {sent.query.get('tags', '')} key {key}, lag {choices.lag}, {fault}")
        if fault in {"unreachable", "dropped"}:
            raise httpx.ConnectError("refused") if fault == "unreachable" else httpx.ReadError("dropped")
        if fault == "page":
            return self._page()
        self._check_deletion(sent)
        arrival = self.codat.arrive(sent, choices)
        self.scheduler.at(MAX_RUN_TIME, lambda: self._perform(arrival, None))
        if fault in {"slow", "slow-page"}:
            self._run_later(arrival)
            if fault == "slow-page":
                return self._page()
            self.scheduler.pause(READ_SECONDS)
            raise httpx.ReadTimeout("slow")
        self._run(arrival, fault)
        self._io()
        if fault == "lost":
            raise httpx.RemoteProtocolError("the answer was lost")
        if fault == "page-after":
            return self._page()
        answer = arrival.response
        assert answer is not None
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def _run(self, arrival: Arrival, fault: str | None) -> None:
        """Do the work of a request, unless it is answered already. While it runs, its caller can crash."""
        if arrival.response is not None:
            return
        try:
            self._io()
        except Crashed:
            self._run_later(arrival)
            raise
        self.scheduler.pause(self.random.choice((0.0, 0.1, 1.0)))
        failure = None
        if fault == "failure":
            status = self.random.choice((400, 402, 403, 500, 500, 503))
            failure = Failure(status, work_is_done=status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.chance(0.5))
        elif fault == "limited":
            failure = Failure(HTTPStatus.TOO_MANY_REQUESTS, work_is_done=False, retry_after=self.random.randint(1, 3))
        self._perform(arrival, failure)

    def _run_later(self, arrival: Arrival) -> None:
        self.scheduler.at(self.random.uniform(0, MAX_RUN_TIME), lambda: self._perform(arrival, None))

    def _perform(self, arrival: Arrival, failure: Failure | None) -> None:
        if arrival.response is not None:
            return
        if failure is None and _has_rejected_name(arrival.request):
            self.counts["rejected changes"] += 1
            failure = Failure(HTTPStatus.BAD_REQUEST, work_is_done=False)
        arrival.response = self.codat.perform(arrival, failure)
        self.trace(f"performed {arrival.request.method} {arrival.request.path}: {arrival.response.status}, {failure}")
        self.take_events()

    def _check_activation(self, task: Task, request: Any) -> None:
        """DELETE undoes an incomplete adoption. Completed, it would delete a company that existed before."""
        body = (request.body or b"").decode()
        if task.name.startswith("delete_customer") and re.search(r'"state": ?\{"S": ?"active"\}', body):
            adopted = [company_id for company_id in self.adoptable if company_id in body]
            self.check("DELETE completes no adoption", not adopted, adopted)

    def _check_deletion(self, request: HttpRequest) -> None:
        """A company is deleted only for a customer that owns it."""
        company_id = request.path.removeprefix("/companies/")
        if request.method != "DELETE" or company_id not in self.ours.companies or company_id in self.lost:
            return
        deleting = [item["companyId"] for item in self.items("CUSTOMER#") if item["state"] == "deleting"]
        self.check("only its owner deletes a company", company_id in deleting, (company_id, deleting))

    def distort(self, share: float) -> None:
        """From now on this share of companies and of connections, chosen by their ids, can't be parsed."""
        self._distorted_share = share

        def distorted(kind: Kind, document: Json) -> Json:
            kinds = DISTORTIONS[kind]
            damage = kinds[int(document["id"][4:8], 16) % len(kinds)]
            return document | damage if self.is_distorted(document["id"]) else document

        self.codat.distort = distorted if share else None

    def is_distorted(self, identity: str) -> bool:
        return int(identity[:4], 16) < self._distorted_share * 0x10000

    def _fault(self) -> str | None:
        if not self.chance(self.odds.codat):
            return None
        self.counts["faults"] += 1
        kinds = ("unreachable", "dropped", "page", "slow", "slow-page", "failure", "failure", "limited", "lost")
        return self.random.choice((*kinds, "page-after"))

    def _page(self) -> httpx.Response:
        """Answer as a gateway does."""
        status = self.random.choice((200, 400, 403, 404, 404, 409, 500, 502, 503))
        body: Any = self.random.choice((b"<html>gateway</html>", b"", b'{"message": "no"}', b'{"statusCode": 404}'))
        return httpx.Response(status, headers={"content-type": "text/html"}, content=body)

    def _choices(self) -> Choices:
        draw = self.random
        lag = draw.uniform(0, MAX_LAG) if self.chance(self.odds.codat) else 0.0
        return Choices(
            lag=timedelta(seconds=lag),
            correlation_id=draw.random() < 0.7,
            omit_error_details=draw.random() < 0.3,
            documented_status_codes=draw.random() < 0.3,
            prefer_forbidden=draw.random() < 0.3,
            fresh_replay_headers=draw.random() < 0.5,
            omit_integration_key=draw.random() < 0.3,
            omit_last_sync=draw.random() < 0.2,
            omit_event_tags=draw.random() < 0.3,
            omit_empty=draw.random() < 0.3,
            nulls=draw.random() < 0.3,
            no_description=draw.choice(("blank", "null", "omitted")),
            no_errors=draw.choice(("omitted", "null", "empty")),
            hide_resolved_errors=draw.random() < 0.5,
            extra_fields=draw.random() < 0.3,
            one_time_links=draw.random() < 0.5,
            escape_unicode=draw.random() < 0.3,
            time_digits=draw.choice((7, 3, 0)) if draw.random() < 0.2 else 7,
            time_zone=draw.choice(("Z", "", "+00:00", "-05:00")),
            max_page_size=draw.choice((1, 2, 100)) if self.chance(self.odds.codat * 2) else 100,
            newest_first=draw.random() < 0.3,
            ignore_case=self._ignore_case,
            ignore_empty_tags=self._ignore_empty_tags,
            announce_deleted_connections=draw.random() < 0.5,
        )

    # Webhooks

    def choices(self) -> Choices:
        """Return the choices for an event of the portal."""
        return self._choices()

    def take_events(self) -> None:
        """Schedule the delivery of Codat's new events: late, twice, in another order, or not at all."""
        events, self.codat.outbox[:] = list(self.codat.outbox), []
        for event in events:
            if event.client != "ours":
                continue
            webhook_id = f"msg_{self.random.getrandbits(64):016x}"
            if self.chance(self.odds.webhook * 0.3):
                self.counts["webhooks lost"] += 1
                continue
            delays = [self.random.choice((0.0, 0.5, 20.0, 400.0)) if self.chance(self.odds.webhook) else 0.0]
            if self.chance(self.odds.webhook):
                delays.append(self.random.uniform(0, 100))
            for delay in delays:
                self.scheduler.at(delay, partial(self.deliver, event, webhook_id, 0))

    def deliver(self, event: Event, webhook_id: str, attempt: int) -> None:
        def work() -> None:
            body = json.dumps(event.body).encode()
            api = api_event("codat_webhook")
            api["body"] = body.decode()
            api["headers"] |= signed(body, self._secret, webhook_id=webhook_id, at=self.now())
            answered, owner = None, self._owner(event)
            is_lost, losses = _company_id(event) in self.lost, self.losses
            try:
                self.counts["webhooks"] += 1
                answered = int(self.invoke("codat_webhook", api)["statusCode"])
            finally:
                if answered != 204:
                    self.check("webhooks are accepted or repeated", answered in {None, 503}, (answered, event.body))
                    self._retry(event, webhook_id, attempt)
            if answered == HTTPStatus.SERVICE_UNAVAILABLE:
                self.counts["webhooks answered 503"] += 1
                self.check("503 has a cause", is_lost or self._had_fault(), event.body)
            if answered == HTTPStatus.NO_CONTENT and losses == self.losses and owner and owner == self._owner(event):
                self._check_stored(event)

        self.scheduler.spawn(f"webhook {event.body['eventType']}", work)

    def _retry(self, event: Event, webhook_id: str, attempt: int) -> None:
        if attempt < len(RETRY_DELAYS):
            self.scheduler.at(RETRY_DELAYS[attempt], partial(self.deliver, event, webhook_id, attempt + 1))

    def _owner(self, event: Event) -> str | None:
        """Return the customer that owns the event's company; None if it is not (yet, or any more) ours."""
        pointer = {item["sk"]: item for item in self.items(f"COMPANY#{_company_id(event)}")}.get("COMPANY", {})
        return None if {"reserved", "ended"} & pointer.keys() else pointer.get("customerId")

    def _check_stored(self, event: Event) -> None:
        """Promise 3: after 204 the effect of an event about one of our companies is in the table."""
        payload, event_type = event.body["payload"], event.body["eventType"]
        if "referenceCompany" not in payload:
            # After its deletion a company has no owner.
            self.check("2xx means stored", event_type != "company.deleted", event.body)
            return
        reads = {entry["connectionId"] for entry in payload.get("dataTypes", [])}
        stored = self.items(f"COMPANY#{payload['referenceCompany']['id']}")
        for connection_id in reads or {payload["connection"]["id"]}:
            entries = [item for item in stored if item["sk"].startswith(f"EVENT#{connection_id}#")]
            holds = event.body["id"] in {item["eventId"] for item in entries}
            self.check("2xx means stored", holds, (event_type, connection_id))

    def forge(self, company_id: str, connection_id: str) -> None:
        """Send a webhook with an invalid signature."""
        body = json.dumps(
            {
                "id": f"{self.random.getrandbits(64):016x}",
                "eventType": "connection.deleted",
                "generatedDate": self.now().isoformat(),
                "payload": {"referenceCompany": {"id": company_id}, "connection": {"id": connection_id}},
            }
        ).encode()
        api = api_event("codat_webhook")
        api["body"] = body.decode()
        api["headers"] |= signed(body, "whsec_" + "A" * 32, at=self.now())

        def work() -> None:
            status = int(self.invoke("codat_webhook", api)["statusCode"])
            self.check("no unsigned webhook", status == 401, status)

        self.scheduler.spawn("forged webhook", work)

    # Reconcile

    def reconcile(self, *, adopt_ours: bool = False) -> None:
        """Plan a reconcile and process its messages. A message that fails is delivered again later."""

        def plan() -> None:
            try:
                self.invoke("plan_reconcile", {"adoptOurs": True} if adopt_ours else {})
            except CodatCustomersError:
                self.counts["plans failed"] += 1
            finally:
                messages, self.queue = self.queue, []
                for message in messages:
                    self._process(message, 0)

        self.scheduler.spawn("plan", plan)

    def _process(self, message: dict[str, Any], attempt: int) -> None:
        def work() -> None:
            failed = True
            try:
                records = [{"messageId": "m", "body": json.dumps(message)}]
                failed = bool(self.invoke("reconcile", {"Records": records})["batchItemFailures"])
            finally:
                if failed and attempt < len(RETRY_DELAYS):
                    self.scheduler.at(1800.0, partial(self._process, message, attempt + 1))

        self.scheduler.spawn(f"reconcile {message['kind']}", work)

    # What a test sees

    def items(self, pk: str = "") -> list[dict[str, Any]]:
        """Read the table; this is no I/O of the functions, so nothing else happens meanwhile."""
        token = self._observing.set(True)
        try:
            return self.app.items(pk)
        finally:
            self._observing.reset(token)

    def api(self, event: str, **ids: str) -> Any:
        """Read by the API, outside any task."""
        response = self.invoke("read_customers", api_event(event, **ids))
        return int(response["statusCode"]), json.loads(response["body"])


def _company_id(event: Event) -> str:
    """Return the id of the company that the event is about."""
    payload: Json = event.body["payload"]
    return str(payload.get("referenceCompany", payload)["id"])


def _has_rejected_name(request: HttpRequest) -> bool:
    is_change = request.method == "PATCH" and re.fullmatch("/companies/[^/]+", request.path)
    return bool(is_change) and REJECTED_NAME in str(json.loads(request.body).get("name"))


class _Transport(httpx.BaseTransport):
    def __init__(self, world: World) -> None:
        self._world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._world.exchange(request)


class _Secrets:
    def __init__(self, world: World) -> None:
        self._world = world

    def api_key(self) -> str:
        return self._world.current_api_key()

    def refresh_api_key(self) -> str:
        return self._world.current_api_key(refresh=True)

    def webhook_secrets(self) -> list[str]:
        return [self._world.webhook_secret()]

    def refresh_webhook_secrets(self) -> list[str]:
        return self.webhook_secrets()
