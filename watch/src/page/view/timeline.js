// What happened, the newest first.

import { moment } from "../format.js";
import { element, icon, setData } from "./dom.js";

const MOST = 300;

export class Timeline {
  constructor() {
    this.list = document.getElementById("timeline");
    // Noted when it happens: to ask while drawing would lay out the page once more.
    this.scrolled = false;
    this.list.addEventListener("scroll", () => {
      this.scrolled = this.list.scrollTop > 0;
    }, { passive: true });
  }

  update({ store, now }, changes) {
    if (changes.timeline === undefined) return;
    const at = now();
    if (changes.timeline === "all") {
      this.list.replaceChildren(...store.timeline.map((event) => row(event, at)).reverse());
      if (store.timeline.length === 0) this.list.append(element("li", "none", "Nothing yet."));
      return;
    }
    this.list.querySelector(".none")?.remove();
    // Whoever has scrolled down reads on where they are.
    const before = this.scrolled ? this.list.scrollHeight : 0;
    const rows = changes.timeline.slice(-MOST).map((event) => row(event, at)).reverse();
    for (const made of rows) made.dataset.fresh = "";
    this.list.prepend(...rows);
    while (this.list.childElementCount > MOST) this.list.lastElementChild.remove();
    if (before > 0) this.list.scrollTop += this.list.scrollHeight - before;
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
