// The tile of a task, or of a group of tasks.

import { base, changeParts, duration, number, version } from "../format.js";
import { GROUPS, isMoving, isPast, isStuck, kind, lastError, sameImage, serviceName, shortName, suffix, wanted } from "../model.js";
import { element, icon, paint, setAttribute, setData, setHidden, setText, unseen } from "./dom.js";

const HEALTH = { healthy: "healthy", unhealthy: "unhealthy", starting: "health starting", none: "" };

export class Tile {
  constructor(id) {
    this.id = id;
    // Number of tasks that it stands for.
    this.count = 1;
    this.name = element("span", "name");
    this.image = element("span", "image");
    this.version = element("span", "version");
    this.tag = element("span", "tag", this.image, this.version);
    this.icon = icon("unknown");
    this.state = element("span", "state");
    this.health = element("span", "health");
    this.age = element("span", "age");
    this.restarts = element("span", "restarts");
    this.error = element("span", "error");
    this.button = element(
      "button", "tile",
      element(
        "span", "row",
        this.icon, element("span", "head", this.name, " ", this.tag), " ",
        element("span", "line", this.state, " ", this.health, " ", this.restarts, " ", this.age),
      ), " ",
      this.error,
    );
    this.button.type = "button";
    this.button.tabIndex = -1;
    this.button.dataset.tile = id;
    this.root = element("li", "", this.button);
    this.error.hidden = true;
    this.restarts.hidden = true;
    this.health.hidden = true;
    this.changed = undefined;
  }

  // Sort key within its column. A group follows the other tasks of its service.
  static key(store, task, id, grouped) {
    const service = store.services.get(task.service)?.name ?? task.name;
    const slot = grouped ? "~" : String(task.slot ?? 0).padStart(6, "0");
    const age = String(9e15 - (task.created_at ?? 0)).padStart(16, "0");
    return `${service}\0${slot}\0${grouped ? kind(task) : age}\0${id}`;
  }

  // Shows the tasks with these ids, the newest of which comes first.
  update(context, ids) {
    const { store } = context;
    const [id] = ids;
    const task = store.tasks.get(id);
    const service = store.services.get(task.service);
    const state = kind(task);
    const target = wanted(task);
    const many = ids.length > 1;
    this.count = ids.length;
    setData(this.button, "task", id);
    setData(this.button, "many", many ? "" : null);
    const one = !many || ids.every((other) => store.tasks.get(other).slot === task.slot);
    setText(this.name, service ? shortName(service, context.stacks) + (one ? suffix(task) : "") : task.name);
    this.describeImage(task, service);
    setText(this.state, many ? `${number(ids.length)} ${GROUPS[state]}` : target ? `${task.state} → ${target}` : task.state);
    setData(this.icon, "icon", state);
    setData(this.button, "state", state);
    setData(this.button, "past", isPast(task) ? "" : null);
    const name = serviceName(store, task);
    if (this.painted !== name) paint(this.button, name);
    this.painted = name;
    setText(this.health, HEALTH[task.health] ?? "");
    setData(this.health, "health", task.health);
    // While a task starts or stops, its state says enough.
    setHidden(this.health, many || !HEALTH[task.health] || (target !== null && task.health !== "unhealthy"));
    setText(this.restarts, `↻\u202f${number(task.restarts)}`);
    if (task.restarts > 0 && !this.restartsNote) {
      this.restartsNote = unseen(" restarts");
      this.restarts.after(this.restartsNote);
    }
    const restarted = task.restarts > 0 && !many;
    setHidden(this.restarts, !restarted);
    if (this.restartsNote) setHidden(this.restartsNote, !restarted);
    const error = lastError(store, id);
    setText(this.error, error ? (error.own ? error.text : `before: ${error.text}`) : "");
    setHidden(this.error, !error);
    setData(this.button, "error", error ? "" : null);
    setAttribute(this.button, "aria-current", ids.includes(context.opened) ? "true" : null);
    this.since = task.since ?? task.created_at;
    this.tick(context.now());
    // Highlights a change of state.
    const shown = `${id} ${task.state}`;
    if (this.shown !== undefined && this.shown !== shown) this.flash();
    this.shown = shown;
  }

  // While the service is being updated, a task with the old image shows both.
  describeImage(task, service) {
    const old = service && (isMoving(service) || isStuck(service)) && !sameImage(task.image, service.image);
    const [name, rest] = old && !isPast(task)
      ? changeParts(task.image, service.image) : [base(task.image), version(task.image)];
    setText(this.image, name);
    setText(this.version, rest);
    setData(this.tag, "old", old ? "" : null);
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
