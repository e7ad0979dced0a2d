// One node with its tasks, or those that have no node yet.

import { bytes, cpus, memory, moment, plural, span } from "../format.js";
import { isGone } from "../model.js";
import { element, icon, place, setData, setHidden, setText } from "./dom.js";

// The column of tasks that have no node.
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
    this.badges = element("p", "badges");
    this.facts = element("p", "facts");
    this.room = element("p", "facts");
    this.disk = element("meter", "disk");
    this.disk.setAttribute("aria-label", "Disk in use");
    Object.assign(this.disk, { min: 0, max: 1, low: 0.8, high: 0.9, optimum: 0 });
    this.list = element("ul", "tiles");
    this.list.setAttribute("aria-labelledby", title);
    this.none = element("p", "none");
    this.root = element(
      "section", "column",
      element("header", "", element("div", "heading", this.title, this.size), this.badges, this.state, this.facts, this.room, this.disk),
      this.none,
      this.list,
    );
    this.root.setAttribute("aria-labelledby", title);
    this.disk.hidden = true;
    if (id === NOWHERE) {
      this.root.classList.add("nowhere");
      setText(this.title, "No node yet");
      setText(this.facts, "Tasks that the swarm has not placed.");
      for (const part of [this.badges, this.state, this.room]) part.hidden = true;
    } else {
      this.title.append(this.open);
    }
  }

  // What the node says of itself.
  describe(node, now) {
    this.node = node;
    setText(this.open, node.hostname || this.id);
    setData(this.root, "state", node.state);
    setData(this.root, "gone", isGone(node) ? "" : null);
    setData(this.root, "availability", node.availability);
    const badges = [];
    if (node.leader) badges.push(["leader", "leader", ""]);
    badges.push(["role", node.role, ""]);
    if (node.reachable === false) badges.push(["unreachable", "unreachable", "bad"]);
    else if (node.reachable === true) badges.push(["reachable", "reachable", ""]);
    badges.push(["availability", node.availability, node.availability === "active" ? "" : "odd"]);
    const text = badges.map((badge) => badge.join()).join("|");
    if (this.badged !== text) {
      this.badged = text;
      this.badges.replaceChildren(
        ...badges.map(([name, label, mood]) => {
          const badge = element("span", "badge", name === "leader" ? icon("leader") : null, label);
          badge.dataset.badge = name;
          if (mood) badge.dataset.mood = mood;
          return badge;
        }).flatMap((badge) => [badge, " "]),
      );
    }
    setText(this.facts, [node.address, node.engine && `engine ${node.engine}`, node.platform].filter(Boolean).join(" · "));
    const disk = node.disk && node.disk.total_bytes > 0 ? node.disk : null;
    setText(this.room, [
      node.nano_cpus != null && cpus(node.nano_cpus),
      node.memory_bytes != null && memory(node.memory_bytes),
      disk && `${bytes(disk.free_bytes)} of ${bytes(disk.total_bytes)} free`,
    ].filter(Boolean).join(" · "));
    setHidden(this.disk, !disk);
    if (disk) this.disk.value = 1 - disk.free_bytes / disk.total_bytes;
    this.tick(now);
  }

  // Texts that change by themselves as time goes by.
  tick(now) {
    for (const tile of this.tiles.values()) tile.tick(now);
    const { node } = this;
    if (!node) return;
    if (!this.mark) {
      this.mark = icon(node.state);
      this.words = element("span", "");
      this.state.append(this.mark, this.words);
    }
    setData(this.mark, "icon", isGone(node) ? "down" : node.state);
    const since = node.since != null && node.state !== "ready"
      ? ` since ${moment(node.since, now)}, ${span(now - node.since)}` : "";
    setText(this.words, node.state + since + (node.message && node.state !== "ready" ? `: ${node.message}` : ""));
  }

  // Puts a tile where its key belongs.
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

  // Takes a tile out of the column's book, but leaves its element for another column to take over.
  forget(id) {
    if (!this.tiles.delete(id)) return;
    this.keys.delete(id);
    this.order.splice(this.order.indexOf(id), 1);
  }

  // After tiles came or went.
  sum(total) {
    const shown = this.tiles.size;
    setText(this.size, shown === total || total === undefined ? plural(shown, "task") : `${shown} of ${total}`);
    setHidden(this.none, shown > 0);
    if (shown === 0) {
      const drained = this.node?.availability === "drain";
      setText(this.none, total > 0 ? "no task that matches" : drained ? "drained: no tasks" : "no tasks");
    }
  }
}
