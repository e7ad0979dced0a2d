// Interpretation of the cluster state: pure functions shared by several parts of the page.

import { change } from "./format.js";
import { same } from "./store.js";

const STOPPED = new Set(["complete", "shutdown", "remove", "orphaned"]);
const FAILED = new Set(["failed", "rejected"]);
const WAITING = new Set(["new", "allocated", "pending"]);

// Maps a task's state to one of seven kinds, which determine how its tile looks.
export function kind(task) {
  if (FAILED.has(task.state)) return "failed";
  if (STOPPED.has(task.state)) return "stopped";
  if (task.state === "unknown") return "unknown";
  if (WAITING.has(task.state)) return "waiting";
  if (task.state !== "running") return "starting";
  return task.desired === "running" || task.desired === "complete" ? "running" : "stopping";
}

// Tasks that ended and were replaced or are not needed; shown on demand only.
export const isPast = (task) =>
  STOPPED.has(task.state) || (FAILED.has(task.state) && task.desired !== "running");

// The desired state of a task, if it differs from the current one.
export function wanted(task) {
  const { state, desired } = task;
  // A task may be prepared while its predecessor still runs, and started afterwards.
  if (desired === state || desired === "unknown" || isPast(task)) return null;
  // A job's task runs until it is complete.
  if (state === "running" && desired === "complete") return null;
  return desired;
}

// Where a task is shown: the id of its node, or "" if it has none that is known.
export const homeOf = (store, task) => (task.node && store.nodes.has(task.node) ? task.node : "");

// The group that a task belongs to, if any. Of one service, the tasks that ended on a node are interesting as a number,
// and so are those that wait for a node: each group has one tile.
export function groupOf(store, task) {
  const home = homeOf(store, task);
  const state = kind(task);
  return isPast(task) || (state === "waiting" && home === "") ? `${home}/${task.service}/${state}` : undefined;
}

// The tasks of a task's group, newest first, as [id, task].
export function group(store, task) {
  const key = groupOf(store, task);
  if (key === undefined) return [];
  const all = [...store.tasksOf(task.service)].map((id) => [id, store.tasks.get(id)]);
  const members = all.filter(([, other]) => groupOf(store, other) === key);
  return members.sort(([, a], [, b]) => (b.created_at ?? 0) - (a.created_at ?? 0));
}

// What the tasks of a group have in common, by their kind.
export const GROUPS = { failed: "failed", stopped: "stopped", waiting: "waiting for a node" };

// The last error in a task's slot: its own, or that of the newest task before it.
export function lastError(store, id) {
  const task = store.tasks.get(id);
  if (task.error) return { text: task.error, own: true };
  if (isPast(task)) return null;
  for (const [other, earlier] of store.historyOf(task)) {
    if (other !== id && earlier.error && (earlier.created_at ?? 0) <= (task.created_at ?? Infinity)) {
      return { text: earlier.error, own: false };
    }
  }
  return null;
}

const RUNNING_UPDATE = new Set(["updating", "rollback_started"]);
const STUCK_UPDATE = new Set(["paused", "rollback_paused"]);
// How long a completed update is still shown.
export const RECENT = 5 * 60_000;

export const isMoving = (service) => RUNNING_UPDATE.has(service.update?.state);
export const isStuck = (service) => STUCK_UPDATE.has(service.update?.state);
export const isRollback = (service) => Boolean(service.update?.state.startsWith("rollback"));

// Whether an update is shown at the top: in progress, paused, or recently completed.
export function isRecentUpdate(service, now) {
  if (!service.update) return false;
  if (isMoving(service) || isStuck(service)) return true;
  return service.update.completed_at != null && now - service.update.completed_at < RECENT;
}

// Whether two images are the same, by digest if both have one.
export function sameImage(a, b) {
  if (a.digest && b.digest) return a.digest === b.digest;
  return a.name === b.name && a.tag === b.tag && same(a.digest ?? null, b.digest ?? null);
}

// Progress of an update: the number of tasks that run the current specification, the total, and the change of image.
export function progress(store, id) {
  const service = store.services.get(id);
  const tasks = [...store.tasksOf(id)].map((task) => store.tasks.get(task));
  // The newest task with another image.
  const old = tasks
    .filter((task) => !sameImage(task.image, service.image))
    .reduce((newest, task) => ((task.created_at ?? 0) > (newest?.created_at ?? -1) ? task : newest), null);
  // An update may keep the image and still replace tasks; then their age decides.
  const begun = (old === null && service.update?.started_at) || 0;
  const done = tasks.filter(
    (task) =>
      task.state === "running" &&
      task.desired === "running" &&
      sameImage(task.image, service.image) &&
      (task.created_at ?? begun) >= begun,
  ).length;
  return {
    done: Math.min(done, service.desired),
    total: service.desired,
    change: old && change(old.image, service.image),
  };
}

// Whether fewer tasks run than desired, or a job failed.
export function isShort(service) {
  return service.job ? service.job.failed > 0 : service.running < service.desired;
}

// How many tasks of a service are as they should be, and how many there should be: completed ones of a job, running
// ones of other services.
export function count({ job, running, desired }) {
  return job ? [job.completed, job.total] : [running, desired];
}

// Ids of services that need attention: with too few tasks, a paused update, a failed job, or an alert that fires.
// Returns a map to why, as far as it is known.
export function failing(store) {
  const found = new Map();
  for (const [id, service] of store.services) {
    if (isStuck(service)) found.set(id, service.update.message);
    else if (isShort(service)) found.set(id, service.problem ?? "");
  }
  for (const { state, service, summary, rule } of store.alerts.values()) {
    if (state !== "firing" || !store.services.has(service) || found.get(service)) continue;
    // Whatever the alert, the row has the number of tasks.
    found.set(service, rule === "service_below" ? "" : summary);
  }
  return found;
}

// The name of a task's service, which may have been removed: names of services have no dot.
export const serviceName = (store, task) => store.services.get(task.service)?.name ?? task.name.split(".")[0];

// A service's name, without the prefix of its stack if there is only one stack.
export function shortName(service, stacks) {
  const prefix = service.stack ? `${service.stack}_` : null;
  return prefix && stacks <= 1 && service.name.startsWith(prefix) ? service.name.slice(prefix.length) : service.name;
}

export const stacks = (store) => new Set([...store.services.values()].map((service) => service.stack)).size;

// The suffix of a task's name: its slot, or nothing for a global service, whose column shows the node.
export const suffix = (task) => (task.slot == null ? "" : `.${task.slot}`);

// Whether a node is shown greyed out.
export const isGone = (node) => node.state === "down" || node.state === "disconnected";

// Totals for the header.
export function totals(store) {
  const nodes = { ready: 0, all: store.nodes.size };
  for (const node of store.nodes.values()) if (node.state === "ready") nodes.ready += 1;
  const tasks = { running: 0, desired: 0 };
  const services = { whole: 0, all: store.services.size };
  for (const service of store.services.values()) {
    tasks.running += service.running;
    tasks.desired += service.desired;
    if (!isShort(service)) services.whole += 1;
  }
  return { nodes, tasks, services };
}
