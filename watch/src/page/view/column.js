// A node with its tasks, or the tasks that have no node yet.

import { bytes, cpus, memory, moment, plural, span } from "../format.js";
import { isGone } from "../model.js";
import { element, icon, place, setData, setHidden, setStyle, setText } from "./dom.js";

// Id of the column of tasks that have no node.
export const NOWHERE = "";

let columns = 0;

export class Column {
  constructor(id) {
    this.id = id;
    columns += 1;
    const title = `column-${columns}`;
    this.keys = new Map();
    this.order = [];
    this.tiles = new Map();
    this.open = element("button", "node-name");
    this.open.type = "button";
    this.open.dataset.node = id;
    this.title = element("h3", "");
    this.title.id = title;
    this.size = element("span", "size");
    this.state = element("p", "node-state");
    this.mark = icon("unknown");
    this.words = element("span", "");
    this.badges = element("span", "badges");
    this.state.append(element("span", "now", this.mark, this.words), " ", this.badges);
    this.leader = element("span", "leader", icon("leader"), "leader");
    this.facts = element("p", "facts");
    this.room = element("p", "facts");
    this.free = element("span", "");
    this.bar = element("span", "bar", element("span", ""));
    this.disk = element("p", "disk", this.bar, this.free);
    this.list = element("ul", "tiles");
    this.list.setAttribute("aria-labelledby", title);
    this.none = element("p", "none");
    this.root = element(
      "section", "column",
      element("header", "", element("div", "heading", this.title, this.leader, this.size), this.state, this.facts, this.room, this.disk),
      this.none,
      this.list,
    );
    this.leader.hidden = true;
    this.disk.hidden = true;
    this.root.setAttribute("aria-labelledby", title);
    if (id === NOWHERE) {
      this.root.classList.add("nowhere");
      setText(this.title, "No node yet");
      setText(this.facts, "Tasks that the swarm has not placed.");
      for (const part of [this.state, this.room]) part.hidden = true;
    } else {
      this.title.append(this.open);
    }
  }

  // Updates the description of the node.
  describe(node, now) {
    this.node = node;
    setText(this.open, node.hostname || this.id);
    setData(this.root, "state", node.state);
    setData(this.root, "gone", isGone(node) ? "" : null);
    setData(this.root, "availability", node.availability);
    setHidden(this.leader, !node.leader);
    const badges = [[node.role, ""]];
    if (node.reachable != null) badges.push(node.reachable ? ["reachable", ""] : ["unreachable", "bad"]);
    badges.push([node.availability, node.availability === "active" ? "" : "odd"]);
    const text = badges.join("|");
    if (this.badged !== text) {
      this.badged = text;
      this.badges.replaceChildren(...badges.flatMap(([label, mood], index) => {
        const badge = element("span", "badge", label);
        setData(badge, "mood", mood || null);
        return index === 0 ? [badge] : [" · ", badge];
      }));
    }
    setText(this.facts, [node.address, node.engine && `engine ${node.engine}`].filter(Boolean).join(" · "));
    setText(this.room, [
      node.nano_cpus != null && cpus(node.nano_cpus),
      node.memory_bytes != null && memory(node.memory_bytes),
      node.platform,
    ].filter(Boolean).join(" · "));
    const disk = node.disk?.total_bytes > 0 ? node.disk : null;
    setHidden(this.disk, !disk);
    if (disk) {
      const used = 1 - disk.free_bytes / disk.total_bytes;
      setStyle(this.bar, "--part", used.toFixed(3));
      setText(this.free, `${bytes(disk.free_bytes)} of ${bytes(disk.total_bytes)} free`);
      setData(this.disk, "mood", used > 0.95 ? "bad" : used > 0.85 ? "short" : null);
    }
    this.tick(now);
  }

  // Updates texts that change as time passes.
  tick(now) {
    for (const tile of this.tiles.values()) tile.tick(now);
    const { node } = this;
    if (!node) return;
    setData(this.mark, "icon", isGone(node) ? "down" : node.state);
    const since = node.since != null && node.state !== "ready"
      ? ` since ${moment(node.since, now)}, ${span(now - node.since)}` : "";
    setText(this.words, node.state + since + (node.message && node.state !== "ready" ? `: ${node.message}` : ""));
  }

  // Inserts a tile in the order of the keys.
  put(tile, key) {
    const { id } = tile;
    if (this.tiles.has(id)) {
      if (this.keys.get(id) === key) return;
      this.order.splice(this.order.indexOf(id), 1);
    }
    let low = 0;
    let high = this.order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys.get(this.order[middle]) < key) low = middle + 1;
      else high = middle;
    }
    const after = this.order[low];
    this.order.splice(low, 0, id);
    this.keys.set(id, key);
    this.tiles.set(id, tile);
    place(this.list, tile.root, after === undefined ? null : this.tiles.get(after).root);
  }

  // Forgets a tile, but leaves its element for another column.
  forget(id) {
    if (!this.tiles.delete(id)) return;
    this.keys.delete(id);
    this.order.splice(this.order.indexOf(id), 1);
  }

  // Updates the counts after tiles were added or removed. Returns the number of tasks shown.
  sum(total) {
    let shown = 0;
    for (const tile of this.tiles.values()) shown += tile.count;
    setText(this.size, shown === total || total === undefined ? plural(shown, "task") : `${shown} of ${plural(total, "task")}`);
    setHidden(this.none, shown > 0);
    if (shown === 0) {
      const drained = this.node?.availability === "drain";
      setText(this.none, total > 0 ? "no task that matches" : drained ? "drained: no tasks" : "no tasks");
    }
    return shown;
  }
}
