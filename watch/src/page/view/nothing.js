// What the board says while it shows no task: that there is no data, or that nothing matches, and how to go on.

import { matcher, showsPast } from "../filter.js";
import { plural } from "../format.js";
import { isPast } from "../model.js";
import { element, setHidden, setText } from "./dom.js";

const STATES = { running: "running", starting: "starting", trouble: "in trouble", stopped: "stopped" };

export class Nothing {
  // `set(fields)` is called with the fields of the filter to change, after which `done()` takes the focus.
  constructor(set, done) {
    this.root = document.getElementById("empty");
    this.text = this.root.querySelector("p");
    const button = (label, fields) => {
      const made = element("button", "plain", label);
      made.type = "button";
      made.hidden = true;
      made.addEventListener("click", () => {
        set(fields);
        done();
      });
      return made;
    };
    this.search = button("Clear the search", { q: "" });
    this.all = button("Clear all filters", { q: "", service: "", node: "", state: "" });
    this.stopped = button("Show stopped tasks", { stopped: true });
    this.root.append(element("div", "buttons", this.search, this.all, this.stopped));
  }

  // `found` says whether the filter leaves any task or node.
  update({ store, filter }, found) {
    const ready = store.known && store.nodes.size > 0;
    const filtered = ready && !found;
    setHidden(this.root, ready && !filtered);
    const q = filter.q.trim();
    const others = [
      filter.service && `service ${filter.service}`,
      filter.node && `node ${filter.node}`,
      filter.state && `state ${STATES[filter.state]}`,
    ].filter(Boolean);
    const past = filtered && !showsPast(filter) ? this.past(store, filter) : 0;
    setHidden(this.search, !filtered || !q);
    setHidden(this.all, !filtered || others.length === 0);
    setHidden(this.stopped, past === 0);
    if (filtered) {
      const what = [q && `“${q}”`, ...others].filter(Boolean).join(", ");
      const also = past === 0 ? "" : past === 1 ? " One stopped task does." : ` ${plural(past, "stopped task")} do.`;
      setText(this.text, `No task matches ${what}.${also}`);
    } else {
      // Before the engine's first response, the number of nodes is unknown.
      const empty = store.known && store.source.at != null;
      setText(this.text, empty ? "The swarm has no nodes." : "Waiting for the first update.");
    }
  }

  // Number of stopped tasks that would match.
  past(store, filter) {
    const match = matcher({ ...filter, stopped: true }, store);
    let found = 0;
    for (const [id, task] of store.tasks) if (isPast(task) && match(id)) found += 1;
    return found;
  }
}
