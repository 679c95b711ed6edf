// The rest of the journey with the generated types. docs/calling.md's example, before it, has created the customer.
// The test writes both into one file: `api`, `data` and `error` are the example's.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

/** Return what an answer contains, or fail with its problem. */
function content<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert(answer.response.ok, JSON.stringify(answer.error));
  return answer.data as T;
}

assert(data, JSON.stringify(error));
const acme = { params: { path: { customerId: "acme" } } };
assert.equal(content(await api.GET("/customers/{customerId}", acme)).name, "Acme Ltd");
const page = content(await api.GET("/customers", { params: { query: { limit: 10 } } }));
assert.deepEqual(page.customers.map((customer) => customer.customerId), ["acme"]);
const conflict = await api.POST("/customers", { body: { customerId: "acme", name: "Brook Ltd" } });
assert(conflict.error && "type" in conflict.error);
switch (conflict.error.type) { // a union of the documented types: another name would not compile
  case "customer-conflict": assert.equal(conflict.error.status, 409); break;
  default: assert.fail(conflict.error.type);
}
const invalid = await api.POST("/customers", { body: { customerId: "a b", name: "Brook Ltd" } });
assert(invalid.error && "type" in invalid.error && invalid.error.type === "validation-error");
assert.equal(invalid.error.errors[0]?.field, "customerId");

assert.equal(content(await api.POST("/customers/{customerId}/access-token", acme)).tokenType, "Bearer");
const { platforms } = content(await api.GET("/platforms"));
assert(platforms.some((platform) => platform.platformKey === "qhyg"));
const created = content(await api.POST("/customers/{customerId}/connections", { ...acme, body: { platformKey: "qhyg" } }));
assert.equal(created.nextAction, "authorize");
await fetch(created.linkUrl, { method: "POST", body: new URLSearchParams({ action: "authorize" }) });
const ids = { params: { path: { customerId: "acme", connectionId: created.connectionId } } };
const read = async () => content(await api.GET("/customers/{customerId}/connections/{connectionId}", ids));
let connection = await read();
for (; connection.status !== "Linked"; connection = await read()) await sleep(100);
const linkedAt: string | null = connection.linkedAt;
assert(linkedAt);
const linked = content(await api.GET("/connections", { params: { query: { status: "Linked" } } })).connections;
assert.deepEqual(linked.map((each) => each.connectionId), [created.connectionId]);
const unlinked = content(await api.POST("/customers/{customerId}/connections/{connectionId}/unlink", ids));
assert.equal(unlinked.nextAction, "reconnect");
assert(content(await api.POST("/customers/{customerId}/connections/{connectionId}/link", ids)).linkUrl);
const timeline = content(await api.GET("/customers/{customerId}/connections/{connectionId}/events", ids));
assert(timeline.events.some((entry) => entry.eventType === "unlinked"));
const invited = await api.POST("/customers/{customerId}/invitations", { ...acme, body: { platformKey: "qhyg" } });
assert.match(content(invited).url, /\/connect\//);
assert.equal(content(await api.GET("/customers/{customerId}/invitations", acme)).invitations.length, 1);
assert.equal(content(await api.PATCH("/customers/{customerId}", { ...acme, body: { name: "Acme Group" } })).name, "Acme Group");
assert.equal((await api.DELETE("/customers/{customerId}/connections/{connectionId}", ids)).response.status, 204);
assert.equal((await api.DELETE("/customers/{customerId}", acme)).response.status, 204);
console.log("complete");
