// The four lanes of what happens. Each row opens its JSON.

import { html, useMemo, useState } from "./vendor/htm-preact-3.1.1.js";
import { Chip, Copy, Dialog } from "./parts.js";
import { chosen, emptyLanes, LANES, state, update } from "./state.js";
import { LANE_NAMES, statusTone, subject, time, verdict } from "./words.js";

export function Lanes() {
  const [tab, setTab] = useState("app");
  const [isFiltered, setFiltered] = useState(false);
  const [open, setOpen] = useState(null);
  const customer = chosen();
  const filter = isFiltered && customer ? customer : {};
  const rows = Object.fromEntries(LANES.map((lane) => [lane, useRows(state.lanes[lane], filter)]));
  return html`<section class="lanes" aria-labelledby="lanes-title">
    <header>
      <h2 id="lanes-title">What happens</h2>
      <div class="actions">${customer && html`<label class="check"><input type="checkbox" checked=${isFiltered}
        onChange=${(event) => setFiltered(event.target.checked)} /> Only ${customer.name || customer.customerId}</label>`}
        <button type="button" class="small" aria-label="Clear the lanes" onClick=${() => update({ lanes: emptyLanes() })}>Clear</button></div>
    </header>
    <div class="tabs" role="group" aria-label="Lane to show">
      ${LANES.map((lane) => html`<button type="button" aria-pressed=${tab === lane} onClick=${() => setTab(lane)}>
        ${LANE_NAMES[lane][0]} <span class="count">${rows[lane].length}</span></button>`)}
    </div>
    <div class="columns" data-tab=${tab}>
      ${LANES.map((lane) => html`<${Lane} key=${lane} lane=${lane} rows=${rows[lane]} onOpen=${setOpen} />`)}
    </div>
    ${open && html`<${Row} row=${open} onClose=${() => setOpen(null)} />`}
  </section>`;
}

function Lane({ lane, rows, onOpen }) {
  const [name, hint] = LANE_NAMES[lane];
  const empty = lane === "codat" && !state.isSimulated && state.live === "live"
    ? "Shown with the simulated Codat only." : hint;
  // Drawn only when the lane changes: a page that has been open for long has many rows.
  return useMemo(() => html`<section class="lane" data-lane=${lane} aria-labelledby="lane-${lane}">
    <h3 id="lane-${lane}">${name}</h3>
    ${rows.length === 0 && html`<p class="empty">${empty}</p>`}
    <ol>${rows.map((row) => html`<li key=${row.id}>
      <button type="button" class=${row.isNew ? "row new" : "row"} aria-haspopup="dialog"
        onClick=${() => onOpen(row)}><span class="when">${time(row.at)} </span>
        <span class="title">${breakable(row.title)} </span>
        ${subject(row) && html`<span class="subject">${subject(row)} </span>`}
        <span class="chips">${rowChips(row)}</span></button></li>`)}</ol>
  </section>`, [rows, empty]);
}

function rowChips({ verdict: name, status, ms }) {
  return [
    name && html`<${Chip} tone=${verdict(name)[1]}>${verdict(name)[0]}<//> `,
    status !== undefined && html`<${Chip} tone=${statusTone(status)}>${status === null ? "no answer" : status}<//> `,
    ms !== undefined && html`<span class="ms">${ms} ms</span>`,
  ];
}

// Long paths break after their slashes, and ids are shortened.
const breakable = (title) => title
  .replace(/\b([0-9a-f]{8})-[0-9a-f-]{27}\b/g, "$1…")
  .split(/(?<=[/.])/).map((part) => html`${part}<wbr />`);

// The same array as long as nothing changes, so that a lane is not drawn again.
const useRows = (rows, { customerId, companyId }) => useMemo(
  () => (customerId ? rows.filter((row) => isAbout(row, customerId, companyId)) : rows), [rows, customerId, companyId]);

// Whole values are compared, because an id may be part of another id or be any word. The server has decoded the path.
function isAbout({ title, request, response }, customerId, companyId) {
  const [, collection, id] = title.split("/");
  if (id && id === { customers: customerId, companies: companyId }[collection]) return true;
  const isId = (name, value) => (ID_NAMES.has(name) && value === customerId) || (companyId && value === companyId);
  return contains(request, isId) || contains(response, isId);
}

const ID_NAMES = new Set(["customerId", "uid"]); // uid is the company's tag

const contains = (value, isId) => Object.entries(value && typeof value === "object" ? value : {}).some(
  ([name, child]) => isId(name, child) || contains(child, isId));

const PARTS = { query: "Query", headers: "Headers", request: "Request", response: "Response" };

function Row({ row, onClose }) {
  const { lane, ...content } = row;
  const parts = Object.entries(PARTS).filter(([name]) => content[name]);
  const title = (name) => (name === "request" && lane === "events" ? "Event" : PARTS[name]);
  return html`<${Dialog} title=${row.title} onClose=${onClose}>
    <div class="summary"><span>${LANE_NAMES[lane][0]}</span><span>${new Date(row.at).toLocaleString()}</span>
      <span class="chips">${rowChips(row)}</span></div>
    ${row.idempotencyKey && html`<p class="hint">Idempotency key <code>${row.idempotencyKey}</code></p>`}
    ${parts.length === 0 && html`<p class="hint">No bodies.</p>`}
    ${parts.map(([name]) => html`<section class="json" key=${name} aria-label=${title(name)}>
      <header><h3>${title(name)}</h3><${Copy} text=${pretty(content[name])} of=${title(name)} /></header>
      <pre tabindex="0" role="region" aria-label="${title(name)} as JSON">${coloured(pretty(content[name]))}</pre>
    </section>`)}
    <p class="hint">Links and tokens are hidden.</p>
  <//>`;
}

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

// Names and values of JSON in two colours.
const coloured = (text) => text.split(/("(?:[^"\\]|\\.)*"(?=:))/).map(
  (part, index) => (index % 2 ? html`<span class="name">${part}</span>` : part));
