// Controls: filters, theme, type size and help.

import { isActive, NOTHING } from "../filter.js";
import { setAttribute, setHidden, setText } from "./dom.js";

const names = new Intl.Collator("en", { numeric: true });
const get = (id) => document.getElementById(id);

export class Filters {
  needs = ["services", "nodes", "filter"];

  // `set(fields)` is called with the choice.
  constructor(set) {
    this.form = get("filters");
    this.q = get("search");
    this.service = get("filter-service");
    this.node = get("filter-node");
    this.state = get("filter-state");
    this.stopped = get("filter-stopped");
    this.clear = get("filter-clear");
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => set({
      q: this.q.value,
      service: this.service.value,
      node: this.node.value,
      state: this.state.value,
      stopped: this.stopped.checked,
    }));
    this.clear.addEventListener("click", () => {
      set({ ...NOTHING, open: undefined });
      this.q.focus();
    });
  }

  // Offers the existing values, and the chosen one even if it does not exist.
  update({ store, filter }) {
    options(this.service, [...store.services.values()].map((service) => service.name), filter.service);
    options(this.node, [...store.nodes].map(([id, node]) => node.hostname || id), filter.node);
    if (this.q.value !== filter.q) this.q.value = filter.q;
    this.state.value = filter.state;
    this.stopped.checked = filter.stopped;
    setHidden(this.clear, !isActive(filter) && !filter.stopped);
  }
}

function options(select, values, chosen) {
  const wanted = [...new Set(chosen ? [...values, chosen] : values)].sort(names.compare);
  const text = wanted.join("\n");
  if (select.dataset.values !== text) {
    select.dataset.values = text;
    select.replaceChildren(new Option("all", ""), ...wanted.map((value) => new Option(value, value)));
  }
  if (select.value !== chosen) select.value = chosen;
}

const THEMES = ["", "light", "dark"];

// Cycles between the light and dark themes and the system's.
export function theme() {
  const button = get("theme");
  const root = document.documentElement;
  const show = () => {
    const value = root.dataset.theme ?? "";
    const label = `Theme: ${value || "as the system"}`;
    setText(button.lastElementChild, label);
    setAttribute(button, "title", label);
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
    keep("theme", next);
    show();
  });
  show();
}

// Large type for wall screens.
export function size() {
  const button = get("size");
  const show = () => setAttribute(button, "aria-pressed", String(document.documentElement.dataset.size === "large"));
  button.addEventListener("click", () => {
    keep("size", document.documentElement.dataset.size === "large" ? "" : "large");
    show();
  });
  show();
}

function keep(name, value) {
  const { dataset } = document.documentElement;
  if (value) dataset[name] = value;
  else delete dataset[name];
  try {
    if (value) localStorage.setItem(`watch.${name}`, value);
    else localStorage.removeItem(`watch.${name}`);
  } catch {
    // The choice lasts until the page is closed.
  }
}

export function help() {
  const dialog = get("help");
  get("help-open").addEventListener("click", () => dialog.showModal());
  // A click outside closes the dialog.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}
