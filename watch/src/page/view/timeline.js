// The time line, newest first.

import { moment } from "../format.js";
import { element, icon, setData, setHidden, setText } from "./dom.js";

// Number of events shown; the others on demand, since each new event moves all that are shown.
const FEW = 50;
const MOST = 300;
// Events that arrive within this time are shown together.
const PAUSE = 500;

export class Timeline {
  needs = ["timeline"];

  constructor() {
    this.list = document.getElementById("timeline");
    this.more = document.getElementById("timeline-more");
    this.most = FEW;
    this.waiting = [];
    this.more.addEventListener("click", () => {
      this.most = this.most === FEW ? MOST : FEW;
      this.fill(this.context);
    });
    // Recorded on scroll: reading it while drawing would force another layout.
    this.scrolled = false;
    this.list.addEventListener("scroll", () => {
      this.scrolled = this.list.scrollTop > 0;
    }, { passive: true });
  }

  update(context, changes) {
    this.context = context;
    if (changes.timeline === "all") this.fill(context);
    else if (changes.timeline !== undefined) {
      this.waiting.push(...changes.timeline);
      this.timer ??= setTimeout(() => this.add(), PAUSE - (performance.now() - (this.last ?? -PAUSE)));
    }
  }

  fill(context) {
    this.waiting = [];
    const at = context.now();
    const events = context.store.timeline.slice(-this.most).reverse();
    this.list.replaceChildren(...events.map((event) => row(event, at)));
    if (events.length === 0) this.list.append(element("li", "none", "Nothing yet."));
    this.count(context.store);
  }

  add() {
    this.timer = undefined;
    this.last = performance.now();
    const events = this.waiting.splice(0).slice(-this.most);
    this.list.querySelector(".none")?.remove();
    // A reader who has scrolled down keeps their position.
    const before = this.scrolled ? this.list.scrollHeight : 0;
    const rows = events.map((event) => row(event, this.context.now())).reverse();
    // Highlights a single new event.
    if (rows.length === 1) rows[0].dataset.fresh = "";
    this.list.prepend(...rows);
    while (this.list.childElementCount > this.most) this.list.lastElementChild.remove();
    if (before > 0) this.list.scrollTop += this.list.scrollHeight - before;
    this.count(this.context.store);
  }

  count(store) {
    setHidden(this.more, store.timeline.length <= FEW);
    setText(this.more, this.most === FEW ? `Show all ${store.timeline.length}` : "Show fewer");
  }
}

function row(event, now) {
  const stamp = element("time", "", moment(event.at, now));
  stamp.dateTime = new Date(event.at).toISOString();
  const sign = icon(event.severity);
  const made = element("li", "event", stamp, sign, element("span", "unseen", ` ${event.severity}: `), element("span", "text", event.text));
  setData(made, "severity", event.severity);
  return made;
}
