// Alerts, each with its consequences below it.

import { first, ordered } from "../causes.js";
import { moment, span } from "../format.js";
import { element, icon, Keyed, setData, setHidden, setStyle, setText } from "./dom.js";

// Number of alerts shown until the reader asks for the rest.
const FEW = 6;
// Consequences of consequences are not indented further than this.
const DEEPEST = 3;

export class Alerts {
  // The names of services tell which pools of edges are theirs.
  needs = ["alerts", "services"];

  constructor() {
    this.root = document.getElementById("alerts");
    this.more = this.root.querySelector(".more");
    this.list = new Keyed(this.root.querySelector("ul"), () => new Row());
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.draw();
    });
  }

  update(context) {
    this.context = context;
    this.draw();
  }

  draw() {
    const found = ordered(this.context.store);
    setHidden(this.root, found.length === 0);
    const shown = this.all ? found : first(found, FEW);
    const now = this.context.now();
    this.list.show(shown.map((row) => [row.id, { ...row, now }]));
    setHidden(this.more, found.length <= FEW);
    setText(this.more, this.all ? "Show fewer" : `Show ${found.length - FEW} more`);
  }

  tick({ now }) {
    const at = now();
    for (const row of this.list.items.values()) row.tick(at);
  }
}

class Row {
  constructor() {
    this.icon = icon("warning");
    this.severity = element("b", "severity");
    // Opens the details of the affected task, node or service.
    this.summary = element("button", "summary");
    this.summary.type = "button";
    this.note = element("span", "note");
    this.root = element("li", "alert", this.icon, element("span", "words", this.severity, " ", this.summary), " ", this.note);
  }

  update({ alert, depth, cause, now }) {
    this.alert = alert;
    this.cause = cause;
    setData(this.root, "severity", alert.severity);
    setData(this.root, "state", alert.state);
    setData(this.root, "quiet", alert.inhibited_by || alert.silenced_until > now ? "" : null);
    setData(this.root, "follows", depth > 0 ? "" : null);
    setStyle(this.root, "--depth", String(Math.min(depth, DEEPEST)));
    setData(this.icon, "icon", alert.state === "resolved" ? "done" : alert.severity);
    setText(this.severity, alert.state === "resolved" ? "resolved" : alert.severity);
    setText(this.summary, alert.summary);
    for (const kind of ["task", "node", "service"]) setData(this.summary, kind, null);
    const kind = ["task", "node", "service"].find((name) => alert[name]);
    if (kind) this.summary.dataset[kind] = alert[kind];
    this.summary.disabled = !kind;
    this.tick(now);
  }

  tick(now) {
    const { state, since, silenced_until: until, inhibited_by: inhibitor, rule } = this.alert;
    const parts = [rule];
    if (this.cause) parts.push(`follows from ${this.cause.rule}`);
    if (inhibitor) parts.push("no message of its own");
    if (state === "pending") parts.push("not long enough to notify");
    if (until > now) parts.push(`silenced until ${moment(until, now)}`);
    if (state !== "resolved") parts.push(`for ${span(now - since)}`);
    setText(this.note, parts.filter(Boolean).join(" · "));
  }
}
