// Announcements for screen readers while the page changes, rate-limited and summarized.

import { plural } from "../format.js";
import { setText } from "./dom.js";

const INTERVAL = 6_000;
const FEW = 3;

export class Announcer {
  needs = ["alerts", "timeline"];

  constructor() {
    this.node = document.getElementById("live");
    this.waiting = [];
    this.count = 0;
  }

  // The first snapshot is not announced.
  update({ store }, changes) {
    if (changes.first) return;
    this.alerts([...changes.alerts].map((id) => store.alerts.get(id)));
    if (Array.isArray(changes.timeline)) this.events(changes.timeline);
  }

  // Events of the time line; warnings and critical ones are announced in full.
  events(events) {
    for (const event of events) {
      if (event.severity === "info") this.count += 1;
      else this.waiting.push(event.text);
    }
    this.later();
  }

  // New or changed alerts: announced when they fire and when they are resolved.
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
    this.timer = setTimeout(() => this.announce(), Math.max(500, INTERVAL - since));
  }

  announce() {
    this.timer = undefined;
    this.last = performance.now();
    const texts = this.waiting.slice(-FEW);
    const more = this.waiting.length - texts.length + this.count;
    if (more > 0) texts.push(`${plural(more, texts.length > 0 ? "other change" : "change")}`);
    const text = `${texts.join(". ")}.`;
    // A live region announces a repeated text only if it differs.
    setText(this.node, this.node.textContent === text ? `${text}\u00a0` : text);
    this.waiting = [];
    this.count = 0;
  }
}
