// Create a customer, connect a platform and wait until it is linked: node app.js acme "Acme Ltd" qhyg
//
// API_URL is the stack's output ApiUrl, or http://127.0.0.1:3000 with `make run`. AWS's SDK finds the credentials.
import { setTimeout as sleep } from "node:timers/promises";
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";
import { AwsClient } from "aws4fetch";

const REPEAT = [
  "creation-in-progress", "deletion-in-progress", "codat-rate-limited", "codat-unavailable", "codat-not-found",
  "store-unavailable", "secrets-unavailable", "internal-error", 429, 500, 503, // numbers: API Gateway itself
];
const TO_DO = Object.fromEntries([
  [REPEAT, "Try again later"],
  [["malformed-json", "invalid-query", "validation-error"], "Correct the input"],
  [["unknown-platform", "company-unknown", "too-many-tags"], "Choose another value"],
  [["customer-conflict", "company-taken", "accounting-connection-exists"], "Ask the user"],
  [["customer-not-found", "connection-not-found"], "It was deleted: start again"],
  [["codat-rejected-credentials", "codat-rejected", "codat-account-limit"], "Alert the operator"],
  [[403], "Allow the role to invoke the route"],
].flatMap(([kinds, text]) => kinds.map((kind) => [kind, text])));
const ATTEMPTS = 5, POLL_SECONDS = 2, LINK_SECONDS = 600;
const credentials = fromNodeProviderChain();

/** Return the answer. Calls can be repeated: each continues where the one before it stopped. */
async function call(method, path, body) {
  let problem, kind;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const aws = new AwsClient({
      ...(await credentials()), service: "execute-api", region: process.env.AWS_REGION, retries: 0,
    });
    const answer = await aws.fetch(process.env.API_URL + path, {
      method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    if (answer.ok) return answer.json();
    problem = await answer.json();
    kind = problem.type ?? answer.status;
    if (!REPEAT.includes(kind)) break;
    await sleep(1000 * (answer.headers.get("retry-after") ?? 2 ** attempt));
  }
  for (const { field, detail } of problem.errors ?? []) console.log(`${field}: ${detail}`);
  console.error(`${TO_DO[kind]}: ${problem.detail ?? problem.message} (${kind}, ${problem.requestId})`);
  process.exit(1);
}

const [customerId, name, platformKey] = process.argv.slice(2);
await call("POST", "/customers", { customerId, name });
const connections = `/customers/${encodeURIComponent(customerId)}/connections`;
let connection = await call("POST", connections, { platformKey });
console.log("Open this link once:", connection.linkUrl);
const deadline = Date.now() + 1000 * LINK_SECONDS;
while (connection.status !== "Linked" && Date.now() < deadline) { // change events say it sooner: docs/app-webhook.md
  await sleep(1000 * POLL_SECONDS);
  connection = await call("GET", `${connections}/${connection.connectionId}`);
}
console.log(connection.status === "Linked" ? `Linked: ${connection.platformName} since ${connection.linkedAt}`
  : `Not linked yet: ${connection.error ?? connection.nextAction}`);
