// Helpers that change the document only where it differs, and only as text: data never becomes markup.

import { colour } from "../colours.js";

const SVG = "http://www.w3.org/2000/svg";

// An element with a class, and text or elements in it.
export function element(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content.filter((part) => part != null));
  return made;
}

export function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// An icon drawn by the style sheet. Its meaning is next to it as text.
export function icon(name) {
  const made = element("i", "icon");
  made.dataset.icon = name;
  made.setAttribute("aria-hidden", "true");
  return made;
}

// Text for screen readers only.
export const unseen = (text) => element("span", "unseen", text);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Sets, or with null removes, an attribute.
export function setAttribute(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

export function setData(node, name, value) {
  if (value == null || value === false) delete node.dataset[name];
  else if (node.dataset[name] !== String(value)) node.dataset[name] = value;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

export function setStyle(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

// Gives an element the colour of a service, which the style sheet calls --service.
export function paint(node, name) {
  const { hue, tone } = colour(name);
  setStyle(node, "--hue", String(hue));
  setStyle(node, "--tone", String(tone));
}

// Inserts a node before another. A moved node keeps the focus.
export function place(parent, node, before) {
  if (node.parentNode === parent && node.nextSibling === before) return;
  const focused = document.activeElement;
  const holds = node.isConnected && node.contains(focused);
  parent.insertBefore(node, before);
  if (holds) focused.focus({ preventScroll: true });
}

// Children of `parent` for `entries` of [key, value], in this order. They are reused by key: `make(key)` returns an
// object with `root`, whose `update(value, key)` is called.
export class Keyed {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.items = new Map();
  }

  show(entries) {
    const keys = new Set();
    for (const [key] of entries) keys.add(key);
    for (const [key, item] of this.items) {
      if (!keys.has(key)) {
        item.root.remove();
        this.items.delete(key);
      }
    }
    let next = this.parent.firstChild;
    for (const [key, value] of entries) {
      let item = this.items.get(key);
      if (!item) {
        item = this.make(key, value);
        this.items.set(key, item);
      }
      item.update(value, key);
      if (item.root === next) next = next.nextSibling;
      else place(this.parent, item.root, next);
    }
  }
}

// Whether the reader prefers reduced motion.
export const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
