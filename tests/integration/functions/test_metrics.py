"""What the functions count, as CloudWatch reads it from their logs (the embedded metric format)."""

import json
from collections import defaultdict
from typing import Any

import pytest
from codat_simulator.faults import Fault

from tests.conftest import App

CODAT_CALL = "CodatCall"


def measured(output: str) -> dict[tuple[str, ...], list[float]]:
    """The values of every metric, by its name and what its dimensions beside `service` say."""
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for line in output.splitlines():
        told: dict[str, Any] = json.loads(line) if line.startswith('{"_aws"') else {}
        for group in told.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert group["Namespace"] == "CodatCustomers"
            [names] = group["Dimensions"]
            assert told["service"] == "codat-customers"
            said = [told[name] for name in names if name != "service"]
            for metric in group["Metrics"]:
                found[metric["Name"], *said] += told[metric["Name"]]
    return found


def test_a_link_is_counted_from_the_call_to_the_state(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN a customer who links WHEN all webhooks are in THEN each promise has its figure."""
    app.linked(app.customer()["customerId"])

    found = measured(capsys.readouterr().out)

    assert sum(found["CustomerCreated",]) == sum(found["ConnectionCreated",]) == 1
    assert sum(found["WebhookAccepted", "connection.connected"]) == 1
    assert all(0 <= seconds < 60 for seconds in found["WebhookLag",])
    assert len(found["WebhookLag",]) >= 1
    calls = {outcome: found[name, outcome] for name, *rest in found if name == CODAT_CALL for outcome in rest}
    assert calls.keys() == {"200"}
    left = found["CodatQuotaRemaining",]
    assert len(left) == len(calls["200"]) >= 2, "one value for each invocation that called Codat"
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(kind="status", status=503, when="after", times=1), "503"),
        (Fault(kind="status", status=429, times=1), "429"),
        (Fault(kind="drop", times=1), "unreachable"),
    ],
    ids=["failed", "limited", "dropped"],
)
def test_what_codat_answers_is_counted(
    app: App, capsys: pytest.CaptureFixture[str], fault: Fault, outcome: str
) -> None:
    """A failure that the call itself got over is seen all the same."""
    app.codat.faults.add(fault)

    app.customer()

    found = measured(capsys.readouterr().out)
    assert found[CODAT_CALL, outcome]
    assert found[CODAT_CALL, "200"]
