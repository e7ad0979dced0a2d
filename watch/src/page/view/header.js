// The header: totals, and whether the data is current.

import { moment, number, span } from "../format.js";
import { totals } from "../model.js";
import { setData, setHidden, setText } from "./dom.js";

// While nothing changes, the time of the engine's last response is published every few seconds.
const OLD = 15_000;

export class Header {
  needs = ["nodes", "services", "tasks", "source", "quorum", "connection", "clock"];

  constructor() {
    const get = (id) => document.getElementById(id);
    this.nodes = get("total-nodes");
    this.tasks = get("total-tasks");
    this.services = get("total-services");
    this.quorum = get("total-quorum");
    this.connection = get("connection");
    this.stale = get("stale");
    this.status = { state: "connecting" };
  }

  update(context) {
    if (context.store.known) this.count(context.store);
    this.tick(context);
  }

  count(store) {
    const { nodes, tasks, services } = totals(store);
    const { managers, reachable, lost } = store.quorum;
    total(this.nodes, nodes.ready, nodes.all);
    total(this.tasks, tasks.running, tasks.desired);
    total(this.services, services.whole, services.all);
    total(this.quorum, reachable ?? 0, managers ?? 0, lost);
    const short = tasks.running < tasks.desired || nodes.ready < nodes.all;
    const title = `${short ? "▲ " : ""}${nodes.ready}/${nodes.all} nodes, ${tasks.running}/${tasks.desired} tasks · watch`;
    if (document.title !== title) document.title = title;
  }

  connected(status) {
    this.status = status;
  }

  // Updates the age of the data: the time since the engine's last response, by the server's clock.
  tick({ store, now }) {
    const { state, why, until } = this.status;
    const at = store.source.at;
    const age = at == null ? null : now() - at;
    const left = until == null ? 0 : Math.max(0, Math.ceil((until - Date.now()) / 1000));
    let label = { connecting: "connecting", refused: "refused", live: "live" }[state];
    if (state === "waiting") label = `offline, again in ${left}\u00a0s`;
    const old = state === "live" && store.known && (store.source.error || (age !== null && age > OLD));
    if (old) label = age === null ? "no data" : `${span(age)} old`;
    else if (state === "live" && age !== null) label += ` · ${span(age)}`;
    setData(this.connection, "state", old ? "stale" : state);
    setText(this.connection.lastElementChild, label);
    setData(document.documentElement, "stale", state !== "live" && store.known ? "offline" : old ? "engine" : null);

    let text = "";
    const seen = age === null ? "There is no data yet" : `The data is ${span(age)} old`;
    if (state === "waiting" || state === "refused" || (state === "connecting" && this.lost)) {
      if (state !== "connecting") this.lost = why;
      text = `${store.known ? seen : "There is no data yet"}: ${this.lost}.`;
    } else if (old) {
      text = `${seen}: ${store.source.error ?? "the engine has not responded since"}`;
      if (store.source.failing_since != null) text += `, since ${moment(store.source.failing_since, now())}`;
      text += ".";
    }
    if (state === "live") this.lost = undefined;
    setText(this.stale, text);
    setHidden(this.stale, text === "");
  }
}

function total(node, part, all, bad = false) {
  const text = part === all ? number(all) : `${number(part)}/${number(all)}`;
  setText(node.firstElementChild, text);
  setData(node, "mood", bad ? "bad" : part < all ? "short" : null);
}
