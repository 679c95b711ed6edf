"""Schemathesis calls every route of docs/openapi.json on the local stack, with valid and with invalid data.

The functions run in this process, so the plugin of `tests/infrastructure/contract` compares each call as well.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from contract.fields import CONNECTION
from contract.operations import OPERATIONS
from tests.conftest import App
from tests.infrastructure.contract.exchanges import DOCUMENT

# API Gateway answers 404 and not 405 to a method without a route, and the local stack needs no signature. What the
# document can't say about valid data, such as that `GET /connections` needs one of two parameters, is in descriptions.
LEFT_OUT = "unsupported_method,allow_header_conformance,ignored_auth,positive_data_acceptance"
OPTIONS = (
    *("--phases", "examples,coverage,fuzzing"),
    *("--max-examples", "5"),
    *("--exclude-checks", LEFT_OUT),
    *("--generation-deterministic", "--no-shrink", "--continue-on-failure", "--no-color"),
    # Generated signatures would only be ignored.
    *("--generation-with-security-parameters", "false"),
)
_SECONDS = 120


def test_every_route_conforms(app: App, tmp_path: Path) -> None:
    """GIVEN a linked customer THEN each answer has a documented status, type and body, and invalid data is refused."""
    connection = app.linked(app.customer("acme")["customerId"])
    document = json.loads(DOCUMENT.read_text("utf-8").replace(CONNECTION, connection["connectionId"]))
    for methods in document["paths"].values():
        for parameter in methods.get("delete", {}).get("parameters", ()):
            parameter["example"] = "another"  # so that the customer remains for the other routes
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        "openapi.json",
        "--url",
        app.stack.url,
        *OPTIONS,
    ]
    process = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=_SECONDS
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"Tested: {len(OPERATIONS)}" in process.stdout
    generated = re.search(r"(\d+) generated", process.stdout)
    assert generated
    assert int(generated[1]) > 300


def test_a_route_without_a_method_is_not_found(app: App) -> None:
    """API Gateway answers 404."""
    for path, methods in json.loads(DOCUMENT.read_text("utf-8"))["paths"].items():
        for method in {"get", "put", "post", "delete", "patch"} - methods.keys():
            response = app.http.request(
                method, path.format(customerId="acme", connectionId=CONNECTION, invitationId="any")
            )
            assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
