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

// Severities, worst first.
export const SEVERITIES = ["critical", "warning", "info"];

// Alerts in order of display: worst first, then oldest; inhibited and resolved ones last.
export function alerts(store) {
  const rank = ([, alert]) =>
    (alert.state === "resolved" ? 20 : 0) + (alert.inhibited_by ? 10 : 0) + SEVERITIES.indexOf(alert.severity) +
    (alert.state === "pending" ? 5 : 0);
  return [...store.alerts].sort((a, b) => rank(a) - rank(b) || a[1].since - b[1].since || (a[0] < b[0] ? -1 : 1));
}

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
