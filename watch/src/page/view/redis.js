// The live count, and the Redis servers that store it.

import { bytes, number, span } from "../format.js";
import { element, icon, isStill, Keyed, setAttribute, setData, setHidden, setStyle, setText } from "./dom.js";

const GLIDE = 700;
const SAMPLES = 60;
const EVERY = 2_000;

export class Redis {
  needs = ["redis"];

  constructor() {
    this.count = document.getElementById("count");
    this.value = document.getElementById("count-value");
    this.rate = this.count.querySelector(".rate");
    this.line = this.count.querySelector(".line");
    this.area = this.count.querySelector(".area");
    this.root = document.getElementById("redis");
    this.note = this.root.querySelector(".note");
    this.sentinels = this.root.querySelector(".sentinels");
    this.list = new Keyed(this.root.querySelector(".servers"), () => new Server());
    this.samples = [];
  }

  update({ store }) {
    const { redis } = store;
    setHidden(this.root, !redis);
    setHidden(this.count, !redis);
    if (!redis) return;
    this.show(redis.count);
    const order = [...redis.servers].sort((a, b) => rank(a) - rank(b) || (a.address < b.address ? -1 : 1));
    this.list.show(order.map((server) => [server.address, { server, master: redis.master }]));
    setText(this.sentinels, redis.sentinels > 0 ? `${redis.sentinels_up} of ${redis.sentinels} sentinels answer` : "");
    setHidden(this.sentinels, redis.sentinels === 0);
    setData(this.sentinels, "mood", redis.sentinels_up < redis.sentinels ? "short" : null);
    const problem = redis.error ?? (redis.servers.some((server) => server.role === "master" && server.up) ? "" : "no master");
    setText(this.note, problem);
    setHidden(this.note, !problem);
  }

  // Animates the number to its new value. It is not in a live region, so screen readers do not announce each step.
  show(count) {
    if (count === this.target) return;
    const from = this.drawn ?? count;
    this.target = count;
    cancelAnimationFrame(this.frame);
    if (count == null || from == null || count < from || isStill() || document.hidden) {
      this.draw(count);
      return;
    }
    const begun = performance.now();
    const step = (at) => {
      const part = Math.min(1, Math.max(0, (at - begun) / GLIDE));
      this.draw(Math.round(from + (count - from) * (1 - (1 - part) ** 3)));
      if (part < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  draw(count) {
    this.drawn = count;
    const text = number(count);
    setText(this.value, text);
    // The font size depends on the length.
    setStyle(this.value.parentNode, "--length", String(Math.max(7, text.length)));
  }

  // Samples visits per second over the last two minutes.
  tick(context) {
    const { store } = context;
    if (!store.redis) return;
    const now = context.now();
    const { count } = store.redis;
    const last = this.samples.at(-1);
    if (count != null && (!last || now - last.now >= EVERY)) {
      this.samples.push({ now, count });
      if (this.samples.length > SAMPLES) this.samples.shift();
      this.plot();
    }
    const old = store.redis.at == null ? null : now - store.redis.at;
    setText(this.rate, old !== null && old > 30_000 ? `last updated ${span(old)} ago` : this.speed());
  }

  speed() {
    const recent = this.samples.slice(-6);
    if (recent.length < 2) return "";
    const [first, last] = [recent[0], recent.at(-1)];
    const rate = Math.max(0, (last.count - first.count) / ((last.now - first.now) / 1000));
    return rate === 0 ? "no visits now" : `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} a second`;
  }

  plot() {
    const rates = this.samples.slice(1).map((sample, index) => Math.max(0, sample.count - this.samples[index].count));
    const top = Math.max(...rates, 1);
    // A page opened recently has few samples, and shows them wide.
    const step = 120 / Math.max(rates.length - 1, 9);
    const points = rates.map((rate, index) => {
      const x = 120 - (rates.length - 1 - index) * step;
      return `${x.toFixed(1)} ${(30 - (rate / top) * 26).toFixed(1)}`;
    });
    const line = points.length > 1 ? `M${points.join("L")}` : "";
    setAttribute(this.line, "d", line);
    setAttribute(this.area, "d", line && `${line}L120 32L${points[0].split(" ")[0]} 32Z`);
  }
}

// The master, then replicas with a problem.
const rank = (server) => (server.role === "master" ? 0 : server.up ? 2 : 1);

class Server {
  constructor() {
    this.icon = icon("running");
    this.address = element("span", "address");
    this.role = element("b", "role");
    this.lag = element("span", "lag");
    this.root = element("li", "", this.icon, this.role, " ", this.address, " ", this.lag);
  }

  update({ server, master }) {
    const leads = server.role === "master";
    setData(this.icon, "icon", !server.up ? "failed" : leads ? "leader" : "running");
    setData(this.root, "role", server.role);
    setData(this.root, "down", server.up ? null : "");
    setText(this.role, server.role);
    setText(this.address, server.address);
    let lag = "";
    if (!server.up) lag = leads ? "does not answer" : "not in sync";
    else if (leads) lag = master && master !== server.address ? "not the master of the sentinels" : "";
    else if (server.lag_bytes != null) lag = server.lag_bytes === 0 ? "in sync" : `${bytes(server.lag_bytes)} behind`;
    setText(this.lag, lag);
    setData(this.lag, "mood", !server.up ? "bad" : null);
  }
}
