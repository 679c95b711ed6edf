// The console of the local stack: customers on the left, the chosen one beside them, and what happens.

import { html, render } from "./vendor/htm-preact-3.1.1.js";
import { call } from "./api.js";
import { Customer } from "./customer.js";
import { Lanes } from "./lanes.js";
import { Chip, Field, Form } from "./parts.js";
import { Simulator } from "./simulator.js";
import { choose, chosenId, follow, onChange, refresh, state } from "./state.js";
import { attention, count, customerState } from "./words.js";

const LIVE = { connecting: ["Connecting", "idle"], live: ["Live", "good"], stopped: ["Stopped", "bad"] };

function Page() {
  const [text, tone] = LIVE[state.live];
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the customer</a>
    <header class="top">
      <h1><img src="icon.svg" alt="" width="22" height="22" /> codat-customers <span class="where">on one machine</span></h1>
      <${Chip} tone=${tone}>${text}<//>
      <p class="status" role="status">${state.message}</p>
    </header>
    ${state.live === "stopped" && html`<p class="banner" role="alert">The server has stopped. Start it again with
      <code>make run</code>: this page reconnects by itself.</p>`}
    ${state.live === "live" && state.refreshProblem && html`<p class="banner" role="alert">The page may be out of date.
      ${" "}${state.refreshProblem.message} <button type="button" onClick=${refresh}>Refresh</button></p>`}
    <${Simulator} />
    <div class="layout">
      <${Customers} />
      <main id="main" tabindex="-1"><${Customer} /><${Lanes} /></main>
    </div>`;
}

function Customers() {
  const { customers } = state;
  const create = async (values) => {
    const customer = await call("POST", "/customers", values);
    choose(customer.customerId);
    return customer;
  };
  return html`<nav class="customers" aria-label="Customers">
    <h2>Customers ${customers && html`<span class="count">${customers.length}</span>`}</h2>
    <${Form} id="create" fields=${["customerId", "name"]} submit="Create customer" work=${create} done=${({ name }) => `${name} is created.`}>
      <${Field} form="create" name="name" label="Name" placeholder="Acme Ltd" />
      <${Field} form="create" name="customerId" label="Customer id" placeholder="acme" hint="Your own id: letters, digits and ._@:-" />
    <//>
    ${customers?.length === 0 && html`<p class="empty">No customers yet. Create the first one.</p>`}
    <ul>${(customers || []).map((customer) => html`<li key=${customer.customerId}>
      <a href="#${encodeURIComponent(customer.customerId)}" aria-current=${customer.customerId === chosenId() ? "true" : undefined}>
        <strong>${customer.name || customer.customerId}</strong>
        <span class="hint">${customerState(customer)}</span>
        ${attention(customer) > 0 && html`<${Chip} tone="bad">${count(attention(customer), "connection needs", "connections need")} attention<//>`}
      </a></li>`)}</ul>
  </nav>`;
}

const root = document.getElementById("console");
root.replaceChildren();
const draw = () => render(html`<${Page} />`, root);
onChange(draw);
draw();
follow();
