// The filter of tasks, stored in the fragment of the address so that a view can be bookmarked and shared.

import { isPast, kind } from "./model.js";

// The choices for a task's state, and the tasks they match.
export const STATES = {
  running: (task) => kind(task) === "running",
  starting: (task) => ["starting", "waiting"].includes(kind(task)),
  trouble: (task) => isTrouble(task),
  stopped: (task) => isPast(task),
};

// Tasks that need attention: failed, failing, not placed, or not stopping.
function isTrouble(task) {
  return (
    ["failed", "waiting", "unknown"].includes(kind(task)) ||
    task.state === "orphaned" ||
    task.health === "unhealthy" ||
    (kind(task) !== "stopped" && Boolean(task.error))
  );
}

const KEYS = ["service", "node", "state", "q", "open"];

export const NOTHING = Object.freeze({ service: "", node: "", state: "", q: "", open: "", stopped: false });

export function parse(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const filter = { ...NOTHING, stopped: fields.get("stopped") === "1" };
  for (const key of KEYS) filter[key] = fields.get(key) ?? "";
  if (!Object.hasOwn(STATES, filter.state)) filter.state = "";
  return filter;
}

export function format(filter) {
  const fields = new URLSearchParams();
  for (const key of KEYS) if (filter[key]) fields.set(key, filter[key]);
  if (filter.stopped) fields.set("stopped", "1");
  const text = fields.toString();
  return text ? `#${text}` : "";
}

// Whether the filter hides any running task.
export const isActive = (filter) => Boolean(filter.service || filter.node || filter.state || filter.q.trim());

// Search terms, all of which must match.
export const terms = (filter) => filter.q.toLowerCase().split(/\s+/).filter(Boolean);

// Whether tasks that ended are shown. A filter for failures also shows those that were replaced.
export const showsPast = ({ state, stopped }) => stopped || state === "stopped" || state === "trouble";

// Returns a predicate over ids of tasks.
export function matcher(filter, store) {
  const words = terms(filter);
  const state = Object.hasOwn(STATES, filter.state) ? STATES[filter.state] : undefined;
  const past = showsPast(filter);
  return (id) => {
    const task = store.tasks.get(id);
    if (!past && isPast(task)) return false;
    if (state && !state(task)) return false;
    const service = store.services.get(task.service);
    if (filter.service && service?.name !== filter.service) return false;
    const node = task.node ? store.nodes.get(task.node) : undefined;
    if (filter.node && node?.hostname !== filter.node && task.node !== filter.node) return false;
    return words.length === 0 || contains(words, [
      task.name, task.state, task.health === "none" ? "" : task.health, task.image.name, task.image.tag,
      task.image.digest, task.error, task.message, id, service?.name, node?.hostname, node?.address,
    ]);
  };
}

// Whether a node's column is shown even if none of its tasks are.
export function matchesNode(filter, id, node) {
  if (filter.node) return node.hostname === filter.node || id === filter.node;
  if (filter.service || filter.state) return false;
  return contains(terms(filter), [node.hostname, node.address, id, node.role, node.state, node.availability]);
}

function contains(words, fields) {
  const text = fields.filter(Boolean).join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
