// The tile of a task.

import { change, duration, tag } from "../format.js";
import { isMoving, isPast, isStuck, kind, lastError, sameImage, shortName, suffix, wanted } from "../model.js";
import { element, icon, setAttribute, setData, setHidden, setStyle, setText, unseen } from "./dom.js";

const HEALTH = { healthy: "healthy", unhealthy: "unhealthy", starting: "health starting", none: "" };

export class Tile {
  constructor(id) {
    this.id = id;
    this.name = element("span", "name");
    this.tag = element("span", "tag");
    this.icon = icon("unknown");
    this.state = element("span", "state");
    this.health = element("span", "health");
    this.age = element("span", "age");
    this.restarts = element("span", "restarts");
    this.error = element("span", "error");
    this.button = element(
      "button", "tile",
      this.icon, this.name, " ", this.tag, " ",
      element("span", "line", this.state, " ", this.health, " ", this.restarts, " ", this.age), " ",
      this.error,
    );
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.dataset.task = id;
    this.root = element("li", "", this.button);
    this.error.hidden = true;
    this.restarts.hidden = true;
    this.health.hidden = true;
    this.changed = undefined;
  }

  // Sort key within its column.
  static key(store, id) {
    const task = store.tasks.get(id);
    const service = store.services.get(task.service)?.name ?? task.name;
    const slot = String(task.slot ?? 0).padStart(6, "0");
    const age = String(9e15 - (task.created_at ?? 0)).padStart(16, "0");
    return `${service}\0${slot}\0${isPast(task) ? 1 : 0}\0${age}\0${id}`;
  }

  update(context) {
    const { store } = context;
    const task = store.tasks.get(this.id);
    const service = store.services.get(task.service);
    const state = kind(task);
    const target = wanted(task);
    setText(this.name, service ? shortName(service, context.stacks) + suffix(task) : task.name);
    const old = service && (isMoving(service) || isStuck(service)) && !sameImage(task.image, service.image);
    setText(this.tag, old && !isPast(task) ? change(task.image, service.image) : tag(task.image));
    setData(this.tag, "old", old ? "" : null);
    setText(this.state, target ? `${task.state} → ${target}` : task.state);
    setData(this.icon, "icon", state);
    setData(this.button, "state", state);
    setData(this.button, "past", isPast(task) ? "" : null);
    setStyle(this.button, "--hue", String(context.hue(task.service)));
    setText(this.health, HEALTH[task.health] ?? "");
    setData(this.health, "health", task.health);
    // While a task starts or stops, its state says enough.
    setHidden(this.health, !HEALTH[task.health] || (target !== null && task.health !== "unhealthy"));
    setText(this.restarts, `↻\u202f${task.restarts}`);
    if (task.restarts > 0 && !this.restartsNote) {
      this.restartsNote = unseen(" restarts");
      this.restarts.after(this.restartsNote);
    }
    setHidden(this.restarts, task.restarts === 0);
    if (this.restartsNote) setHidden(this.restartsNote, task.restarts === 0);
    const error = lastError(store, this.id);
    setText(this.error, error ? (error.own ? error.text : `before: ${error.text}`) : "");
    setHidden(this.error, !error);
    setData(this.button, "error", error ? "" : null);
    setAttribute(this.button, "aria-current", context.opened === this.id ? "true" : null);
    this.since = task.since ?? task.created_at;
    this.tick(context.now());
    // Highlights a change of state.
    if (this.shown !== undefined && this.shown !== task.state) this.flash();
    this.shown = task.state;
  }

  tick(now) {
    const text = this.since == null ? "" : duration(now - this.since);
    if (this.aged !== text) {
      this.aged = text;
      setText(this.age, text);
    }
  }

  flash() {
    // Alternates between two names of one animation, since a change of the name restarts it.
    setData(this.button, "flash", this.button.dataset.flash === "a" ? "b" : "a");
  }
}
