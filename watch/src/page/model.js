// What the picture means: pure judgements that several parts of the page share.

import { change } from "./format.js";
import { same } from "./store.js";

const STOPPED = new Set(["complete", "shutdown", "remove", "orphaned"]);
const FAILED = new Set(["failed", "rejected"]);
const WAITING = new Set(["new", "allocated", "pending"]);

// A task's state in one of six words, which decide how its tile looks.
export function kind(task) {
  if (FAILED.has(task.state)) return "failed";
  if (STOPPED.has(task.state)) return "stopped";
  if (task.state === "unknown") return "unknown";
  if (WAITING.has(task.state)) return "waiting";
  if (task.state !== "running") return "starting";
  return task.desired === "running" || task.desired === "complete" ? "running" : "stopping";
}

// Over and replaced, or at least not missed: shown on demand only.
export const isPast = (task) =>
  STOPPED.has(task.state) || (FAILED.has(task.state) && task.desired !== "running");

// What its state should be, where that differs from what it is.
export function wanted(task) {
  const { state, desired } = task;
  // Prepared beside its predecessor, and started when that has gone.
  if (desired === state || desired === "unknown" || isPast(task)) return null;
  // A job's task is to run until it is complete.
  if (state === "running" && desired === "complete") return null;
  return desired;
}

// What went wrong last in a task's place: its own error, or that of the newest before it.
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
// How long an update that is over is still shown as news.
export const NEWS = 5 * 60_000;

export const isMoving = (service) => RUNNING_UPDATE.has(service.update?.state);
export const isStuck = (service) => STUCK_UPDATE.has(service.update?.state);
export const isRollback = (service) => Boolean(service.update?.state.startsWith("rollback"));

// Shown at the top: an update that goes on, is stuck, or has just ended.
export function isNews(service, now) {
  if (!service.update) return false;
  if (isMoving(service) || isStuck(service)) return true;
  return service.update.completed_at != null && now - service.update.completed_at < NEWS;
}

// Whether two images are the same one: by digest where both have one.
export function sameImage(a, b) {
  if (a.digest && b.digest) return a.digest === b.digest;
  return a.name === b.name && a.tag === b.tag && same(a.digest ?? null, b.digest ?? null);
}

// How far an update is: tasks that run as the service now says, of how many, and what the others run.
export function progress(store, id) {
  const service = store.services.get(id);
  const tasks = [...store.tasksOf(id)].map((task) => store.tasks.get(task));
  // The newest that runs something else.
  const old = tasks
    .filter((task) => !sameImage(task.image, service.image))
    .reduce((newest, task) => ((task.created_at ?? 0) > (newest?.created_at ?? -1) ? task : newest), null);
  // An update that leaves the image as it is replaces tasks all the same: then their age tells.
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

// Whether a service has what it should.
export function isShort(service) {
  return service.mode !== "job" && service.running < service.desired;
}

// A name without its stack's, where there is one stack alone.
export function shortName(service, stacks) {
  const prefix = service.stack ? `${service.stack}_` : null;
  return prefix && stacks <= 1 && service.name.startsWith(prefix) ? service.name.slice(prefix.length) : service.name;
}

export const stacks = (store) => new Set([...store.services.values()].map((service) => service.stack)).size;

// The end of a task's name: its slot, or nothing for a global service's, whose column says where it is.
export const suffix = (task) => (task.slot == null ? "" : `.${task.slot}`);

// Whether a node is to be greyed.
export const isGone = (node) => node.state === "down" || node.state === "disconnected";

// The order of severities, the worst first.
export const SEVERITIES = ["critical", "warning", "info"];

// Alerts that are shown: the worst first, then the oldest; those whose cause is told already come last.
export function alerts(store) {
  const rank = ([, alert]) =>
    (alert.state === "resolved" ? 20 : 0) + (alert.inhibited_by ? 10 : 0) + SEVERITIES.indexOf(alert.severity) +
    (alert.state === "pending" ? 5 : 0);
  return [...store.alerts].sort((a, b) => rank(a) - rank(b) || a[1].since - b[1].since || (a[0] < b[0] ? -1 : 1));
}

// Totals for the top of the page.
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
