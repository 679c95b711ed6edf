// Create a customer, connect a platform and wait until it is linked: node app.js acme "Acme Ltd" qhyg
//
// API_URL is the stack's output ApiUrl, or http://127.0.0.1:3000 with `make run`; AWS_REGION is its region. AWS's SDK
// finds the credentials.
import { setTimeout as sleep } from "node:timers/promises";
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";
import { AwsClient } from "aws4fetch";

const REPEAT = [
  "creation-in-progress", "deletion-in-progress", "codat-rate-limited", "codat-unavailable", "codat-not-found",
  "store-unavailable", "secrets-unavailable", "internal-error", 429, 500, 503, // numbers: API Gateway itself
];
const TO_DO = Object.fromEntries([
  [[...REPEAT, "no-answer"], "Try again later"],
  [["malformed-json", "invalid-query", "validation-error"], "Correct the input"],
  [["unknown-platform", "company-unknown", "too-many-tags"], "Choose another value"],
  [["customer-conflict", "company-taken", "accounting-connection-exists"], "Ask the user"],
  [["customer-not-found", "connection-not-found"], "It was deleted: start again"],
  [["codat-rejected-credentials", "codat-rejected", "codat-account-limit"], "Alert the operator"],
  [[403], "Allow the role to invoke the route"], [[404], "Check API_URL"],
].flatMap(([kinds, text]) => kinds.map((kind) => [kind, text])));
const credentials = fromNodeProviderChain();

/** Return the answer. Calls can be repeated: each continues where the one before it stopped. */
async function call(method, path, body) {
  let problem, kind, retryAfter = 0;
  for (const delay of [0, 1, 2, 4, 8]) {
    await sleep(1000 * Math.max(delay, retryAfter));
    const aws = new AwsClient({
      ...(await credentials()), service: "execute-api", region: process.env.AWS_REGION, retries: 0,
    });
    const answer = await aws.fetch(process.env.API_URL + path, {
      method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    }).catch((error) => error);
    if (answer instanceof Error) { // the call may have done its work
      [problem, kind] = [{ detail: answer.message }, "no-answer"];
      continue;
    }
    problem = await answer.json();
    if (answer.ok) return problem;
    [kind, retryAfter] = [problem.type ?? answer.status, Number(answer.headers.get("retry-after"))];
    if (!REPEAT.includes(kind)) break;
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
for (let tries = 300; connection.status !== "Linked"; tries--) { // 10 minutes
  if (!tries) throw new Error(`Not linked yet: ${connection.error ?? connection.nextAction}`);
  await sleep(2000); // change events say it sooner: docs/app-webhook.md
  connection = await call("GET", `${connections}/${connection.connectionId}`);
}
console.log(`Linked: ${connection.platformName} since ${connection.linkedAt}`);
