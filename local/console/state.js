// What the page shows, and the stream that keeps it current.

import { call, customerPath, Problem, read, readAll } from "./api.js";
import { rowText } from "./words.js";

export const LANES = ["app", "codat", "webhooks", "events"];
const MAX_ROWS = 100; // in a lane
export const emptyLanes = () => Object.fromEntries(LANES.map((lane) => [lane, []]));

export const state = {
  live: "connecting", // connecting, live, stopped
  run: null,
  isSimulated: false,
  routes: [],
  customers: null,
  platforms: [],
  timeline: [],
  invitations: [],
  faults: [],
  settings: {},
  lanes: emptyLanes(),
  problems: {}, // by the form or button that caused it
  refreshProblem: null, // of the last refresh
  busy: {}, // likewise
  links: {}, // the latest, by connection or by action and customer; no other request returns them
  message: "", // what a screen reader announces
};

let draw = () => {};
let isDrawing = false;
export const onChange = (work) => { draw = work; };

export function update(changes) {
  Object.assign(state, changes);
  if (isDrawing) return;
  isDrawing = true;
  setTimeout(() => { isDrawing = false; draw(); keepFocus(); }, 16);
}

export const set = (name, key, value) => update({ [name]: { ...state[name], [key]: value } });
export const announce = (message) => update({ message });

export const chosenId = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
};
export const chosen = () => state.customers?.find((customer) => customer.customerId === chosenId());
export const choose = (customerId) => { location.hash = encodeURIComponent(customerId); };
export const can = (route) => state.routes.includes(route);

// Runs what a button does: one at a time for each key, with its problem shown under the same key.
export async function act(key, work, done) {
  if (state.busy[key]) return undefined;
  update({ busy: { ...state.busy, [key]: true }, problems: { ...state.problems, [key]: null } });
  try {
    const result = await work();
    announce(typeof done === "function" ? done(result) : done || "");
    return result ?? true;
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    set("problems", key, error);
    return undefined;
  } finally {
    set("busy", key, false);
    refreshSoon();
  }
}

// A button that is gone, like that of a deleted connection, would leave the keyboard at the top of the page.
let focused = null;
document.addEventListener("focusin", (event) => { focused = event.target; });
function keepFocus() {
  if (!focused || focused.isConnected) return;
  focused = null;
  if (document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true });
}

// Refreshes run one after the other; a change during one causes one more.
let refreshing = null;
let isStale = false;
export function refresh() {
  isStale = true;
  refreshing ||= (async () => {
    while (isStale && state.live === "live") {
      isStale = false;
      update({ refreshProblem: await problemOf(reload) });
    }
  })().finally(() => { refreshing = null; });
  return refreshing;
}

async function problemOf(work) {
  try {
    await work();
    return null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error;
  }
}

// One refresh for rows that arrive together.
let scheduled = null;
function refreshSoon() {
  clearTimeout(scheduled);
  scheduled = setTimeout(refresh, 100);
}

async function reload() {
  const chosenBefore = chosenId();
  const customers = await readAll("/customers", "customers");
  customers.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  // A customer that was chosen during the request may be newer than its answer.
  const isGone = chosenBefore === chosenId() && !customers.some((customer) => customer.customerId === chosenBefore);
  const first = customers[0]?.customerId ?? "";
  if (isGone && chosenBefore !== first) {
    history.replaceState(null, "", `#${encodeURIComponent(first)}`); // without the event hashchange
    clearCustomer();
  }
  // A link that was used is shown no more.
  const linked = customers.flatMap(({ connections }) => connections.filter(({ status }) => status === "Linked"));
  const used = new Set(linked.map(({ connectionId }) => connectionId));
  const links = Object.fromEntries(Object.entries(state.links).filter(([id]) => !used.has(id)));
  update({ customers, links });
  const parts = [loadTimeline(chosen())];
  if (can("GET /customers/{customerId}/invitations")) parts.push(loadInvitations(chosen()));
  if (state.isSimulated) parts.push(loadSimulator());
  if (!state.platforms.length) parts.push(read("/platforms").then(({ platforms }) => update({ platforms })));
  await Promise.all(parts);
}

// What is shown of one customer only.
const clearCustomer = () => update({ timeline: [], invitations: [], links: {}, problems: {} });

async function loadTimeline(customer) {
  const entries = await Promise.all((customer?.connections || []).map(async ({ connectionId, platformName }) => {
    const path = customerPath(customer.customerId, `/connections/${encodeURIComponent(connectionId)}/events?limit=30`);
    return (await read(path)).events.map((entry) => ({ ...entry, platformName }));
  }));
  const timeline = entries.flat().sort((a, b) => (a.at < b.at ? 1 : -1));
  if (customer?.customerId === chosen()?.customerId) update({ timeline });
}

async function loadInvitations(customer) {
  const { invitations } = customer ? await read(customerPath(customer.customerId, "/invitations")) : { invitations: [] };
  if (customer?.customerId === chosen()?.customerId) update({ invitations });
}

// An answer that a later request overtook is outdated.
let lastRequest = 0;
export async function loadSimulator() {
  const request = ++lastRequest;
  const [faults, settings] = await Promise.all([call("GET", "codat/faults"), call("GET", "codat/settings")]);
  if (request === lastRequest) update({ faults: faults.results, settings });
}

// The stream. A hidden page closes it, because browsers allow six connections to a server; the log has what it missed.
let source = null;
let lastId = "";

export function follow() {
  source?.close();
  source = new EventSource(`stream?after=${lastId}`);
  source.addEventListener("hello", (event) => hello(JSON.parse(event.data)));
  source.addEventListener("live", () => { update({ live: "live", refreshProblem: null }); refresh(); });
  source.onmessage = (event) => {
    lastId = event.lastEventId;
    addRow({ ...JSON.parse(event.data), id: event.lastEventId, isNew: state.live === "live" });
  };
  source.onerror = () => {
    const isClosed = source.readyState === EventSource.CLOSED;
    if (state.live !== "stopped") update({ live: "stopped", message: "The server has stopped." });
    if (isClosed) setTimeout(follow, 1000);
  };
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) source?.close();
  else follow();
});
addEventListener("hashchange", () => { clearCustomer(); refresh(); });

function hello({ run, isSimulated, routes }) {
  const isRestarted = state.run && state.run !== run;
  if (isRestarted) update({ lanes: emptyLanes(), links: {}, problems: {}, platforms: [] });
  const message = isRestarted ? "Connected to the restarted server." : state.live === "stopped" ? "Connected again." : "";
  update({ run, isSimulated, routes, message });
}

function addRow(row) {
  const rows = state.lanes[row.lane];
  if (rows && !rows.some(({ id }) => id === row.id)) {
    set("lanes", row.lane, [row, ...rows].slice(0, MAX_ROWS));
    if (row.isNew && row.verdict && row.verdict !== "verified") announce(rowText(row));
  }
  // Requests to Codat and reads don't change what the page shows.
  if (row.lane !== "codat" && !row.title.startsWith("GET ")) refreshSoon();
}
