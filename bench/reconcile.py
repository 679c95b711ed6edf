"""`make bench BENCH=reconcile`: measure a reconcile of a dataset after changes at Codat that the table has missed.

Handlers, store and HTTP client are the deployed ones; DynamoDB is DynamoDB Local, SQS is moto, Codat is simulated.
Exits with 1 if the table differs from Codat afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from codat_simulator.server import CodatServer
from codat_simulator.settings import Settings

from bench.dataset import Dataset
from local.aws.moto_server import ACCESS_KEY_ID, ENDPOINT_VARIABLES, SECRET_ACCESS_KEY, moto_server
from local.aws.resources import create_queues, create_secret, create_table
from local.template import DEFAULT_REGION, Template
from tests.dynamodb_local import running_dynamodb_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
API_KEY = "bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reconcile", description=__doc__)
    parser.add_argument("--companies", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=3, help="of each company")
    parser.add_argument("--lost", type=float, default=0.05, help="share of the connections whose change was missed")
    parser.add_argument("--deleted", type=int, default=50, help="companies whose deletion was missed as well")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as parts:
        dynamodb_url = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or parts.enter_context(running_dynamodb_local())
        moto_url = parts.enter_context(moto_server())
        # No consumer is registered, so all webhooks are lost.
        codat = parts.enter_context(CodatServer(Settings(api_keys=(API_KEY,))))
        template = Template.load()
        parts.enter_context(bench_environment(template, dynamodb_url, moto_url, codat.base_url))
        dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
        dead_letters_url = create_resources(template)
        dataset = Dataset(codat.state, dynamodb, template.physical_id("Table"), api_key=API_KEY, seed=options.seed)
        with timed(f"{options.companies:,} companies, {options.companies * options.connections:,} connections created"):
            dataset.fill(options.companies, options.connections)
        print_line("difference before", dataset.difference().count)
        for change, times in sorted(dataset.change_codat(options.lost, options.deleted).items()):
            print_line(f"missed: {change}", times)
        print_line("difference after the changes", dataset.difference().count)
        codat.calls.clear()
        with timed("reconcile"):
            counts = run_reconcile(template)
        for name, count in sorted(counts.items()):
            print_line(f"reconciled: {name}", count)
        _report_calls(codat, options.companies)
        differences, dead_letters = print_differences(dataset), queue_size(sqs, dead_letters_url)
        print_line("dead letters", dead_letters)
        codat.calls.clear()
        with timed("second reconcile"):
            second_counts = run_reconcile(template)
        print_line("drift in the second reconcile", second_counts["drift"])
        return 1 if differences or dead_letters or second_counts["drift"] else 0


def run_reconcile(template: Template) -> Counter[str]:
    """Run the plan, and then the template's number of workers concurrently. Return the sums of their counts."""
    workers = template.properties("ReconcileSource")["ScalingConfig"]["MaximumConcurrency"]
    [plan] = _results([_start("plan")])
    print_line("plan: MiB after the imports, peak", f"{plan['imported']:.0f}, {plan['peak']:.0f}")
    counts: Counter[str] = Counter()
    for result in _results([_start("work") for _ in range(workers)]):
        memory = f"{result['imported']:.0f}, {result['first']:.0f}, {result['peak']:.0f}"
        print_line(f"worker of {result['messages']} messages: MiB after the imports, after the first, peak", memory)
        counts.update(result["counts"])
    return counts


def _start(part: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.worker", part]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603 - constant arguments


def _results(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    outputs = [process.communicate()[1] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("\n".join(outputs))
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def _report_calls(codat: CodatServer, companies: int) -> None:
    calls = codat.calls.list()
    routes = Counter(f"{call.method} {_ID.sub('{id}', call.path)}" for call in calls)
    for route, times in sorted(routes.items()):
        print_line(f"Codat: {route}", times)
    print_line("Codat: all requests, per 1,000 companies", f"{len(calls)}, {1000 * len(calls) / companies:.1f}")


def create_resources(template: Template, *, webhook_secrets: Sequence[str] = ()) -> str:
    """Create table, secret and queues. Return the URL of the dead-letter queue."""
    create_table(boto3.client("dynamodb"), template)
    create_secret(
        boto3.client("secretsmanager"),
        template,
        api_key=API_KEY,
        webhook_secrets=webhook_secrets,
    )
    _, dead_letters_url = create_queues(boto3.client("sqs"), template)
    return dead_letters_url


@contextmanager
def bench_environment(template: Template, dynamodb_url: str, moto_url: str, codat_url: str) -> Iterator[None]:
    os.environ.update(template.environment())
    os.environ.update(dict.fromkeys(ENDPOINT_VARIABLES, moto_url))
    os.environ.update(
        AWS_ENDPOINT_URL_DYNAMODB=dynamodb_url,
        AWS_REGION=DEFAULT_REGION,
        AWS_DEFAULT_REGION=DEFAULT_REGION,
        AWS_ACCESS_KEY_ID=ACCESS_KEY_ID,
        AWS_SECRET_ACCESS_KEY=SECRET_ACCESS_KEY,
        CODAT_BASE_URL=codat_url,
        NO_PROXY="127.0.0.1",
    )
    yield


def queue_size(sqs: SQSClient, url: str) -> int:
    response = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(response["Attributes"]["ApproximateNumberOfMessages"])


def print_differences(dataset: Dataset) -> int:
    """Print the differences after a reconcile, and return their number."""
    difference = dataset.difference()
    print_line("difference after the reconcile", difference.count)
    for name in ("only_in_table", "only_at_codat", "different"):
        for key in getattr(difference, name)[:5]:
            print(f"    {name.replace('_', ' ')}: {key}")
    return difference.count


@contextmanager
def timed(label: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    print_line(f"{label}: seconds", f"{time.monotonic() - started:.1f}")


def print_line(label: str, value: object) -> None:
    print(f"{label:90} {value}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
