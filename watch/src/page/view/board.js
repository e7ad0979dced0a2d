// The nodes and their tasks. A change updates only the affected tiles and columns.

import { isActive, matcher, matchesNode, showsPast } from "../filter.js";
import { number, plural } from "../format.js";
import { Groups } from "../groups.js";
import { groupOf, homeOf, isPast } from "../model.js";
import { Column, NOWHERE } from "./column.js";
import { place, setData, setHidden, setStyle, setText } from "./dom.js";
import { Nothing } from "./nothing.js";
import { Tile } from "./tile.js";

// With more tasks or nodes than this, a tile is one line.
const DENSE_TASKS = 300;
const DENSE_NODES = 24;

const names = new Intl.Collator("en", { numeric: true });

export class Board {
  needs = ["nodes", "services", "tasks", "filter"];

  // `set(fields)` is called with a choice that changes the filter.
  constructor(set) {
    this.root = document.getElementById("board");
    this.holder = this.root.querySelector(".columns");
    this.nothing = new Nothing(set, () => this.root.focus({ preventScroll: true }));
    this.shown = document.getElementById("shown");
    this.columns = new Map();
    this.tiles = new Map();
    this.groups = new Groups();
    // Id of the column of each tile.
    this.at = new Map();
    this.focus = undefined;
    this.onScreen = new Set();
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const column = this.columns.get(entry.target.dataset.column);
        if (entry.isIntersecting && column) this.onScreen.add(column);
        else this.onScreen.delete(column);
      }
    }, { rootMargin: "200px" });
    this.root.addEventListener("focusin", (event) => {
      const id = event.target.dataset?.tile;
      if (id) this.reach(id);
    });
  }

  update(context, changes) {
    const { store, filter } = context;
    const all = changes.first || changes.has("filter");
    const match = matcher(filter, store);
    const touched = new Set();
    const ids = this.affected(context, changes, all);
    for (const id of changes.nodes) for (const task of this.node(context, id, touched)) ids.add(task);
    for (const tile of this.group(store, ids, match)) this.tile(context, tile, touched);
    if (changes.nodes.size > 0 || touched.has(NOWHERE)) this.arrange(store);
    const totals = this.count(store, filter);
    const narrow = isActive(filter);
    let shown = 0;
    for (const [id, column] of this.columns) {
      shown += column.sum(totals.get(id) ?? 0);
      const node = store.nodes.get(id);
      setHidden(column.root, column.tiles.size === 0 && (node ? narrow && !matchesNode(filter, id, node) : true));
    }
    this.sum(context, narrow, shown);
    // Only later changes are animated.
    if (!this.settled && store.known) {
      this.settled = true;
      requestAnimationFrame(() => setData(this.root, "settled", ""));
    }
  }

  // Ids of tasks whose tile may change: the task, its service, or a task of the same slot changed.
  affected({ store, stacks }, changes, all) {
    if (all || this.stacks !== stacks) {
      this.stacks = stacks;
      return new Set([...store.tasks.keys(), ...this.groups.tiles.keys()]);
    }
    const ids = new Set(changes.tasks);
    for (const service of changes.services) for (const id of store.tasksOf(service)) ids.add(id);
    for (const id of changes.tasks) {
      const task = store.tasks.get(id);
      // A task's error is shown on its successor.
      if (task) for (const [other] of store.historyOf(task)) ids.add(other);
    }
    return ids;
  }

  // Shows or removes the column of a node; returns the tasks that move to another column.
  node(context, id, touched) {
    const node = context.store.nodes.get(id);
    const column = this.columns.get(id);
    const tasks = (tiles) => tiles.flatMap((tile) => this.groups.tasksOf(tile));
    if (node) {
      this.column(id).describe(node, context.now());
      touched.add(id);
      return column ? [] : tasks(this.columns.get(NOWHERE)?.order ?? []);
    }
    if (!column) return [];
    this.watcher.unobserve(column.root);
    this.onScreen.delete(column);
    this.columns.delete(id);
    column.root.remove();
    return tasks(column.order);
  }

  column(id) {
    let column = this.columns.get(id);
    if (!column) {
      column = new Column(id);
      column.root.dataset.column = id;
      this.columns.set(id, column);
      this.holder.append(column.root);
      this.watcher.observe(column.root);
    }
    return column;
  }

  // Assigns tasks to tiles; returns the ids of those that may have changed.
  group(store, ids, match) {
    const changed = new Set();
    for (const id of ids) {
      const task = store.tasks.get(id);
      const tile = task && match(id) ? groupOf(store, task) ?? id : undefined;
      const before = this.groups.move(id, tile);
      for (const one of [before, tile]) if (one !== undefined) changed.add(one);
    }
    return changed;
  }

  tile(context, id, touched) {
    const { store } = context;
    const ids = this.groups.tasksOf(id);
    if (ids.length === 0) {
      this.drop(id);
      return;
    }
    const created = (one) => store.tasks.get(one).created_at ?? 0;
    if (ids.length > 1) ids.sort((a, b) => created(b) - created(a));
    const task = store.tasks.get(ids[0]);
    let tile = this.tiles.get(id);
    if (!tile) {
      tile = new Tile(id);
      this.tiles.set(id, tile);
    }
    tile.update(context, ids);
    const home = homeOf(store, task);
    const before = this.at.get(id);
    if (before !== home) {
      this.columns.get(before)?.forget(id);
      if (before !== undefined) tile.flash();
    }
    this.at.set(id, home);
    this.column(home).put(tile, Tile.key(store, task, id, ids[0] !== id));
    touched.add(home);
  }

  drop(id) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    const column = this.columns.get(this.at.get(id));
    const focused = tile.root.contains(document.activeElement);
    const index = column?.order.indexOf(id) ?? -1;
    column?.forget(id);
    tile.root.remove();
    this.tiles.delete(id);
    this.at.delete(id);
    if (this.focus === id) this.focus = undefined;
    // The focus moves to the neighbour, not to the top of the page.
    if (focused && column) {
      const next = column.order[Math.min(index, column.order.length - 1)];
      if (next !== undefined) this.tiles.get(next)?.button.focus({ preventScroll: true });
    }
  }

  // Sorts columns by the names of the nodes; the column of tasks without a node comes first, since it needs attention.
  arrange(store) {
    const order = [...this.columns.values()].sort((a, b) => {
      if (a.id === NOWHERE || b.id === NOWHERE) return a.id === NOWHERE ? -1 : 1;
      return names.compare(store.nodes.get(a.id)?.hostname ?? "", store.nodes.get(b.id)?.hostname ?? "") ||
        (a.id < b.id ? -1 : 1);
    });
    let next = this.holder.firstChild;
    for (const column of order) {
      if (column.root === next) next = next.nextSibling;
      else place(this.holder, column.root, next);
    }
    this.order = order;
  }

  // Number of tasks in each column without the filter.
  count(store, filter) {
    const totals = new Map();
    const past = showsPast(filter);
    for (const task of store.tasks.values()) {
      if (!past && isPast(task)) continue;
      const home = homeOf(store, task);
      totals.set(home, (totals.get(home) ?? 0) + 1);
    }
    this.total = [...totals.values()].reduce((sum, value) => sum + value, 0);
    return totals;
  }

  sum(context, narrow, shown) {
    const { store } = context;
    const dense = this.tiles.size > DENSE_TASKS || store.nodes.size > DENSE_NODES;
    setData(this.root, "dense", dense ? "" : null);
    const visible = [...this.columns.values()].filter((column) => !column.root.hidden).length;
    // A few columns do not fill a wide screen.
    setStyle(this.holder, "--shown", String(visible));
    this.nothing.update(context, !narrow || shown > 0 || (visible > 0 && !context.filter.node));
    setText(this.shown, narrow ? `${number(shown)} of ${plural(this.total, "task")} on ${plural(visible, "node")}` : "");
    // Exactly one tile is reachable by Tab.
    if (this.focus === undefined || !this.tiles.has(this.focus)) {
      const column = this.visible()[0];
      if (column) this.reach(column.order[0]);
    }
  }

  visible() {
    return (this.order ?? []).filter((column) => !column.root.hidden && column.order.length > 0);
  }

  // Makes a tile the one reachable by Tab.
  reach(id) {
    const before = this.tiles.get(this.focus);
    if (before) before.button.tabIndex = -1;
    this.focus = id;
    const tile = this.tiles.get(id);
    if (tile) tile.button.tabIndex = 0;
  }

  tick({ now }) {
    const at = now();
    for (const column of this.onScreen) column.tick(at);
  }
}
