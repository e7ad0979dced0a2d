// Rolling updates and rollbacks in progress.

import { plural, span } from "../format.js";
import { isMoving, isRecentUpdate, isRollback, isStuck, progress } from "../model.js";
import { element, icon, Keyed, paint, setAttribute, setData, setHidden, setStyle, setText } from "./dom.js";

export class Updates {
  needs = ["nodes", "services", "tasks", "filter"];

  constructor() {
    this.root = document.getElementById("updates");
    this.list = new Keyed(this.root.querySelector("ul"), () => new Row());
  }

  update(context) {
    const { store } = context;
    const now = context.now();
    const recent = [...store.services].filter(([, service]) => isRecentUpdate(service, now));
    recent.sort(([, a], [, b]) => (b.update.started_at ?? 0) - (a.update.started_at ?? 0) || (a.name < b.name ? -1 : 1));
    setHidden(this.root, recent.length === 0);
    this.list.show(recent.map(([id, service]) => [id, { context, id, service, now }]));
  }

  tick(context) {
    this.update(context);
  }
}

class Row {
  constructor() {
    this.icon = icon("update");
    this.name = element("b", "name");
    this.what = element("span", "what");
    this.change = element("span", "change");
    this.bar = element("span", "bar", element("span", ""));
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-valuemin", "0");
    this.count = element("span", "of");
    this.note = element("span", "note");
    this.root = element("li", "update", this.icon, this.name, " ", this.change, " ", this.what, " ", this.bar, " ", this.count, " ", this.note);
  }

  update({ context, id, service, now }) {
    const { done, total, change } = progress(context.store, id);
    const { update } = service;
    const rollback = isRollback(service);
    const mood = isStuck(service) ? "stuck" : isMoving(service) ? "moving" : "done";
    setData(this.root, "mood", mood);
    setData(this.icon, "icon", mood === "stuck" ? "critical" : mood === "done" ? "done" : rollback ? "rollback" : "update");
    paint(this.root, service.name);
    setText(this.name, service.name);
    setText(this.change, change ?? "");
    setHidden(this.change, !change);
    setText(this.what, WHAT[update.state] ?? update.state);
    setAttribute(this.bar, "aria-label", `${service.name}: tasks replaced`);
    setAttribute(this.bar, "aria-valuemax", total);
    setAttribute(this.bar, "aria-valuenow", done);
    setStyle(this.bar, "--part", String(total > 0 ? done / total : 1));
    setHidden(this.bar, mood === "done");
    setText(this.count, mood === "done" ? "" : `${done} of ${plural(total, "task")}`);
    const time = mood === "done" && update.completed_at != null
      ? `${span(now - update.completed_at)} ago`
      : update.started_at != null ? `for ${span(now - update.started_at)}` : "";
    const message = mood === "stuck" ? update.message : "";
    setText(this.note, [message, time].filter(Boolean).join(" · "));
  }
}

const WHAT = {
  updating: "is being updated",
  paused: "update paused",
  completed: "updated",
  rollback_started: "is being rolled back",
  rollback_paused: "rollback paused",
  rollback_completed: "rolled back",
};
