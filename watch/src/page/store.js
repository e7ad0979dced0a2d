// The picture that the page holds, and what changed in it since it was last drawn.

const MAPS = ["nodes", "services", "tasks", "edges", "alerts"];
const VALUES = ["source", "quorum", "redis"];
// As many as the server keeps.
const TIMELINE = 300;

export class Store {
  constructor() {
    // Whether there ever was a picture.
    this.known = false;
    for (const name of MAPS) this[name] = new Map();
    this.source = {};
    this.quorum = {};
    this.redis = null;
    this.timeline = [];
    // Ids of tasks: of one service, and of one place, which is a slot, or a node for a global service.
    this.ofService = new Map();
    this.ofPlace = new Map();
    this.changes = new Changes();
  }

  // A whole picture in place of what was there. Entries that did not change are not marked.
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

  // What changed since: an entry replaces, null removes, what is not there stays.
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
      index(this.ofService, before?.service, entry?.service, id);
      index(this.ofPlace, before && place(before), entry && place(entry), id);
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

  // Ids of the tasks that belong to a service.
  tasksOf(service) {
    return this.ofService.get(service) ?? NONE;
  }

  // Tasks in the same place as this one, itself among them, the newest first.
  historyOf(task) {
    const ids = this.ofPlace.get(place(task)) ?? NONE;
    return [...ids].map((id) => [id, this.tasks.get(id)]).sort(([, a], [, b]) => age(b) - age(a));
  }

  // What changed since this was last called.
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

export const place = (task) => `${task.service}/${task.slot ?? `@${task.node}`}`;

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

// Equal as JSON is: the same fields with the same values.
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}
