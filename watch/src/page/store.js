// The cluster state on the page, and its changes since it was last drawn.

const MAPS = ["nodes", "services", "tasks", "edges", "alerts"];
const VALUES = ["source", "quorum", "redis"];
// The same number as on the server.
const TIMELINE = 300;

export class Store {
  constructor() {
    // Whether a snapshot was received.
    this.known = false;
    for (const name of MAPS) this[name] = new Map();
    this.source = {};
    this.quorum = {};
    this.redis = null;
    this.timeline = [];
    // Ids of tasks by service, and by slot; for a global service the node is the slot.
    this.byService = new Map();
    this.bySlot = new Map();
    this.changes = new Changes();
  }

  // Replaces the state. Entries that did not change are not marked.
  snapshot(state) {
    for (const name of MAPS) {
      const entries = state[name] ?? {};
      for (const id of this[name].keys()) if (!Object.hasOwn(entries, id)) this.put(name, id, null);
      for (const [id, entry] of Object.entries(entries)) this.put(name, id, entry);
    }
    for (const name of VALUES) this.set(name, state[name] ?? (name === "redis" ? null : {}));
    this.timeline = state.timeline ?? [];
    this.changes.timeline = "all";
    if (!this.known) this.changes.first = true;
    this.known = true;
  }

  // Applies a delta: an entry replaces, null removes, an absent entry stays.
  delta(delta) {
    for (const name of MAPS) {
      for (const [id, entry] of Object.entries(delta[name] ?? {})) this.put(name, id, entry);
    }
    for (const name of VALUES) if (Object.hasOwn(delta, name)) this.set(name, delta[name]);
    if (delta.timeline?.length > 0) {
      this.timeline = this.timeline.concat(delta.timeline).slice(-TIMELINE);
      if (this.changes.timeline !== "all") {
        this.changes.timeline = (this.changes.timeline ?? []).concat(delta.timeline);
      }
    }
  }

  put(name, id, entry) {
    const entries = this[name];
    const before = entries.get(id);
    if (same(before ?? null, entry)) return;
    if (entry === null) entries.delete(id);
    else entries.set(id, entry);
    this.changes[name].add(id);
    if (name === "tasks") {
      index(this.byService, before?.service, entry?.service, id);
      index(this.bySlot, before && slot(before), entry && slot(entry), id);
    }
  }

  set(name, value) {
    if (same(this[name], value)) return;
    this[name] = value;
    this.changes[name] = true;
  }

  // Notes a change outside the cluster state: of the "filter", the "connection" or the "clock".
  mark(name) {
    this.changes.page.add(name);
  }

  // Ids of the tasks of a service.
  tasksOf(service) {
    return this.byService.get(service) ?? NONE;
  }

  // Tasks of the same slot, including this one, newest first.
  historyOf(task) {
    const ids = this.bySlot.get(slot(task)) ?? NONE;
    return [...ids].map((id) => [id, this.tasks.get(id)]).sort(([, a], [, b]) => age(b) - age(a));
  }

  // Returns the changes since the last call.
  taken() {
    const changes = this.changes;
    this.changes = new Changes();
    return changes;
  }
}

// Ids of what changed, and flags for the rest; `timeline` is undefined, the new events, or "all"; `page` holds
// the names given to `mark`.
export class Changes {
  constructor() {
    for (const name of MAPS) this[name] = new Set();
    for (const name of VALUES) this[name] = false;
    this.timeline = undefined;
    this.page = new Set();
    this.first = false;
  }

  // Whether the part of the state, or of the page, called `name` changed.
  has(name) {
    if (MAPS.includes(name)) return this[name].size > 0;
    if (VALUES.includes(name)) return this[name];
    return name === "timeline" ? this.timeline !== undefined : this.page.has(name);
  }
}

export const slot = (task) => `${task.service}/${task.slot ?? `@${task.node}`}`;

const NONE = new Set();
const age = (task) => task.created_at ?? 0;

function index(ids, before, after, id) {
  if (before === after) return;
  if (before !== undefined) {
    const set = ids.get(before);
    set?.delete(id);
    if (set?.size === 0) ids.delete(before);
  }
  if (after !== undefined && after !== null) {
    if (!ids.has(after)) ids.set(after, new Set());
    ids.get(after).add(id);
  }
}

// Deep equality of JSON values.
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}
