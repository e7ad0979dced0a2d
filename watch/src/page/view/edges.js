// The edges with their upstream pools and certificates.

import { date, duration, number, span } from "../format.js";
import { element, icon, Keyed, setData, setHidden, setText } from "./dom.js";

const DAY = 86_400_000;
const NEAR = 21 * DAY;

export class Edges {
  needs = ["edges", "nodes"];

  constructor() {
    this.root = document.getElementById("edges");
    this.list = new Keyed(this.root.querySelector(".edge-list"), (address) => new Edge(address));
  }

  update(context) {
    // Those with a problem first: the list may be longer than its part of the page.
    const well = (edge) => (edge.ready && edge.pools.every((pool) => !pool.panic && pool.usable > 0) ? 1 : 0);
    const edges = [...context.store.edges].sort(([a, one], [b, two]) => well(one) - well(two) || (a < b ? -1 : 1));
    setHidden(this.root, edges.length === 0);
    this.list.show(edges.map(([address, edge]) => [address, { edge, context }]));
  }
}

class Edge {
  constructor(address) {
    this.icon = icon("running");
    this.name = element("button", "edge-name");
    this.name.type = "button";
    this.name.dataset.edge = address;
    this.facts = element("span", "facts");
    this.problem = element("p", "note");
    const pools = element("ul", "pools");
    this.pools = new Keyed(pools, () => new Pool());
    const certificates = element("ul", "certificates");
    this.certificates = new Keyed(certificates, () => new Certificate());
    this.root = element("li", "edge", element("p", "head", this.icon, this.name, " ", this.facts), this.problem, pools, certificates);
  }

  update({ edge, context }, address) {
    const node = edge.node ? context.store.nodes.get(edge.node)?.hostname : undefined;
    const now = context.now();
    setData(this.icon, "icon", edge.ready ? "running" : "failed");
    setText(this.name, node ?? address);
    const rate = this.rate(edge);
    setText(this.facts, [
      edge.ready ? "ready" : "not ready",
      edge.version && `version ${edge.version}`,
      `${number(edge.requests)} requests`,
      rate,
    ].filter(Boolean).join(" · "));
    const problem = edge.error ?? edge.reasons.join(", ");
    const old = edge.error && edge.at != null ? `, last response ${span(now - edge.at)} ago` : "";
    setText(this.problem, problem + old);
    setHidden(this.problem, !problem);
    this.pools.show(edge.pools.map((pool) => [pool.name, pool]));
    this.certificates.show(edge.certificates.map((certificate, index) => [
      `${index} ${certificate.names.join()}`, { certificate, now },
    ]));
  }

  // Requests per second since the previous response.
  rate(edge) {
    const before = this.before;
    if (edge.at != null && edge.at !== before?.at) this.before = { at: edge.at, requests: edge.requests };
    if (before && edge.at > before.at && edge.requests >= before.requests) {
      const rate = ((edge.requests - before.requests) * 1000) / (edge.at - before.at);
      this.speed = `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} a second`;
    }
    return this.speed;
  }
}

class Pool {
  constructor() {
    this.name = element("b", "pool-name");
    this.usable = element("span", "usable");
    const list = element("ul", "endpoints");
    this.list = new Keyed(list, () => new Endpoint());
    this.root = element("li", "pool", element("p", "", this.name, " ", this.usable), list);
  }

  update(pool) {
    setData(this.root, "panic", pool.panic ? "" : null);
    const count = `${pool.usable} of ${pool.endpoints.length} in use`;
    setText(this.usable, pool.panic ? `${count}, panic: too few are healthy` : count);
    const port = common(pool.endpoints);
    setText(this.name, pool.name + (port ?? ""));
    this.list.show(pool.endpoints.map((endpoint) => [endpoint.address, { endpoint, port }]));
    setData(this.root, "empty", pool.usable === 0 ? "" : null);
  }
}

// The port that all endpoints share, such as ":8000"; shown once.
function common(endpoints) {
  const port = endpoints[0]?.address.match(/:\d+$/)?.[0];
  return port && endpoints.every((endpoint) => endpoint.address.endsWith(port)) ? port : undefined;
}

class Endpoint {
  constructor() {
    this.icon = icon("running");
    this.address = element("span", "address");
    this.state = element("span", "state");
    this.root = element("li", "", this.icon, this.address, " ", this.state);
  }

  update({ endpoint, port }) {
    setData(this.icon, "icon", endpoint.usable ? "running" : "failed");
    setText(this.address, port ? endpoint.address.slice(0, -port.length) : endpoint.address);
    setText(this.state, endpoint.reason ? `${endpoint.state}: ${endpoint.reason}` : endpoint.state);
    setData(this.root, "usable", endpoint.usable ? "" : null);
  }
}

class Certificate {
  constructor() {
    this.icon = icon("certificate");
    this.words = element("span", "");
    this.root = element("li", "", this.icon, this.words);
  }

  update({ certificate, now }) {
    const { names, not_after: end, self_signed: own } = certificate;
    const left = end == null ? null : end - now;
    const near = left !== null && left < NEAR;
    setData(this.root, "mood", left !== null && left <= 0 ? "bad" : near ? "short" : null);
    setData(this.icon, "icon", near ? "warning" : "certificate");
    const term = left === null ? null : left > 0 ? `ends in ${duration(left)}, ${date(end)}` : `ended ${date(end)}`;
    setText(this.words, [names.join(", ") || "no name", own && "self-signed", term].filter(Boolean).join(" · "));
  }
}
