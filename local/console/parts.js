// Parts that every section uses.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-3.1.1.js";
import { act, announce, state } from "./state.js";

export const Chip = ({ tone, children }) => html`<span class="chip ${tone}">${children}</span>`;

// A button that runs `work` under its own key. Its accessible name says what it acts on, because labels repeat.
export function Act({ label, of = "", id, work, done, tone = "" }) {
  return html`<button type="button" class=${tone} id=${id} aria-busy=${Boolean(state.busy[id])}
    aria-label=${of ? `${label}: ${of}` : undefined} aria-describedby=${state.problems[id] ? `${id}-problem` : undefined}
    onClick=${() => act(id, work, done)}>${label}</button>`;
}

// The problem of a form or a button, unless its fields show it.
export function ProblemText({ id, fields = [] }) {
  const problem = state.problems[id];
  if (!problem || Object.keys(problem.fields || {}).some((field) => fields.includes(field))) return null;
  return html`<p class="problem" role="alert" id="${id}-problem">${problem.message}</p>`;
}

export function Field({ form, name, label, hint, ...input }) {
  const id = `${form}-${name}`;
  const problem = state.problems[form]?.fields?.[name];
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${input.options
      ? html`<select id=${id} name=${name} aria-invalid=${Boolean(problem)} aria-describedby=${problem && `${id}-problem`}>
          ${input.options.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select>`
      : html`<input id=${id} name=${name} autocomplete="off" spellcheck=${false} ...${input} aria-invalid=${Boolean(problem)}
          aria-describedby=${[hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ") || undefined} />`}
    ${hint && !problem && html`<p class="hint" id="${id}-hint">${hint}</p>`}
    ${problem && html`<p class="problem" id="${id}-problem">${problem}</p>`}
  </div>`;
}

// A form whose problems appear beside the fields that they name. The first of these gets the focus.
export function Form({ id, class: className, fields, submit, work, done, children, onDone }) {
  const form = useRef();
  const onSubmit = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form.current));
    const result = await act(id, () => work(values), done);
    if (result) {
      form.current?.reset();
      onDone?.(result);
      return;
    }
    if (Object.keys(state.problems[id]?.fields || {}).some((field) => fields.includes(field))) announce("Correct the marked fields.");
    setTimeout(() => form.current?.querySelector("[aria-invalid=true]")?.focus(), 30);
  };
  return html`<form ref=${form} id=${id} class=${className} onSubmit=${onSubmit} novalidate>
    ${children}
    <button class="primary" aria-busy=${Boolean(state.busy[id])}>${submit}</button>
    <${ProblemText} id=${id} fields=${fields} />
  </form>`;
}

export function Copy({ text, of }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    announce("Copied.");
    setTimeout(() => setCopied(false), 2000);
  };
  return html`<button type="button" aria-label="${isCopied ? "Copied" : "Copy"}: ${of}" onClick=${copy}>${isCopied ? "Copied" : "Copy"}</button>`;
}

// The browser's own dialog: it traps the focus, closes on Escape and returns the focus.
export function Dialog({ title, onClose, children }) {
  const dialog = useRef();
  useEffect(() => {
    const element = dialog.current;
    element.showModal();
    return () => element.close();
  }, []);
  const onClick = (event) => { if (event.target === dialog.current) dialog.current.close(); };
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose} onClick=${onClick}>
    <div class="dialog">
      <header><h2 id="dialog-title">${title}</h2>
        <button type="button" aria-label="Close" onClick=${() => dialog.current.close()}>✕</button></header>
      ${children}
    </div>
  </dialog>`;
}

export function Confirm({ title, text, label, work, onClose }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    <div class="actions end">
      <button type="button" onClick=${onClose}>Keep</button>
      <button type="button" class="danger" onClick=${() => { onClose(); work(); }}>${label}</button>
    </div>
  <//>`;
}

// A link for the customer. Links are credentials, and no later request returns the same one.
export function LinkBox({ id, of }) {
  const link = state.links[id];
  if (!link) return null;
  return html`<div class="link">
    <label for="${id}-url">${link.label}</label>
    <input id="${id}-url" class="mono" readonly value=${link.url} onFocus=${(event) => event.target.select()} />
    <div class="actions">
      <${Copy} text=${link.url} of="link of ${of}" />
      <a class="button" href=${link.url} target="_blank" rel="noreferrer" aria-label="Open: link of ${of}, in a new tab">Open <span aria-hidden="true">↗</span></a>
    </div>
  </div>`;
}
