"""Create a customer, connect a platform and wait until it is linked: python app.py acme "Acme Ltd" qhyg

API_URL is the output ApiUrl, or http://127.0.0.1:3000; AWS_REGION its region. AWS's SDK finds the credentials.
"""

import json
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
TO_DO = dict.fromkeys([*REPEAT, "no-answer"], "Try again later")
TO_DO |= dict.fromkeys(["malformed-json", "invalid-query", "validation-error"], "Correct the input")
TO_DO |= dict.fromkeys(["unknown-platform", "company-unknown", "too-many-tags"], "Choose another value")
TO_DO |= dict.fromkeys(["customer-conflict", "company-taken", "accounting-connection-exists"], "Ask the user")
TO_DO |= dict.fromkeys(["customer-not-found", "connection-not-found"], "It was deleted: start again")
TO_DO |= dict.fromkeys(["codat-rejected-credentials", "codat-rejected", "codat-account-limit"], "Alert the operator")
TO_DO |= {403: "Allow the role to invoke the route", 404: "Check API_URL"}
credentials = boto3.Session().get_credentials()


def call(method, path, body=None, retry_after=0):
    """Return the answer. Calls can be repeated: each continues where the one before it stopped."""
    for delay in (0, 1, 2, 4, 8):
        time.sleep(max(delay, retry_after))
        request = AWSRequest(method, os.environ["API_URL"] + path, data=body and json.dumps(body))
        SigV4Auth(credentials, "execute-api", os.environ["AWS_REGION"]).add_auth(request)
        try:
            answer = httpx.request(method, request.url, headers=dict(request.headers), content=request.body, timeout=30)
        except httpx.TransportError as error:  # the call may have done its work
            problem, kind = {"detail": str(error)}, "no-answer"
            continue
        problem = answer.json()
        if answer.is_success:
            return problem
        kind, retry_after = problem.get("type", answer.status_code), int(answer.headers.get("retry-after", 0))
        if kind not in REPEAT:
            break
    print("\n".join(f"{error['field']}: {error['detail']}" for error in problem.get("errors", [])))
    sys.exit(f"{TO_DO[kind]}: {problem.get('detail') or problem['message']} ({kind}, {problem.get('requestId')})")


customer_id, name, platform = sys.argv[1:]
call("POST", "/customers", {"customerId": customer_id, "name": name})
connections = f"/customers/{quote(customer_id, safe='')}/connections"
connection = call("POST", connections, {"platformKey": platform})
print("Open this link once:", connection["linkUrl"], flush=True)
for _ in range(300):  # 10 minutes; change events say it sooner: docs/app-webhook.md
    connection = call("GET", f"{connections}/{connection['connectionId']}")
    if connection["status"] == "Linked":
        sys.exit(print("Linked:", connection["platformName"], "since", connection["linkedAt"]))
    time.sleep(2)
sys.exit(f"Not linked yet: {connection['error'] or connection['nextAction']}")
