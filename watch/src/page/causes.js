// The order of alerts: a cause comes before its consequences, and problems that have nothing to do with each other come
// worst first.

// Severities, worst first.
export const SEVERITIES = ["critical", "warning", "info"];

// Rules, from those whose conditions cause others to those whose conditions are only consequences: a lost node ends
// tasks, a service without tasks empties the pools of edges. A cause is often noticed later than its consequences, so
// times do not tell which is which.
export const RULES = [
  "node_down", "manager_unreachable", "quorum_lost", "quorum_at_risk", "picture_stale", "disk",
  "update_failed", "crash_loop", "job_failed", "service_below",
  "redis_master", "redis_replica", "edge_down", "edge_pool",
  "certificate", "self_signed", "channel_failing",
];

// Rules about one service, of which an earlier one explains a later one.
const OF_SERVICE = ["update_failed", "crash_loop", "service_below"];

// Returns [{ id, alert, depth, cause, rank }] in the order of display. Consequences follow their cause, one level deeper.
export function ordered({ alerts, services }) {
  const causes = new Map();
  for (const [id, alert] of alerts) causes.set(id, causeOf(id, alert, alerts, services));
  const below = new Map();
  const roots = [];
  for (const [id, alert] of alerts) {
    const tree = { id, alert };
    below.set(id, Object.assign(below.get(id) ?? { below: [] }, tree));
    const cause = isLoop(id, causes) ? undefined : causes.get(id);
    if (cause === undefined) roots.push(below.get(id));
    else {
      if (!below.has(cause)) below.set(cause, { below: [] });
      below.get(cause).below.push(below.get(id));
    }
  }
  const rows = [];
  const add = (trees, depth, cause) => {
    for (const tree of trees) rank(tree);
    trees.sort((a, b) => compare(a.rank, b.rank));
    for (const tree of trees) {
      rows.push({ id: tree.id, alert: tree.alert, depth, cause, rank: tree.rank });
      add(tree.below, depth + 1, tree.alert);
    }
  };
  add(roots, 0);
  return rows;
}

// Returns the rows that there is room for: the worst, with what leads to them, and roots before consequences.
export function first(rows, room) {
  const weights = rows.map(({ rank: [phase, severity], depth }, index) => [phase, severity, Math.min(depth, 1), index]);
  const shown = new Set(weights.sort(compare).slice(0, room).map((weight) => weight[3]));
  return rows.filter((_, index) => shown.has(index));
}

// The id of the alert that explains this one, if it is there: the one that inhibits it, or one about the same service.
function causeOf(id, alert, alerts, services) {
  if (alerts.has(alert.inhibited_by)) return alert.inhibited_by;
  if (alert.state === "resolved") return undefined;
  const service = alert.service ?? (alert.rule === "edge_pool" ? serviceOf(id, services) : undefined);
  if (service == null) return undefined;
  const own = OF_SERVICE.indexOf(alert.rule);
  const rules = own < 0 ? OF_SERVICE : OF_SERVICE.slice(0, own);
  const others = [...alerts].filter(([, other]) => other.service === service && other.state !== "resolved");
  // The nearest explanation, so that a chain reads in order.
  for (const rule of rules.toReversed()) {
    const cause = others.find(([other, { rule: name }]) => name === rule && other !== id);
    if (cause) return cause[0];
  }
  return undefined;
}

// The service behind a pool of an edge, by the name of the pool: "edge_pool/NODE/web" is about "web" or "STACK_web".
function serviceOf(id, services) {
  const pool = id.split("/").slice(2).join("/");
  const found = [...services].filter(([, { name }]) => name === pool || (pool && name.endsWith(`_${pool}`)));
  return found.length === 1 ? found[0][0] : undefined;
}

// Whether an alert is its own cause in the end. The server sends none; the page must not hang if one does.
function isLoop(id, causes) {
  const seen = new Set();
  for (let next = id; next !== undefined; next = causes.get(next)) {
    if (seen.has(next)) return true;
    seen.add(next);
  }
  return false;
}

// A cause ranks with the worst of its consequences.
function rank(tree) {
  tree.below.forEach(rank);
  const { alert } = tree;
  const rule = RULES.indexOf(alert.rule);
  const own = [phase(alert), SEVERITIES.indexOf(alert.severity)];
  const parts = [own, ...tree.below.map((one) => one.rank)];
  const worst = Math.min(...parts.map(([state]) => state));
  const severity = Math.min(...parts.filter(([state]) => state === worst).map(([, severity]) => severity));
  tree.rank = [worst, severity, rule < 0 ? RULES.length : rule, alert.since, tree.id];
}

// Firing alerts come first, then those that may be about to, those that a person or a cause keeps quiet, and those that
// are over.
function phase(alert) {
  if (alert.state === "resolved") return 3;
  if (alert.inhibited_by || alert.silenced_until) return 2;
  return alert.state === "pending" ? 1 : 0;
}

function compare(a, b) {
  const index = a.findIndex((part, at) => part !== b[at]);
  return index < 0 ? 0 : a[index] < b[index] ? -1 : 1;
}
