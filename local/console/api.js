// Calls of the API, of the local stack and of the simulated Codat: all on this origin.

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || document.error || document.title || document.message || `HTTP ${status}`);
    this.fields = Object.fromEntries((document.errors || []).map(({ field, detail }) => [field, detail]));
  }
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem({ detail: "The server doesn't answer. Is `make run` still running?" }, 0);
  }
  const text = await response.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    document = { title: text.slice(0, 200) };
  }
  if (!response.ok) throw new Problem(document, response.status);
  return document;
}

export const call = (method, path, body) => send(path, {
  method,
  headers: body === undefined ? {} : { "content-type": "application/json" },
  body: body === undefined ? undefined : JSON.stringify(body),
});

// The page refreshes itself after every change. These reads are left out of the first lane.
export const read = (path) => send(path, { headers: { "x-background-read": "1" } });

export async function readAll(path, name, maxRows = 500) {
  const rows = [];
  let cursor = "";
  do {
    const page = await read(`${path}?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    rows.push(...page[name]);
    cursor = page.cursor;
  } while (cursor && rows.length < maxRows);
  return rows;
}

export const customerPath = (customerId, rest = "") => `/customers/${encodeURIComponent(customerId)}${rest}`;
export const connectionPath = ({ customerId, connectionId }, rest = "") =>
  customerPath(customerId, `/connections/${encodeURIComponent(connectionId)}${rest}`);
export const simulator = (method, path, body) => call(method, `codat${path}`, body);
export const atCodat = ({ companyId, connectionId }, action) =>
  simulator("POST", `/companies/${companyId}/connections/${connectionId}/${action}`);
