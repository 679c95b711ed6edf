// What only a simulator can do: Codat's condition, and the fate of the next webhook.

import { html, useState } from "./vendor/htm-preact-3.1.1.js";
import { call, simulator } from "./api.js";
import { Act, ProblemText } from "./parts.js";
import { act, loadSimulator, state } from "./state.js";
import { reconciled } from "./words.js";

const CODAT = {
  normal: ["Works", null],
  slow: ["Is slow", { kind: "latency", seconds: 2 }],
  down: ["Is down", { kind: "status", status: 503, cached: false }],
  limited: ["Limits the rate", { kind: "status", status: 429, retryAfter: 30, cached: false }],
};
const WEBHOOK = {
  normal: ["Arrives", null],
  lost: ["Is lost", { kind: "webhook-drop", times: 1 }],
  twice: ["Comes twice", { kind: "webhook-duplicate", times: 1 }],
  late: ["Comes 3 s late", { kind: "webhook-delay", seconds: 3, times: 1 }],
};

const faultId = (group, name) => `console-${group}-${name}`;
const isActive = (id) => state.faults.some((fault) => fault.id === id && (fault.times === null || fault.fired < fault.times));

async function choose(group, choices, name) {
  for (const other of Object.keys(choices)) {
    if (isActive(faultId(group, other))) await simulator("DELETE", `/faults/${faultId(group, other)}`);
  }
  const [, fault] = choices[name];
  if (fault) await simulator("POST", "/faults", { id: faultId(group, name), ...fault });
}

// Shows the new value at once, until the simulator's state is read again. That doesn't wait for the API, which may be slow.
function usePending(id, current, work) {
  const [pending, setPending] = useState(null);
  const change = async (value, done) => {
    setPending(value);
    await act(id, async () => { await work(value); await loadSimulator(); }, done);
    setPending(null);
  };
  return [pending ?? current, change];
}

function Choice({ group, legend, choices }) {
  const current = Object.keys(choices).find((name) => isActive(faultId(group, name))) || "normal";
  const [active, change] = usePending(group, current, (name) => choose(group, choices, name));
  return html`<fieldset class="choice"><legend>${legend}</legend>
    <div>${Object.entries(choices).map(([name, [label]]) => html`<label class=${name === "normal" ? "" : "fault"}>
      <input type="radio" name=${group} value=${name} checked=${active === name}
        onChange=${() => change(name, `${legend}: ${label}.`)} /><span>${label}</span></label>`)}</div>
    <${ProblemText} id=${group} />
  </fieldset>`;
}

export function Simulator() {
  const [isOneTime, setOneTime] = usePending("one-time", Boolean(state.settings.oneTimeLinks),
    (oneTimeLinks) => simulator("PATCH", "/settings", { oneTimeLinks }));
  return html`<section class="simulator" aria-label="Simulated Codat">
    ${state.isSimulated && html`<${Choice} group="codat" legend="Codat" choices=${CODAT} />
    <${Choice} group="webhook" legend="The next webhook" choices=${WEBHOOK} />
    <label class="check"><input type="checkbox" checked=${isOneTime}
      onChange=${({ target: { checked } }) => setOneTime(checked, `One-time links are ${checked ? "on" : "off"}.`)} /> One-time links</label>`}
    <div class="reconcile"><${Act} id="reconcile" label="Reconcile" work=${() => call("POST", "reconcile")} done=${reconciled} />
      <${ProblemText} id="reconcile" /></div>
  </section>`;
}
