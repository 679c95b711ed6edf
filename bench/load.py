"""`make bench BENCH=load`: send many webhooks through the webhook's handler, and then run one reconcile.

Of all webhooks 20% are sent twice, 10% arrive after the connection's next one, and 5% are lost. The handler is the
deployed one, in several processes, on DynamoDB Local. Its throughput is compared with the same number of the same
requests to DynamoDB written bare; the two take turns, so that a slow machine slows both. Exits with 1 if a webhook is
not accepted, or if the table differs from Codat in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings

from bench.dataset import Dataset, set_status
from bench.reconcile import (
    API_KEY,
    bench_environment,
    create_resources,
    print_differences,
    print_line,
    queue_size,
    run_reconcile,
    timed,
)
from local.aws.moto_server import moto_server
from local.settings import new_webhook_secret
from local.template import Template
from tests.dynamodb_local import running_dynamodb_local
from tests.payloads import webhook_about

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codat_simulator.models import Connection
    from codat_simulator.state import State

SENT_TWICE, LATE, LOST = 0.20, 0.10, 0.05
WEBHOOKS_OF_A_COMPANY = 20
CONNECTIONS_OF_A_COMPANY = 3
DELIVERIES_OF_A_TURN = 10_000
HEAP_MB = 4096
"""DynamoDB Local holds the table in memory, and a scan of it once more."""
MAX_DELAY_OF_A_COPY = 200
"""Webhooks that are sent between the two copies of one."""
# Shorter than the age of the dataset's connections, and long enough for increasing times.
_OLDEST, _NEWEST = timedelta(minutes=50), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Webhook:
    company_id: str
    connection_id: str
    body: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--webhooks", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one webhook at a time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as parts:
        dynamodb_url = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or parts.enter_context(
            running_dynamodb_local(HEAP_MB)
        )
        moto_url = parts.enter_context(moto_server())
        codat = parts.enter_context(CodatServer(Settings(api_keys=(API_KEY,))))
        folder = Path(parts.enter_context(TemporaryDirectory()))
        template, secret = Template.load(), new_webhook_secret()
        parts.enter_context(bench_environment(template, dynamodb_url, moto_url, codat.base_url))
        dead_letters_url = create_resources(template, webhook_secrets=[secret])
        table = template.physical_id("Table")
        dataset = Dataset(codat.state, boto3.client("dynamodb"), table, api_key=API_KEY, seed=options.seed)
        companies = max(1, options.webhooks // WEBHOOKS_OF_A_COMPANY)
        with timed(f"{companies:,} companies, {companies * CONNECTIONS_OF_A_COMPANY:,} connections created"):
            dataset.fill(companies, CONNECTIONS_OF_A_COMPANY)
        random_source = random.Random(options.seed)  # noqa: S311 - reproducible, and not for security
        webhooks = list(changes(codat.state, options.webhooks, random_source))
        deliveries = in_order_of_delivery(webhooks, random_source)
        print_line("webhooks: all, delivered", f"{len(webhooks):,}, {len(deliveries):,}")
        bodies = [webhooks[index].body for index in deliveries]
        turns = [bodies[start : start + DELIVERIES_OF_A_TURN] for start in range(0, len(bodies), DELIVERIES_OF_A_TURN)]
        handled, bare = _Result(), _Result()
        for turn in turns:
            files = _write_files(folder, turn, options.workers)
            result = _run([["handler", str(file), secret] for file in files])
            counts = json.dumps({name: -(-count // options.workers) for name, count in result.requests.items()})
            handled += result
            bare += _run([["bare", str(file), counts] for file in files])
        print_line("answers", dict(handled.statuses))
        print_line("requests to DynamoDB", dict(handled.requests))
        print_line("webhooks a second", f"{handled.webhooks / handled.seconds:.0f}")
        print_line("CPU of the handler, ms a webhook", f"{1000 * handled.cpu / handled.webhooks:.2f}")
        print_line("the same requests written bare: webhooks a second", f"{handled.webhooks / bare.seconds:.0f}")
        print_line("throughput, handler to bare", f"{bare.seconds / handled.seconds:.2f}")

        print_line("difference before the reconcile", dataset.difference().count)
        with timed("reconcile"):
            reconciled = run_reconcile(template)
        print_line("reconciled: drift, failed", f"{reconciled['drift']}, {reconciled['failed']}")
        differences, dead_letters = print_differences(dataset), queue_size(boto3.client("sqs"), dead_letters_url)
        errors = handled.webhooks - handled.statuses["204"] + reconciled["failed"] + dead_letters
        print_line("errors", errors)
        return 1 if differences or errors else 0


def changes(state: State, count: int, random_source: random.Random) -> Iterator[Webhook]:
    """Change random connections at Codat, and yield the webhook of each change, oldest first."""
    connections = [connection for company in state.companies() for connection in company.connections.values()]
    uids = {company.id: company.tags["uid"] for company in state.companies()}
    first, step = datetime.now(UTC) - _OLDEST, (_OLDEST - _NEWEST) / count
    for number in range(count):
        connection = random_source.choice(connections)
        statuses = sorted({"Linked", "Unlinked", "Deauthorized"} - {connection.status})
        event_type = "connected" if not connection.ever_linked else "reconnected"
        at = first + number * step
        set_status(connection, random_source.choice(statuses), at)
        event_type = event_type if connection.status == "Linked" else "disconnected"
        yield _webhook(f"connection.{event_type}", connection, at, uids[connection.company_id])


def in_order_of_delivery(webhooks: Sequence[Webhook], random_source: random.Random) -> list[int]:
    """Return the indexes of the webhooks as they arrive: some late, some twice, without the lost ones."""
    numbers = range(len(webhooks))
    lost = set(random_source.sample(numbers, round(LOST * len(webhooks))))
    following = _following(webhooks)
    may_be_late = sorted(set(following) - lost)
    late = random_source.sample(may_be_late, min(len(may_be_late), round(LATE * len(webhooks))))
    position = {number: float(number) for number in numbers if number not in lost}
    position.update({number: following[number] + 0.5 for number in late})
    copies = random_source.sample(sorted(position), round(SENT_TWICE * len(webhooks)))
    arrivals = [(at, number) for number, at in position.items()]
    arrivals += [(position[number] + random_source.uniform(0, MAX_DELAY_OF_A_COPY), number) for number in copies]
    return [number for _, number in sorted(arrivals)]


def _following(webhooks: Sequence[Webhook]) -> dict[int, int]:
    """Return the number of the same connection's next webhook, for each webhook that has one."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for number, webhook in enumerate(webhooks):
        numbers[webhook.connection_id].append(number)
    return {number: after for each in numbers.values() for number, after in pairwise(each)}


def _webhook(event_type: str, connection: Connection, at: datetime, uid: str) -> Webhook:
    name = f"{event_type}.deauthorized" if connection.status == "Deauthorized" else event_type
    body = webhook_about(
        name,
        company_id=connection.company_id,
        connection_id=connection.id,
        tags={"uid": uid},
        generatedDate=_codat_time(at),
    )
    body["payload"]["connection"] |= {
        "integrationKey": connection.platform.key,
        "platformName": connection.platform.name,
        "sourceType": connection.platform.source_type,
        "status": connection.status,
        "created": _codat_time(connection.created),
        "lastSync": None,
    }
    return Webhook(connection.company_id, connection.id, json.dumps(body))


def _codat_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class _Result:
    webhooks: int = 0
    seconds: float = 0
    cpu: float = 0
    statuses: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: _Result) -> _Result:
        return _Result(
            self.webhooks + other.webhooks,
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            self.statuses + other.statuses,
            self.requests + other.requests,
        )


def _run(arguments: list[list[str]]) -> _Result:
    """Run the workers. The time counts from when all of them are ready."""
    command = [sys.executable, "-m", "bench.load_worker"]
    workers = [
        subprocess.Popen([*command, *each], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - constant arguments
        for each in arguments
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    started = time.monotonic()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    outputs = [worker.communicate()[0] for worker in workers]
    seconds = time.monotonic() - started
    if any(worker.returncode for worker in workers):
        sys.exit("a worker failed")
    results: list[Mapping[str, Any]] = [json.loads(output) for output in outputs]
    return _Result(
        webhooks=sum(result["webhooks"] for result in results),
        seconds=seconds,
        cpu=sum(result["cpu"] for result in results),
        statuses=sum((Counter(result["statuses"]) for result in results), Counter()),
        requests=sum((Counter(result["requests"]) for result in results), Counter()),
    )


def _write_files(folder: Path, bodies: Sequence[str], workers: int) -> list[Path]:
    """Deal the bodies to one file per worker, so that all workers write the same connections concurrently."""
    files = [folder / f"{worker}.jsonl" for worker in range(workers)]
    for worker, file in enumerate(files):
        file.write_text("".join(f"{body}\n" for body in bodies[worker::workers]))
    return files


if __name__ == "__main__":
    sys.exit(main())
