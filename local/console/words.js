// Codes in words.

export const LANE_NAMES = {
  app: ["The app's calls", "Use the buttons, or call the API with curl."],
  codat: ["Requests to Codat", "Creating a customer sends the first one."],
  webhooks: ["Webhooks", "Codat sends one for each change of a company."],
  events: ["Events on the bus", "Every change of a customer is published here."],
};

const VERDICTS = {
  verified: ["Signature valid", "good"],
  rejected: ["Signature invalid", "bad"],
  unchecked: ["Signature not confirmed", "warn"],
  "webhook-drop": ["Lost on the way", "bad"],
  "webhook-delay": ["Held back", "warn"],
  "webhook-reorder": ["Held back", "warn"],
  "webhook-duplicate": ["Sent twice", "warn"],
};
export const verdict = (name) => VERDICTS[name] || [name, "warn"];

export const STATUSES = {
  PendingAuth: ["Waiting", "warn"],
  Linked: ["Linked", "good"],
  Unlinked: ["Unlinked", "idle"],
  Deauthorized: ["Deauthorized", "bad"],
};

export function nextAction({ status, nextAction: action, platformName, initialReadAt, initialReadIssues }) {
  if (status === "Linked") {
    if (initialReadIssues.length) {
      const issues = initialReadIssues.map(({ dataType, status: issue }) => `${dataType} (${issue})`).join(", ");
      return `Codat could not read ${issues}. Ask the customer to check their permissions at ${platformName}.`;
    }
    return initialReadAt ? "Nothing to do: the data can be used." : "Nothing to do: Codat is reading the data for the first time.";
  }
  return {
    authorize: "Send the customer a link, so that they authorise.",
    "install-connector": "Send the customer a link: they authorise, and install a connector on their computer.",
    reconnect: status === "Deauthorized"
      ? `Access was revoked at ${platformName}. Send the customer a link to reconnect.`
      : "The app unlinked it. Send the customer a link to reconnect.",
    none: "Nothing to do.",
  }[action] || action;
}

export const attention = (customer) => customer.connections.filter(
  ({ nextAction: action, initialReadIssues }) => action === "reconnect" || initialReadIssues.length).length;

export function customerState({ connections }) {
  if (!connections.length) return "no connection";
  return connections.map(({ platformName, status }) => `${platformName}: ${(STATUSES[status] || [status])[0].toLowerCase()}`).join(", ");
}

const ACTORS = { webhook: "by Codat's webhook", caller: "by the app", invitation: "by an invitation", reconcile: "by reconcile" };
export const actor = (name) => ACTORS[name] || name;

export function reconciled({ companies, connections, drift, failed }) {
  const compared = `Compared ${count(companies, "company", "companies")} and ${count(connections, "connection")} with Codat: `;
  const healed = drift ? `${count(drift, "difference")} found and corrected.` : "no difference.";
  return compared + healed + (failed ? ` ${count(failed, "batch", "batches")} failed; see the log.` : "");
}

export const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;
export const time = (at) => new Date(at).toLocaleTimeString([], { hourCycle: "h23" });
const dateAndTime = (at) => new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
export const when = (at) => (new Date(at).toDateString() === new Date().toDateString() ? time(at) : dateAndTime(at));
export const statusTone = (status) => (status == null || status >= 500 ? "bad" : status >= 400 ? "warn" : "good");

// What a row is about, of a webhook or an event.
export function subject({ lane, request }) {
  if (!request || (lane !== "webhooks" && lane !== "events")) return "";
  const { customerId, platformName, status } = request.detail || {};
  const { connection, referenceCompany, name } = request.payload || {};
  return [customerId || referenceCompany?.name || name, connection?.platformName || platformName, connection?.status || status]
    .filter(Boolean).join(" · ");
}

export function rowText(row) {
  const { lane, title, status, verdict: name } = row;
  const parts = [lane === "webhooks" ? `Webhook ${title}` : title, subject(row)].filter(Boolean);
  if (name) parts.push(verdict(name)[0].toLowerCase());
  if (status !== undefined) parts.push(status === null ? "no answer" : `answered ${status}`);
  return parts.join(", ");
}
