// The chosen customer: its connections, what to do next, its timeline.

import { html, useState } from "./vendor/htm-preact-3.1.1.js";
import { atCodat, call, connectionPath, customerPath, simulator } from "./api.js";
import { Act, Chip, Confirm, Field, Form, LinkBox, ProblemText } from "./parts.js";
import { act, can, chosen, chosenId, set, state } from "./state.js";
import { actor, count, nextAction, STATUSES, when } from "./words.js";

const keep = (id, label, url) => set("links", id, { label, url });

export function Customer() {
  const customer = chosen();
  if (!customer) {
    const text = state.customers?.length ? `There is no customer ${chosenId()}.` : "Create a customer to see its connections here.";
    return html`<section class="customer" aria-label="Customer">${state.customers && html`<p class="empty big">${text}</p>`}</section>`;
  }
  return html`<section class="customer" aria-labelledby="customer-title" key=${customer.customerId}>
    <${Head} customer=${customer} />
    <${Connections} customer=${customer} />
    ${can("POST /customers/{customerId}/invitations") && html`<${Invitations} customer=${customer} />`}
    <${Timeline} />
  </section>`;
}

function Head({ customer }) {
  const [isRenaming, setRenaming] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const { customerId, companyId, name } = customer;
  const [hostedId, renameId, deleteId] = ["hosted", "rename", "delete-customer"].map((action) => `${action}-${customerId}`);
  const remove = () => act(deleteId, () => call("DELETE", customerPath(customerId)), `${name} is deleted.`);
  const hosted = async () => keep(hostedId, "The customer chooses the platform on this page", (await call("POST", customerPath(customerId, "/link"))).linkUrl);
  return html`<header class="head">
    <h2 id="customer-title">${name || customerId}</h2>
    <dl class="ids"><div><dt>Customer</dt><dd><code>${customerId}</code></dd></div>
      <div><dt>Codat company</dt><dd><code>${companyId || "being created"}</code></dd></div></dl>
    <div class="actions">
      <button type="button" aria-expanded=${isRenaming} onClick=${() => setRenaming(!isRenaming)}>Rename</button>
      <${Act} id=${hostedId} label="Link to choose a platform" work=${hosted} done="The link is ready." />
      <button type="button" class="danger" id=${deleteId} aria-label="Delete: ${customerId}" onClick=${() => setDeleting(true)}>Delete</button>
    </div>
    ${isRenaming && html`<${Form} id=${renameId} fields=${["name"]} submit="Save the name"
      work=${(values) => call("PATCH", customerPath(customerId), values)} done="Renamed." onDone=${() => setRenaming(false)}>
      <${Field} form=${renameId} name="name" label="New name" defaultValue=${name} />
    <//>`}
    <${LinkBox} id=${hostedId} of=${name} /><${ProblemText} id=${hostedId} /><${ProblemText} id=${deleteId} />
    ${isDeleting && html`<${Confirm} title="Delete ${name}?" label="Delete customer" work=${remove} onClose=${() => setDeleting(false)}
      text="Its company and all its connections are deleted at Codat, too. This can't be undone." />`}
  </header>`;
}

function Connections({ customer }) {
  const { customerId, connections } = customer;
  const connectId = `connect-${customerId}`;
  const connect = async (values) => {
    const connection = await call("POST", customerPath(customerId, "/connections"), values);
    if (connection.linkUrl) keep(connection.connectionId, "Link for the customer", connection.linkUrl);
    return connection;
  };
  return html`<section aria-labelledby="connections-title">
    <h3 id="connections-title">Connections</h3>
    ${connections.length === 0 && html`<p class="empty">No connection yet. Choose the platform that the customer uses.</p>`}
    <ul class="cards">${connections.map((connection) => html`<${Connection} key=${connection.connectionId} connection=${connection} />`)}</ul>
    <${Form} id=${connectId} class="connect" fields=${["platformKey"]} submit="Connect" work=${connect}
      done=${({ platformName, status }) => `${platformName}: ${STATUSES[status][0]}.`}>
      <${Field} form=${connectId} name="platformKey" label="Platform" options=${state.platforms.map((p) => [p.platformKey, p.platformName])} />
    <//>
  </section>`;
}

function Connection({ connection }) {
  const [isDeleting, setDeleting] = useState(false);
  const { connectionId: id, customerId, platformName, status, error, linkedAt } = connection;
  const of = `${platformName} of ${customerId}`;
  const [text, tone] = STATUSES[status] || [status, "idle"];
  const isLinked = status === "Linked";
  const link = async () => (await call("POST", connectionPath(connection, "/link"))).linkUrl;
  const remove = () => act(`delete-${id}`, () => call("DELETE", connectionPath(connection)), `${platformName} is deleted.`);
  return html`<li class="card" data-status=${status}>
    <header><h4>${platformName}</h4><${Chip} tone=${tone}>${text}<//></header>
    <p class="next">${nextAction(connection)}</p>
    ${error && !isLinked && html`<p class="why">${error}</p>`}
    <div class="actions">
      ${isLinked
        ? html`<${Act} id="unlink-${id}" label="Unlink" of=${of} work=${() => call("POST", connectionPath(connection, "/unlink"))} done="${platformName} is unlinked." />`
        : html`<${Act} id="link-${id}" label=${status === "PendingAuth" ? "Link" : "Reconnect"} of=${of} tone="primary" done="The link is ready."
            work=${async () => keep(id, "Link for the customer", await link())} />`}
      ${!isLinked && can("POST /customers/{customerId}/invitations") && html`<${Act} id="invite-${id}" label="Invite" of=${of}
        work=${() => invite(connection.customerId, connection.platformKey)} done="The invitation is ready." />`}
      <button type="button" class="danger" id="delete-${id}" aria-label="Delete: ${of}" onClick=${() => setDeleting(true)}>Delete</button>
    </div>
    ${!isLinked && html`<${LinkBox} id=${id} of=${of} />`}
    ${state.isSimulated && html`<${AtCodat} connection=${connection} of=${of} link=${link} />`}
    ${["unlink", "link", "invite", "delete", "codat"].map((name) => html`<${ProblemText} id="${name}-${id}" />`)}
    <p class="hint">${linkedAt ? `Linked: ${when(linkedAt)}. ` : ""}<code>${id}</code></p>
    ${isDeleting && html`<${Confirm} title="Delete ${platformName}?" label="Delete connection" work=${remove} onClose=${() => setDeleting(false)}
      text="Codat removes the connection and its data. To share data again, the customer authorises a new one." />`}
  </li>`;
}

// What the customer, the platform and an attacker do.
function AtCodat({ connection, of, link }) {
  const { connectionId, status, platformName } = connection;
  const isLinked = status === "Linked";
  const button = (name, label, done, work) => html`<button type="button" class="quiet" aria-label="${label}: ${of}"
    onClick=${() => act(`codat-${connectionId}`, work || (() => atCodat(connection, name)), done)}>${label}</button>`;
  const closeBrowser = async () => simulator("POST", "/open-link", { url: await link() });
  return html`<div class="at-codat" role="group" aria-label="Simulate for ${of}">
    <span class="hint">Simulate</span>
    ${!isLinked && button("authorize", "Authorise", "The customer authorised.")}
    ${!isLinked && button("cancel", "Cancel", "The customer cancelled.")}
    ${!isLinked && button("close", "Close the browser", "The customer opened a link and closed the browser: Codat sends nothing.", closeBrowser)}
    ${isLinked && button("revoke", "Revoke at the platform", `The customer revoked access at ${platformName}.`)}
    ${button("forge", "Forge a webhook", "An attacker posts that the connection was deleted.")}
  </div>`;
}

const invitationKey = (customerId) => `invitation-${customerId}`;

async function invite(customerId, platformKey) {
  const invitation = await call("POST", customerPath(customerId, "/invitations"), platformKey ? { platformKey } : {});
  keep(invitationKey(customerId), "Invitation to e-mail: it can be opened more than once", invitation.url);
  return invitation;
}

function Invitations({ customer }) {
  const id = invitationKey(customer.customerId);
  const revoke = ({ invitationId }) => call("DELETE", customerPath(customer.customerId, `/invitations/${encodeURIComponent(invitationId)}`));
  const platform = (key) => state.platforms.find(({ platformKey }) => platformKey === key)?.platformName || "Any platform";
  return html`<section aria-labelledby="invitations-title">
    <h3 id="invitations-title">Invitations</h3>
    <ul class="cards">${state.invitations.map((invitation) => html`<li class="card line" key=${invitation.invitationId}>
      <span>${platform(invitation.platformKey)}, until ${new Date(invitation.expiresAt).toLocaleDateString()}</span>
      <${Act} id="revoke-${invitation.invitationId}" label="Revoke" of="invitation ${invitation.invitationId}" work=${() => revoke(invitation)} done="The invitation is revoked." />
      <${ProblemText} id="revoke-${invitation.invitationId}" />
    </li>`)}</ul>
    <${Act} id=${id} label="Invite the customer" work=${() => invite(customer.customerId)} done="The invitation is ready." />
    <${LinkBox} id=${id} of="the invitation" /><${ProblemText} id=${id} />
  </section>`;
}

function Timeline() {
  const { timeline } = state;
  return html`<section aria-labelledby="timeline-title">
    <h3 id="timeline-title">Timeline</h3>
    ${timeline.length === 0 && html`<p class="empty">What happens to the connections appears here, newest first.</p>`}
    <ol class="timeline" aria-label="${count(timeline.length, "entry", "entries")}, newest first">${timeline.map((entry) => html`<li key=${entry.eventId}>
      <span class="when">${when(entry.at)}</span>
      <span><strong>${entry.eventType}</strong>${entry.status && entry.status !== entry.previousStatus
        ? html` <span class="change">${entry.previousStatus || "new"} → ${entry.status}</span>` : ""}
        <span class="hint">${entry.platformName}, ${actor(entry.actor)}${entry.applied ? "" : ", changed nothing"}</span>
        ${entry.error && html`<span class="why">${entry.error}</span>`}</span>
    </li>`)}</ol>
  </section>`;
}
