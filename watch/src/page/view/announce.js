// What a screen reader is told while the page changes: seldom, and in sum.

import { plural } from "../format.js";
import { setText } from "./dom.js";

const BETWEEN = 6_000;
const FEW = 3;

export class Announcer {
  needs = ["alerts", "timeline"];

  constructor() {
    this.node = document.getElementById("live");
    this.waiting = [];
    this.count = 0;
  }

  // The first snapshot is there to be read, and is not announced.
  update({ store }, changes) {
    if (changes.first) return;
    this.alerts([...changes.alerts].map((id) => store.alerts.get(id)));
    if (Array.isArray(changes.timeline)) this.events(changes.timeline);
  }

  // Events of the time line; those that matter are told in full.
  events(events) {
    for (const event of events) {
      if (event.severity === "info") this.count += 1;
      else this.waiting.push(event.text);
    }
    this.later();
  }

  // Alerts that are new or changed: told when they fire, and when that is over.
  alerts(alerts) {
    for (const alert of alerts) {
      if (!alert || alert.inhibited_by || alert.state === "pending") continue;
      this.say(alert.state === "resolved" ? `resolved: ${alert.summary}` : alert.summary);
    }
  }

  say(text) {
    if (this.waiting.includes(text)) return;
    this.waiting.push(text);
    this.later();
  }

  later() {
    if (this.timer !== undefined || this.waiting.length + this.count === 0) return;
    const since = performance.now() - (this.last ?? -Infinity);
    this.timer = setTimeout(() => this.tell(), Math.max(500, BETWEEN - since));
  }

  tell() {
    this.timer = undefined;
    this.last = performance.now();
    const texts = this.waiting.slice(-FEW);
    const more = this.waiting.length - texts.length + this.count;
    if (more > 0) texts.push(`${plural(more, texts.length > 0 ? "other change" : "change")}`);
    const text = `${texts.join(". ")}.`;
    // The same words once more are told once more only if they differ.
    setText(this.node, this.node.textContent === text ? `${text}\u00a0` : text);
    this.waiting = [];
    this.count = 0;
  }
}
