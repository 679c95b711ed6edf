"""Create a customer, connect a platform and wait until it is linked: python app.py acme "Acme Ltd" qhyg

API_URL is the stack's output ApiUrl, or http://127.0.0.1:3000 with `make run`. AWS's SDK finds the credentials.
"""

import os
import sys
import time
from urllib.parse import quote

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

REPEAT = ["creation-in-progress", "deletion-in-progress", "codat-rate-limited", "codat-unavailable", "codat-not-found"]
REPEAT += ["store-unavailable", "secrets-unavailable", "internal-error", 429, 500, 503]  # numbers: API Gateway itself
TO_DO = dict.fromkeys(REPEAT, "Try again later")
TO_DO |= dict.fromkeys(["malformed-json", "invalid-query", "validation-error"], "Correct the input")
TO_DO |= dict.fromkeys(["unknown-platform", "company-unknown", "too-many-tags"], "Choose another value")
TO_DO |= dict.fromkeys(["customer-conflict", "company-taken", "accounting-connection-exists"], "Ask the user")
TO_DO |= dict.fromkeys(["customer-not-found", "connection-not-found"], "It was deleted: start again")
TO_DO |= dict.fromkeys(["codat-rejected-credentials", "codat-rejected", "codat-account-limit"], "Alert the operator")
TO_DO[403] = "Allow the role to invoke the route"
ATTEMPTS, POLL_SECONDS, LINK_SECONDS = 5, 2, 600
credentials = boto3.Session().get_credentials()


def call(method, path, body=None):
    """Return the answer. Calls can be repeated: each continues where the one before it stopped."""
    for attempt in range(ATTEMPTS):
        request = httpx.Request(method, os.environ["API_URL"] + path, json=body)
        signed = AWSRequest(method, str(request.url), {}, request.content)
        SigV4Auth(credentials, "execute-api", os.environ["AWS_REGION"]).add_auth(signed)
        request.headers.update(dict(signed.headers))
        with httpx.Client(timeout=30) as client:
            answer = client.send(request)
        if answer.is_success:
            return answer.json()
        problem = answer.json()
        kind = problem.get("type", answer.status_code)
        if kind not in REPEAT:
            break
        time.sleep(int(answer.headers.get("retry-after", 2**attempt)))
    print("\n".join(f"{error['field']}: {error['detail']}" for error in problem.get("errors", [])))
    sys.exit(f"{TO_DO[kind]}: {problem.get('detail') or problem['message']} ({kind}, {problem.get('requestId')})")


customer_id, name, platform = sys.argv[1:]
call("POST", "/customers", {"customerId": customer_id, "name": name})
connections = f"/customers/{quote(customer_id, safe='')}/connections"
connection = call("POST", connections, {"platformKey": platform})
print("Open this link once:", connection["linkUrl"], flush=True)
deadline = time.monotonic() + LINK_SECONDS
while connection["status"] != "Linked":  # change events say it sooner: docs/app-webhook.md
    if time.monotonic() > deadline:
        sys.exit(f"Not linked yet: {connection['error'] or connection['nextAction']}")
    time.sleep(POLL_SECONDS)
    connection = call("GET", f"{connections}/{connection['connectionId']}")
print("Linked:", connection["platformName"], "since", connection["linkedAt"])
